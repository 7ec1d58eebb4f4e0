"""What a label model says about one pattern: spans, states, and a distribution over tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.votes import Pattern
from hanspan.soft import POSITIVE, UNKNOWN

SMALLEST = 0.01
"""Entries of the tag distribution below this are dropped."""

Hypothesis = tuple[int, int, int, float]
"""start, end, label index, mass: one reading of some characters."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A span of the answer: relative place, label index, probability, rules that voted for it."""

    start: int
    end: int
    label: int
    score: float
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer for one pattern.

    Attributes:
        chosen: spans, sorted, none overlapping.
        state: uint8 (length,), UNKNOWN, NEGATIVE or POSITIVE.
        char: int32 (m,), sorted; the character of each entry.
        tag: uint8 (m,), index into ``bioes_tags``.
        prob: float32 (m,); sums to 1 for each character that has entries.
    """

    chosen: tuple[Chosen, ...]
    state: NDArray[np.uint8]
    char: NDArray[np.int32]
    tag: NDArray[np.uint8]
    prob: NDArray[np.float32]


class SpanModel(Protocol):
    """What every label model of spans offers."""

    touching: bool
    """Whether votes that touch belong to one pattern."""

    def resolve(self, patterns: Sequence[Pattern]) -> list[Resolution]:
        """The answer for each pattern."""
        ...


def tag_of(position: int, start: int, end: int, label: int) -> int:
    """Index of the BIOES tag that a span gives to one of its characters."""
    if end - start == 1:
        part = 3
    elif position == start:
        part = 0
    elif position == end - 1:
        part = 2
    else:
        part = 1
    return 1 + 4 * label + part


def entries(
    hypotheses: Iterable[Hypothesis], covered: Iterable[int], length: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.float32]]:
    """Tag distribution of the covered characters from weighted readings of them.

    Args:
        hypotheses: readings; at each character their masses must sum to at most 1, and the rest
            goes to ``O``.
        covered: characters that get entries.
        length: of the pattern.
    """
    rows: list[dict[int, float]] = [{} for _ in range(length)]
    for start, end, label, mass in hypotheses:
        for position in range(start, end):
            tag = tag_of(position, start, end, label)
            rows[position][tag] = rows[position].get(tag, 0.0) + mass
    char: list[int] = []
    tags: list[int] = []
    prob: list[float] = []
    for position in sorted(set(covered)):
        row = rows[position]
        rest = 1.0 - sum(row.values())
        if rest > 0:
            row[0] = row.get(0, 0.0) + rest
        best = max(row.values())
        kept = {tag: mass for tag, mass in row.items() if mass >= min(SMALLEST, best)}
        total = sum(kept.values())
        for tag in sorted(kept):
            char.append(position)
            tags.append(tag)
            prob.append(kept[tag] / total)
    return np.array(char, np.int32), np.array(tags, np.uint8), np.array(prob, np.float32)


def states(chosen: Iterable[Chosen], negative: Iterable[int], length: int) -> NDArray[np.uint8]:
    """State of each character: POSITIVE in a chosen span, NEGATIVE where listed, else UNKNOWN."""
    from hanspan.soft import NEGATIVE

    state = np.full(length, UNKNOWN, np.uint8)
    for position in negative:
        state[position] = NEGATIVE
    for span in chosen:
        state[span.start : span.end] = POSITIVE
    return state
