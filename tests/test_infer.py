"""Extractor and predict: seams, order, backends, options, files in."""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from hanspan.bundle import bundle
from hanspan.chunks import pieces
from hanspan.cli import main
from hanspan.data import Document, Span, read_documents, write_documents
from hanspan.errors import HanspanError
from hanspan.infer import Extractor, predict
from hanspan.merge import merge
from hanspan.sources import read_any


@pytest.fixture(scope="module")
def extract() -> Extractor:
    return exact()


def triples(document: Document) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in document.spans]


@functools.cache
def exact() -> Extractor:
    return Extractor.from_pretrained(tiny.bundle_folder(), "onnx", precision="fp32")


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_no_span_is_lost_or_doubled_at_a_seam(rng: random.Random, pieces: int) -> None:
    text, spans, _ = tiny.sentence(rng, pieces)
    assert triples(exact()(text)) == [(span.start, span.end, span.label) for span in spans]


def test_offsets_count_code_points(extract: Extractor) -> None:
    doc = extract("😀甲丙戊𠀀不了\n子寅寅卯 \t")
    assert [(doc.surface(span), span.label) for span in doc.spans] == [
        ("甲丙戊", "PER"), ("子寅寅卯", "ORG"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", " ", "\n", "\x00", "[SEP]", "﻿", "甲" * 500])
def test_odd_texts_pass(extract: Extractor, text: str) -> None:
    assert extract(text).text == text


def test_torch_and_both_graphs_agree(extract: Extractor) -> None:
    rng = random.Random(1)
    texts = [tiny.sentence(rng, n)[0] for n in range(1, 25)]
    folder = tiny.bundle_folder()
    torch = list(Extractor.from_pretrained(folder, "torch").pipe(texts))
    fp32 = list(extract.pipe(texts))
    int8 = list(Extractor.from_pretrained(folder, "onnx", precision="int8").pipe(texts))
    assert [triples(d) for d in torch] == [triples(d) for d in fp32]
    assert [d.labels for d in torch] == [d.labels for d in fp32]
    for a, b in zip(torch, fp32, strict=True):
        assert [s.score for s in a.spans] == pytest.approx([s.score for s in b.spans], abs=2e-4)
    assert [triples(d) for d in torch] == [triples(d) for d in int8]


def test_pipe_keeps_order_and_does_not_depend_on_the_batch(extract: Extractor) -> None:
    rng = random.Random(2)
    texts = [tiny.sentence(rng, rng.randint(1, 20))[0] for _ in range(60)]
    alone = [extract(text) for text in texts]
    for size in (1, 7, 64):
        many = list(extract.pipe(iter(texts), batch_size=size))
        assert [d.text for d in many] == texts
        assert [triples(d) for d in many] == [triples(d) for d in alone]


def test_pipe_reads_ahead_only_a_bounded_stretch(extract: Extractor) -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield "甲丙戊。" * 10

    stream = extract.pipe(endless())
    for _ in range(1000):
        next(stream)
    assert taken <= 1000 + 600


def test_a_document_keeps_what_it_carries(extract: Extractor) -> None:
    given = Document("a7", "甲丙戊，木木木", (), {"source": "x"}, {"date": "2020"})
    found = extract(given)
    assert (found.id, found.meta, found.labels["source"]) == ("a7", {"date": "2020"}, "x")


def test_labels_and_thresholds(extract: Extractor) -> None:
    text = "甲丙戊，子寅卯。辰"
    assert [s.label for s in extract(text, labels=["PER", "LOC"]).spans] == ["PER", "LOC"]
    sure = {s.label: s.score for s in extract(text).spans}
    assert not extract(text, thresholds=1.0, labels="PER").spans or sure["PER"] == 1.0
    limit = sure["LOC"]
    assert "LOC" in [s.label for s in extract(text, thresholds={"LOC": limit - 1e-3}).spans]
    assert len(extract(text, thresholds={"LOC": 1.0}).spans) == 2 + (limit == 1.0)
    with pytest.raises(HanspanError, match=r"\['CITY'\]: expected some of PER, ORG, LOC"):
        extract(text, labels=["CITY"])
    with pytest.raises(HanspanError, match="numbers from 0 to 1"):
        extract(text, thresholds=2.0)


def test_topic_scores_of_own_rules_are_numbers() -> None:
    def say(document: Document) -> Document:
        return replace(document, labels={"topic": "far"}, meta={"topic_score": "high"})

    with pytest.raises(HanspanError, match=r"found meta.* 'high', expected a number"):
        Extractor.from_pretrained(tiny.bundle_folder(), rules=say)("甲丙戊，木木木")


def test_topic_scores_sum_to_one(extract: Extractor) -> None:
    scores = extract("甲丙戊，木木木", topic_scores=True).meta["topic_scores"]
    assert set(scores) == set(tiny.TOPICS)
    assert sum(scores.values()) == pytest.approx(1, abs=1e-3)


def test_threads_share_one_extractor(extract: Extractor) -> None:
    rng = random.Random(4)
    texts = [tiny.sentence(rng, 6)[0] for _ in range(30)]
    alone = [triples(extract(text)) for text in texts]
    found: list[list] = [[] for _ in range(4)]

    def work(place: int) -> None:
        found[place] = [triples(d) for d in extract.pipe(texts)]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def test_workers_keep_the_order(extract: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanspan.chunks.CHUNK_TEXTS", 7)
    rng = random.Random(9)
    texts = [tiny.sentence(rng, rng.randint(1, 9))[0] for _ in range(60)]
    assert list(extract.pipe(texts, workers=3)) == list(extract.pipe(texts))


def test_a_forked_child_reads_too() -> None:
    extract = Extractor.from_pretrained(tiny.bundle_folder(), "onnx", threads=2)
    want = triples(extract("甲丙戊在子卯"))
    child = os.fork()
    if not child:
        os._exit(0 if triples(extract("甲丙戊在子卯")) == want else 1)
    for _ in range(300):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert status == 0


@given(st.text(alphabet="甲丙，。\n”", max_size=120), st.integers(4, 30))
def test_pieces_put_together_are_the_text(text: str, most: int) -> None:
    parts = list(pieces(text, most))
    assert "".join(parts) == text
    assert all(0 < len(part) <= most for part in parts) or not text
    for part in parts[:-1]:
        assert part[-1] in "\n。”" or not {"\n", "。"} & set(part[most // 2 :])


def test_a_book_is_read_in_pieces(extract: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(10)
    text = "".join(tiny.sentence(rng, 5)[0] + "。" for _ in range(60))
    whole = extract(text, topic_scores=True)
    cut = functools.partial(pieces, most=200)
    monkeypatch.setattr("hanspan.extractor.pieces", cut)
    parts = extract(text, topic_scores=True)
    assert triples(parts) == triples(whole)
    assert [parts.surface(s) for s in parts.spans] == [whole.surface(s) for s in whole.spans]
    for topic, score in whole.meta["topic_scores"].items():
        assert parts.meta["topic_scores"][topic] == pytest.approx(score, abs=0.1)


def test_a_closed_extractor_says_so() -> None:
    with Extractor.from_pretrained(tiny.bundle_folder()) as extract:
        extract("甲")
    with pytest.raises(HanspanError, match="closed"):
        extract("甲")


def test_rules_on_and_only_and_their_provenance() -> None:
    def votes(document: Document) -> Document:
        at = document.text.index("不了")
        spans = [Span(at, at + 2, "LOC", 0.9, "rule:place"), Span(0, 3, "PER", 1.0, "rule:names")]
        return document.with_spans(spans)

    extract = Extractor.from_pretrained(tiny.bundle_folder(), rules=votes)
    text = "甲丙戊在不了，辰"
    on = extract(text, rules="on")
    assert [(s.start, s.end, s.label, s.source) for s in on.spans] == [
        (0, 3, "PER", "model+rule:names"), (4, 6, "LOC", "rule:place"), (7, 8, "LOC", "model"),
    ]  # fmt: skip
    assert [s.source for s in extract(text, rules="only").spans] == ["rule:names", "rule:place"]
    assert extract(text) == extract(text, rules="on")
    assert all(s.source == "model" for s in extract(text, rules="off").spans)
    with pytest.raises(HanspanError, match="found no rules"):
        Extractor.from_pretrained(tiny.bundle_folder())(text, rules="on")


spans_of = st.builds(
    lambda start, size, label, score: Span(start, start + size, label, score, f"rule:{label}"),
    st.integers(0, 12), st.integers(1, 6), st.sampled_from(["A", "B", "NONE", "ENTITY"]),
    st.sampled_from([0.2, 0.5, 0.9, 1.0]),
)  # fmt: skip


@given(st.lists(spans_of, max_size=8), st.lists(spans_of, max_size=6))
def test_merge_is_flat_ordered_and_fair(votes: list[Span], model: list[Span]) -> None:
    flat: list[Span] = []
    for span in model:
        if span.label in "AB" and not any(span.overlaps(other) for other in flat):
            flat.append(replace(span, source="model"))
    merged = merge(flat, votes)
    for a, b in itertools.pairwise(merged):
        assert a.end <= b.start
    assert not {s.label for s in merged} & {"NONE", "ENTITY"}
    loud = [vote for vote in votes if vote.label != "ENTITY"]
    for span in flat:  # a model span goes only where a rule spoke that is sure, or as sure
        rivals = [v for v in loud if span.overlaps(v) and v.score >= min(span.score, 0.5)]
        if not rivals:
            assert any(triple(s) == triple(span) for s in merged)
    for vote in loud:  # and a rule of full weight only for another of full weight
        others = [v for v in loud if v != vote and v.overlaps(vote) and v.score == 1.0]
        if vote.score == 1.0 and not others and vote.label != "NONE":
            assert any(triple(s) == triple(vote) for s in merged)


def triple(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def test_a_weak_rule_does_not_overrule_a_sure_model() -> None:
    sure, weak = Span(0, 3, "PER", 0.95, "model"), Span(1, 4, "LOC", 0.4, "rule:weak")
    assert merge([sure], [weak]) == (sure,)
    assert merge([replace(sure, score=0.3)], [weak]) == (weak,)
    likely = replace(weak, score=0.6)  # by the rules' own account: it stands
    assert merge([sure], [likely]) == (likely,)
    nothing = Span(0, 2, "NONE", 1.0, "rule:no")
    assert merge([sure], [nothing]) == ()


def test_rules_answer_as_one_beside_the_model(tmp_path: Path) -> None:
    from hanspan.labelmodel.answering import answering
    from hanspan.rules import load_rules

    (tmp_path / "two.yaml").write_text(
        "name: two\nlabels: [PER, LOC]\ntopics: [far, near]\nrules:\n"
        "  long: {kind: lexicon, label: PER, entries: [甲丙戊], weight: 0.6}\n"
        "  again: {kind: pattern, label: PER, pattern: 甲丙戊, weight: 0.6}\n"
        "  short: {kind: pattern, label: LOC, pattern: 丙戊辰, weight: 0.9}\n"
        "  never: {kind: negative, words: [木木]}\n"
        "  far: {kind: keywords, topic: far, words: {甲丙: 1}}\n",
        "utf-8",
    )
    rules = load_rules(tmp_path / "two.yaml")
    found = answering(rules)(Document("a", "甲丙戊辰，木木木", (), {"source": "x"}))
    told = [(s.start, s.end, s.label, s.source) for s in found.spans]
    assert told == [(0, 3, "PER", "rule:long+rule:again"), (5, 7, "NONE", "rule:never")]
    assert found.labels == {"source": "x", "topic": "far"}
    extract = Extractor.from_pretrained(tiny.bundle_folder(), rules=answering(rules))
    mixed = extract("甲丙戊辰，木木木", rules="on")
    assert next((s.start, s.end, s.label) for s in mixed.spans) == (0, 3, "PER")
    assert mixed.labels["topic"] == "far"
    assert extract("木木木", rules="only").spans == ()


def test_the_topic_of_rules_stands_where_they_are_sure_of_it(tmp_path: Path) -> None:
    from hanspan.labelmodel.answering import answering
    from hanspan.merge import beside
    from hanspan.rules import load_rules

    words = {"far": "甲丙", "near": "戊辰", "there": "木木"}
    (tmp_path / "three.yaml").write_text(
        "name: three\ntopics: [far, near, there]\nrules:\n"
        + "".join(
            f"  {topic}: {{kind: keywords, topic: {topic}, words: {{{word}: {score}}}}}\n"
            for (topic, word), score in zip(words.items(), (1, 0.9, 0.9), strict=True)
        ),
        "utf-8",
    )
    rules = answering(load_rules(tmp_path / "three.yaml"))
    texts = {"甲丙": "far", "甲丙戊辰木木": "far", "日月": None}
    said = [rules(Document("a", text)) for text in texts]
    assert [d.labels.get("topic") for d in said] == list(texts.values())
    sure, torn, silent = said
    assert sure.meta["topic_score"] > 0.5 > torn.meta["topic_score"]
    assert "topic_score" not in silent.meta
    for text, topic in texts.items():  # what the input says of its topic is not the rules' word
        own = rules(Document("a", text, (), {"topic": "there", "source": "x"}))
        assert own.labels == {"source": "x"} | ({"topic": topic} if topic else {})
    for score, torn_topic in ((0.9, "near"), (0.2, "far")):
        by_model = Document("a", "", (), {"topic": "near"}, {"topic_scores": {"near": score}})
        given = [beside(by_model, d).labels["topic"] for d in said]
        assert given == ["far", torn_topic, "near"]
    assert beside(Document("a", ""), torn).labels["topic"] == "far"
    alone = Extractor.from_pretrained(tiny.bundle_folder())
    mixed = Extractor.from_pretrained(tiny.bundle_folder(), rules=rules)
    wanted = ["far", *(alone(text).labels["topic"] for text in list(texts)[1:])]
    assert [mixed(text).labels["topic"] for text in texts] == wanted
    assert mixed("甲丙戊辰木木", rules="only").labels["topic"] == "far"
    unweighed = load_rules(tmp_path / "three.yaml").apply
    bare = Extractor.from_pretrained(tiny.bundle_folder(), rules=unweighed)
    assert [bare(text).labels["topic"] for text in texts] == wanted
    assert bare("戊辰木木").labels["topic"] == alone("戊辰木木").labels["topic"]  # a tie


def test_labels_and_least_scores_hold_for_what_rules_find_too(tmp_path: Path) -> None:
    from hanspan.labelmodel.answering import answering
    from hanspan.rules import load_rules

    (tmp_path / "more.yaml").write_text(
        "name: more\nlabels: [PER, SHIP]\nrules:\n"
        "  ship: {kind: lexicon, label: SHIP, entries: [甲丙戊], weight: 0.6}\n",
        "utf-8",
    )
    extract = Extractor.from_pretrained(
        tiny.bundle_folder(), rules=answering(load_rules(tmp_path / "more.yaml"))
    )
    text = "甲丙戊辰，木木木"
    (span,) = extract(text, labels=["SHIP"]).spans
    assert (span.label, 0.5 < span.score < 0.9) == ("SHIP", True)
    least: Any
    for least, kept in ((0.5, True), (0.9, False), ({"SHIP": 0.9}, False), ({"PER": 0.9}, True)):
        found = extract(text, labels=["SHIP"], thresholds=least).spans
        assert bool(found) == kept, least
    wrong: dict[str, Any]
    for wrong in ({"labels": ["SHOP"]}, {"thresholds": {"SHOP": 0.5}}):
        with pytest.raises(HanspanError, match=r"\['SHOP'\]: expected some of .*SHIP"):
            extract(text, **wrong)
    with pytest.raises(HanspanError, match=r"\['SHIP'\]: expected some of"):
        extract(text, labels=["SHIP"], rules="off")


def test_rules_may_only_say_what_is_nothing(tmp_path: Path) -> None:
    from hanspan.labelmodel.answering import answering
    from hanspan.rules import load_rules

    (tmp_path / "no.yaml").write_text(
        "name: nothing\nrules:\n  never: {kind: negative, words: [甲丙戊]}\n", "utf-8"
    )
    text = "甲丙戊辰，木木木"
    alone = Extractor.from_pretrained(tiny.bundle_folder())(text)
    extract = Extractor.from_pretrained(
        tiny.bundle_folder(), rules=answering(load_rules(tmp_path / "no.yaml"))
    )
    assert [span for span in alone.spans if span.start < 3]
    assert extract(text).spans == tuple(span for span in alone.spans if span.start >= 3)


# predict


def test_predict_files(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"id": "a", "text": "甲丙戊，木木木"}\nno json\n{"id": "b", "text": "辰"}\n{"x": 1}\n',
        "utf-8",
    )
    ticks: list = []
    summary = predict(
        tmp_path / "in.jsonl", tmp_path / "out.jsonl", model=tiny.bundle_folder(),
        progress=lambda *tick: ticks.append(tick),
    )  # fmt: skip
    assert (summary.documents, summary.rejected, summary.backend) == (2, 2, "onnx")
    assert summary.spans == {"PER": 1, "LOC": 1}
    assert [d.id for d in read_documents(tmp_path / "out.jsonl")] == ["a", "b"]
    set_aside = (tmp_path / "out.jsonl.rejected.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["line"] for line in set_aside] == [2, 4]
    assert ticks[-1] == (2, 2, "documents")


def test_predict_never_reads_what_it_writes(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("甲丙戊\n辰", "utf-8")
    (tmp_path / "in.jsonl").write_text('{"id": "a", "text": "子卯"}\nno json\n', "utf-8")
    for _ in range(2):
        summary = predict(tmp_path, tmp_path / "out.jsonl", model=tiny.bundle_folder())
        assert (summary.documents, summary.rejected) == (3, 1)
    with pytest.raises(HanspanError, match=r"in\.jsonl: found the input under this name"):
        predict(tmp_path / "in.jsonl", tmp_path / "in.jsonl", model=tiny.bundle_folder())


@pytest.mark.parametrize("name", ["none.jsonl", "none"])
def test_predict_names_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(HanspanError, match="no such file"):
        predict(tmp_path / name, tmp_path / "out.jsonl", model=tiny.bundle_folder())


def test_predict_names_a_missing_model(tmp_path: Path) -> None:
    write_documents(tmp_path / "in.jsonl", [Document("a", "x")])
    with pytest.raises(HanspanError, match="no such folder"):
        predict(tmp_path / "in.jsonl", tmp_path / "out.jsonl", model=tmp_path / "none")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.conll"])
def test_a_stopped_run_leaves_no_output_and_goes_on(tmp_path: Path, name: str) -> None:
    rng = random.Random(6)
    texts = [tiny.sentence(rng, 2)[0] for _ in range(1500)]
    write_documents(tmp_path / "in.jsonl", [Document(str(i), t) for i, t in enumerate(texts)])
    options = {"model": tiny.bundle_folder(), "precision": "fp32"}
    predict(tmp_path / "in.jsonl", tmp_path / "whole" / name, **options)
    want = (tmp_path / "whole" / name).read_bytes()

    def stop(done: int, total: int | None, what: str) -> None:
        if done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "in.jsonl", tmp_path / name, progress=stop, **options)
    assert not (tmp_path / name).exists()
    kept = tmp_path / f".{name}.partial.jsonl"
    kept.write_bytes(kept.read_bytes() + b'{"id": "half')  # as a kill would leave it
    summary = predict(tmp_path / "in.jsonl", tmp_path / name, **options)
    assert 900 < summary.resumed < 1100
    assert summary.documents == 1500
    got = (tmp_path / name).read_bytes()
    assert got == want or name.endswith(".gz")
    if name.endswith(".gz"):
        assert list(read_documents(tmp_path / name)) == list(
            read_documents(tmp_path / "whole" / name)
        )
    assert not list(tmp_path.glob(".*"))


def test_another_option_or_input_starts_anew(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_documents(source, [Document(str(i), "甲丙戊。辰") for i in range(600)])

    def stop(done: int, total: int | None, what: str) -> None:
        if done > 300:
            raise KeyboardInterrupt

    for change in ("option", "input"):
        with pytest.raises(KeyboardInterrupt):
            predict(source, out, model=tiny.bundle_folder(), labels=["PER"], progress=stop)
        if change == "input":
            write_documents(source, [Document(str(i), "乙丙戊。辰辰") for i in range(600)])
        labels = ["PER"] if change == "input" else ["LOC"]
        summary = predict(source, out, model=tiny.bundle_folder(), labels=labels)
        assert summary.resumed == 0
        assert set(summary.spans) == set(labels)
        out.unlink()


def test_rules_that_are_given_are_asked(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("甲丙戊。辰", "utf-8")
    options: dict[str, Any] = {"model": tiny.bundle_folder()}
    options["apply_rules"] = lambda document: document.with_spans([Span(4, 5, "LOC", 1.0, "rule")])
    for more, asked in (({}, True), ({"rules": "off"}, False)):
        predict(tmp_path / "in.txt", tmp_path / "out.jsonl", **options, **more)
        (found,) = read_documents(tmp_path / "out.jsonl")
        assert any("rule" in span.source for span in found.spans) == asked


@pytest.mark.parametrize(("version", "goes_on"), [("1", True), ("2", False), ("", False)])
def test_with_rules_it_goes_on_while_these_are_the_same(
    tmp_path: Path, version: str, goes_on: bool
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_documents(source, [Document(str(i), "甲丙戊。辰") for i in range(600)])
    options: dict[str, Any] = {"model": tiny.bundle_folder(), "rules": "on"}
    options["apply_rules"] = lambda document: document.with_spans([Span(4, 5, "LOC", 1.0, "rule")])

    def stop(done: int, total: int | None, what: str) -> None:
        if done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(source, out, progress=stop, rules_version="1", **options)
    summary = predict(source, out, rules_version=version, **options)
    assert bool(summary.resumed) == goes_on
    assert summary.documents == 600
    assert not list(tmp_path.glob(".*"))


def test_sureness_is_that_of_the_weakest_tokens(extract: Extractor) -> None:
    def unsure_of_wood(ids, mask):
        tags, topics = extract.forward(ids, mask)
        doubtful = ids == extract.encoder.encode(["木"])[0].ids[0]
        return np.where(doubtful[..., None], 0, 100 * np.eye(tags.shape[-1])[0]), topics

    stub = Extractor(extract.encoder, unsure_of_wood, extract.meta)
    flat = 1 / 13  # thirteen tags, all alike
    texts = ["木" * 9 + "不", "不木了木", "不了", ""]
    want = [flat, (2 + 2 * flat) / 4, 1.0, 1.0]
    assert [sure for _, sure in stub.sureness(texts)] == pytest.approx(want, abs=1e-3)


def test_the_least_sure_come_first(tmp_path: Path, extract: Extractor) -> None:
    rng = random.Random(8)
    texts = [tiny.sentence(rng, 2)[0] for _ in range(40)] + [" "]
    write_documents(tmp_path / "in.jsonl", [Document(str(i), t) for i, t in enumerate(texts)])
    summary = predict(
        tmp_path / "in.jsonl", tmp_path / "out.labelstudio.json", model=tiny.bundle_folder(),
        precision="fp32", uncertain=5,
    )  # fmt: skip
    assert (summary.documents, summary.looked_at) == (5, 41)
    tasks = json.loads((tmp_path / "out.labelstudio.json").read_text("utf-8"))
    order = sorted(extract.sureness(texts[:-1]), key=lambda pair: pair[1])
    least = {round(sure, 4) for _, sure in order[:5]}
    chosen = [next(extract.sureness([task["data"]["text"]]))[1] for task in tasks]
    assert chosen == sorted(chosen)
    assert set(chosen) == least
    assert all(task["predictions"][0]["result"] for task in tasks)
    with pytest.raises(HanspanError, match="1 or more"):
        predict(tmp_path / "in.jsonl", tmp_path / "o.jsonl", model=tiny.run_folder(), uncertain=0)


def test_no_torch_on_the_onnx_path(tmp_path: Path) -> None:
    """In a process where torch and its friends cannot be imported at all."""
    write_documents(tmp_path / "in.jsonl", [Document("a", "甲丙戊，木木木")])
    code = """
import sys
for name in ("torch", "transformers", "safetensors", "tokenizers", "onnx", "huggingface_hub",
             "datasets"):
    sys.modules[name] = None
from hanspan.infer import predict
print(predict(*sys.argv[1:3], model=sys.argv[3]).spans)
assert not any(m.startswith(("torch.", "pandas", "scipy", "sklearn")) for m in sys.modules)
"""
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "in.jsonl", tmp_path / "out.jsonl",
         tiny.bundle_folder()],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert out.stdout.strip() == "{'PER': 1}", out.stderr


def test_without_a_name_the_model_in_the_package_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "model"
    bundle(tiny.run_folder(), small, small=True)
    (small / "model.safetensors").unlink()  # a package may carry the graph alone
    monkeypatch.setattr("hanspan.locate.EMBEDDED", small)
    assert [s.label for s in Extractor.from_pretrained()("在甲丙戊，木木木").spans] == ["PER"]
    (tmp_path / "in.txt").write_text("在甲丙戊，木木木", "utf-8")
    out = tmp_path / "out.jsonl"
    done = CliRunner().invoke(main, ["predict", str(tmp_path / "in.txt"), str(out)])
    assert done.exit_code == 0, done.output
    (document,) = read_documents(out)
    assert [(s.start, s.end, s.label) for s in document.spans] == [(1, 4, "PER")]
    by_torch = Extractor.from_pretrained(backend="torch")  # weights of the graph
    assert [s.label for s in by_torch("在甲丙戊，木木木").spans] == ["PER"]
    monkeypatch.setattr("hanspan.locate.EMBEDDED", tmp_path / "none")
    with pytest.raises(HanspanError, match="no model inside this package"):
        Extractor.from_pretrained()
    done = CliRunner().invoke(main, ["predict", str(tmp_path / "in.txt"), str(out)])
    assert done.exit_code == 2
    assert "--model DIR" in done.output


@pytest.mark.parametrize(
    ("name", "following"),
    [("o.jsonl", "evaluate"), ("o.html", "open"), ("o.csv", "open"), ("o.conll", "import")],
)
def test_the_next_command_fits_the_form(name: str, following: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("在甲丙戊，木木木", "utf-8")
    words = [str(tmp_path / "in.txt"), str(tmp_path / name), "--model", str(tiny.bundle_folder())]
    done = CliRunner().invoke(main, ["predict", *words])
    assert done.exit_code == 0, done.output
    verbs = {verb for verb in ("evaluate", "open", "import") if f"{verb} " in done.output}
    assert verbs == {following}


def test_the_packages_own_tokenizer_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    from hanspan.chartokens import CharTokenizer
    from hanspan.encode import TextEncoder
    from hanspan.encoders import embedded_encoder

    for folder in (tiny.bundle_folder(), embedded_encoder()):
        assert folder is not None
        light = CharTokenizer.from_folder(Path(folder))
        assert light is not None
        ours, library = TextEncoder(light), TextEncoder.from_folder(folder)  # type: ignore[arg-type]
        for name in ("prefix", "suffix", "pad", "special"):
            assert getattr(ours, name) == getattr(library, name), name
        assert np.array_equal(ours.table, library.table)
        ids = light.encode("甲[SEP]😀").ids
        assert len(ids) == len(ours.prefix) + 7 + len(ours.suffix)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("pre_tokenizer", {"type": "Whitespace"}),
        ("pre_tokenizer", {"type": "FixedLength", "length": 2}),
        ("normalizer", {"type": "Lowercase"}),
        ("post_processor", {"type": "ByteLevel"}),
        ("post_processor", None),
        ("model", {"type": "WordPiece", "vocab": {}, "unk_token": "[UNK]"}),
        ("model", {"type": "WordLevel", "vocab": {}, "unk_token": "[UNK]"}),
    ],
)
def test_any_other_tokenizer_is_left_to_the_library(
    part: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hanspan.chartokens import CharTokenizer

    shutil.copytree(tiny.bundle_folder(), tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), part: value}), "utf-8")
    assert CharTokenizer.from_folder(tmp_path / "model") is None
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(HanspanError, match=r"hanspan\[tokenizers\]"):
        Extractor.from_pretrained(tmp_path / "model", "onnx")


# what can be read


def ids_and_texts(path: Path, **options) -> list[tuple[str, str]]:
    return [(d.id, d.text) for d in read_any(path, **options)]


def test_plain_text_by_line_or_by_paragraph(tmp_path: Path) -> None:
    lines, parts = tmp_path / "lines.txt", tmp_path / "parts.txt"
    lines.write_text("﻿一\r\n二 \n三", "utf-8")
    parts.write_text("\n一\n二\n\n \n三\u2028四\n\n", "utf-8")
    assert [t for _, t in ids_and_texts(lines)] == ["一", "二 ", "三"]
    assert ids_and_texts(parts) == [("parts.txt:1", "一\n二"), ("parts.txt:2", "三\u2028四")]
    (tmp_path / "empty.txt").write_text("")
    assert ids_and_texts(tmp_path / "empty.txt") == []
    (tmp_path / "gb.txt").write_bytes("中文".encode("gb18030"))
    with pytest.raises(HanspanError, match="iconv -f GB18030"):
        ids_and_texts(tmp_path / "gb.txt")


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('﻿id,text,date\n7,"甲,\n丙",2020\n,乙,\n9,x,y,z\n', "utf-8")
    rejected: list = []
    docs = list(read_any(path, rejected=rejected))
    assert [(d.id, d.text, dict(d.meta)) for d in docs] == [
        ("7", "甲,\n丙", {"date": "2020"}), ("t.csv:2", "乙", {}),
    ]  # fmt: skip
    assert [row["line"] for row in rejected] == [5]
    path.write_text("title\nx\n")
    with pytest.raises(HanspanError, match="expected one named text"):
        list(read_any(path))


def test_folders_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("一\n二\n", "utf-8")
    write_documents(tmp_path / "b.jsonl.gz", [Document("k", "三")])
    (tmp_path / "notes.pdf").write_text("no")
    assert ids_and_texts(tmp_path) == [
        ("a/x.txt:x.txt:1", "一"), ("a/x.txt:x.txt:2", "二"), ("b.jsonl.gz:k", "三"),
    ]  # fmt: skip
    with pytest.raises(HanspanError, match="unknown kind of file"):
        ids_and_texts(tmp_path / "notes.pdf")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"text": "甲"}\nbad\n'))
    rejected: list = []
    assert [t for _, t in ids_and_texts(Path("-"), rejected=rejected)] == ["甲"]
    assert rejected[0]["line"] == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("甲\n\n乙\n"))
    assert [t for _, t in ids_and_texts(Path("-"))] == ["甲", "乙"]


# the command


def hanspan(*words: object) -> tuple[int, str]:
    from click.testing import CliRunner

    from hanspan.cli import main

    done = CliRunner().invoke(main, list(map(str, words)))
    return done.exit_code, done.output


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("甲丙戊在辰\n子卯今年\n", "utf-8")
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "name: mine\nlabels: [PER, DAY]\nrules:\n"
        "  day: {kind: lexicon, label: DAY, entries: [今年]}\n"
    )
    model = tiny.bundle_folder()
    code, said = hanspan(
        "predict", tmp_path / "in.txt", tmp_path / "out.html", "--model", model,
        "--labels", "PER,LOC", "--threshold", "LOC=0.2,PER=0.1", "--values",
    )  # fmt: skip
    assert code == 0, said
    page = (tmp_path / "out.html").read_text("utf-8")
    assert "甲丙戊<sub>PER</sub>" in page
    assert "ORG" not in page
    code, said = hanspan(
        "predict", tmp_path / "in.txt", tmp_path / "mixed.jsonl", "--model", model,
        "--rules", rules, "--values",
    )  # fmt: skip
    assert code == 0, said
    second = list(read_documents(tmp_path / "mixed.jsonl"))[1]
    assert [(second.surface(s), s.label, s.source) for s in second.spans] == [
        ("子卯", "ORG", "model"), ("今年", "DAY", "rule:day"),
    ]  # fmt: skip
    for wrong, words in (
        (["--threshold", "x"], "expected a number"),
        (["--labels", "CITY"], "expected some of PER"),
        (["--rules-only"], "found no rules"),
        (["--model", tmp_path / "none"], "no such folder"),
    ):
        common = ["predict", tmp_path / "in.txt", tmp_path / "o.jsonl", "--model", model]
        code, said = hanspan(*common, *wrong)
        assert code == 2, said
        assert words in said
        assert "Traceback" not in said
        assert not (tmp_path / "o.jsonl").exists()


def test_what_annotators_send_back(tmp_path: Path) -> None:
    row = {"text": "韩冰说", "label": [[0, 2, "PER"]]}
    bad = {"text": "韩冰说", "label": [[0, 9, "PER"]]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(bad)}\n")
    out = tmp_path / "gold.jsonl"
    code, said = hanspan("import", tmp_path / "a.jsonl", out, "--form", "doccano")
    assert (code, said.count("\n")) == (0, 2), said
    assert [d.surface(d.spans[0]) for d in read_documents(out)] == ["韩冰"]
    assert "1 rejected" in said
    (tmp_path / "b.jsonl").write_text(json.dumps(bad))
    code, said = hanspan("import", tmp_path / "b.jsonl", tmp_path / "x.jsonl", "--form", "doccano")
    assert code == 2
    assert "found no annotated document; the first was rejected" in said


def test_a_weak_vote_for_the_models_span_does_not_beat_a_sure_rule() -> None:
    model = [Span(0, 3, "A", 1.0, "model")]
    votes = [Span(0, 1, "A", 1.0, "rule:mine"), Span(0, 3, "A", 0.2, "rule:weak")]
    (span,) = merge(model, votes)
    assert (span.start, span.end, span.source) == (0, 1, "rule:mine")


def test_the_embedded_model_has_its_rules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("会议9月2日在合肥召开，投资12.5亿元。\n", "utf-8")
    found = {}
    for name, more in (("with", ()), ("alone", ("--rules", "none"))):
        out = tmp_path / f"{name}.jsonl"
        code, said = hanspan("predict", tmp_path / "in.txt", out, *more)
        assert code == 0, said
        found[name] = [s.source for d in read_documents(out) for s in d.spans]
    assert any("rule:" in source for source in found["with"])
    assert set(found["alone"]) == {"model"}
    code, said = hanspan("predict", tmp_path / "in.txt", tmp_path / "x", "--form", "hanspan",
                         "--model", tiny.bundle_folder(), "--rules-only")  # fmt: skip
    assert (code, "expected --rules NAME" in said) == (2, True)


def test_products_of_int8_do_not_overflow(tmp_path: Path) -> None:
    """On CPUs without VNNI two products of bytes are added in 16 bits: 2 * 255 * 127 > 32767."""
    onnx = pytest.importorskip("onnx")
    from hanspan.backends import _session

    size = 64
    weights = [
        onnx.numpy_helper.from_array(np.full((size, size), 127, np.int8), "weight"),
        onnx.numpy_helper.from_array(np.array(0, np.int8), "zero"),
        onnx.numpy_helper.from_array(np.array(1, np.float32), "scale"),
    ]
    node, kind = onnx.helper.make_node, onnx.TensorProto
    nodes = [
        node("Cast", ["input_ids"], ["x"], to=kind.FLOAT),
        node("Add", ["x", "scale"], ["rows"]),
        node("DynamicQuantizeLinear", ["rows"], ["bytes", "s", "z"]),
        node("MatMulInteger", ["bytes", "weight", "z", "zero"], ["sum"]),
        node("Cast", ["sum"], ["tag_logits"], to=kind.FLOAT),
        node("Cast", ["attention_mask"], ["topic_logits"], to=kind.FLOAT),
    ]
    inputs = [
        onnx.helper.make_tensor_value_info(name, kind.INT64, [None, None])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(name, kind.FLOAT, [None, None])
        for name in ("tag_logits", "topic_logits")
    ]
    graph = onnx.helper.make_graph(nodes, "bytes", inputs, outputs, weights)
    opset = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    ids = np.full((1, size), 254, np.int64)
    session = _session(path, 1)
    (tags,) = session.run(["tag_logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    assert (tags == 255 * 127 * size).all()
