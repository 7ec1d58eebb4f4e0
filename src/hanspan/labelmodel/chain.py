"""Forward-backward and Viterbi of a BIOES chain for a batch of sequences, in log space.

What may follow an open entity is only its own I or E, and after O, E or S the next state depends
only on whether an entity has just ended; so a step costs as many operations as there are states,
not their square. The passes run over the position, in all sequences of a batch together.

:func:`expected` is the E-step of a fit: the same sums with probabilities scaled at each position
instead of logarithms, several times as fast; where a probability would vanish it takes those of
:func:`forward_backward`.

States are numbered O, then B of each of K labels, then I, then E, then S.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TINY = -1e30
"""Log of nought, finite so that the difference of two of them is a number."""


@dataclass(frozen=True)
class Chain:
    """Log probabilities of transitions, for each sequence of a batch.

    Attributes:
        opening: (P, 2, 1 + 2K), from O and from the end of an entity, to O, B and S of labels.
        going: (P, 2, K), from B and from I, to I of the same label.
        leaving: (P, 2, K), from B and from I, to E of the same label.
    """

    opening: Floats
    going: Floats
    leaving: Floats

    @property
    def labels(self) -> int:
        """K."""
        return self.going.shape[2]


def logsum(values: Floats, axis: int) -> Floats:
    """log(sum(exp(values))) along an axis."""
    top = values.max(axis, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis)) + np.squeeze(top, axis))


def forward_backward(emit: Floats, lengths: Ints, chain: Chain) -> tuple[Floats, Floats, Floats]:
    """Log forward and backward scores and the log of the sum over all paths.

    A sequence stands between two O that are not part of it.

    Args:
        emit: (P, L, 1 + 4K) log score of each state at each position, at least :data:`TINY`;
            positions at or after a sequence's length are not looked at.
        lengths: (P,), at least 1.
        chain: transitions.

    Returns:
        alpha (P, L, S), with the emission of its own position; beta (P, L, S), without;
        log sum (P,).
    """
    rows, width, states = emit.shape
    k = chain.labels
    b, i, e, s = (slice(1 + part * k, 1 + (part + 1) * k) for part in range(4))
    opening = chain.opening
    alpha, beta = np.full_like(emit, TINY), np.full_like(emit, TINY)

    def close(free: Floats, ended: Floats) -> Floats:
        """Score of O, B and S after O with score ``free`` or an entity's end with ``ended``."""
        return np.logaddexp(free[:, None] + opening[:, 0], ended[:, None] + opening[:, 1])

    alpha[:, 0, 0] = opening[:, 0, 0]
    alpha[:, 0, b], alpha[:, 0, s] = opening[:, 0, 1 : 1 + k], opening[:, 0, 1 + k :]
    alpha[:, 0] = np.maximum(alpha[:, 0] + emit[:, 0], TINY)
    for t in range(1, width):
        old, new = alpha[:, t - 1], alpha[:, t]
        into = close(old[:, 0], logsum(old[:, 1 + 2 * k :], 1))
        new[:, 0], new[:, b], new[:, s] = into[:, 0], into[:, 1 : 1 + k], into[:, 1 + k :]
        new[:, i] = np.logaddexp(old[:, b] + chain.going[:, 0], old[:, i] + chain.going[:, 1])
        new[:, e] = np.logaddexp(old[:, b] + chain.leaving[:, 0], old[:, i] + chain.leaving[:, 1])
        np.maximum(new + emit[:, t], TINY, out=new)
    last = np.full((rows, states), TINY)
    last[:, 0] = opening[:, 0, 0]
    last[:, 1 + 2 * k :] = opening[:, 1, :1]
    beta[:, width - 1] = last
    for t in range(width - 2, -1, -1):
        ahead = np.maximum(emit[:, t + 1] + beta[:, t + 1], TINY)
        opened = np.concatenate([ahead[:, :1], ahead[:, b], ahead[:, s]], 1)
        fresh = np.empty((rows, states))
        fresh[:, 0] = logsum(opening[:, 0] + opened, 1)
        fresh[:, 1 + 2 * k :] = logsum(opening[:, 1] + opened, 1)[:, None]
        fresh[:, b] = np.logaddexp(
            chain.going[:, 0] + ahead[:, i], chain.leaving[:, 0] + ahead[:, e]
        )
        fresh[:, i] = np.logaddexp(
            chain.going[:, 1] + ahead[:, i], chain.leaving[:, 1] + ahead[:, e]
        )
        beta[:, t] = np.where((t + 1 < lengths)[:, None], np.maximum(fresh, TINY), last)
    total = logsum(alpha[np.arange(rows), lengths - 1] + last, 1)
    return alpha, beta, total


@dataclass(frozen=True)
class Expected:
    """What an E-step needs, for each sequence of a batch.

    Attributes:
        gamma: (P, L, S) probability of each state; nought at or after a sequence's length.
        opening: (P, 2, 1 + 2K), going, leaving: (P, 2, K), expected number of transitions of each
            kind of :class:`Chain`, those from and to the O around a sequence among them.
        total: (P,) log of the sum over all paths.
    """

    gamma: Floats
    opening: Floats
    going: Floats
    leaving: Floats
    total: Floats


VANISHING = -300.0
"""Log of a forward sum, relative to the best state of each position, below which a path that
counts may have been rounded to nought on the way (the least double is e ** -745)."""


def expected(emit: Floats, lengths: Ints, chain: Chain) -> Expected:
    """Expected states and transitions; arguments as of :func:`forward_backward`."""
    with np.errstate(all="ignore"):  # what overflows is done again
        found, sure = _scaled(emit, lengths, chain)
    if not sure.all():
        rows = np.flatnonzero(~sure)
        part = Chain(chain.opening[rows], chain.going[rows], chain.leaving[rows])
        again = _from_logs(emit[rows], lengths[rows], part)
        for name in ("gamma", "opening", "going", "leaving", "total"):
            getattr(found, name)[rows] = getattr(again, name)
    return found


def _scaled(emit: Floats, lengths: Ints, chain: Chain) -> tuple[Expected, NDArray[np.bool_]]:
    """The passes on probabilities, and for which sequences they are to be trusted."""
    rows, width, states = emit.shape
    k = chain.labels
    b, i, e, _ = (slice(1 + part * k, 1 + (part + 1) * k) for part in range(4))
    opens = np.r_[0 : 1 + k, 1 + 3 * k : 1 + 4 * k]  # O, B and S
    # position, state, sequence: the innermost loops of numpy then run over the sequences
    inside = (np.arange(width)[:, None] < lengths)[:, None]
    score = np.ascontiguousarray(np.moveaxis(emit, 0, 2))
    top = np.where(inside, score.max(1, keepdims=True), 0.0)
    local = np.exp(np.where(inside, score, 0.0) - top)
    opening, going, leaving = (
        np.exp(np.moveaxis(move, 0, 2)) for move in (chain.opening, chain.going, chain.leaving)
    )
    alpha, scale = np.zeros_like(local), np.ones((width, rows))
    into = opening[0]
    for t in range(width):
        new = alpha[t]
        if t:
            old = alpha[t - 1]
            into = old[0] * opening[0] + old[1 + 2 * k :].sum(0) * opening[1]
            new[i] = old[b] * going[0] + old[i] * going[1]
            new[e] = old[b] * leaving[0] + old[i] * leaving[1]
        new[opens] = into
        new *= local[t]
        scale[t] = new.sum(0)
        new /= scale[t]
    last = np.zeros((states, rows))  # to the O behind
    last[0] = opening[0, 0]
    last[1 + 2 * k :] = opening[1, :1]
    final = alpha[lengths - 1, :, np.arange(rows)].T * last
    behind = final.sum(0)
    last /= behind
    beta, ahead = np.empty_like(local), np.zeros_like(local)
    for t in range(width - 1, -1, -1):
        now = beta[t]
        if t + 1 < width:
            coming = ahead[t + 1]
            from_o, from_end = (opening * coming[opens]).sum(1)
            now[0], now[1 + 2 * k :] = from_o, from_end
            now[b] = going[0] * coming[i] + leaving[0] * coming[e]
            now[i] = going[1] * coming[i] + leaving[1] * coming[e]
        ended = lengths <= t + 1
        now[:, ended] = last[:, ended]
        np.multiply(now, local[t] / scale[t], out=ahead[t])
    ahead[~np.broadcast_to(inside, ahead.shape)] = 0.0
    gamma = np.where(inside, alpha * beta, 0.0)
    old, new = alpha[:-1], ahead[1:]
    sources = np.where(inside[1:, 0], np.stack([old[:, 0], old[:, 1 + 2 * k :].sum(1)]), 0.0)
    opened = new[:, opens]
    moves = np.stack([(mass[:, None] * opened).sum(0) for mass in sources])
    moves[0] += ahead[0, opens]
    moves *= opening
    moves[0, 0] += final[0] / behind
    moves[1, 0] += final[1 + 2 * k :].sum(0) / behind
    stays, leaves = (
        np.stack([np.where(inside[1:], old[:, part] * new[:, to], 0.0).sum(0) for part in (b, i)])
        for to in (i, e)
    )
    stays *= going
    leaves *= leaving
    sums = np.where(inside[:, 0], np.log(scale), 0.0).sum(0) + np.log(behind)
    sure = sums > VANISHING
    gamma, moves, stays, leaves = (np.moveaxis(x, 2, 0) for x in (gamma, moves, stays, leaves))
    return Expected(gamma, moves, stays, leaves, sums + top[:, 0].sum(0)), sure


def _from_logs(emit: Floats, lengths: Ints, chain: Chain) -> Expected:
    """The same from the passes in log space."""
    rows, width, _ = emit.shape
    k = chain.labels
    b, i, e, s = (slice(1 + part * k, 1 + (part + 1) * k) for part in range(4))
    alpha, beta, total = forward_backward(emit, lengths, chain)
    inside = np.arange(width)[None] < lengths[:, None]
    gamma = np.exp(np.minimum(alpha + beta - total[:, None, None], 0.0)) * inside[:, :, None]
    old, new = alpha[:, :-1], (emit + beta - total[:, None, None])[:, 1:]
    live = inside[:, 1:, None]

    def count(score: Floats) -> Floats:
        return np.asarray((np.exp(np.minimum(score, 0.0)) * live).sum(1))

    opens = np.concatenate([new[:, :, :1], new[:, :, b], new[:, :, s]], 2)
    ended = logsum(old[:, :, 1 + 2 * k :], 2)[:, :, None] if width > 1 else old[:, :, :1]
    moves = np.stack(
        [
            count(mass + chain.opening[:, None, source] + opens)
            for source, mass in ((0, old[:, :, :1]), (1, ended))
        ],
        1,
    )
    moves[:, 0] += np.concatenate([gamma[:, 0, :1], gamma[:, 0, b], gamma[:, 0, s]], 1)
    final = gamma[np.arange(rows), lengths - 1]
    moves[:, 0, 0] += final[:, 0]
    moves[:, 1, 0] += final[:, 1 + 2 * k :].sum(1)
    stays, leaves = (
        np.stack(
            [
                count(old[:, :, part] + move[:, None, source] + new[:, :, to])
                for source, part in ((0, b), (1, i))
            ],
            1,
        )
        for move, to in ((chain.going, i), (chain.leaving, e))
    )
    return Expected(gamma, moves, stays, leaves, total)


def viterbi(emit: Floats, lengths: Ints, chain: Chain) -> tuple[Ints, Floats]:
    """Best path of each sequence (P, L) and its log score (P,); arguments as above."""
    rows, width, states = emit.shape
    move = dense(chain)
    k = chain.labels
    score = np.full((rows, states), TINY)
    score[:, 0] = chain.opening[:, 0, 0]
    score[:, 1 : 1 + k] = chain.opening[:, 0, 1 : 1 + k]
    score[:, 1 + 3 * k :] = chain.opening[:, 0, 1 + k :]
    score = np.maximum(score + emit[:, 0], TINY)
    back = np.zeros((rows, width, states), np.int64)
    for t in range(1, width):
        options = score[:, :, None] + move
        back[:, t] = options.argmax(1)
        fresh = np.maximum(options.max(1) + emit[:, t], TINY)
        score = np.where((t < lengths)[:, None], fresh, score)
    end = score + move[:, :, 0]
    state, line = end.argmax(1), np.arange(rows)
    path = np.zeros((rows, width), np.int64)
    for t in range(width - 1, -1, -1):
        path[:, t] = np.where(t < lengths, state, 0)
        state = np.where(t < lengths, back[line, t, state], state)
    return path, end.max(1)


def dense(chain: Chain) -> Floats:
    """All transitions as one table (P, S, S), from and to."""
    k, rows = chain.labels, len(chain.opening)
    move = np.full((rows, 1 + 4 * k, 1 + 4 * k), TINY)
    opens = np.concatenate([[0], np.arange(1, 1 + k), np.arange(1 + 3 * k, 1 + 4 * k)])
    move[:, 0, opens] = chain.opening[:, 0]
    for source in range(1 + 2 * k, 1 + 4 * k):
        move[:, source, opens] = chain.opening[:, 1]
    line = np.arange(k)
    for part in range(2):
        move[:, 1 + part * k + line, 1 + k + line] = chain.going[:, part]
        move[:, 1 + part * k + line, 1 + 2 * k + line] = chain.leaving[:, part]
    return move
