"""Self-training and distillation: a teacher's confident soft answers beside the rules' labels.

BOND (KDD 2020) and RoSTER (EMNLP 2021): targets are soft and sharpened, only confident ones
count, and spans of rules stay as they are (the anchor), so that errors of the teacher cannot
wash them out. Teachers may be several; their probabilities are averaged (not their labels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hanspan.decode import decode, marginals, softmax
from hanspan.rows import IGNORED, Row, token_spans, unit_logits
from hanspan.soft import NEGATIVE, POSITIVE, UNKNOWN

_FLOOR = 0.01
_CERTAIN = 0.9999
_ANCHOR = 50.0
"""Added to the logit of what a rule says, so that paths go through it."""


def sharpen(probs: NDArray[np.floating], power: float) -> NDArray[np.float64]:
    """Probabilities raised to ``power`` and normalised over the last axis."""
    raised = np.asarray(probs, np.float64) ** power
    return raised / np.maximum(raised.sum(-1, keepdims=True), 1e-300)


def mean_probs(answers: Sequence[Sequence[NDArray[np.floating]]]) -> list[NDArray[np.float32]]:
    """Mean over teachers of the probabilities of each row: logits in, probabilities out."""
    return [
        np.mean([softmax(logits) for logits in of_row], axis=0).astype(np.float32)
        for of_row in zip(*answers, strict=True)
    ]


def draw_tokens(rows: Sequence[Row], tokens: int, seed: int) -> list[Row]:
    """Rows in random order until they hold so many tokens, or all."""
    drawn, held = [], 0
    for index in np.random.default_rng(seed).permutation(len(rows)):
        drawn.append(rows[index])
        held += len(rows[index])
        if held >= tokens:
            break
    return drawn


def teacher_rows(
    rows: Sequence[Row],
    probs: Sequence[NDArray[np.floating]],
    topic_probs: NDArray[np.floating],
    *,
    confidence: float,
    sure_o: float,
    power: float,
    topic_confidence: float,
    anchors: bool = True,
) -> list[Row]:
    """Rows whose unknown tokens got the teacher's answer where it is sure.

    Args:
        rows: with the rules' labels.
        probs: the teacher's tag probabilities (tokens, tags) of each row.
        topic_probs: the teacher's topic probabilities (rows, topics).
        confidence: a span of the teacher counts from this probability on; it must not touch a
            labelled token.
        sure_o: an ``O`` of the teacher counts from this probability on.
        power: see :func:`sharpen`.
        topic_confidence: see :func:`teacher_topics`.
        anchors: keep what rules say of tokens; False lets the teacher answer for these too. Hand
            labels, which leave no token of a row unknown, stay.

    Returns:
        Rows without UNKNOWN tokens: those the teacher is not sure of are IGNORED.
    """
    topics = teacher_topics(rows, topic_probs, topic_confidence, power)
    if not anchors:
        rows = [_adrift(row) for row in rows]
    pairs = list(zip(rows, probs, strict=True))
    spans = decode([unit_logits(row, np.log(np.maximum(p, 1e-12))) for row, p in pairs])
    out = []
    for number, (row, p) in enumerate(pairs):
        units = row.state != IGNORED
        labelled = np.zeros(len(row), bool)
        labelled[row.where] = True
        free = (row.state == UNKNOWN) & ~labelled
        found = np.zeros(len(row), bool)
        mentions = list(row.mentions)
        for span in token_spans(row, spans[number]):
            place = slice(span.start, span.end)
            if span.score >= confidence and (free | ~units)[place].all():
                found[place] = units[place]
                mentions.append((span.start, span.end, span.label))
        quiet = free & ~found & (p[:, 0] >= sure_o)
        state = row.state.copy()
        state[found] = POSITIVE
        state[quiet] = NEGATIVE
        state[free & ~found & ~quiet] = IGNORED
        soft = sharpen(p, power)
        soft[~(found | quiet)] = 0
        soft[soft < _FLOOR] = 0
        soft /= np.maximum(soft.sum(-1, keepdims=True), 1e-12)
        where, tag = np.nonzero(soft)
        order = np.argsort(np.concatenate([row.where, where]), kind="stable")
        out.append(
            replace(
                row,
                state=state,
                where=np.concatenate([row.where, where])[order],
                tag=np.concatenate([row.tag, tag])[order],
                prob=np.concatenate([row.prob, soft[where, tag].astype(np.float32)])[order],
                topic=topics[number],
                mentions=tuple(sorted(mentions)),
            )
        )
    return out


def _adrift(row: Row) -> Row:
    """The row without the rules' labels of tokens."""
    if not (row.state == UNKNOWN).any():
        return row
    state = np.where(row.state == IGNORED, row.state, UNKNOWN).astype(row.state.dtype)
    nothing = (row.where[:0], row.tag[:0], row.prob[:0])
    return replace(row, state=state, where=nothing[0], tag=nothing[1], prob=nothing[2], mentions=())


def teacher_topics(
    rows: Sequence[Row], probs: NDArray[np.floating], confidence: float, power: float
) -> list[NDArray[np.float32]]:
    """Topic targets of each row by the teacher: where it is sure, in place of the rules'.

    Rules of topics speak of nearly every document and are often wrong, so they are no anchor
    (COSINE, NAACL 2021); what is given with probability 1, as hand labels alone are, is one.

    Args:
        rows: with the labels so far; windows of one document have its number, in any order.
        probs: the teacher's topic probabilities (rows, topics).
        confidence: a topic counts from this probability on, by the mean over the document's
            windows; others keep the labels that they have.
        power: see :func:`sharpen`.
    """
    if not rows or not len(rows[0].topic):
        return [row.topic for row in rows]
    _, of = np.unique([row.document for row in rows], return_inverse=True)
    seen = np.zeros((of.max() + 1, probs.shape[1]))
    np.add.at(seen, of, probs * np.array([len(row) for row in rows])[:, None])
    seen /= seen.sum(-1, keepdims=True)
    targets, sure = sharpen(seen, power).astype(np.float32), seen.max(-1) >= confidence
    return [
        targets[n] * np.float32(row.share)
        if sure[n] and row.topic.max() < _CERTAIN * row.share
        else row.topic
        for n, row in zip(of, rows, strict=True)
    ]


def own_rows(
    rows: Sequence[Row],
    logits: Sequence[NDArray[np.floating]],
    topics: NDArray[np.floating],
    power: float,
) -> list[Row]:
    """Rows whose every token has the student's own answer, taken over valid paths alone.

    Of such answers the likeliest tag of each token alone spells whole spans, so a student of
    these rows learns to decide the tokens of an uncertain span alike. Uncertain spans are what
    it is about; in :func:`teacher_rows` they do not count.

    Args:
        rows: with the rules' labels; paths go through these.
        logits: the student's own tag logits (tokens, tags) of each row.
        topics: its topic logits (rows, topics); they replace those of rules, sure or not.
        power: see :func:`sharpen`.
    """
    by_topic = teacher_topics(rows, softmax(topics) if topics.size else topics, 0.0, 1.0)
    steered = []
    for row, values in zip(rows, logits, strict=True):
        said = np.zeros(values.shape, np.float32)
        said[row.where, row.tag] = row.prob
        said[~said.any(-1) & (row.state == NEGATIVE), 0] = 1.0
        pull = _ANCHOR * ((said > 0) & (said >= said.max(-1, keepdims=True)))
        steered.append(unit_logits(row, values + pull))
    paths = decode(steered, scores=False)
    out = []
    for number, (row, probs) in enumerate(zip(rows, marginals(steered), strict=True)):
        units = row.state != IGNORED
        soft = np.zeros((len(row), probs.shape[-1]))
        soft[units] = sharpen(probs, power)
        soft[soft < _FLOOR] = 0
        soft /= np.maximum(soft.sum(-1, keepdims=True), 1e-12)
        where, tag = np.nonzero(soft)
        state = np.where(soft.argmax(-1) > 0, POSITIVE, NEGATIVE).astype(np.uint8)
        state[~units] = IGNORED
        out.append(
            replace(
                row,
                state=state,
                where=where,
                tag=tag,
                prob=soft[where, tag].astype(np.float32),
                topic=by_topic[number],
                mentions=tuple((s.start, s.end, s.label) for s in token_spans(row, paths[number])),
            )
        )
    return out
