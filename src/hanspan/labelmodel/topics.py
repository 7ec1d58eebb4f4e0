"""The vote on the class of a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hanspan.data import Document
from hanspan.errors import HanspanError
from hanspan.labelmodel.votes import Names

TopicVote = tuple[int, int, float]
"""class index, rule index, weight."""

SMOOTHING = 0.1
"""Weight that every class has before a rule speaks."""


def topic_votes(document: Document, names: Names) -> tuple[TopicVote, ...]:
    """Votes for the class of a document, from ``meta["topic_votes"]``.

    Raises:
        HanspanError: for a vote without label or with a score that is no number of 0 or more,
            or for a class the task does not have.
    """
    votes = []
    found = document.meta.get("topic_votes") or ()
    if not isinstance(found, (list, tuple)):
        raise HanspanError(
            f"document {document.id!r}: topic_votes is {found!r}, expected a list of "
            f"{{'label', 'score', 'source'}}"
        )
    for item in found:
        if not isinstance(item, Mapping) or "label" not in item:
            raise HanspanError(
                f"document {document.id!r}: topic vote {item!r}: expected "
                f"{{'label', 'score', 'source'}}"
            )
        about: Mapping[str, Any] = item
        score = 1.0 if about.get("score") is None else about["score"]
        if not isinstance(score, (int, float)) or not 0 <= score < float("inf"):
            raise HanspanError(
                f"document {document.id!r}: topic vote for {about['label']!r} has score "
                f"{score!r}, expected a number of 0 or more"
            )
        rule = names.add_rule(str(about.get("source") or ""))
        votes.append((names.topic_index(str(about["label"]), document.id), rule, float(score)))
    return tuple(sorted(votes))


def group_weights(votes: tuple[TopicVote, ...], names: Names) -> NDArray[np.float64]:
    """Sum over groups of the strongest weight in the group, for each class; shape (K,)."""
    strongest: dict[tuple[int, int], float] = {}
    for topic, rule, weight in votes:
        key = (topic, names.groups[rule])
        strongest[key] = max(weight, strongest.get(key, 0.0))
    out = np.zeros(len(names.topics))
    for (topic, _), weight in strongest.items():
        out[topic] += weight
    return out


class TopicModel(Protocol):
    """What every label model of classes offers."""

    def predict(self, votes: tuple[TopicVote, ...]) -> NDArray[np.float64]:
        """Distribution over classes, shape (K,); all zero when no rule spoke."""
        ...


class TopicVoter:
    """Weighted sum of votes, smoothed to a distribution; no rule, no distribution."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def predict(self, votes: tuple[TopicVote, ...]) -> NDArray[np.float64]:
        """Distribution over classes, shape (K,); all zero when no rule spoke."""
        weights = group_weights(votes, self.names)
        total = weights.sum()
        if total <= 0:
            return weights
        weights = weights + SMOOTHING * min(total, 1.0) / len(weights)
        return weights / weights.sum()


def winner(distribution: NDArray[np.float64]) -> int | None:
    """Index of the class that won; None when no rule spoke or the first two tie."""
    if len(distribution) == 0 or distribution.sum() <= 0:
        return None
    order = np.argsort(-distribution, kind="stable")
    if len(order) > 1 and distribution[order[0]] - distribution[order[1]] < 1e-9:
        return None
    return int(order[0])
