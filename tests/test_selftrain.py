"""Teacher answers, agreement without gold, temperature."""

from dataclasses import replace

import numpy as np
import pytest

from hanspan.agreement import agreement, fit_temperature, temperatures
from hanspan.decode import spans_to_tags
from hanspan.rows import IGNORED, Row
from hanspan.selftrain import (
    draw_tokens,
    mean_probs,
    own_rows,
    sharpen,
    teacher_rows,
    teacher_topics,
)
from hanspan.soft import NEGATIVE, POSITIVE, UNKNOWN

TAGS = 9


def row(topic: list[float] | None = None) -> Row:
    """Ten tokens; 0:2 labelled PER (type 0), 2 certainly O, the rest unknown."""
    state = np.full(10, UNKNOWN, np.uint8)
    state[:2], state[2] = POSITIVE, NEGATIVE
    return Row(0, np.arange(10), state, np.array([0, 1]), np.array([1, 3]),
               np.ones(2, np.float32), np.array(topic or [0.0, 0.0], np.float32),
               ((0, 2, 0),))  # fmt: skip


def split_row(state: list[int]) -> Row:
    """A character of two tokens, then one of one."""
    nothing = np.zeros(0, np.int64)
    return Row(0, np.arange(3), np.array(state, np.uint8), nothing, nothing,
               np.zeros(0, np.float32), np.zeros(2, np.float32))  # fmt: skip


def test_characters_of_several_tokens_are_one_step_of_a_path() -> None:
    """What the rest of a character says is never asked, as in `encode.py`."""
    logits = np.full((3, TAGS), -5.0)
    logits[0, 1], logits[1, 8], logits[2, 3] = 5.0, 9.0, 5.0  # B, a stray S, E
    start = split_row([UNKNOWN, IGNORED, UNKNOWN])
    (own,) = own_rows([start], [logits], np.array([[0.0, 0.0]]), 2.0)
    assert own.state.tolist() == [POSITIVE, IGNORED, POSITIVE]
    assert own.mentions == ((0, 3, 0),)
    assert set(own.where.tolist()) == {0, 2}
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    taught = answer(p, [0.5, 0.5], start)
    assert taught.state.tolist() == [POSITIVE, IGNORED, POSITIVE]
    assert taught.mentions == ((0, 3, 0),)
    assert set(taught.where.tolist()) == {0, 2}
    judge = replace(split_row([POSITIVE, IGNORED, POSITIVE]), mentions=((0, 3, 0),))
    assert agreement([judge], [logits], np.zeros((1, 2))).f1 == 1.0


def probs(spans: list[tuple[int, int, int]], sure: float) -> np.ndarray:
    tags = spans_to_tags(10, spans)
    out = np.full((10, TAGS), (1 - sure) / (TAGS - 1))
    out[np.arange(10), tags] = sure
    return out


def answer(
    p: np.ndarray, topic: list[float], start: Row | None = None, *, anchors: bool = True
) -> Row:
    (out,) = teacher_rows([start or row()], [p], np.array([topic]), confidence=0.8, sure_o=0.9,
                          power=2.0, topic_confidence=0.7, anchors=anchors)  # fmt: skip
    return out


def test_sure_answers_fill_the_unknown_and_rules_stay() -> None:
    out = answer(probs([(0, 1, 1), (4, 6, 1)], 0.97), [0.9, 0.1])
    assert (
        out.state.tolist()
        == [POSITIVE, POSITIVE, NEGATIVE, NEGATIVE, POSITIVE, POSITIVE] + [NEGATIVE] * 4
    )
    dense = np.zeros((10, TAGS))
    dense[out.where, out.tag] = out.prob
    assert dense[:2].argmax(-1).tolist() == [1, 3]  # the rules' PER, not the teacher's LOC
    assert dense[4:6].argmax(-1).tolist() == [5, 7]
    assert dense[[0, 1, 4, 5, 6]].sum(-1) == pytest.approx(np.ones(5))
    assert out.mentions == ((0, 2, 0), (4, 6, 1))
    assert (np.diff(out.where) >= 0).all()
    assert out.topic.argmax() == 0
    assert out.topic[0] == pytest.approx(0.81 / 0.82)


def test_without_anchors_the_teacher_answers_for_what_rules_said() -> None:
    out = answer(probs([(0, 1, 1), (2, 4, 1)], 0.97), [0.9, 0.1], anchors=False)
    dense = np.zeros((10, TAGS))
    dense[out.where, out.tag] = out.prob
    assert dense[0].argmax() == 8  # LOC in one token, where the rules said PER
    assert out.state[:4].tolist() == [POSITIVE, NEGATIVE, POSITIVE, POSITIVE]
    assert out.mentions == ((0, 1, 1), (2, 4, 1))
    hand = replace(row(), state=np.where(row().state == UNKNOWN, NEGATIVE, row().state))
    kept = answer(probs([(0, 1, 1)], 0.97), [0.9, 0.1], hand, anchors=False)
    assert kept.mentions == ((0, 2, 0),)


def test_unsure_answers_are_ignored() -> None:
    out = answer(probs([(4, 6, 1)], 0.3), [0.6, 0.4])
    assert out.state[3:].tolist() == [IGNORED] * 7
    assert out.where.tolist() == [0, 1]
    assert not out.topic.any()


def test_a_topic_of_rules_is_no_anchor_and_one_of_hands_is() -> None:
    sure, unsure = probs([], 0.99), [0.6, 0.4]
    got = answer(sure, [0.9, 0.1], row([0.0, 0.8]))
    assert got.topic == pytest.approx([0.81 / 0.82, 0.01 / 0.82])
    assert answer(sure, unsure, row([0.0, 0.8])).topic == pytest.approx([0.0, 0.8])
    assert answer(sure, [0.9, 0.1], row([0.0, 1.0])).topic.tolist() == [0.0, 1.0]


def part(document: int, topic: list[float], length: int = 10) -> Row:
    return replace(row(topic), document=document, share=0.5, ids=np.arange(length))


def test_windows_of_a_document_get_one_topic_between_them() -> None:
    """In any order, by their lengths, and with no more weight than one window has."""
    rows = [part(3, [0.0, 0.4]), part(4, [0.0, 0.5]), part(3, [0.0, 0.4], 30), part(4, [0.0, 0.5])]
    said = np.array([[0.9, 0.1], [0.9, 0.1], [0.7, 0.3], [1.0, 0.0]])
    got = teacher_topics(rows, said, 0.74, 1.0)
    assert np.array(got)[[0, 2]] == pytest.approx(np.array([[0.375, 0.125]] * 2))
    assert np.array(got)[[1, 3]].tolist() == [[0.0, 0.5]] * 2  # hand labels
    for left, wanted in zip(teacher_topics(rows, said, 0.76, 1.0), rows, strict=True):
        assert left.tolist() == wanted.topic.tolist()
    assert teacher_topics([], np.zeros((0, 2)), 0.5, 1.0) == []


def test_rows_are_drawn_until_they_hold_enough() -> None:
    rows = [replace(row(), document=number) for number in range(8)]
    drawn = [r.document for r in draw_tokens(rows, 25, seed=3)]
    assert len(set(drawn)) == len(drawn) == 3  # ten tokens each
    assert drawn == [r.document for r in draw_tokens(rows, 80, seed=3)][:3]
    assert len(draw_tokens(rows, 10_000, seed=3)) == 8


def test_settling_takes_own_topics_sure_or_not() -> None:
    """All but those of hand labels, of which some windows may be missing."""
    rows = [part(1, [0.0, 0.4]), part(2, [0.0, 0.5]), part(1, [0.0, 0.4])]
    logits = [np.log(probs([], 0.97))] * 3
    got = own_rows(rows, logits, np.log([[0.6, 0.4], [0.9, 0.1], [0.6, 0.4]]), 2.0)
    assert got[0].topic == pytest.approx([0.3, 0.2])
    assert got[2].topic == pytest.approx([0.3, 0.2])
    assert got[1].topic.tolist() == [0.0, 0.5]


def test_a_span_that_touches_a_label_does_not_count() -> None:
    out = answer(probs([(1, 5, 1)], 0.99), [0.5, 0.5])
    assert out.state[3:5].tolist() == [IGNORED, IGNORED]
    assert out.mentions == ((0, 2, 0),)


def test_sharpen_and_mean_by_hand() -> None:
    assert sharpen(np.array([0.8, 0.2]), 2.0) == pytest.approx([0.64 / 0.68, 0.04 / 0.68])
    one, two = np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])
    (mean,) = mean_probs([[one], [two]])
    assert mean[0] == pytest.approx([0.7, 0.3])


def test_agreement_says_nothing_of_the_unknown() -> None:
    logits = np.log(probs([(0, 2, 0), (2, 3, 1), (5, 8, 1)], 0.97))
    got = agreement([row([1.0, 0.0])], [logits], np.array([[2.0, 1.0]]))
    assert (got.both, got.student, got.rules) == (1, 2, 1)  # 5:8 lies in the unknown
    assert got.f1 == pytest.approx(2 / 3)
    assert got.topic == 1.0
    none = agreement([], [], np.zeros((0, 2)))
    assert none.f1 == none.topic == none.score == 0.0


def test_temperature_takes_what_the_vote_doubts_for_no_entity() -> None:
    """Characters of spans that the vote is sure of by 0.8, and a model that gives them 0.98."""
    count, odds = 60, np.log(0.98 / 0.02)
    where = np.arange(count)
    row = Row(
        0, where, np.full(count, POSITIVE, np.uint8), where, np.full(count, 4),
        np.full(count, 0.8, np.float32), np.zeros(0, np.float32),
    )  # fmt: skip
    logits = np.full((count, 5), -30.0)
    logits[:, 0], logits[:, 4] = 0.0, odds
    found, _ = temperatures([row], [logits], np.zeros((1, 0)))
    assert found == pytest.approx(odds / np.log(0.8 / 0.2), rel=0.1)


def test_temperature_mends_a_model_that_is_too_sure() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (3000, 5))
    p = np.exp(true) / np.exp(true).sum(-1, keepdims=True)
    drawn = np.array([rng.choice(5, p=q) for q in p])
    targets = np.eye(5)[drawn]
    assert fit_temperature(2 * true, targets) == pytest.approx(2.0, rel=0.15)
    assert fit_temperature(true, targets) == pytest.approx(1.0, rel=0.15)
    assert fit_temperature(true[:10], targets[:10]) == 1.0


def test_own_answers_spell_whole_spans_and_go_through_what_the_rules_say() -> None:
    unsure = probs([(0, 1, 1), (2, 4, 1), (5, 8, 0)], 0.5)  # against the rules at 0:2 and at 2
    unsure[6] = 0.0
    unsure[6, 0], unsure[6, 2] = 0.6, 0.4  # by itself the middle of 5:8 would be O
    (out,) = own_rows([row()], [np.log(np.maximum(unsure, 1e-9))], np.array([[0.0, 2.0]]), 2.0)
    assert out.mentions == ((0, 2, 0), (5, 8, 0))
    assert out.state.tolist() == [POSITIVE] * 2 + [NEGATIVE] * 3 + [POSITIVE] * 3 + [NEGATIVE] * 2
    dense = np.zeros((10, TAGS))
    dense[out.where, out.tag] = out.prob
    assert (dense.argmax(-1) == spans_to_tags(10, out.mentions)).all()
    assert dense.sum(-1) == pytest.approx(np.ones(10))
    assert dense[[0, 1, 2], [1, 3, 0]] == pytest.approx(np.ones(3))  # the rules' own words
    assert 0.5 < dense[6, 2] < 1.0
    assert out.topic[1] == pytest.approx(1 / (1 + np.exp(-2)))
    (spoken,) = own_rows([row([1.0, 0.0])], [np.log(unsure + 1e-9)], np.array([[0.0, 2.0]]), 2.0)
    assert spoken.topic.tolist() == [1.0, 0.0]
