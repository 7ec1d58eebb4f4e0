"""The vote on spans: what wins, what is left unknown, what is certain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.cli import main
from hanspan.data import Document, Span, read_documents, write_documents
from hanspan.errors import ConfigError, HanspanError
from hanspan.labelmodel import aggregate, explain, vote
from hanspan.soft import NEGATIVE, POSITIVE, UNKNOWN, SoftLabels, bioes_tags
from labelmodel_cases import LABELS, votes

META = {"labels": list(LABELS), "topics": ["politics", "economy"], "rules": {}}


def answer(document: Document, meta: dict | None = None) -> list[tuple[int, int, str]]:
    (found,) = vote([document], meta or META)
    return [(s.start, s.end, s.label) for s in found.spans]


def test_longest_wins_over_a_part_of_another_label() -> None:
    assert answer(votes((0, 2, "LOC", "a"), (0, 4, "ORG", "b"))) == [(0, 4, "ORG")]


def test_twice_the_support_does_not_break_a_longer_name_of_another_label() -> None:
    parts = [(0, 2, "LOC", f"r{i}") for i in range(2)]
    assert answer(votes(*parts, (0, 4, "ORG", "b"))) == [(0, 4, "ORG")]


def test_agreement_decides_a_disagreement_about_borders() -> None:
    two = votes((0, 5, "ORG", "a"), (1, 5, "ORG", "b"), (1, 5, "ORG", "c"))
    assert answer(two) == [(1, 5, "ORG")]
    one = votes((0, 5, "ORG", "a"), (1, 5, "ORG", "b"))
    assert answer(one) == [(0, 5, "ORG")]


def test_a_tie_of_types_goes_to_the_rule_that_is_less_often_contradicted(tmp_path: Path) -> None:
    tied = votes((0, 2, "PER", "contradicted"), (0, 2, "LOC", "sound"))
    assert answer(tied) == [(0, 2, "PER")]  # nobody knows: the first type of the task
    alone = [votes((0, 2, "LOC", "sound")) for _ in range(4)]
    weak, out = tmp_path / "weak.jsonl", tmp_path / "train.jsonl"
    write_documents(weak, [*alone, tied])
    (tmp_path / "weak.rules.json").write_text(json.dumps(META), "utf-8")
    aggregate(weak, out)
    assert [s.label for s in list(read_documents(out))[-1].spans] == ["LOC"]
    write_documents(tmp_path / "new.jsonl", [tied])
    again = tmp_path / "again.jsonl"
    aggregate(tmp_path / "new.jsonl", again, model=tmp_path / "train.labelmodel.json")
    assert [s.label for d in read_documents(again) for s in d.spans] == ["LOC"]


def test_copies_of_a_rule_do_not_outvote_when_grouped() -> None:
    spans = [(0, 4, "PER", "a"), (0, 4, "PER", "b"), *((0, 4, "LOC", f"c{i}") for i in range(5))]
    assert answer(votes(*spans)) == [(0, 4, "LOC")]
    grouped = {**META, "rules": {f"rule:c{i}": {"group": "copies"} for i in range(5)}}
    assert answer(votes(*spans), grouped) == [(0, 4, "PER")]


def test_priority_wins_over_length() -> None:
    meta = {**META, "rules": {"rule:a": {"priority": 1}}}
    assert answer(votes((0, 2, "PER", "a"), (0, 5, "ORG", "b")), meta) == [(0, 2, "PER")]


def test_none_vetoes_what_it_covers_but_not_what_is_longer() -> None:
    assert answer(votes((0, 3, "PER", "a"), (0, 3, "NONE", "n"))) == []
    assert answer(votes((1, 3, "PER", "a"), (0, 4, "NONE", "n"))) == []
    assert answer(votes((0, 5, "ORG", "a"), (1, 3, "NONE", "n"))) == [(0, 5, "ORG")]
    meta = {**META, "rules": {"rule:a": {"priority": 1}}}
    assert answer(votes((0, 3, "PER", "a"), (0, 3, "NONE", "n")), meta) == [(0, 3, "PER")]


def test_entity_votes_support_borders_and_are_unknown_alone() -> None:
    tied = [(0, 3, "PER", "a"), (1, 4, "LOC", "b")]
    assert answer(votes(*tied, (1, 4, "ENTITY", "e"))) == [(1, 4, "LOC")]
    assert answer(votes((0, 3, "ENTITY", "e"))) == []


def test_states_and_distribution(tmp_path: Path) -> None:
    text = "合肥市委，有关部门某某。\n"
    document = Document(
        "a",
        text,
        (
            Span(0, 4, "ORG", 1.0, "rule:a"),
            Span(0, 2, "LOC", 1.0, "rule:b"),
            Span(1, 4, "ORG", 0.5, "rule:c"),
            Span(5, 9, "NONE", 1.0, "rule:n"),
            Span(9, 11, "ENTITY", 1.0, "rule:e"),
        ),
        {},
        {
            "topic_votes": [{"label": "economy", "score": 0.6, "source": "rule:t"}],
            "kept": 1,
        },
    )
    weak, output = tmp_path / "weak.jsonl", tmp_path / "train.jsonl"
    write_documents(weak, [document, Document("b", "")])
    (tmp_path / "weak.rules.json").write_text(json.dumps(META), "utf-8")
    summary = aggregate(weak, output)
    assert (summary.documents, summary.votes, summary.spans) == (2, 5, 1)
    first, second = read_documents(output)
    assert [(s.start, s.end, s.label, s.source) for s in first.spans] == [(0, 4, "ORG", "rule:a")]
    assert 0 < first.spans[0].score < 1
    assert first.labels == {"topic": "economy"}
    assert first.meta == {"kept": 1}
    assert second.spans == ()
    soft = SoftLabels.load(tmp_path / "train.soft.npz")
    assert len(soft) == 2
    dense, state = soft.dense(0)
    expected = [POSITIVE] * 4 + [NEGATIVE] * 5 + [UNKNOWN] * 2 + [NEGATIVE] * 2
    assert state.tolist() == expected
    tags = bioes_tags(LABELS)
    assert dense[0].argmax() == tags.index("B-ORG")
    assert dense[3].argmax() == tags.index("E-ORG")
    assert dense[1, tags.index("B-ORG")] > 0  # the rival reading
    assert np.allclose(dense[:4].sum(1), 1, atol=2e-3)
    assert not dense[9:11].any()
    assert soft.topic_prob[0].argmax() == 1
    assert not soft.topic_prob[1].any()


SPANS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.integers(1, 5),
        st.sampled_from([*LABELS, "ENTITY", "NONE"]),
        st.integers(0, 4),
        st.sampled_from([0.2, 0.6, 1.0]),
    ),
    max_size=12,
)


@settings(max_examples=120, deadline=None)
@given(SPANS, st.randoms())
def test_answers_are_flat_and_order_does_not_matter(items: list, random: object) -> None:
    spans = [Span(s, s + n, label, w, f"rule:{r}") for s, n, label, r, w in items]
    document = Document("d", "字" * 13, tuple(spans))
    (found,) = vote([document], META)
    for left, right in zip(found.spans, found.spans[1:], strict=False):
        assert left.end <= right.start
    offered = {(s.start, s.end, s.label) for s in spans}
    assert {(s.start, s.end, s.label) for s in found.spans} <= offered
    assert all(0 <= s.score <= 1 for s in found.spans)
    random.shuffle(spans)  # type: ignore[attr-defined]
    (again,) = vote([document.with_spans(spans)], META)
    assert [(s.start, s.end, s.label, s.score) for s in again.spans] == [
        (s.start, s.end, s.label, s.score) for s in found.spans
    ]


def test_topic_without_majority_is_left_open() -> None:
    both = [{"label": x, "score": 0.5, "source": f"rule:{x}"} for x in META["topics"]]
    (found,) = vote([Document("d", "字", (), {}, {"topic_votes": both})], META)
    assert "topic" not in found.labels


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (votes((0, 1, "ANIMAL", "a")), ["'ANIMAL'", "PER, LOC, ORG"]),
        (Document("d", "x", (), {}, {"topic_votes": [{"label": "sport"}]}), ["'sport'", "economy"]),
        (Document("d", "x", (), {}, {"topic_votes": ["sport"]}), ["topic vote"]),
        (Document("d", "x", (), {}, {"topic_votes": 5}), ["'d'", "topic_votes", "list"]),
        (
            Document("d", "x", (), {}, {"topic_votes": [{"label": "economy", "score": "high"}]}),
            ["'d'", "score 'high'", "number"],
        ),
        (
            Document("d", "x", (), {}, {"topic_votes": [{"label": "economy", "score": -1}]}),
            ["'d'", "score -1", "number"],
        ),
    ],
)
def test_unknown_labels_are_named(document: Document, words: list[str]) -> None:
    with pytest.raises(HanspanError) as error:
        list(vote([document], META))
    assert all(word in str(error.value) for word in words)


def test_mistakes_of_the_caller(tmp_path: Path) -> None:
    weak = tmp_path / "weak.jsonl"
    write_documents(weak, [Document("a", "字")])
    with pytest.raises(HanspanError, match=r"weak\.rules\.json: no such file"):
        aggregate(weak, tmp_path / "train.jsonl")
    (tmp_path / "weak.rules.json").write_text("[]", "utf-8")
    with pytest.raises(HanspanError, match="JSON object"):
        aggregate(weak, tmp_path / "train.jsonl")
    (tmp_path / "weak.rules.json").write_text("{}", "utf-8")
    with pytest.raises(HanspanError, match="'labels'"):
        aggregate(weak, tmp_path / "train.jsonl")
    for about, words in (
        ({"labels": "PER"}, "'labels'.*list of names"),
        ({"labels": [1]}, "'labels'.*list of names"),
        ({"labels": ["PER"], "topics": {"a": 1}}, "'topics'.*list of names"),
        ({"labels": ["PER"], "rules": ["rule:a"]}, "'rules'"),
        ({"labels": ["PER"], "rules": {"rule:a": "g"}}, "'rule:a'"),
        ({"labels": ["PER"], "rules": {"rule:a": {"priority": "high"}}}, "'rule:a'.*priority"),
    ):
        (tmp_path / "weak.rules.json").write_text(json.dumps(about), "utf-8")
        with pytest.raises(HanspanError, match=words):
            aggregate(weak, tmp_path / "train.jsonl")
    with pytest.raises(ConfigError, match="dawid-skene"):
        aggregate(weak, tmp_path / "train.jsonl", method="mean")
    with pytest.raises(HanspanError, match="another file"):
        aggregate(weak, weak)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["weak.jsonl", "weak.rules.json"]


def test_the_command_prints_why_and_for_topics_too(tmp_path: Path) -> None:
    weak, out = tmp_path / "weak.jsonl", tmp_path / "train.jsonl"
    topic = {"topic_votes": [{"label": "economy", "score": 0.9, "source": "rule:t"}]}
    write_documents(weak, [replace(votes((0, 2, "LOC", "a"), text="合肥"), meta=topic)])
    (tmp_path / "weak.rules.json").write_text(json.dumps(META), "utf-8")
    call = CliRunner().invoke
    shown = call(main, ["aggregate", str(weak), str(out), "--method", "auto"])
    assert shown.exit_code == 0, shown.output
    assert "vote: only 0 hidden votes test the models" in shown.output
    assert "topics, vote: only 0 hidden votes test the models" in shown.output
    plain = call(main, ["aggregate", str(weak), str(out)])
    assert plain.exit_code == 0, plain.output
    assert "asked for" not in plain.output
    sure = call(main, ["aggregate", str(weak), str(out), "--method", "hmm", "--calibrate"])
    assert sure.exit_code == 0, sure.output
    about = json.loads((tmp_path / "train.labelmodel.json").read_text("utf-8"))
    assert list(about["agreement"]) == ["hmm"]


def test_rules_of_topics_have_a_reliability(tmp_path: Path) -> None:
    weak, out = tmp_path / "weak.jsonl", tmp_path / "train.jsonl"
    said = [{"label": "economy", "score": 1.0, "source": f"rule:{x}"} for x in "abc"]
    said.append({"label": "politics", "score": 1.0, "source": "rule:odd"})
    write_documents(weak, [Document(str(i), "字", meta={"topic_votes": said}) for i in range(9)])
    (tmp_path / "weak.rules.json").write_text(json.dumps(META), "utf-8")
    aggregate(weak, out)
    table = json.loads((tmp_path / "train.labelmodel.json").read_text("utf-8"))["reliability"]
    assert table["rule:a"]["votes"] == table["rule:a"]["judged"] == 9
    assert table["rule:a"]["interval"][0] < table["rule:a"]["reliability"] < 1
    assert table["rule:odd"]["reliability"] == 0.0


def test_explain_shows_votes_and_result(tmp_path: Path) -> None:
    weak = tmp_path / "weak.jsonl"
    write_documents(weak, [votes((0, 2, "LOC", "a"), (0, 4, "ORG", "b"), text="合肥市委说")])
    (tmp_path / "weak.rules.json").write_text(json.dumps(META), "utf-8")
    text = explain(weak, "d")
    assert "合肥 LOC weight 1.00" in text
    assert "rule:a: part of a longer span" in text
    assert "=> 合肥市委 ORG" in text
    write_documents(weak, [votes((0, 2, "LOC", "a"), (0, 2, "ORG", "b"), text="合肥说")])
    assert "lost to another type" in explain(weak, "d")
    assert "reliability 0.45 (0.04 to 0.93), group" in explain(weak, "d")
    with pytest.raises(HanspanError, match="such as d"):
        explain(weak, "e")
