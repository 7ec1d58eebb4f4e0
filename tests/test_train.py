"""Training: what it reads, what it writes, and that a killed run goes on exactly."""

import json
import logging
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402

import tiny  # noqa: E402
from hanspan.agreement import agreement  # noqa: E402
from hanspan.batches import RowDataset  # noqa: E402
from hanspan.data import Document, Span, read_documents, write_documents  # noqa: E402
from hanspan.encode import TextEncoder, tag_documents  # noqa: E402
from hanspan.encoders import had_hand_labels, open_encoder  # noqa: E402
from hanspan.errors import HanspanError  # noqa: E402
from hanspan.fit import fit  # noqa: E402
from hanspan.hidden import groups_of, hide, is_drawn, recovered  # noqa: E402
from hanspan.meta import ModelMeta  # noqa: E402
from hanspan.model import forward_fn, load_model  # noqa: E402
from hanspan.rows import Row, build_rows  # noqa: E402
from hanspan.soft import NEGATIVE, UNKNOWN, SoftLabels, soft_path  # noqa: E402
from hanspan.train import train  # noqa: E402
from hanspan.train_data import (  # noqa: E402
    files_digest,
    hand_labels,
    load_names,
    load_train_data,
)
from hanspan.train_settings import TrainSettings  # noqa: E402
from hanspan.train_worker import main  # noqa: E402

LABELS, TOPICS = tiny.LABELS, tiny.TOPICS
FAST: dict[str, Any] = {
    "encoder": "random:tiny",
    "precision": "fp32",
    "device": "cpu",
    "batch_tokens": 256,
    "max_length": 48,
    "dropout": 0.1,
    "seed": 3,
}


def documents(count: int, seed: int = 0) -> list[Document]:
    rng = random.Random(seed)
    made = [tiny.sentence(rng) for _ in range(count)]
    return [Document(f"d{i}", t, tuple(s), {"topic": k}) for i, (t, s, k) in enumerate(made)]


def weaken(soft: SoftLabels, documents: list[Document], keep: float, seed: int) -> SoftLabels:
    """Forget a share of the spans, and say ``O`` of punctuation alone."""
    rng = np.random.default_rng(seed)
    state = np.where(soft.state == NEGATIVE, UNKNOWN, soft.state).astype(np.uint8)
    known = np.ones(len(soft.char), bool)
    for number, document in enumerate(documents):
        at = int(soft.offsets[number])
        for i, char in enumerate(document.text):
            if char in "，。":
                state[at + i] = NEGATIVE
        for span in document.spans:
            if rng.random() > keep:
                state[at + span.start : at + span.end] = UNKNOWN
                inside = (soft.char >= at + span.start) & (soft.char < at + span.end)
                known &= ~inside
    parts = (soft.char[known], soft.tag[known], soft.prob[known])
    return SoftLabels(soft.labels, soft.topics, soft.offsets, state, *parts, soft.topic_prob)


def write_weak(folder: Path, count: int = 60, keep: float = 0.6) -> Path:
    many = documents(count)
    path = folder / "train.jsonl"
    soft = weaken(hand_labels(many, LABELS, TOPICS, path), many, keep, 1)
    write_documents(path, [Document(d.id, d.text) for d in many])
    soft.save(soft_path(path))
    return path


def score(folder: Path, gold: list[Document]) -> tuple[float, float]:
    """Span F1 and topic accuracy."""
    model, _, meta = load_model(folder)
    encoder = TextEncoder.from_folder(folder)
    got = list(tag_documents(gold, encoder, forward_fn(model), meta))
    pairs = [
        ({(s.start, s.end, s.label) for s in a.spans}, {(s.start, s.end, s.label) for s in b.spans})
        for a, b in zip(got, gold, strict=True)
    ]
    both = sum(len(a & b) for a, b in pairs)
    f1 = 2 * both / max(1, sum(len(a) + len(b) for a, b in pairs))
    right = sum(a.labels["topic"] == b.labels["topic"] for a, b in zip(got, gold, strict=True))
    return f1, right / len(gold)


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_file(folder / "model" / "model.safetensors"))


def equal(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_weak_labels_make_a_student_that_finds_what_no_rule_did(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 120)
    calls: list[tuple[int, int | None, str]] = []
    settings = TrainSettings(**FAST, epochs=14, lr=3e-3, unknown_share=0.3)
    summary = train(path, tmp_path / "run", settings, progress=lambda *a: calls.append(a))
    f1, topic = score(summary.model, documents(30, seed=9))
    assert f1 > 0.85  # 0.6 of the spans were labelled
    assert topic > 0.85
    assert summary.agreement is not None
    assert summary.agreement > 0.8
    assert summary.held_out == 12
    assert summary.warnings == ()
    assert calls[-1][0] == calls[-1][1] == summary.steps
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "model", "train.json", "student-1.log.csv",
    }  # fmt: skip
    row = json.loads((tmp_path / "run" / "train.json").read_text("utf-8"))
    assert row["settings"]["encoder"] == "random:tiny"
    lines = (tmp_path / "run" / "student-1.log.csv").read_text().splitlines()
    assert lines[0].startswith("step,epoch,loss,tag_loss,topic_loss,dropped")
    assert len(lines) > 5


@pytest.mark.parametrize("amount", [0.01, 9.0])
def test_prior_is_corrected_where_held_out_rules_do_not_agree_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amount: float
) -> None:
    """``O`` raised by 9 hides every span; of two that agree equally the plain one is kept."""
    path = write_weak(tmp_path, 60)
    monkeypatch.setattr("hanspan.train.prior_correction", lambda rows, share: amount)
    kept = {}
    for choice in (False, True, "auto"):
        settings = TrainSettings(**FAST, epochs=3, lr=3e-3, correct_prior=choice)
        summary = train(path, tmp_path / str(choice), settings)
        kept[choice] = (summary.agreement, summary.prior_corrected)
    assert kept[False][1] is False
    assert kept[True][1] is True
    assert kept["auto"] == max(kept[False], kept[True], key=lambda pair: (pair[0], not pair[1]))
    if amount > 1:
        assert kept[True][0] < kept[False][0]


class Killed(BaseException):
    """Like a signal: nothing may catch it."""


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_killed_run_goes_on_exactly(tmp_path: Path, accumulate: int) -> None:
    path = write_weak(tmp_path, 30)
    settings = TrainSettings(
        **FAST, epochs=3, accumulate=accumulate, save_every=3, replace_mentions=0.3, mask_after=0.2
    )
    whole = train(path, tmp_path / "whole", settings)
    assert whole.steps > 8

    def kill(step: int, steps: int | None, what: str) -> None:
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        train(path, tmp_path / "cut", settings, progress=kill)
    assert not (tmp_path / "cut" / "model").exists()
    half = tmp_path / "cut" / "work" / "student-1" / "checkpoint-9"
    half.mkdir()  # as a kill leaves it that comes while it is written
    (half / "model.safetensors").write_bytes(b"half")
    seen: list[int] = []
    train(path, tmp_path / "cut", settings, progress=lambda step, *_: seen.append(step))
    assert seen[0] == 7  # from the checkpoint at step 6
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    train(path, tmp_path / "other", settings.model_copy(update={"seed": 4}))
    assert not equal(weights(tmp_path / "whole"), weights(tmp_path / "other"))


def test_seeds_and_rounds_go_on_where_a_kill_left_them(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 20)
    settings = TrainSettings(
        **FAST, epochs=1, seeds=2, rounds=2, select="agreement", held_out=0.3, correct_prior=True
    )
    whole = train(path, tmp_path / "whole", settings)

    def kill(step: int, steps: int | None, what: str) -> None:
        if what.startswith("round-2"):
            raise Killed

    with pytest.raises(Killed):
        train(path, tmp_path / "cut", settings, progress=kill)
    stages: list[str] = []
    seen = train(
        path, tmp_path / "cut", settings, progress=lambda *a: stages.append(a[2].split()[0])
    )
    assert set(stages) == {"round-2"}
    assert whole.prior_corrected
    assert seen.prior_corrected
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    logs = {p.name for p in (tmp_path / "whole").glob("*.csv")}
    assert logs == {f"{n}.log.csv" for n in ("student-1", "student-2", "round-1", "round-2")}
    assert whole.held_out == 6
    assert seen.steps == whole.steps  # those of stages that had ended before count too
    assert math.isfinite(seen.loss)


def test_labels_of_a_pool_are_not_read(tmp_path: Path) -> None:
    """A pool is text: a labelled file given as one teaches nothing."""
    path, pool = write_weak(tmp_path, 20), tmp_path / "pool.jsonl"
    made = {}
    for name, texts in (("bare", [replace(d, spans=(), labels={}) for d in documents(20, 5)]),
                        ("labelled", documents(20, 5))):  # fmt: skip
        write_documents(pool, texts)
        settings = TrainSettings(**FAST, epochs=1, rounds=1, pool=str(pool))
        train(path, tmp_path / name, settings)
        made[name] = weights(tmp_path / name)
    assert equal(made["bare"], made["labelled"])


def test_topics_and_rules_that_are_not_there_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = [Document("a", "子丑。", (), {"topic": "other"}), *documents(3)]
    soft = hand_labels(few, LABELS, TOPICS, Path("hand.jsonl"))
    assert not soft.topic_prob[0].any()
    assert "hand.jsonl: found topic 'other' in 1 documents" in caplog.text
    settings = TrainSettings(**FAST, hide_rules=("nosuch",))
    load_train_data(write_weak(tmp_path, 20), settings)
    assert "train.hide_rules: no span was found by nosuch alone" in caplog.text


def test_a_log_cut_by_a_kill_is_gone_on_from(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 20)
    settings = TrainSettings(**FAST, epochs=3, save_every=2)

    def kill(step: int, steps: int | None, what: str) -> None:
        if step == 5:
            raise Killed

    with pytest.raises(Killed):
        train(path, tmp_path / "cut", settings, progress=kill)
    log = tmp_path / "cut" / "work" / "student-1" / "log.csv"
    log.write_text(log.read_text("utf-8") + "4,1.", "utf-8")
    log.write_text(log.read_text("utf-8") + "\n4", "utf-8")
    train(path, tmp_path / "cut", settings)
    rows = (tmp_path / "cut/student-1.log.csv").read_text("utf-8").splitlines()
    assert all(row.count(",") == rows[0].count(",") for row in rows)


def scored(monkeypatch: pytest.MonkeyPatch, scores: Iterator[float]) -> None:
    """Let the epochs have these scores, in their order; a kill where there are no more."""

    def score(*given: Any) -> Any:
        found = next(scores, None)
        if found is None:
            raise Killed
        return replace(agreement(*given), both=int(100 * found), student=100, rules=100)

    monkeypatch.setattr("hanspan.train.agreement", score)


def kill_now(*_: Any) -> None:
    raise Killed


@pytest.mark.parametrize("best", [1, 3])
def test_a_kill_between_an_epoch_and_its_score_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    path = write_weak(tmp_path, 30)
    more = {"select": "agreement", "held_out": 0.3, "save_every": 1, "correct_prior": False}
    settings = TrainSettings(**FAST, **more, epochs=4)
    scores = [0.1] * 4 + [0.5]
    scores[best] = 0.9
    scored(monkeypatch, iter(scores))
    whole = train(path, tmp_path / "whole", settings)
    scored(monkeypatch, iter(scores[:best]))  # there is no score for the best one: a kill
    with pytest.raises(Killed):
        train(path, tmp_path / "cut", settings)
    scored(monkeypatch, iter(scores[best:]))
    seen = train(path, tmp_path / "cut", settings)
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert seen.steps == whole.steps
    assert seen.loss == pytest.approx(whole.loss, abs=1e-3)


def test_patience_ends_a_training_that_gets_no_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weak(tmp_path, 30)
    scored(monkeypatch, iter([0.5, 0.7, 0.6, 0.7, 0.9, 0.9]))
    best = {"select": "agreement", "held_out": 0.3, "correct_prior": False}
    settings = TrainSettings(**FAST, **best, epochs=9, patience=2)
    stopped = train(path, tmp_path / "run", settings)
    rows = (tmp_path / "run/student-1.log.csv").read_text().splitlines()
    assert 3 < float(rows[-1].split(",")[1]) <= 4  # two epochs after the best one, the second
    scored(monkeypatch, iter([0.5] * 9 + [0.9]))
    longest = train(path, tmp_path / "all", settings.model_copy(update={"patience": None}))
    assert stopped.steps * 9 == longest.steps * 4
    scored(monkeypatch, iter([0.5, 0.7, 0.6, 0.7, 0.9, 0.9]))
    with monkeypatch.context() as patch:  # killed after the last look, before its stage is kept
        patch.setattr("hanspan.train.save_finished", kill_now)
        with pytest.raises(Killed):
            train(path, tmp_path / "cut", settings)
    seen = train(path, tmp_path / "cut", settings)
    assert equal(weights(tmp_path / "run"), weights(tmp_path / "cut"))
    assert (seen.steps, seen.loss) == (stopped.steps, stopped.loss)
    with pytest.raises(HanspanError, match=r"found train\.held_out=0"):
        train(path, tmp_path / "x", settings.model_copy(update={"held_out": 0.0}))
    with pytest.raises(HanspanError, match=r"found train\.select=last"):
        train(path, tmp_path / "none", TrainSettings(**FAST, epochs=3, patience=2))


def test_a_round_that_agrees_less_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_weak(tmp_path, 30)
    more = {"select": "agreement", "held_out": 0.3, "correct_prior": False, "epochs": 1}
    # the student's epoch, what a round begins from, its epoch, ..., and the last summary
    scored(monkeypatch, iter([0.9, 0.9]))
    train(path, tmp_path / "none", TrainSettings(**FAST, **more))
    scored(monkeypatch, iter([0.9, 0.9, 0.3, 0.9, 0.2, 0.9]))
    with caplog.at_level("INFO", "hanspan"):
        train(path, tmp_path / "worse", TrainSettings(**FAST, **more, rounds=2))
    assert equal(weights(tmp_path / "none"), weights(tmp_path / "worse"))
    assert "round-2: agrees less than what it began from" in caplog.text
    scored(monkeypatch, iter([0.9, 0.8, 0.3, 0.3]))  # two students, the one made of both
    train(path, tmp_path / "two", TrainSettings(**FAST, **more, seeds=2))
    assert not equal(weights(tmp_path / "none"), weights(tmp_path / "two"))
    scored(monkeypatch, iter([0.5, 0.5, 0.6, 0.6]))
    train(path, tmp_path / "better", TrainSettings(**FAST, **more, rounds=1))
    assert not equal(weights(tmp_path / "none"), weights(tmp_path / "better"))


def test_hidden_mentions_do_not_come_back_through_lists(tmp_path: Path) -> None:
    _, tokenizer = open_encoder("random:tiny", LABELS, TOPICS, texts=["甲乙丙丁的"], seed=1)
    encoder = TextEncoder(tokenizer.backend_tokenizer)
    many = [one + two for one in "甲乙丙丁" for two in "甲乙丙丁"]
    path = tmp_path / "names.txt"
    path.write_text("\n".join(many), "utf-8")
    kept = [name for name in many if not is_drawn(name, 0.4)]
    assert 0 < len(kept) < len(many)
    (found,) = load_names({"PER": str(path)}, LABELS, encoder, 0.4).values()
    assert [list(ids) for ids in found] == [list(e.ids) for e in encoder.encode(kept)]


def test_mentions_are_replaced_by_names_of_a_list_too(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 20)
    names = tmp_path / "names.txt"
    names.write_text("# names\n甲\n甲乙丙丁\n", "utf-8")
    more = {"replace_mentions": 1.0, "replace_from": {"PER": str(names)}}
    plain = TrainSettings(**FAST, epochs=1, replace_mentions=1.0)
    train(path, tmp_path / "plain", plain)
    train(path, tmp_path / "more", TrainSettings(**FAST, **more, epochs=1))
    assert not equal(weights(tmp_path / "plain"), weights(tmp_path / "more"))
    _, tokenizer = open_encoder("random:tiny", LABELS, TOPICS, texts=["甲乙丙丁的"], seed=1)
    encoder = TextEncoder(tokenizer.backend_tokenizer)
    lexicon = {LABELS.index("PER"): [e.ids for e in encoder.encode(["甲", "甲乙丙丁"])]}
    one = build_rows(
        [Document("a", "丙丁的", (Span(0, 2, "PER"),))],
        hand_labels([Document("a", "丙丁的", (Span(0, 2, "PER"),))], LABELS, (), path),
        encoder,
        48,
    )
    rows = RowDataset(one, 1 + 4 * len(LABELS), TrainSettings(**more), 48, encoder.mask, lexicon)
    lengths = {len(rows[epoch, 0]["ids"]) for epoch in range(20)}
    assert lengths == {2, 3, 5}  # the list's two names and the text's own
    for wrong, words in (
        ({"PRE": str(names)}, "found label 'PRE'; expected one of"),
        ({"PER": str(tmp_path / "none.txt")}, "No such file .*expected names in UTF-8"),
    ):
        settings = TrainSettings(**FAST, replace_mentions=0.3, replace_from=wrong)
        with pytest.raises(HanspanError, match=words):
            train(path, tmp_path / "x", settings)
    with pytest.raises(HanspanError, match=r"found train\.replace_mentions=0"):
        train(path, tmp_path / "x", TrainSettings(**FAST, replace_from={"PER": str(names)}))
    names.write_text("# none\n", "utf-8")
    with pytest.raises(HanspanError, match="holds no name"):
        train(path, tmp_path / "x", TrainSettings(**FAST, **more))


def test_settling_is_a_last_stage_over_so_many_tokens(tmp_path: Path) -> None:
    source = write_weak(tmp_path, 20)
    settings = TrainSettings(**FAST, epochs=1, settle=300)
    summary = train(source, tmp_path / "run", settings)
    log = (tmp_path / "run" / "settle.log.csv").read_text().splitlines()
    assert 1 < len(log) <= 1 + 300 // 128
    plain = train(source, tmp_path / "plain", settings.model_copy(update={"settle": 0}))
    assert summary.steps > plain.steps
    assert not (tmp_path / "plain" / "settle.log.csv").exists()
    before, after = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("plain", "run")
    )
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_settling_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, bool] = {}
    inner = fit

    def watched(*given: Any, what: str, **more: Any) -> Any:
        asked[what] = given[3].compile
        settings = given[3].model_copy(update={"compile": False})  # the test has no minute
        return inner(*given[:3], settings, given[4], what=what, **more)

    monkeypatch.setattr("hanspan.train.fit", watched)
    settings = TrainSettings(**FAST, epochs=1, settle=300, compile=True)
    train(write_weak(tmp_path, 12), tmp_path / "run", settings)
    assert asked == {"student-1": True, "settle": False}


def test_checkpoints_of_other_labels_are_refused_and_of_other_settings_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_weak(tmp_path, 12)

    def kill(step: int, steps: int | None, what: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(path, tmp_path / "run", TrainSettings(**FAST, epochs=1), progress=kill)
    many = documents(12)
    renamed = [
        Document(d.id, d.text, tuple(Span(s.start, s.end, s.label + "X") for s in d.spans))
        for d in many
    ]
    other = tmp_path / "other.jsonl"
    write_documents(other, renamed)
    labels = tuple(label + "X" for label in LABELS)
    hand_labels(renamed, labels, TOPICS, other).save(soft_path(other))
    with pytest.raises(HanspanError, match="checkpoints of other labels"):
        train(other, tmp_path / "run", TrainSettings(**FAST, epochs=1))
    with caplog.at_level(logging.WARNING, "hanspan"):
        train(path, tmp_path / "run", TrainSettings(**FAST, epochs=1, lr=1e-4))
    assert "checkpoints of other settings" in caplog.text


def test_hand_labels_alone_or_beside_weak_ones(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 20)
    hand = tmp_path / "hand.jsonl"
    write_documents(hand, documents(10, seed=5))
    settings = TrainSettings(**FAST, epochs=1, mode="mixed", hand=str(hand), held_out=0)
    assert train(path, tmp_path / "mixed", settings).documents == 30
    alone = settings.model_copy(update={"mode": "supervised"})
    assert train(path, tmp_path / "hand", alone).documents == 10
    plain = TrainSettings(**FAST, epochs=1, mode="supervised")
    train(hand, tmp_path / "plain", plain)
    assert load_model(tmp_path / "plain" / "model")[2].labels == tuple(sorted(LABELS))
    with pytest.raises(HanspanError, match=r"expected train\.hand=FILE"):
        train(path, tmp_path / "no", TrainSettings(**FAST, mode="mixed"))
    with pytest.raises(HanspanError, match=r"supervised: found weak labels alone"):
        train(path, tmp_path / "no", TrainSettings(**FAST, mode="supervised"))


def test_weak_mode_does_not_open_hand_labels(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 8)
    hand = tmp_path / "hand.jsonl"
    named = TrainSettings(**FAST, hand=str(hand), select_gold=str(hand))
    before = files_digest(path, named)
    hand.write_text("anything", "utf-8")
    assert files_digest(path, named) == before
    used = named.model_copy(update={"mode": "mixed"})
    assert files_digest(path, used) != before
    assert used.files_read() == {"hand": str(hand)}


def test_a_pool_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 8)
    for more in ({"rounds": 1}, {"seeds": 2}, {"settle": 10}):
        settings = TrainSettings(**FAST, epochs=1, pool=str(tmp_path / "none.jsonl"), **more)
        with pytest.raises(HanspanError, match=r"none\.jsonl: no such file"):
            train(path, tmp_path / "run", settings)
    with pytest.raises(HanspanError, match=r"train\.pool: found train\.rounds=0"):
        train(path, tmp_path / "run", TrainSettings(**FAST, pool="x.jsonl"))


def test_weights_that_are_not_finite_are_named_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.optim.AdamW.step

    def spoilt(self: Any, *given: Any, **rest: Any) -> Any:
        done = real(self, *given, **rest)
        self.param_groups[0]["params"][0].data.fill_(math.nan)
        return done

    monkeypatch.setattr("torch.optim.AdamW.step", spoilt)
    settings = TrainSettings(**{**FAST, "batch_tokens": 8192}, epochs=1, save_every=1)  # one step
    path = write_weak(tmp_path, 12)
    for _ in range(2):
        with pytest.raises(HanspanError, match=r"finite after step 1; .* lower train\.lr"):
            train(path, tmp_path / "run", settings)
    assert not list((tmp_path / "run").rglob("*.safetensors"))


def test_loss_that_is_not_finite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_weak(tmp_path, 12)
    bad = torch.tensor(float("nan"))
    monkeypatch.setattr("hanspan.fit.tag_loss", lambda *_, **__: (bad, torch.zeros(())))
    with pytest.raises(HanspanError, match=r"loss is nan at step 0 .* lower train\.lr"):
        train(path, tmp_path / "run", TrainSettings(**FAST, epochs=1))


def write_one(path: Path, text: str, labels: tuple[str, ...], spans: tuple[Span, ...]) -> None:
    one = [Document("one", text, spans)]
    write_documents(path, one)
    hand_labels(one, labels, TOPICS, path).save(soft_path(path))


def test_one_document_and_a_type_without_labels_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    write_one(path, "甲丙戊的一是", LABELS, (Span(0, 3, "PER"),))
    summary = train(path, tmp_path / "run", TrainSettings(**FAST, epochs=1))
    text = "\n".join(summary.warnings)
    assert "type ORG has no weak labels" in text
    assert "type PER" not in text
    assert "topic gold has no weak labels" in text
    assert "one document only" in text


def test_a_type_that_always_loses_or_is_held_out_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    one = [Document("one", "甲丙戊的一是", (Span(0, 3, "PER"),))]
    write_documents(path, one)
    soft = hand_labels(one, LABELS, TOPICS, path)
    rival = SoftLabels(
        soft.labels, soft.topics, soft.offsets, soft.state,
        np.append(soft.char, 1), np.append(soft.tag, np.uint8(1 + 4 * LABELS.index("ORG"))),
        np.append(soft.prob, np.float32(0.3)), soft.topic_prob,
    )  # fmt: skip
    rival.save(soft_path(path))
    text = "\n".join(load_train_data(path, TrainSettings(targets="winner")).warnings)
    assert "type ORG has no weak labels" in text
    text = "\n".join(load_train_data(path, TrainSettings(targets="soft")).warnings)
    assert "type ORG" not in text
    many = documents(30)
    (tmp_path / "more").mkdir()
    held = load_train_data(write_weak(tmp_path / "more", 30), TrainSettings(held_out=0.3))
    rare = {d.id for d in held.held_documents}
    spans = {d.id: [s for s in d.spans if s.label != "ORG" or d.id in rare] for d in many}
    shown = [d.with_spans(spans[d.id]) for d in many]
    write_documents(path, shown)
    hand_labels(shown, LABELS, TOPICS, path).save(soft_path(path))
    assert any(s.label == "ORG" for d in shown for s in d.spans)
    text = "\n".join(load_train_data(path, TrainSettings(held_out=0.3)).warnings)
    assert "type ORG has no weak labels" in text


def test_bad_input_is_named(tmp_path: Path) -> None:
    path, run = tmp_path / "train.jsonl", tmp_path / "run"
    settings = TrainSettings(**FAST, epochs=1)
    with pytest.raises(HanspanError, match="no such file; expected the soft labels"):
        train(path, run, settings)
    write_one(path, "甲丙戊", LABELS, ())
    write_documents(path, [Document("one", "甲丙")])
    with pytest.raises(HanspanError, match="1 documents with 2 characters, but"):
        train(path, run, settings)
    write_documents(path, [Document("one", "甲丙戊", (Span(0, 1, "WHO"),))])
    with pytest.raises(HanspanError, match="'WHO'; expected one of PER, ORG, LOC"):
        train(path, run, settings)
    write_one(path, "", LABELS, ())
    with pytest.raises(HanspanError, match="no text found"):
        train(path, run, settings)
    with pytest.raises(HanspanError, match="overlaps the one before"):
        two = (Span(0, 2, "PER"), Span(1, 3, "PER"))
        hand_labels([Document("x", "甲丙戊", two)], LABELS, (), path)
    write_one(path, "甲丙戊", LABELS, ())
    for name, words in [
        ("random:huge", "expected one of random:tiny"),
        (str(tmp_path / "no"), "no such folder"),
        (str(tmp_path), r"no config\.json"),
    ]:
        with pytest.raises(HanspanError, match=words):
            train(path, run, settings.model_copy(update={"encoder": name}))
    assert not (run / "model").exists()


def test_each_epoch_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hanspan.batches import RowDataset

    keys: list[tuple[int, int]] = []
    inner = RowDataset.__getitem__
    monkeypatch.setattr(RowDataset, "__getitem__", lambda s, k: keys.append(k) or inner(s, k))
    train(write_weak(tmp_path, 12), tmp_path / "run", TrainSettings(**FAST, epochs=3))
    orders = [[row for epoch, row in keys if epoch == e] for e in range(3)]
    assert [sorted(order) for order in orders] == [sorted(orders[0])] * 3
    assert orders[0] != orders[1] != orders[2]


def test_a_share_of_the_tokens_is_hidden_anew_in_each_epoch() -> None:
    from hanspan.batches import RowDataset

    texts = [Document("d", "合肥市政协主席韩冰表示" * 40, (Span(0, 3, "LOC"),))]
    encoder = TextEncoder.from_folder(tiny.run_folder() / "model")
    assert encoder.mask == encoder.tokenizer.token_to_id("[MASK]") != encoder.pad
    (row,) = build_rows(texts, hand_labels(texts, LABELS, (), Path("x")), encoder, 512)
    shown = RowDataset([row], 1 + 4 * len(LABELS), TrainSettings(), len(row), encoder.mask)
    hidden = RowDataset(
        [row], 1 + 4 * len(LABELS), TrainSettings(mask_tokens=0.3), len(row), encoder.mask
    )
    one, again, other = hidden[0, 0], hidden[0, 0], hidden[1, 0]
    assert np.array_equal(one["ids"], again["ids"])
    gone = one["ids"] == encoder.mask
    assert 0.2 < gone.mean() < 0.4
    assert not np.array_equal(gone, other["ids"] == encoder.mask)
    assert np.array_equal(one["ids"][~gone], row.ids[~gone])
    for key in ("targets", "weights", "droppable"):  # what is learned there stays as it was
        assert np.array_equal(one[key], shown[0, 0][key])
    assert np.array_equal(shown[0, 0]["ids"], row.ids)


def test_tokens_are_not_hidden_behind_a_token_that_is_not_there(tmp_path: Path) -> None:
    texts = [Document("d", "合肥市")]
    encoder = TextEncoder.from_folder(tiny.run_folder() / "model")
    rows = build_rows(texts, hand_labels(texts, LABELS, (), Path("x")), encoder, 48)
    encoder.mask = None
    model, _, _ = load_model(tiny.run_folder() / "model")
    settings = TrainSettings(mask_tokens=0.3)
    with pytest.raises(HanspanError, match=r"found no \[MASK\].* set train\.mask_tokens=0"):
        fit(model, rows, encoder, settings, tmp_path / "fit", epochs=1, lr=1e-3)
    assert not (tmp_path / "fit").exists()


def write_topics(folder: Path, count: int = 40) -> Path:
    """Weak topics of long texts, and no types of spans."""
    many = [replace(d, text=d.text * 4, spans=()) for d in documents(count)]
    path = folder / "topics.jsonl"
    soft = hand_labels(many, (), TOPICS, path)
    write_documents(path, [Document(d.id, d.text) for d in many])
    replace(soft, topic_prob=soft.topic_prob * np.float32(0.6)).save(soft_path(path))
    return path


def test_a_topic_that_never_wins_is_warned_of(tmp_path: Path) -> None:
    path = write_topics(tmp_path, 12)
    soft = SoftLabels.load(soft_path(path))
    second = np.tile(np.array([[0.6, 0.4]], np.float32), (len(soft), 1))
    replace(soft, topic_prob=second).save(soft_path(path))
    (warned,) = load_train_data(path, TrainSettings()).warnings
    assert f"topic {TOPICS[1]} has no weak labels" in warned


def test_reading_by_the_teacher_tells_how_far_it_is(tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int | None]]] = {}
    settings = TrainSettings(**FAST, epochs=1, rounds=1, settle=300)
    path = write_weak(tmp_path, 60)

    def note(done: int, total: int | None, what: str) -> None:
        told.setdefault(what, []).append((done, total))

    train(path, tmp_path / "run", settings, progress=note)
    for what in ("round-1 teacher reads", "settle student reads"):
        (*_, (done, total)) = told[what]
        assert done == total
        assert total


def test_rules_of_topics_judge_the_student_and_not_the_rounds_that_leave_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[str, bool]] = []

    def watched(*args: Any, **rest: Any) -> Any:
        looked.append((rest["what"], rest["on_epoch"] is not None))
        return fit(*args, **rest)

    monkeypatch.setattr("hanspan.train.fit", watched)
    settings = TrainSettings(**FAST, epochs=1, rounds=1, select="agreement", held_out=0.3)
    train(write_topics(tmp_path), tmp_path / "topics", settings)
    train(write_weak(tmp_path, 20), tmp_path / "spans", settings)
    assert looked[:2] == [("student-1", True), ("round-1", False)]
    assert looked[2:] == [("student-1", True), ("round-1", True)]


@pytest.mark.parametrize("kind", ["weak", "given", "supervised", "spans"])
def test_tokens_are_hidden_by_default_for_weak_topics_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    seen: list[tuple[str, float | None, bool]] = []

    def watched(*args: Any, **rest: Any) -> Any:
        seen.append((rest["what"], args[3].mask_tokens, args[3].confidence_weight))
        return fit(*args, **rest)

    monkeypatch.setattr("hanspan.train.fit", watched)
    path = write_weak(tmp_path, 12) if kind == "spans" else write_topics(tmp_path)
    given: dict[str, Any] = {"mask_tokens": 0.1} if kind == "given" else {}
    if kind == "supervised":
        given = {"mode": "supervised", "hand": str(tmp_path / "hand.jsonl")}
        write_documents(tmp_path / "hand.jsonl", [replace(d, spans=()) for d in documents(12)])
    train(path, tmp_path / "run", TrainSettings(**FAST, epochs=1, rounds=1, settle=500, **given))
    share = {"weak": 0.3, "given": 0.1}.get(kind, 0.0)
    assert seen == [("student-1", share, True), ("round-1", share, True), ("settle", share, False)]
    assert json.loads((tmp_path / "run" / "train.json").read_text())["mask_tokens"] == share


def test_topics_weigh_by_confidence_or_by_their_share_of_the_document(tmp_path: Path) -> None:
    from hanspan.batches import RowDataset

    path = write_topics(tmp_path, 1)
    text, soft = next(iter(read_documents(path))), SoftLabels.load(soft_path(path))
    encoder = TextEncoder.from_folder(tiny.run_folder() / "model")
    rows = build_rows([text], soft, encoder, 48, winners=True)
    assert len(rows) > 1
    for weighted, whole in ((True, 0.6), (False, 1.0)):
        of = RowDataset(rows, 1, TrainSettings(confidence_weight=weighted), 48, encoder.mask)
        assert sum(of[0, n]["topic_weight"] for n in range(len(rows))) == pytest.approx(
            whole, abs=1e-3
        )


def test_topics_are_balanced_by_how_many_documents_they_have(tmp_path: Path) -> None:
    from hanspan.batches import topic_factors

    path = write_topics(tmp_path, 1)
    text, soft = next(iter(read_documents(path))), SoftLabels.load(soft_path(path))
    encoder = TextEncoder.from_folder(tiny.run_folder() / "model")
    row = build_rows([text], soft, encoder, 48, winners=True)[0]

    def of(topic: int | None) -> Row:
        target = np.zeros(4, np.float32)
        if topic is not None:
            target[topic] = 0.9
        return replace(row, topic=target, share=1.0)

    rows = [*[of(0)] * 45, *[of(1)] * 14, of(2), of(None)]  # the fourth topic has none
    assert topic_factors(rows, 0).tolist() == [1, 1, 1, 1]
    assert topic_factors(rows, 1) == pytest.approx([20 / 45, 20 / 14, 10, 1])
    assert topic_factors(rows, 0.5) == pytest.approx(np.sqrt([20 / 45, 20 / 14, 10, 1]))
    assert topic_factors([replace(row, topic=np.zeros(0, np.float32))], 1).size == 0
    assert topic_factors([], 1).size == 0


def torchrun(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Two processes of a script or module, with the settings FAST after its words."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    fast = [f"{key}={value}" for key, value in FAST.items()]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [*command, *map(str, words), *fast],
        env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 30)
    done = torchrun("-m", "hanspan.train_worker", path, tmp_path / "run", "epochs=2")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (tmp_path / "run" / "student-1.log.csv").read_text().splitlines()
    one = train(path, tmp_path / "one", TrainSettings(**FAST, epochs=2))
    summary = json.loads((tmp_path / "run" / "train.json").read_text())
    assert summary["steps"] == math.ceil(one.steps / 2 / 2) * 2  # half the batches each
    assert len(lines) > 2
    load_model(tmp_path / "run" / "model")


@pytest.mark.slow
def test_two_processes_keep_the_same_epoch(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 30)
    script = tmp_path / "ranks.py"
    script.write_text(
        "import os, sys\n"
        "import hanspan.train\n"
        "from hanspan.run_files import load_stage\n"
        "from hanspan.train_worker import settings_of\n"
        "def noted(path, model):\n"
        "    found = load_stage(path, model)\n"
        "    mark = sum(float(v.double().abs().sum()) for v in model.state_dict().values())\n"
        "    with open(sys.argv[3] + os.environ['RANK'], 'a') as stream:\n"
        "        print(path.name, mark, file=stream)\n"
        "    return found\n"
        "module = sys.modules['hanspan.train']\n"
        "module.load_stage = noted\n"
        "module.train(*sys.argv[1:3], settings_of(sys.argv[4:]))\n"
    )
    more = ["epochs=6", "held_out=0.3", "select=agreement", "patience=2", "rounds=1"]
    done = torchrun(script, path, tmp_path / "run", tmp_path / "rank", *more)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert first.count("best.safetensors") == 2
    load_model(tmp_path / "run" / "model")


@pytest.mark.slow
def test_two_processes_go_on_exactly(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 30)
    script = tmp_path / "cut.py"
    script.write_text(
        "import os, sys\n"
        "from hanspan.train import train\n"
        "from hanspan.train_worker import settings_of\n"
        "def kill(step, steps, what):\n"
        "    if str(step) == sys.argv[3]:\n"
        "        os._exit(1)\n"
        "train(*sys.argv[1:3], settings_of(sys.argv[4:]), progress=kill)\n"
    )
    # The checkpoint of step 6 lies within the second epoch, which has batches of its own.
    for name, step in (("whole", "never"), ("cut", "8"), ("cut", "never")):
        done = torchrun(script, path, tmp_path / name, step, "epochs=3", "save_every=3")
        assert (done.returncode == 0) == (step == "never"), done.stderr[-2000:]
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_worker_names_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a.jsonl", "run", "epochs=0", "speed=9"]) == 2
    text = capsys.readouterr().err
    assert "epochs" in text
    assert "speed" in text
    for word in ("epochs", "=3", "lr=[1", "hand=2024-13-45"):
        assert main(["a.jsonl", "run", word]) == 2
        text = capsys.readouterr().err
        assert f"{word!r}: " in text
        assert "expected key=value" in text
    assert main([]) == 2


def test_spans_of_hidden_rules_come_back(tmp_path: Path) -> None:
    many = documents(100)
    path = tmp_path / "train.jsonl"
    named = [
        d.with_spans(
            Span(s.start, s.end, s.label, 1.0, f"rule:{d.text[s.start]}{s.label}") for s in d.spans
        )
        for d in many
    ]
    write_documents(path, named)
    weaken(hand_labels(many, LABELS, TOPICS, path), many, 1.0, 0).save(soft_path(path))
    settings = TrainSettings(**FAST, epochs=10, lr=3e-3, hide_rules=("子ORG",), held_out=0.3)
    summary = train(path, tmp_path / "run", settings)
    assert summary.recovered is not None  # 丑寅卯 was shown, 子寅卯 was not
    assert 0 <= summary.recovered <= 1
    assert summary.whole is not None
    assert 0 < summary.whole <= 1
    plain = train(path, tmp_path / "all", TrainSettings(**FAST, epochs=1))
    assert (plain.recovered, plain.whole) == (None, None)
    drawn = TrainSettings(**FAST, epochs=1, hide_mentions=0.5, held_out=0.3)
    assert train(path, tmp_path / "drawn", drawn).recovered is not None


def test_hiding_takes_spans_of_hidden_rules_alone() -> None:
    one = Document(
        "d",
        "甲丙戊辰",
        (Span(0, 3, "PER", 1.0, "rule:a+rule:b"), Span(3, 4, "LOC", 1.0, "rule:a")),
    )
    soft = hand_labels([one], LABELS, (), Path("x"))
    (kept,), shown, (gone,) = hide([one], soft, ["a"])
    assert [s.label for s in kept.spans] == ["PER"]  # b says so too
    assert [s.label for s in gone] == ["LOC"]
    assert shown.state.tolist() == [2, 2, 2, 0]
    assert shown.char.tolist() == [0, 1, 2]
    assert recovered([gone], [(Span(3, 4, "LOC", 0.4),)]) == (1, 1)
    assert recovered([gone], [(Span(3, 4, "PER"),)]) == (0, 1)
    rules = {"rule:a": {"group": "g"}, "rule:b": {"group": "g"}, "rule:c": {"group": ""}}
    others = {"rule:t": {"group": "g", "topical": True}, "rule:n": {"labels": ["NONE"]}}
    assert groups_of(rules | others) == {"g": ["rule:a", "rule:b"], "rule:c": ["rule:c"]}


def test_hidden_mentions_are_hidden_wherever_they_stand() -> None:
    texts = ["".join(chr(0x4E00 + 7 * i + k) for k in range(2)) for i in range(400)]
    many = [
        Document(f"{i}", text * 2, (Span(0, 2, "PER", 1.0, "rule:a"), Span(2, 4, "PER")))
        for i, text in enumerate(texts)
    ]
    soft = hand_labels(many, LABELS, (), Path("x"))
    kept, shown, gone = hide(many, soft, (), 0.3)
    assert {len(out) for out in gone} == {0, 2}  # never one of the two
    assert 0.2 < sum(map(bool, gone)) / len(gone) < 0.4
    assert all(len(d.spans) + len(out) == 2 for d, out in zip(kept, gone, strict=True))
    assert (shown.state.reshape(-1, 4) == UNKNOWN).all(1).tolist() == [bool(out) for out in gone]
    assert hide(many, soft, (), 0.0)[0] == many
    assert sum(map(bool, hide(many, soft, (), 0.6)[2])) > sum(map(bool, gone))  # grows


def test_a_model_is_gone_on_from_and_one_of_other_labels_refused(tmp_path: Path) -> None:
    path = write_weak(tmp_path, 20)
    first = train(path, tmp_path / "run", TrainSettings(**FAST, epochs=2))
    again = {**FAST, "encoder": str(first.model)}
    second = train(path, tmp_path / "more", TrainSettings(**again, epochs=1, lr=1e-4))
    assert second.loss < first.loss
    assert second.encoder == "model"
    hand = tmp_path / "hand.jsonl"
    write_documents(hand, [Document("x", "甲丙戊", (Span(0, 3, "WHO"),))])
    with pytest.raises(HanspanError, match=r"a model of other labels \(PER, ORG, LOC\)"):
        train(hand, tmp_path / "no", TrainSettings(**again, epochs=1, mode="supervised"))
    long = TrainSettings(**{**FAST, "max_length": 4096}, epochs=1)
    with pytest.raises(HanspanError, match="max_length=4096 found, at most 512"):
        train(path, tmp_path / "long", long)


@pytest.mark.parametrize("how", ["supervised", "mixed", "gold"])
def test_hand_labels_of_an_encoder_are_told(tmp_path: Path, how: str) -> None:
    from hanspan.bundle import bundle

    path, hand = write_weak(tmp_path, 20), tmp_path / "hand.jsonl"
    write_documents(hand, documents(10, seed=5))
    by = {"select": "gold", "select_gold": str(hand)} if how == "gold" else {"mode": how}
    first = TrainSettings(**FAST, epochs=1, hand=str(hand), **by)
    last = train(path, tmp_path / "0", first).model
    for number in (1, 2):  # and of an encoder's encoder
        plain = TrainSettings(**{**FAST, "encoder": str(last)}, epochs=1)
        last = train(path, tmp_path / str(number), plain).model
        made = bundle(tmp_path / str(number), tmp_path / f"b{number}", onnx=False)
        card = (tmp_path / f"b{number}" / "README.md").read_text("utf-8")
        assert "from a model that hand labels had a part in" in card, made
        assert "without hand labels" not in card
    for number in range(3):  # a model folder as well as a run, and a bundle as an encoder
        again = tmp_path / f"m{number}"
        bundle(tmp_path / str(number) / "model", again, onnx=False, name="mine")
        card = (again / "README.md").read_text("utf-8")
        assert "without hand labels" not in card or how == "gold"
        assert ("# mine-selected-by-gold" in card) == (how == "gold" and not number)
        assert had_hand_labels(again)
    meta = ModelMeta.read(tmp_path / "m0")  # as bundles of before tell it
    replace(meta, extra={"made_from": meta.extra["made_from"]}).write(tmp_path / "m0")
    assert had_hand_labels(tmp_path / "m0")
    assert not had_hand_labels("random:tiny")
    plain = TrainSettings(**FAST, epochs=1)
    train(path, tmp_path / "weak", plain)
    bundle(tmp_path / "weak", tmp_path / "b", onnx=False)
    assert "without hand labels" in (tmp_path / "b" / "README.md").read_text("utf-8")


def test_gold_may_choose_the_epoch_and_the_model_then_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hanspan.agreement import agreement
    from hanspan.bundle import bundle

    path = write_weak(tmp_path, 30)
    gold = tmp_path / "gold.jsonl"
    write_documents(gold, documents(12))
    with pytest.raises(HanspanError, match=r"expected train\.select_gold"):
        train(path, tmp_path / "none", TrainSettings(**FAST, epochs=1, select="gold"))
    settings = TrainSettings(**FAST, epochs=2, select="gold", select_gold=str(gold))
    seen: list[int] = []
    monkeypatch.setattr(
        "hanspan.train.agreement", lambda rows, *a: seen.append(len(rows)) or agreement(rows, *a)
    )
    train(path, tmp_path / "run", settings)
    assert len(seen) == 2  # the rows of the gold, once an epoch
    bundle(tmp_path / "run", tmp_path / "mine", onnx=False, name="mine")
    assert "# mine-selected-by-gold" in (tmp_path / "mine/README.md").read_text("utf-8")
    made = json.loads((tmp_path / "mine/hanspan.json").read_text("utf-8"))["extra"]["made_from"]
    assert made["selection"] == "gold"
