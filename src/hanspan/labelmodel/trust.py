"""How far a group of rules is trusted where as many groups say one type as say another.

On the same borders, each type has the share of support that the trust of its groups gives it; a
group's trust is the mean share of its votes. The two are repeated until they rest. A group whose
votes mostly stand without contradiction wins over one that is contradicted wherever it speaks.
This is the fixed point of TruthFinder (Yin, Han and Yu 2008, eqs. 1 and 2: a source is as good
as its facts, a fact as its sources), with shares in place of its sigmoid.

It breaks ties of the vote and nothing else: as a weight of all votes it raised rules that nobody
contradicts because they speak where nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hanspan.labelmodel.votes import Names, Pattern

STEPS = 20
"""Repetitions at most."""
PSEUDO = 5.0
"""Votes with a share of one half that each group has before any are seen."""


def estimate_trust(counts: Mapping[Pattern, float], names: Names) -> tuple[float, ...]:
    """Trust of each group, by its index.

    Args:
        counts: patterns with how often each occurs.
        names: labels, rules and groups.
    """
    place: list[int] = []  # of each pair of place and type
    fact: list[int] = []  # of each vote of a group
    group: list[int] = []
    weight: list[float] = []
    times: list[float] = []  # of each pair of place and type
    places = 0
    for pattern, count in counts.items():
        strongest: dict[tuple[int, int], dict[int, dict[int, float]]] = {}
        for start, end, label, rule, vote in pattern.votes:
            if label < names.entity:
                heard = strongest.setdefault((start, end), {}).setdefault(label, {})
                mine = names.groups[rule]
                heard[mine] = max(vote, heard.get(mine, 0.0))
        for types in strongest.values():
            for heard in types.values():
                fact += [len(place)] * len(heard)
                group += heard
                weight += heard.values()
                place.append(places)
                times.append(count)
            places += 1
    groups = max(names.groups, default=-1) + 1
    if not fact:
        return (0.5,) * groups
    of_place, of_fact, of_group = (np.array(x, np.int64) for x in (place, fact, group))
    strength, many = np.array(weight), np.array(times, np.float64)
    votes = np.bincount(of_group, many[of_fact], groups) + PSEUDO
    trust = np.ones(groups)
    for _ in range(STEPS):
        support = np.bincount(of_fact, strength * trust[of_group], len(place))
        share = support / np.bincount(of_place, support, places)[of_place]
        fresh = np.bincount(of_group, (share * many)[of_fact], groups) + 0.5 * PSEUDO
        before, trust = trust, fresh / votes
        if np.abs(trust - before).max() < 1e-6:
            break
    return tuple(trust.tolist())
