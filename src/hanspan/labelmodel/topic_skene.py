"""Dawid-Skene for document classes: class balance estimated, silence no vote.

Given the class, the number of votes on a document is Poisson, and each is drawn from the class's
distribution over events (rule, class it voted for). A vote counts as much as its score, and rules
of a group share one vote.
The balance is estimated last, with the rest held: estimated together, the two drift where most
documents have little evidence.
Same form as for spans (:mod:`hanspan.labelmodel.dawid_skene`), without overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.items import Events, shares
from hanspan.labelmodel.topics import TopicVote, TopicVoter
from hanspan.labelmodel.votes import Names

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Votes = tuple[TopicVote, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the fit; see :class:`hanspan.labelmodel.dawid_skene.Settings`."""

    iterations: int = 10
    """Steps for the rules, and as many for the balance of classes."""
    strength: float = 30.0
    trusted: float = 0.9
    balance: float = 20.0
    """Pseudo-documents of each class."""


class TopicSkene:
    """The fitted model; see the module."""

    def __init__(self, names: Names, settings: Settings | None = None) -> None:
        self.names = names
        self.settings = settings or Settings()
        self.events = Events()
        classes = len(names.topics)
        self.emit = np.zeros((classes, 0))
        self.total, self.size = np.ones(classes), np.ones(classes)
        self.prior = np.zeros(classes)
        self.history: list[float] = []
        self._memory: dict[Votes, Floats] = {}

    def _rows(self, bags: Sequence[Votes]) -> tuple[Ints, Ints, Floats]:
        owner, event, weight = [], [], []
        for row, votes in enumerate(bags):
            heard: dict[int, list[tuple[int, float]]] = {}
            for topic, rule, score in votes:
                number = self.events.add((rule, topic, 0))
                heard.setdefault(self.names.groups[rule], []).append((number, score))
            for said in heard.values():
                owner += [row] * len(said)
                event += [number for number, _ in said]
                weight += [score / len(said) for _, score in said]
        return np.array(owner, np.int64), np.array(event, np.int64), np.array(weight)

    def _pseudo(self, known: Sequence[tuple[int, int, int]]) -> Floats:
        classes, settings = len(self.names.topics), self.settings
        out = np.zeros((classes, len(known)))
        right = settings.trusted
        for number, (_, topic, _) in enumerate(known):
            out[:, number] = (1.0 - right) / classes
            out[topic, number] += right
        return settings.strength * out * shares(known, self.names)

    def fit(self, counts: Mapping[Votes, int]) -> TopicSkene:
        """Estimate by EM from distinct sets of votes with counts; the empty set is skipped."""
        bags = [votes for votes in counts if votes]
        times = np.array([counts[votes] for votes in bags], np.float64)
        self.history = []
        self._memory.clear()
        if not bags or not self.names.topics:
            return self
        owner, event, weight = self._rows(bags)
        pseudo = self._pseudo(self.events.known)
        voter = TopicVoter(self.names)
        q = np.array([voter.predict(votes) for votes in bags])
        votes: Floats = np.bincount(owner, weight, len(bags)).astype(np.float64)
        mean = float((votes * times).sum() / times.sum())
        settings = self.settings
        self.prior = np.full(len(self.names.topics), -np.log(len(self.names.topics)))
        for step in range(2 * settings.iterations):
            occupied = q.T @ times
            if step < settings.iterations:  # whom to trust, all classes alike
                mass = q[owner] * (weight * times[owner])[:, None]
                table: Floats = np.stack(
                    [np.bincount(event, column, pseudo.shape[1]) for column in mass.T]
                ).astype(np.float64)
                prior = settings.strength
                self.size = (table.sum(1) + prior * mean) / (occupied + prior)
                table += pseudo
                self.total = table.sum(1) + prior  # the rest: events that were never seen
                self.emit = np.log(table / self.total[:, None])
            else:  # then how common each class is
                balance = occupied + settings.balance
                self.prior = np.log(balance / balance.sum())
            q, total = self._posterior(owner, event, weight, votes)
            objective = float((total * times).sum() + (pseudo * self.emit).sum())
            objective += settings.strength * float((mean * np.log(self.size) - self.size).sum())
            objective -= settings.strength * float(np.log(self.total).sum())
            self.history.append(objective + settings.balance * float(self.prior.sum()))
        return self

    def _posterior(
        self, owner: Ints, event: Ints, weight: Floats, votes: Floats
    ) -> tuple[Floats, Floats]:
        score: Floats = np.stack(
            [np.bincount(owner, row[event] * weight, len(votes)) for row in self.emit], 1
        ).astype(np.float64)
        score += self.prior + votes[:, None] * np.log(self.size) - self.size
        top = score.max(1, keepdims=True)
        total = top[:, 0] + np.log(np.exp(score - top).sum(1))
        return np.exp(score - total[:, None]), total

    def predict(self, votes: Votes) -> Floats:
        """Distribution over classes, shape (K,); all zero when no rule spoke."""
        if not votes:
            return np.zeros(len(self.names.topics))
        if votes not in self._memory:
            owner, event, weight = self._rows([votes])
            fresh = self.events.known[self.emit.shape[1] :]
            if fresh:
                added = np.log(self._pseudo(fresh) / self.total[:, None])
                self.emit = np.concatenate([self.emit, added], 1)
            size = np.bincount(owner, weight, 1).astype(np.float64)
            self._memory[votes] = self._posterior(owner, event, weight, size)[0][0]
        return self._memory[votes]
