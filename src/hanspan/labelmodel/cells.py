"""Patterns as tables of characters, and the votes that cover each, for the sequence model.

A pattern knows only the labels that somebody voted for in it, so its states are numbered by
*slot*: slot j of a pattern is its j-th label. Most patterns have one label and five states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.items import Events, admitted, strength_of
from hanspan.labelmodel.resolution import tag_of
from hanspan.labelmodel.span_vote import Candidate, candidates
from hanspan.labelmodel.votes import Names, Pattern

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LIMIT = 2_000_000
"""Positions times states of one batch."""
SLOTS, LENGTHS = (2, 5, 16), (5, 12, 20, 32, 64, 128, 256, 512)
"""Patterns up to these sizes are one table before tables are merged."""
CALLS = 800
"""Cells that cost as much as the calls of numpy at one position of a table (measured)."""


@dataclass(frozen=True)
class Cells:
    """Patterns of similar length and number of labels as one table.

    Attributes:
        rows: index of each pattern among those given.
        lengths: (P,).
        slots: (P, K) label of each slot; unused slots repeat label 0 and allow nothing.
        allowed: bool (P, L, 1 + 4K).
        cell, event, weight: one entry for each character of each vote; cell = row * L + place.
        votes: (P * L,) sum of the weights at each cell.
    """

    rows: Ints
    lengths: Ints
    slots: Ints
    allowed: NDArray[np.bool_]
    cell: Ints
    event: Ints
    weight: Floats
    votes: Floats

    def states(self, types: int) -> Ints:
        """Number among all types' states of each state of each pattern, (P, 1 + 4K)."""
        parts = [1 + part * types + self.slots for part in range(4)]
        return np.concatenate([np.zeros((len(self.rows), 1), np.int64), *parts], 1)

    @cached_property
    def spots(self) -> Ints:
        """Place in a flat table (P * L, 1 + 4K) of each entry and state."""
        states = self.allowed.shape[2]
        return (self.cell[:, None] * states + np.arange(states)).ravel()


def state_of(tag: int, types: int) -> int:
    """State (O, all B, all I, all E, all S) of a BIOES tag index (label by label)."""
    label, part = divmod(tag - 1, 4)
    return 0 if tag == 0 else 1 + part * types + label


def tabulate(
    patterns: Sequence[Pattern],
    names: Names,
    events: Events,
    sharing: float,
    everything: Sequence[Sequence[Candidate]] | None = None,
) -> Iterator[Cells]:
    """Batches of patterns.

    Args:
        patterns: cut so that votes that touch stay together.
        names: labels, rules, groups.
        events: (rule, tag, strength) of a vote at a character; new ones are added.
        sharing: each of a vote's n characters weighs ``n ** -sharing``.
        everything: candidates of each pattern, where the caller has them.
    """
    everything = everything or [candidates(pattern, names) for pattern in patterns]
    kept = [admitted(p, names, mine) for p, mine in zip(patterns, everything, strict=True)]
    used: list[list[int]] = []
    for mine in kept:
        labels = {c.label for c in mine}
        every_type = names.entity in labels
        used.append(sorted(range(len(names.labels)) if every_type else labels) or [0])
    groups: dict[tuple[int, int], list[int]] = {}
    for i, pattern in enumerate(patterns):
        key = (_rung(pattern.length, LENGTHS), _rung(len(used[i]), SLOTS))
        groups.setdefault(key, []).append(i)
    tables = [
        (max(patterns[i].length for i in rows), max(len(used[i]) for i in rows), rows)
        for _, rows in sorted(groups.items())
    ]
    for width, slots, members in _merged(tables):
        most = max(1, LIMIT // (width * (1 + 4 * slots)))
        for lo in range(0, len(members), most):
            rows = members[lo : lo + most]
            yield _table(rows, patterns, kept, used, names, events, sharing)


Plan = tuple[int, int, list[int]]
"""Width and slots of a table, and its patterns."""


def _merged(tables: list[Plan]) -> list[Plan]:
    """Tables put together while that is cheaper than two of them."""

    def cost(table: Plan) -> int:
        width, slots, rows = table
        return width * (CALLS + len(rows) * (1 + 4 * slots))

    def join(one: Plan, other: Plan) -> Plan:
        return max(one[0], other[0]), max(one[1], other[1]), one[2] + other[2]

    while len(tables) > 1:
        gain, a, b = max(
            (cost(one) + cost(other) - cost(join(one, other)), a, b)
            for a, one in enumerate(tables)
            for b, other in enumerate(tables[:a])
        )
        if gain <= 0:
            break
        whole = join(tables[a], tables[b])
        tables = [table for n, table in enumerate(tables) if n not in (a, b)] + [whole]
    return tables


def _rung(size: int, ladder: tuple[int, ...]) -> int:
    """Next size on a coarse ladder, so that few kinds of tables are needed."""
    return next((rung for rung in ladder if size <= rung), size)


def _table(
    rows: list[int],
    patterns: Sequence[Pattern],
    kept: Sequence[Sequence[Candidate]],
    used: Sequence[list[int]],
    names: Names,
    events: Events,
    sharing: float,
) -> Cells:
    k = max(len(used[i]) for i in rows)
    width = max(patterns[i].length for i in rows)
    slots = np.zeros((len(rows), k), np.int64)
    allowed = np.zeros((len(rows), width, 1 + 4 * k), bool)
    allowed[:, :, 0] = True
    flags: list[tuple[int, int, int]] = []
    cell: list[int] = []
    event: list[int] = []
    weight: list[float] = []
    for row, i in enumerate(rows):
        slots[row, : len(used[i])] = used[i]
        slot_of = {label: slot for slot, label in enumerate(used[i])}
        places = set()
        for c in kept[i]:
            places.add((c.start, c.end, c.label))
        for start, end, label in places:
            kinds = slot_of.values() if label == names.entity else (slot_of[label],)
            for at in range(start, end):
                part = (tag_of(at, start, end, 0) - 1) % 4
                flags += [(row, at, 1 + part * k + slot) for slot in kinds]
        heard: dict[tuple[int, int], list[tuple[int, float]]] = {}
        for start, end, label, rule, w in patterns[i].votes:
            if (start, end, label) in places:
                share, strength = (end - start) ** -sharing, strength_of(w)
                for at in range(start, end):
                    number = events.add((rule, tag_of(at, start, end, label), strength))
                    heard.setdefault((at, names.groups[rule]), []).append((number, share))
        for (at, _), votes in heard.items():
            for number, share in votes:
                cell.append(row * width + at)
                event.append(number)
                weight.append(share / len(votes))
    if flags:
        allowed[tuple(np.array(flags).T)] = True
    cells, weights = np.array(cell, np.int64), np.array(weight)
    return Cells(
        np.array(rows, np.int64),
        np.array([patterns[i].length for i in rows], np.int64),
        slots,
        allowed,
        cells,
        np.array(event, np.int64),
        weights,
        np.bincount(cells, weights, len(rows) * width).astype(np.float64),
    )
