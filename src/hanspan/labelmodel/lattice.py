"""Sums and maxima over all sets of spans without overlap, for many patterns at once.

A pattern has n candidate places, sorted by end. A set of places that do not overlap has weight
``exp(sum of the log odds of its places)``; the empty set has weight 1. Forward and backward
passes run over the rank of a place, in all patterns of a batch together: no loop over
characters or patterns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 4096
"""Patterns of similar size that are padded to one table."""


@dataclass(frozen=True)
class Lattice:
    """Places of many patterns, flat.

    Attributes:
        start, end: of each place, sorted within a pattern by (end, start).
        offsets: places of pattern p are ``offsets[p]:offsets[p + 1]``.
    """

    start: Ints
    end: Ints
    offsets: Ints

    def __post_init__(self) -> None:
        sizes = np.diff(self.offsets)
        order = np.argsort(sizes, kind="stable")
        chunks = []
        for lo in range(0, len(order), CHUNK):
            rows = order[lo : lo + CHUNK]
            rows = rows[sizes[rows] > 0]
            if len(rows):
                chunks.append(self._table(rows, sizes[rows]))
        object.__setattr__(self, "_chunks", chunks)

    def _table(self, rows: Ints, sizes: Ints) -> tuple[Ints, NDArray[np.bool_], Ints, Ints]:
        """Index of places (R, n), mask, rank of the last compatible before, of the first after."""
        width = int(sizes.max())
        rank = np.arange(width)
        mask = rank[None] < sizes[:, None]
        index = np.where(mask, self.offsets[rows][:, None] + rank[None], 0)
        start = np.where(mask, self.start[index], 1 << 40)
        end = np.where(mask, self.end[index], 1 << 40)
        before = np.empty((len(rows), width), np.int64)
        for k in range(width):  # ends are sorted: count those at or before this start
            before[:, k] = (end <= start[:, k, None]).sum(1)
        return index, mask, before, sizes

    def marginals(self, odds: Floats) -> tuple[Floats, Floats]:
        """Probability of each place, and log of the sum over sets for each pattern.

        Args:
            odds: log odds of each place.

        Returns:
            probabilities in the shape of ``odds``, log sums (P,).
        """
        prob = np.zeros_like(odds)
        total = np.zeros(len(self.offsets) - 1)
        for index, mask, before, _ in self._chunks:  # type: ignore[attr-defined]
            weight = np.where(mask, odds[index], -np.inf)
            rows, width = weight.shape
            line = np.arange(rows)
            forward = np.zeros((rows, width + 1))
            for k in range(width):
                forward[:, k + 1] = np.logaddexp(
                    forward[:, k], forward[line, before[:, k]] + weight[:, k]
                )
            # gradient of the log sum with respect to each weight, from the last rank back
            flow = np.zeros((rows, width + 1))
            flow[:, width] = 1.0
            for k in range(width - 1, -1, -1):
                out = flow[:, k + 1]
                keep = np.exp(forward[:, k] - forward[:, k + 1])
                taken = out * (1.0 - keep)
                flow[:, k] += out * keep
                flow[line, before[:, k]] += taken
                prob[index[mask[:, k], k]] = np.clip(taken[mask[:, k]], 0.0, 1.0)
            owner = np.searchsorted(self.offsets, index[:, 0], side="right") - 1
            total[owner] = forward[:, width]
        return prob, total

    def best(self, odds: Floats) -> NDArray[np.bool_]:
        """Which places are in the set of greatest weight; ties go to fewer places."""
        chosen = np.zeros(len(odds), bool)
        for index, mask, before, _ in self._chunks:  # type: ignore[attr-defined]
            weight = np.where(mask, odds[index] - 1e-9, -np.inf)
            rows, width = weight.shape
            line = np.arange(rows)
            score = np.zeros((rows, width + 1))
            take = np.zeros((rows, width), bool)
            for k in range(width):
                with_place = score[line, before[:, k]] + weight[:, k]
                take[:, k] = with_place > score[:, k]
                score[:, k + 1] = np.maximum(score[:, k], with_place)
            at = np.full(rows, width)
            for k in range(width - 1, -1, -1):
                here = (at == k + 1) & take[:, k]
                chosen[index[here, k]] = True
                at = np.where(here, before[:, k], np.minimum(at, k))
        return chosen
