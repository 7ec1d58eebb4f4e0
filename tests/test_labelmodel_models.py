"""Dawid-Skene and HMM: EM, recovery, invariance, edges, saving."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document, Span, read_documents, write_documents
from hanspan.errors import HanspanError
from hanspan.labelmodel import aggregate, vote
from hanspan.labelmodel.assemble import answers
from hanspan.labelmodel.auto import choose_method, contradicted, make_model
from hanspan.labelmodel.dawid_skene import DawidSkene
from hanspan.labelmodel.fitted import fit
from hanspan.labelmodel.hmm import HMM
from hanspan.labelmodel.reliability import Reliability
from hanspan.labelmodel.topic_auto import choose_topics
from hanspan.labelmodel.topic_skene import TopicSkene
from hanspan.labelmodel.votes import Names, count_patterns, names_from_meta
from hanspan.soft import SoftLabels
from labelmodel_cases import LABELS, f1, generated, names, votes

METHODS = ("vote", "dawid-skene", "hmm")
LEARNED = ("dawid-skene", "hmm")


def meta(rules: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"labels": list(LABELS), "topics": ["a", "b", "c"], "rules": rules or {}}


def run(
    documents: list[Document], method: str, about: dict[str, Any] | None = None
) -> list[Document]:
    known = names_from_meta(about or meta())
    fitted = fit(documents, known, method)
    return list(answers(documents, fitted.model, fitted.topics, known))


@pytest.mark.parametrize("method", LEARNED)
@pytest.mark.parametrize("seed", [0, 1])
def test_em_never_lowers_the_objective(method: str, seed: int) -> None:
    documents, _, _ = generated(seed, 60)
    documents.append(votes((0, 3, "ENTITY", "r9"), (1, 3, "PER", "r1"), (4, 5, "NONE", "r8")))
    known = names_from_meta(meta())
    counts = count_patterns(documents, known, touching=method == "hmm")
    model = make_model(method, known, counts)
    assert isinstance(model, (DawidSkene, HMM))
    steps = np.diff(model.history)
    assert len(steps) > 1
    assert steps.min() > -1e-6


@pytest.mark.parametrize("method", LEARNED)
def test_learning_beats_the_vote_on_generated_votes(method: str) -> None:
    documents, gold, _ = generated(3, 150, (0.95, 0.9, 0.85, 0.4, 0.35))
    unfitted = f1(list(vote(documents, meta())), gold)
    found = f1(run(documents, method), gold)
    assert found > unfitted + 0.02
    assert found > f1(run(documents, "vote"), gold) > unfitted + 0.01


def reliabilities(documents: list[Document], method: str) -> list[dict[str, Any]]:
    known = names_from_meta(meta())
    fitted = fit(documents, known, method)
    trust = Reliability(known)
    list(answers(documents, fitted.model, fitted.topics, known, reliability=trust))
    return [trust.table()[f"rule:r{rule}"] for rule in range(5)]


def test_known_precision_comes_back() -> None:
    documents, _, truth = generated(5, 300)
    for row, precision in zip(reliabilities(documents, "dawid-skene"), truth, strict=True):
        assert row["reliability"] == pytest.approx(precision, abs=0.1)
        low, high = row["interval"]
        assert low < row["reliability"] < high
        assert high - low < 0.2


def test_sequence_model_ranks_rules_by_precision() -> None:
    documents, _, _ = generated(5, 150)
    found = [row["reliability"] for row in reliabilities(documents, "hmm")]
    assert min(found[:3]) > max(found[3:]) + 0.05


@pytest.mark.parametrize("method", METHODS)
def test_order_of_rules_and_documents_changes_nothing(method: str) -> None:
    documents, _, _ = generated(7, 40)
    rules = {f"rule:r{i}": {"group": ""} for i in range(5)}
    first = run(documents, method, meta(rules))
    turned = dict(reversed(rules.items()))
    mixed = [d.with_spans(reversed(d.spans)) for d in reversed(documents)]
    second = run(mixed, method, meta(turned))[::-1]
    for a, b in zip(first, second, strict=True):
        assert [(s.start, s.end, s.label) for s in a.spans] == [
            (s.start, s.end, s.label) for s in b.spans
        ]
        assert [s.score for s in a.spans] == pytest.approx([s.score for s in b.spans], abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_grouped_copies_do_not_raise_confidence(method: str) -> None:
    documents, _, _ = generated(9, 60)
    copied = [
        d.with_spans(
            [*d.spans]
            + [
                replace(s, source=f"rule:copy{k}")
                for s in d.spans
                if s.source == "rule:r0"
                for k in (0, 1, 2)
            ]
        )
        for d in documents
    ]
    group = {f"rule:copy{k}": {"group": "zero"} for k in (0, 1, 2)} | {"rule:r0": {"group": "zero"}}
    alone = run(documents, method, meta({"rule:r0": {"group": "zero"}}))
    many = run(copied, method, meta(group))
    for a, b in zip(alone, many, strict=True):
        assert [(s.start, s.end, s.label) for s in a.spans] == [
            (s.start, s.end, s.label) for s in b.spans
        ]
        for left, right in zip(a.spans, b.spans, strict=True):
            assert right.score <= left.score + 0.03


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_edges(method: str) -> None:
    assert run([], method) == []
    blank = [Document("a", ""), Document("b", "没有"), Document("c", "。")]
    assert [d.spans for d in run(blank, method)] == [(), (), ()]
    (single,) = run([votes((0, 2, "PER", "a"))], method)
    assert [(s.start, s.end, s.label) for s in single.spans] == [(0, 2, "PER")]
    silent = meta({"rule:never": {"group": "", "priority": 0}})
    (quiet,) = run([votes((0, 2, "PER", "a"))], method, silent)
    assert len(quiet.spans) == 1
    (unknown,) = run([votes((0, 2, "ENTITY", "a"), (3, 5, "NONE", "b"))], method)
    assert unknown.spans == ()


@pytest.mark.parametrize("method", METHODS)
def test_two_hundred_rules(method: str) -> None:
    rng = np.random.default_rng(0)
    documents = []
    for number in range(30):
        spans = []
        for start in (1, 8, 15):
            for rule in rng.choice(200, 20, replace=False):
                end = start + 3 + int(rng.random() < 0.1)
                spans.append(Span(start, end, LABELS[number % 3], 1.0, f"rule:{rule}"))
        documents.append(Document(str(number), "x" * 22, tuple(spans)))
    found = run(documents, method)
    wanted = [(s, s + 3) for s in (1, 8, 15)]
    assert all([(s.start, s.end) for s in d.spans] == wanted for d in found)


ITEMS = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.integers(1, 4),
        st.sampled_from([*LABELS, "ENTITY", "NONE"]),
        st.integers(0, 3),
    ),
    max_size=9,
)


@pytest.mark.parametrize("method", LEARNED)
@settings(max_examples=25, deadline=None)
@given(documents=st.lists(ITEMS, min_size=1, max_size=4))
def test_any_votes_give_flat_spans_and_distributions(method: str, documents: list) -> None:
    known = names_from_meta(meta())
    batch = [
        votes(*((s, s + n, label, str(rule)) for s, n, label, rule in items)) for items in documents
    ]
    touching = method == "hmm"
    model = make_model(method, known, count_patterns(batch, known, touching=touching))
    patterns = list(count_patterns(batch, known, touching=touching))
    for pattern, found in zip(patterns, model.resolve(patterns), strict=True):
        offered = {v[:3] for v in pattern.votes}
        end = 0
        for span in found.chosen:
            assert span.start >= end
            end = span.end
            assert (span.start, span.end, span.label) in offered
            assert 0 <= span.score <= 1 + 1e-9
        sums = np.bincount(found.char, found.prob, pattern.length)
        assert np.allclose(sums[np.unique(found.char)], 1, atol=1e-4)
        positive = np.flatnonzero(found.state == 2)
        assert set(positive) <= set(found.char.tolist())


def test_a_type_nobody_voted_for_is_possible_only_through_entity() -> None:
    known = names()
    batch = [votes((0, 2, "PER", "r0")), votes((0, 2, "ENTITY", "r1"))]
    for method in LEARNED:
        touching = method == "hmm"
        patterns = list(count_patterns(batch, known, touching=touching))
        model = make_model(method, known, count_patterns(batch, known, touching=touching))
        plain, opened = model.resolve(patterns)
        assert {(int(t) - 1) // 4 for t in plain.tag if t} == {0}
        assert len({(int(t) - 1) // 4 for t in opened.tag if t}) == len(LABELS)
        assert opened.chosen == ()


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_saved_model_answers_alike_without_fitting(method: str, tmp_path: Path) -> None:
    documents, _, _ = generated(2, 40)
    topic = [{"label": "b", "score": 0.9, "source": "rule:t"}]
    documents = [replace(d, meta={"topic_votes": topic}) for d in documents]
    weak, out, again = (tmp_path / f"{x}.jsonl" for x in ("weak", "train", "again"))
    write_documents(weak, documents)
    (tmp_path / "weak.rules.json").write_text(json.dumps(meta()), "utf-8")
    first = aggregate(weak, out, method=method)
    second = aggregate(weak, again, model=tmp_path / "train.labelmodel.json")
    assert out.read_text("utf-8") == again.read_text("utf-8")
    assert first.method == second.method
    assert first.topics == {"b": 40}
    a, b = (SoftLabels.load(tmp_path / f"{x}.soft.npz") for x in ("train", "again"))
    assert np.array_equal(a.state, b.state)
    assert np.array_equal(a.prob, b.prob)
    about = json.loads((tmp_path / "train.labelmodel.json").read_text("utf-8"))
    assert set(about["reliability"]) >= {f"rule:r{i}" for i in range(5)}


def test_new_rules_and_new_votes_meet_a_saved_model(tmp_path: Path) -> None:
    documents, _, _ = generated(2, 40)
    weak, out = tmp_path / "weak.jsonl", tmp_path / "train.jsonl"
    write_documents(weak, documents)
    (tmp_path / "weak.rules.json").write_text(json.dumps(meta()), "utf-8")
    for method in LEARNED:
        aggregate(weak, out, method=method)
        write_documents(tmp_path / "new.jsonl", [votes((0, 2, "PER", "new"))])
        aggregate(
            tmp_path / "new.jsonl", tmp_path / "o.jsonl", model=tmp_path / "train.labelmodel.json"
        )
        (found,) = read_documents(tmp_path / "o.jsonl")
        assert [(s.start, s.end, s.label) for s in found.spans] == [(0, 2, "PER")]


def test_damaged_model_is_named(tmp_path: Path) -> None:
    weak = tmp_path / "weak.jsonl"
    write_documents(weak, [votes((0, 1, "PER", "a"))])
    broken = tmp_path / "x.labelmodel.json"
    with pytest.raises(HanspanError, match="no such file"):
        aggregate(weak, tmp_path / "o.jsonl", model=broken)
    for text in ("{}", "[]", "{"):
        broken.write_text(text, "utf-8")
        with pytest.raises(HanspanError, match="no label model"):
            aggregate(weak, tmp_path / "o.jsonl", model=broken)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2, expected 1"),
        ({"format": None}, "format None, expected 1"),
        ({"calibration": {"slope": "a", "shift": 0, "evidence": 0}}, "could not convert"),
        ({"method": "mean"}, "'mean'"),
        ({"labels": ["PER"]}, "of another fit"),
        ({"spans_events": []}, "of another fit"),
        ({"reason": None}, "reason"),
    ],
)
@pytest.mark.parametrize("method", LEARNED)
def test_a_model_that_was_edited_is_named(
    method: str, change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    weak, saved = tmp_path / "weak.jsonl", tmp_path / "train.labelmodel.json"
    write_documents(weak, [votes((0, 1, "PER", "a"))])
    (tmp_path / "weak.rules.json").write_text(json.dumps(meta()), "utf-8")
    aggregate(weak, tmp_path / "train.jsonl", method=method)
    saved.write_text(json.dumps(json.loads(saved.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(HanspanError, match=words):
        aggregate(weak, tmp_path / "o.jsonl", model=saved)
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.parametrize("method", LEARNED)
def test_damaged_arrays_are_named(method: str, tmp_path: Path) -> None:
    weak, saved = tmp_path / "weak.jsonl", tmp_path / "train.labelmodel.json"
    write_documents(weak, [votes((0, 1, "PER", "a"))])
    (tmp_path / "weak.rules.json").write_text(json.dumps(meta()), "utf-8")
    aggregate(weak, tmp_path / "train.jsonl", method=method)
    arrays = tmp_path / "train.labelmodel.npz"
    good = arrays.read_bytes()
    middle = len(good) // 2
    for bad in (b"", good[:middle], good[:60] + bytes(40) + good[100:], b"x" * 40):
        arrays.write_bytes(bad)
        with pytest.raises(HanspanError, match=r"train\.labelmodel\.(json|npz)"):
            aggregate(weak, tmp_path / "o.jsonl", model=saved)
    arrays.unlink()
    with pytest.raises(HanspanError, match=r"npz: no such file"):
        aggregate(weak, tmp_path / "o.jsonl", model=saved)


def test_auto_says_vote_when_it_cannot_know_and_learns_when_it_can() -> None:
    few, _, _ = generated(1, 5)
    known = names_from_meta(meta())
    choice = choose_method(count_patterns(few, known, touching=True), known)
    assert choice.method == "vote"
    assert "needed" in choice.reason
    many, _, _ = generated(3, 120, (0.95, 0.9, 0.9, 0.85, 0.4, 0.35))
    choice = choose_method(count_patterns(many, known, touching=True), known)
    assert choice.method in LEARNED
    assert choice.agreement[choice.method] > choice.agreement["vote"]


def test_auto_takes_dawid_skene_where_most_votes_are_contradicted() -> None:
    documents, _, _ = generated(5, 80, (0.4, 0.35, 0.3, 0.35, 0.4))
    known = names_from_meta(meta())
    counts = count_patterns(documents, known, touching=True)
    assert contradicted(counts, known)[0] > 0.5
    choice = choose_method(counts, known)
    assert choice.method == "dawid-skene"
    assert "contradict" in choice.reason


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ((0, 4, "ORG", "r1"), 0.0),  # the longer one has the shorter as its part
        ((0, 4, "PER", "r1"), 1.0),
        ((1, 4, "ORG", "r1"), 1.0),
        ((0, 2, "ORG", "r1"), 1.0),
        ((0, 2, "PER", "r1"), 0.0),
        ((1, 4, "ORG", "r0"), 0.0),  # one rule does not contradict itself
        ((0, 2, "NONE", "r1"), 0.0),
        ((2, 4, "ORG", "r1"), 0.0),
    ],
)
def test_what_contradicts_a_vote(other: tuple[int, int, str, str], share: float) -> None:
    known = names_from_meta(meta())
    counts = count_patterns([votes((0, 2, "PER", "r0"), other)], known, touching=True)
    assert contradicted(counts, known)[0] == share


def test_calibration_moves_probabilities_towards_the_truth() -> None:
    documents, gold, _ = generated(4, 120, (0.8, 0.7, 0.6, 0.5))
    known = names_from_meta(meta())

    def error(calibrate: bool) -> float:
        fitted = fit(documents, known, "hmm", calibrate=calibrate)
        found = list(answers(documents, fitted.model, fitted.topics, known))
        losses = []
        for p, g in zip(found, gold, strict=True):
            truth = {(s.start, s.end, s.label) for s in g.spans}
            losses += [(s.score - ((s.start, s.end, s.label) in truth)) ** 2 for s in p.spans]
        return float(np.mean(losses))

    assert error(True) < error(False)


def test_topics_learn_whom_to_trust_and_the_balance() -> None:
    rng = np.random.default_rng(0)
    known = Names((), ("a", "b", "c"))
    rules = [known.add_rule(f"rule:{i}") for i in range(6)]
    truth, counts = [], {}
    bags = []
    for _ in range(1500):
        topic = int(rng.choice(3, p=[0.6, 0.3, 0.1]))
        bag = []
        for rule in rules:
            if rng.random() < 0.6:
                right = rng.random() < (0.9 if rule < 3 else 0.4)
                bag.append((topic if right else int(rng.integers(3)), rule, 1.0))
        bag = tuple(sorted(bag))
        truth.append(topic)
        bags.append(bag)
        counts[bag] = counts.get(bag, 0) + 1
    model = TopicSkene(known).fit(counts)
    assert np.diff(model.history).min() > -1e-6
    assert np.exp(model.prior) == pytest.approx([0.6, 0.3, 0.1], abs=0.1)
    assert choose_topics(counts, known)[0] == "dawid-skene"
    assert choose_topics(dict(list(counts.items())[:5]), known)[0] == "vote"
    heard = [i for i, bag in enumerate(bags) if bag]
    right = np.mean([model.predict(bags[i]).argmax() == truth[i] for i in heard])
    assert right > 0.9
    assert not model.predict(()).any()
