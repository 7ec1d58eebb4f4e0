"""THE decode: tag logits -> flat spans with probabilities. NumPy only.

Tags are ``O, B-0, I-0, E-0, S-0, B-1, ...`` (:func:`hanspan.soft.bioes_tags`). Only valid BIOES
paths are considered: a span is S, or B I* E of one label. Because every valid path is "outside"
between two spans, both the best path and the sum over all paths cost O(length x labels), not
O(length x tags^2). The score of a span is its probability under the tag distribution restricted
to valid paths (forward-backward, as in a linear-chain CRF without learned transitions).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
_NEVER = -1e30
_TINY = 1e-290
_BATCH_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class UnitSpan:
    """A span over units (labelled tokens): ``start:end``, label index, probability."""

    start: int
    end: int
    label: int
    score: float


def log_softmax(logits: Floats) -> NDArray[np.float64]:
    """Log-softmax over the last axis, in float64."""
    values = logits.astype(np.float64)
    values = values - values.max(-1, keepdims=True)
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Softmax over the last axis, in float64."""
    values = logits.astype(np.float64)
    values = np.exp(values - values.max(-1, keepdims=True))
    return values / values.sum(-1, keepdims=True)


def decode(
    logits: Sequence[Floats], *, temperature: float = 1.0, scores: bool = True
) -> list[list[UnitSpan]]:
    """Best valid BIOES path of each sequence.

    Args:
        logits: one array (length, 1 + 4 * labels) a sequence; lengths may differ and be 0.
        temperature: logits are divided by it; the best path does not depend on it.
        scores: False leaves every score at 1.0 and saves the forward-backward pass.

    Returns:
        The spans of each sequence from left to right; they never overlap.
    """
    found: list[list[UnitSpan]] = [[] for _ in logits]
    for group in _groups(logits):
        _decode_group(logits, group, temperature, scores, found)
    return found


def marginals(logits: Sequence[Floats]) -> list[NDArray[np.float64]]:
    """Probability of each tag of each unit, over the valid paths alone.

    Args:
        logits: as in :func:`decode`.

    Returns:
        Arrays of the same shapes; rows sum to 1. The likeliest tags of the units nearly always
        spell the best path (99.7 % of spans, where those of the logits spell 89 %).
    """
    found: list[NDArray[np.float64]] = [np.zeros(row.shape) for row in logits]
    for group in _groups(logits):
        lengths, logp = _padded(logits, group, 1.0)
        probs = _tag_marginals(logp)
        for row, index in enumerate(group):
            found[index] = probs[: lengths[row], row]
    return found


def _groups(logits: Sequence[Floats]) -> Iterator[list[int]]:
    """Indices of sequences of like length that are worked on at once; empty ones are left out."""
    order = sorted(range(len(logits)), key=lambda i: len(logits[i]))
    group: list[int] = []
    for position, index in enumerate(order):
        group.append(index)
        longer = order[position + 1] if position + 1 < len(order) else None
        if longer is None or _cells(logits[longer], len(group) + 1) > _BATCH_CELLS:
            if len(logits[group[-1]]):
                yield group
            group = []


def _cells(one: Floats, count: int) -> int:
    return int(np.prod(one.shape)) * count


def _decode_group(
    logits: Sequence[Floats],
    group: list[int],
    temperature: float,
    scores: bool,
    found: list[list[UnitSpan]],
) -> None:
    lengths, logp = _padded(logits, group, temperature)
    path = viterbi(logp)
    before, after = forward_backward(logp) if scores else (None, None)
    for row, index in enumerate(group):
        spans = tags_to_spans(path[: lengths[row], row])
        if before is None or after is None:
            found[index] = [UnitSpan(a, b, label, 1.0) for a, b, label in spans]
            continue
        for a, b, label in spans:
            inner = float(logp[np.arange(a, b), row, path[a:b, row]].sum())
            score = inner + before[a, row] + after[b, row] - before[-1, row]
            found[index].append(UnitSpan(a, b, label, float(min(1.0, np.exp(score)))))


def _padded(
    logits: Sequence[Floats], group: list[int], temperature: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lengths, and log-probabilities (length, batch, tags), of the sequences of a group."""
    lengths = np.array([len(logits[i]) for i in group])
    tags = logits[group[0]].shape[1]
    # Time first: each step of the recursions then reads one contiguous block.
    logp = np.full((int(lengths.max()), len(group), tags), _NEVER)
    logp[:, :, 0] = 0.0  # padding is O with probability 1
    for row, index in enumerate(group):
        logp[: lengths[row], row] = log_softmax(logits[index] / temperature)
    return lengths, logp


def _parts(logp: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Views of O (L, B) and of B, I, E, S (L, B, labels)."""
    length, batch, tags = logp.shape
    rest = logp[:, :, 1:].reshape(length, batch, (tags - 1) // 4, 4)
    return logp[:, :, 0], rest[..., 0], rest[..., 1], rest[..., 2], rest[..., 3]


def viterbi(logp: NDArray[np.float64]) -> NDArray[np.int64]:
    """Best valid path of log-probabilities (length, batch, tags) -> tags (length, batch)."""
    length, batch, tags = logp.shape
    labels = (tags - 1) // 4
    path = np.zeros((length, batch), np.int64)
    if not labels:
        return path
    rows = np.arange(batch)
    o, b, i, e, s = _parts(logp)
    outside = np.zeros(batch)  # best score of a prefix that ends outside
    inside = np.full((batch, labels), _NEVER)  # ... that ends within a span of each label
    last = np.zeros((length, batch), np.int64)  # tag that closes the best outside prefix
    opened = np.zeros((length, batch, labels), bool)  # best way to be inside is to open here
    best_s, best_e = s.argmax(-1), None
    for t in range(length):
        single = best_s[t]
        as_s = outside + s[t][rows, single]
        closing = inside + e[t]
        best_e = closing.argmax(-1)
        as_e = closing[rows, best_e]
        as_o = outside + o[t]
        begin, go_on = outside[:, None] + b[t], inside + i[t]
        opened[t] = begin >= go_on
        inside = np.where(opened[t], begin, go_on)
        outside = np.maximum(as_o, np.maximum(as_s, as_e))
        last[t] = np.where(
            as_o >= outside, 0, np.where(as_s >= outside, 4 + 4 * single, 3 + 4 * best_e)
        )
    label = np.full(batch, -1)  # label of the span that the backward walk is within
    for t in range(length - 1, -1, -1):
        within = label >= 0
        starts = within & opened[t][rows, label]
        path[t] = np.where(within, np.where(starts, 1, 2) + 4 * label, last[t])
        ends = ~within & (last[t] > 0) & (last[t] % 4 == 3)
        label = np.where(ends, (last[t] - 3) // 4, np.where(starts, -1, label))
    return path


def forward_backward(
    logp: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-sums over valid paths, each (length + 1, batch).

    ``before[t]`` sums over the units before t, ending outside; ``after[t]`` over the units from
    t on, starting outside; ``before[-1] == after[0]`` is the log of the whole.
    """
    o, b, i, e, s = _parts(np.exp(logp))
    stay = o + s.sum(-1)
    before = _sweep(stay, b, i, e)
    after = _sweep(stay[::-1], e[::-1], i[::-1], b[::-1])[::-1]
    return before, after


def _sweep(
    stay: NDArray[np.float64],
    enter: NDArray[np.float64],
    inner: NDArray[np.float64],
    leave: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Scaled forward sums over paths that end outside, as logs (length + 1, batch)."""
    length, batch = stay.shape
    sums = np.zeros((length + 1, batch))
    outside, scale = np.ones(batch), np.zeros(batch)
    inside = np.zeros((batch, enter.shape[-1]))
    for step in range(length):
        closed = (inside * leave[step]).sum(-1)
        inside = outside[:, None] * enter[step] + inside * inner[step]
        outside = outside * stay[step] + closed
        total = np.maximum(outside + inside.sum(-1), _TINY)
        outside, inside, scale = outside / total, inside / total[:, None], scale + np.log(total)
        sums[step + 1] = scale + np.log(np.maximum(outside, _TINY))
    return sums


def _tag_marginals(logp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Marginals over valid paths, (length, batch, tags), by scaled sums from both ends."""
    length, batch, _ = logp.shape
    o, b, i, e, s = _parts(np.exp(logp))
    stay = o + s.sum(-1)

    def sums(stay: Any, enter: Any, inner: Any, leave: Any) -> tuple[Any, Any]:
        outside = np.ones((length + 1, batch))
        inside = np.zeros((length + 1, batch, enter.shape[-1]))
        for t in range(length):
            out = outside[t] * stay[t] + (inside[t] * leave[t]).sum(-1)
            within = outside[t][:, None] * enter[t] + inside[t] * inner[t]
            total = np.maximum(out + within.sum(-1), _TINY)
            outside[t + 1], inside[t + 1] = out / total, within / total[:, None]
        return outside, inside

    out, within = sums(stay, b, i, e)
    late_out, late_within = (a[::-1] for a in sums(stay[::-1], e[::-1], i[::-1], b[::-1]))
    before, after = out[:-1, :, None], late_out[1:, :, None]
    parts = [before * b * late_within[1:], within[:-1] * i * late_within[1:],
             within[:-1] * e * after, before * s * after]  # fmt: skip
    found = np.concatenate(
        [before * o[..., None] * after, np.stack(parts, -1).reshape(length, batch, -1)], -1
    )
    return found / np.maximum(found.sum(-1, keepdims=True), _TINY)


def tags_to_spans(tags: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """``(start, end, label index)`` of each span of a valid tag sequence."""
    spans = []
    start = 0
    for t in np.flatnonzero(tags):
        label, part = divmod(int(tags[t]) - 1, 4)
        if part in (0, 3):
            start = int(t)
        if part in (2, 3):
            spans.append((start, int(t) + 1, label))
    return spans


def spans_to_tags(length: int, spans: Sequence[tuple[int, int, int]]) -> NDArray[np.int64]:
    """The tag of each of ``length`` units; the spans ``(start, end, label)`` must not overlap."""
    tags = np.zeros(length, np.int64)
    for start, end, label in spans:
        base = 1 + 4 * label
        if end - start == 1:
            tags[start] = base + 3
        else:
            tags[start:end] = base + 1
            tags[start], tags[end - 1] = base, base + 2
    return tags
