"""Candidate places of patterns as items, and the votes on them as events.

An event is (rule, label, how strongly). Rules of one group share one vote on a place: each of
n events of a group counts 1/n. Places that the vote on spans rules out, by a NONE vote or by
priority, are no items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.lattice import Lattice
from hanspan.labelmodel.span_vote import Candidate, candidates, vetoed
from hanspan.labelmodel.votes import Names, Pattern

Event = tuple[int, int, int]
"""rule, label, strength (see :func:`strength_of`)."""

STRENGTHS = (0.3, 0.6, 0.9)
"""What a weak, a middling and a strong vote is worth before data."""


def strength_of(weight: float) -> int:
    """Index into :data:`STRENGTHS` of a vote's weight."""
    return 0 if weight < 0.45 else 1 if weight < 0.75 else 2


def admitted(
    pattern: Pattern, names: Names, everything: Sequence[Candidate] | None = None
) -> list[Candidate]:
    """Candidates with a type or ENTITY that no NONE vote and no higher priority rules out.

    Args:
        pattern: votes.
        names: labels, rules, groups.
        everything: its candidates, where the caller has them.
    """
    everything = candidates(pattern, names) if everything is None else everything
    nones = [c for c in everything if c.label == names.none]
    left = [c for c in everything if c.label != names.none and not vetoed(c, nones)]
    left = [c for c in left if not _swallowed(c, left, names)]
    if len({c.priority for c in left}) > 1:
        left = [
            c
            for c in left
            if not any(
                o.priority > c.priority and o.start < c.end and c.start < o.end for o in left
            )
        ]
    return left


def _swallowed(candidate: Candidate, others: Sequence[Candidate], names: Names) -> bool:
    """Whether its own groups vote for a longer span of the same label around it."""
    groups = {names.groups[rule] for rule in candidate.rules}
    return any(
        o.label == candidate.label
        and o.start <= candidate.start
        and candidate.end <= o.end
        and o.end - o.start > candidate.end - candidate.start
        and groups <= {names.groups[rule] for rule in o.rules}
        for o in others
    )


@dataclass
class Events:
    """Index of the events that were seen while fitting."""

    known: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._index = {event: i for i, event in enumerate(self.known)}

    def add(self, event: Event) -> int:
        """Its number; a new event gets the next one."""
        number = self._index.setdefault(event, len(self.known))
        if number == len(self.known):
            self.known.append(event)
        return number


def shares(known: Sequence[Event], names: Names) -> NDArray[np.float64]:
    """Share of each event in the pseudo-votes: rules of one group have them together."""
    keys = [(names.groups[rule], label, strength) for rule, label, strength in known]
    many = Counter(keys)
    return np.array([1.0 / many[key] for key in keys])


@dataclass(frozen=True)
class Items:
    """Places of many patterns with their events, flat.

    Attributes:
        lattice: places by pattern.
        count: float (I,), how often the pattern of the item occurs.
        allowed: bool (I, T), types that the place may have: those voted for, or all of them
            where a rule voted for ENTITY.
        voted: bool (I, T), types that somebody voted for; only these are ever chosen.
        owner, event, weight: one entry for each vote on an item.
        outer, inner: pairs of items; the second lies inside the first and may be a part of it: it
            has no label in common with it, or is one of several pieces of the same label. (One
            place of the same label inside is a disagreement about borders, and no pair.)
    """

    lattice: Lattice
    count: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    voted: NDArray[np.bool_]
    owner: NDArray[np.int64]
    event: NDArray[np.int64]
    weight: NDArray[np.float64]
    outer: NDArray[np.int64]
    inner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.count)


def build_items(
    patterns: Sequence[Pattern], counts: Sequence[int], names: Names, events: Events
) -> Items:
    """Items of patterns."""
    types = len(names.labels)
    place_list: list[tuple[int, int]] = []
    labels: list[set[int]] = []
    offsets = [0]
    count: list[int] = []
    votes: list[tuple[int, int, float]] = []
    pairs: list[tuple[int, int]] = []
    for pattern, times in zip(patterns, counts, strict=True):
        by_place: dict[tuple[int, int], set[int]] = {}
        for c in admitted(pattern, names):
            by_place.setdefault((c.start, c.end), set()).add(c.label)
        index = {}
        for place in sorted(by_place, key=lambda p: (p[1], p[0])):
            index[place] = len(place_list)
            place_list.append(place)
            labels.append(by_place[place])
            count.append(times)
        heard: dict[tuple[int, int], list[int]] = {}
        for s, e, label, rule, weight in pattern.votes:
            item = index.get((s, e))
            if item is not None and label in labels[item]:
                number = events.add((rule, label, strength_of(weight)))
                heard.setdefault((item, names.groups[rule]), []).append(number)
        votes += [(item, n, 1.0 / len(ns)) for (item, _), ns in heard.items() for n in ns]
        if len(index) > 1:
            for (lo, hi), outer in index.items():
                inside = [p for p in index if lo <= p[0] and p[1] <= hi and p != (lo, hi)]
                rivals = [p for p in inside if labels[index[p]] & labels[outer]]
                parts = [
                    p
                    for p in inside
                    if p not in rivals or any(q[1] <= p[0] or p[1] <= q[0] for q in rivals)
                ]
                pairs += [(outer, index[p]) for p in parts]
        offsets.append(len(place_list))
    allowed = np.zeros((len(place_list), types), bool)
    voted = np.zeros((len(place_list), types), bool)
    for item, mine in enumerate(labels):
        kinds = [label for label in mine if label < types]
        allowed[item, kinds if names.entity not in mine else slice(None)] = True
        voted[item, kinds] = True
    spots = np.array(place_list, np.int64).reshape(-1, 2)
    links = np.array(pairs, np.int64).reshape(-1, 2)
    heard_all = np.array(votes, np.float64).reshape(-1, 3)
    return Items(
        Lattice(spots[:, 0], spots[:, 1], np.array(offsets, np.int64)),
        np.array(count, np.float64),
        allowed,
        voted,
        heard_all[:, 0].astype(np.int64),
        heard_all[:, 1].astype(np.int64),
        heard_all[:, 2],
        links[:, 0],
        links[:, 1],
    )
