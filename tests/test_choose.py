"""Choosing settings without gold."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from hanspan.choose import choose, harmonic, rule_groups, without_words
from hanspan.data import Document, read_documents, write_documents
from hanspan.encode import TextEncoder, tag_documents
from hanspan.errors import HanspanError
from hanspan.hidden import is_drawn
from hanspan.labelmodel import aggregate
from hanspan.model import forward_fn, load_model
from hanspan.train_data import files_digest, load_train_data
from hanspan.train_settings import TrainSettings
from hanspan.weak import label


class Summary:
    def __init__(self, recovered: float | None, agreement: float | None) -> None:
        self.recovered, self.agreement, self.whole = recovered, agreement, 0.25


def test_ranks_by_both_shares_and_does_no_run_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int | None, tuple[str, ...]]] = []
    answers = {
        (1, "a"): (0.2, 0.9), (1, "b"): (0.4, 0.8),
        (2, "a"): (0.6, 0.6), (2, "b"): (0.6, 0.6),
        (3, "a"): (1.0, 0.1), (3, "b"): (None, 0.9),
    }  # fmt: skip

    def fake(path: Any, run: Path, settings: TrainSettings) -> Summary:
        calls.append((settings.epochs, settings.hide_rules))
        back, agreed = answers[settings.epochs or 0, settings.hide_rules[0]]
        run.mkdir(parents=True, exist_ok=True)
        figures = {"recovered": back, "agreement": agreed, "whole": 0.25}
        row = {"settings": settings.model_dump(mode="json"), **figures}
        row["files"] = files_digest(path, settings)
        (run / "train.json").write_text(json.dumps(row))
        return Summary(back, agreed)

    monkeypatch.setattr("hanspan.train.train", fake)
    source = tmp_path / "x.jsonl"
    source.write_text("one")
    candidates = {f"e{n}": TrainSettings(epochs=n) for n in (1, 2, 3)}
    groups = {"A": ["a"], "B": ["b", "c"]}
    ranked = choose(source, tmp_path / "runs", candidates, groups)
    assert [c.name for c in ranked] == ["e2", "e1", "e3"]
    assert ranked[0].score == pytest.approx(0.6)
    assert ranked[1].score == pytest.approx((harmonic(0.2, 0.9) + harmonic(0.4, 0.8)) / 2, abs=1e-4)
    (alone,) = ranked[2].by_group.values()
    assert (alone.recovered, alone.agreement) == (1.0, 0.1)
    assert len(calls) == 6
    assert choose(source, tmp_path / "runs", candidates, groups) == ranked
    assert len(calls) == 6
    source.write_text("two")
    choose(source, tmp_path / "runs", candidates, groups)
    assert len(calls) == 12  # other weak labels, other students


def test_hidden_mentions_rank_by_all_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(path: Any, run: Path, settings: TrainSettings) -> Summary:
        assert not settings.hide_rules
        assert settings.hide_mentions == 0.3
        summary = Summary(0.9 if settings.epochs == 1 else 0.1, 0.9)
        summary.whole = 0.4 if settings.epochs == 1 else 0.6
        return summary

    monkeypatch.setattr("hanspan.train.train", fake)
    candidates = {f"e{n}": TrainSettings(epochs=n) for n in (1, 2)}
    ranked = choose("x.jsonl", tmp_path, candidates, {"mentions": 0.3})
    assert [(choice.name, choice.score) for choice in ranked] == [("e2", 0.6), ("e1", 0.4)]


def test_nothing_to_choose_by_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HanspanError, match="expected at least one candidate"):
        choose("x.jsonl", tmp_path, {}, {"A": ["a"]})
    monkeypatch.setattr("hanspan.train.train", lambda *_: Summary(None, 0.5))
    with pytest.raises(HanspanError, match="none of A has a span, or a topic"):
        choose("x.jsonl", tmp_path, {"one": TrainSettings()}, {"A": ["a"]})
    with pytest.raises(HanspanError, match="no such file"):
        rule_groups(tmp_path / "weak.rules.json")
    (tmp_path / "weak.rules.json").write_text("[]")
    with pytest.raises(HanspanError, match="no rules file"):
        rule_groups(tmp_path / "weak.rules.json")


def test_a_candidate_that_holds_nothing_out_is_named_before_any_training(tmp_path: Path) -> None:
    wanted = {"plain": TrainSettings(), "all in": TrainSettings(held_out=0)}
    with pytest.raises(HanspanError, match="'all in': found held_out=0"):
        choose(tmp_path / "train.jsonl", tmp_path, wanted, {"names": ["a"]})


def test_candidates_that_would_see_what_is_hidden_are_named(tmp_path: Path) -> None:
    path, names = tmp_path / "train.jsonl", {"ORG": "names.txt"}
    lists = TrainSettings(replace_mentions=0.3, replace_from=names)
    with pytest.raises(HanspanError, match=r"'lists': found replace_from.*mentions=SHARE"):
        choose(path, tmp_path, {"lists": lists}, {"names": ["a"]})
    with pytest.raises(HanspanError, match=r"'mixed': found mode=mixed; expected mode=weak"):
        choose(path, tmp_path, {"mixed": TrainSettings(mode="mixed", hand="x")}, {"m": 0.3})


def test_harmonic_mean() -> None:
    assert harmonic(0.5, 1.0) == pytest.approx(2 / 3)
    assert harmonic(0.0, 1.0) == 0.0


WORDS = {"wood": "松柏杉桦", "metal": "铜铁锡铅"}


@pytest.fixture
def topics_run(tmp_path: Path) -> Path:
    """Documents of two topics with two of a topic's words each, voted on and aggregated."""
    rules = "name: t\ntopics: [wood, metal]\nrules:\n" + "".join(
        f"  {topic}: {{kind: keywords, topic: {topic}, words: [{', '.join(words)}]}}\n"
        for topic, words in WORDS.items()
    )
    (tmp_path / "rules.yaml").write_text(rules, "utf-8")
    texts = [
        f"{one}的{two}，第{number}号"
        for number in range(2)
        for words in WORDS.values()
        for one in words
        for two in words
    ]
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    write_documents(tmp_path / "documents.jsonl", documents)
    label(tmp_path / "documents.jsonl", tmp_path / "weak.jsonl", tmp_path / "rules.yaml")
    aggregate(tmp_path / "weak.jsonl", tmp_path / "train.jsonl")
    return tmp_path


def test_words_of_topic_rules_are_hidden(topics_run: Path) -> None:
    every = {word for words in WORDS.values() for word in words}
    drawn = {word for word in every if is_drawn(word, 0.4)}
    assert drawn
    assert drawn < every
    rules = str(topics_run / "rules.yaml")
    weak, taught = topics_run / "weak.jsonl", topics_run / "train.jsonl"
    path = without_words(weak, taught, topics_run / "less.jsonl", 0.4, rules)
    for before, after in zip(
        read_documents(topics_run / "train.jsonl"), read_documents(path), strict=True
    ):
        assert before.text == after.text
        shown = bool(set(after.text) & (every - drawn))
        assert after.labels.get("topic") == (before.labels["topic"] if shown else None)


def test_topics_that_hidden_words_took_rank(topics_run: Path) -> None:
    rules = str(topics_run / "rules.yaml")
    train_path = topics_run / "train.jsonl"
    less = topics_run / "less.jsonl"
    without_words(topics_run / "weak.jsonl", train_path, less, 0.4, rules)
    plain = TrainSettings(encoder="random:tiny", epochs=1, held_out=0.5)
    (choice,) = choose(train_path, topics_run / "runs", {"one": plain}, {"words=0.4": less})
    found = choice.by_group["words=0.4"]
    assert choice.score == found.recovered
    model = topics_run / "runs" / "one" / "words=0.4" / "model"
    forward = forward_fn(load_model(model)[0])
    encoder, meta = TextEncoder.from_folder(model), load_model(model)[2]
    held = load_train_data(less, plain).held_documents
    gone = sum("topic" not in document.labels for document in held)
    assert 0 < gone < len(held)
    assert found.documents == gone
    right = [
        document.labels["topic"] == wanted
        for document in tag_documents(held, encoder, forward, meta)
        for wanted in ["wood" if set(document.text) & set(WORDS["wood"]) else "metal"]
    ]
    assert found.whole == pytest.approx(sum(right) / len(right), abs=1e-3)
    share = (gone * found.recovered + (len(held) - gone) * found.agreement) / len(held)
    assert found.whole == pytest.approx(share, abs=1e-3)
    with pytest.raises(HanspanError, match="none of words has a span, or a topic that changes"):
        choose(train_path, topics_run / "all", {"all": plain}, {"words": train_path})


def test_hidden_words_need_the_rules_that_voted(topics_run: Path) -> None:
    files = topics_run / "weak.jsonl", topics_run / "train.jsonl", topics_run / "x.jsonl"
    out, rules = files[-1], topics_run / "rules.yaml"
    with pytest.raises(HanspanError, match=r"t: no such rule set.*expected --rules FILE"):
        without_words(*files, 0.4)
    with pytest.raises(HanspanError, match="share of 0 holds none"):
        without_words(*files, 0.0, str(rules))
    rules.write_text(rules.read_text("utf-8").replace("松", "竹"), "utf-8")
    with pytest.raises(HanspanError, match=r"not by the rules .* as they are now"):
        without_words(*files, 0.4, str(rules))
    assert not out.exists()


def test_the_label_model_stays_when_words_are_hidden(topics_run: Path) -> None:
    weak, taught, rules = topics_run / "weak.jsonl", topics_run / "taught.jsonl", "rules.yaml"
    aggregate(weak, taught, method="dawid-skene")
    out = topics_run / "less.jsonl"
    without_words(weak, taught, out, 0.4, str(topics_run / rules))
    one, two = (
        json.loads(path.with_suffix("").with_suffix(".labelmodel.json").read_text("utf-8"))
        for path in (taught, out)
    )
    assert (one["method"], one["topic_method"]) == (two["method"], two["topic_method"])
    assert one["method"] == "dawid-skene"
