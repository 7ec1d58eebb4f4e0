"""How far each rule can be trusted, as the label model sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.resolution import Resolution
from hanspan.labelmodel.topics import TopicVote, winner
from hanspan.labelmodel.votes import Names, Pattern

Z = 1.96


def wilson(right: float, votes: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson's); (0, 1) without votes."""
    if votes <= 0:
        return 0.0, 1.0
    share = min(max(right / votes, 0.0), 1.0)
    middle = (share + Z * Z / (2 * votes)) / (1 + Z * Z / votes)
    half = Z * (share * (1 - share) / votes + Z * Z / (4 * votes * votes)) ** 0.5
    half /= 1 + Z * Z / votes
    return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass
class Tally:
    """Votes of one rule: all, expected right, part of a longer entity, not to be judged."""

    votes: int = 0
    right: float = 0.0
    parts: int = 0
    other: int = 0


class Reliability:
    """Counts, over answers, how often each rule's votes stand.

    A vote stands with the probability of the chosen span that equals it. A vote inside a longer
    chosen span of another label is a part and is left out of the share, as are votes for NONE
    and ENTITY, which no answer can confirm. A vote for a class stands with the probability of
    the document's class if that is the one; without a class it is left out.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self._tally: dict[int, Tally] = {}

    def add(self, pattern: Pattern, answer: Resolution, times: int = 1) -> None:
        """Count a pattern and its answer."""
        score = {(c.start, c.end, c.label): c.score for c in answer.chosen}
        for start, end, label, rule, _ in pattern.votes:
            tally = self._tally.setdefault(rule, Tally())
            tally.votes += times
            if label >= self.names.entity:
                tally.other += times
            elif (start, end, label) in score:
                tally.right += times * score[start, end, label]
            elif any(c.start <= start and end <= c.end and c.label != label for c in answer.chosen):
                tally.parts += times

    def add_topic(self, votes: Sequence[TopicVote], shares: NDArray[np.float64]) -> None:
        """Count the votes for the class of a document; ``shares``: its distribution, (K,)."""
        first = winner(shares)
        for topic, rule, _ in votes:
            tally = self._tally.setdefault(rule, Tally())
            tally.votes += 1
            if first is None:
                tally.other += 1
            elif topic == first:
                tally.right += float(shares[topic])

    def table(self) -> dict[str, dict[str, Any]]:
        """For each rule its votes, parts, reliability and interval, in the order of the names."""
        out: dict[str, dict[str, Any]] = {}
        for rule, name in enumerate(self.names.rules):
            tally = self._tally.get(rule, Tally())
            judged = tally.votes - tally.parts - tally.other
            low, high = wilson(tally.right, judged)
            out[name] = {
                "votes": tally.votes,
                "judged": judged,
                "parts": tally.parts,
                "reliability": round(tally.right / judged, 4) if judged else None,
                "interval": [round(low, 4), round(high, 4)],
            }
        return out


def reliability(
    pieces: Mapping[Pattern, int], answers: Sequence[Resolution], names: Names
) -> dict[str, dict[str, Any]]:
    """Table of :class:`Reliability` from distinct patterns, their counts and answers."""
    counter = Reliability(names)
    for (pattern, times), answer in zip(pieces.items(), answers, strict=True):
        counter.add(pattern, answer, times)
    return counter.table()
