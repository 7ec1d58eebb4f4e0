"""From probabilities of places to spans, states and tag distributions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.items import Items
from hanspan.labelmodel.resolution import Chosen, Resolution, entries, states
from hanspan.labelmodel.votes import Names, Pattern

Floats = NDArray[np.float64]
LONE = 0.7
"""Factor of the threshold where no other place overlaps: nobody speaks against the rule there."""
FAINT = 0.05
"""A place of unknown or losing type whose entity probability is below this leaves no trace."""


def pick(
    patterns: Sequence[Pattern], items: Items, q: Floats, names: Names, threshold: float
) -> list[Resolution]:
    """Answers: the most probable set of places that do not overlap, each above the threshold.

    Args:
        patterns: those that ``items`` was built from.
        items: their places.
        q: (I, T) probability of each type; the rest to 1 is "no entity".
        names: labels and rules.
        threshold: of the probability of the best type.
    """
    open_to_choice = np.where(items.voted, q, 0.0)
    prob = open_to_choice.max(1, initial=0.0)
    label = open_to_choice.argmax(1) if len(items) else np.zeros(0, np.int64)
    bounds = items.lattice.offsets
    lone = np.repeat(np.diff(bounds) == 1, np.diff(bounds))
    odds = _logit(prob) - _logit(np.where(lone, LONE * threshold, threshold))
    odds[~items.voted.any(1)] = -np.inf
    taken = items.lattice.best(odds)
    return [
        _answer(pattern, slice(bounds[i], bounds[i + 1]), items, q, label, taken, names)
        for i, pattern in enumerate(patterns)
    ]


def _logit(p: Floats) -> Floats:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(p / (1 - p)))


def _answer(
    pattern: Pattern,
    part: slice,
    items: Items,
    q: Floats,
    label: NDArray[np.int64],
    taken: NDArray[np.bool_],
    names: Names,
) -> Resolution:
    starts, ends = items.lattice.start[part].tolist(), items.lattice.end[part].tolist()
    rows, best, take = q[part], label[part].tolist(), taken[part].tolist()
    chosen: list[Chosen] = []
    readings: list[tuple[int, int, int, float]] = []
    covered: set[int] = set()
    for i, (lo, hi) in enumerate(zip(starts, ends, strict=True)):
        row = rows[i]
        readings += [(lo, hi, int(y), float(row[y])) for y in np.flatnonzero(row > 1e-3)]
        if take[i] or row.sum() > FAINT:
            covered.update(range(lo, hi))
        if take[i]:
            y = best[i]
            rules = sorted({r for s, e, k, r, _ in pattern.votes if (s, e, k) == (lo, hi, y)})
            chosen.append(Chosen(lo, hi, y, float(row[y]), tuple(rules)))
    char, tag, prob = entries(readings, covered, pattern.length)
    entity = {c for lo, hi in zip(starts, ends, strict=True) for c in range(lo, hi)}
    negative = {
        c for s, e, k, _, _ in pattern.votes if k == names.none for c in range(s, e)
    } - entity
    return Resolution(tuple(chosen), states(chosen, negative, pattern.length), char, tag, prob)
