"""Forward-backward and Viterbi of a BIOES chain for a batch of sequences, in log space.

What may follow an open entity is only its own I or E, and after O, E or S the next state depends
only on whether an entity has just ended; so a step costs as many operations as there are states,
not their square. The passes run over the position, in all sequences of a batch together.

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
