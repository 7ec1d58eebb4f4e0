"""Dawid-Skene for spans: each rule has a confusion, and silence is no vote.

Each candidate place has a hidden class: one of the types, "none" (no entity with these
borders), or "part" (of a longer entity, as 合肥 in 合肥市委). Given the class,
the number of votes is Poisson with rate ``rate[y]``, but never nought, since a place without
votes is no place; and each vote is event e (a rule voting for a label) with probability
``emit[y, e]``. So a rule's silence is no vote, while few votes where entities of a type usually
get many is weak evidence; and a rule that knows a single type is still informative: it is drawn
more often from that type than from "none". Places of false alarms seldom get a second vote, so
their rate is near nought and two rules that agree on the borders are strong evidence; without
the truncation they were hardly any. Places that overlap cannot both be entities: the E-step sums
over all sets of places without overlap, exactly.

The shares of the types are those of the vote, flattened half-way (in logarithms) to equal ones:
a type that poor rules shout most often is not therefore the likelier one.

Source: Dawid and Skene (1979), multinomial form, with the classes of overlapping places tied by
exclusion and Dirichlet priors; EM raises likelihood plus log prior at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.items import STRENGTHS, Events, Items, build_items, shares
from hanspan.labelmodel.pick import pick
from hanspan.labelmodel.resolution import Resolution
from hanspan.labelmodel.span_vote import SpanVote
from hanspan.labelmodel.votes import Names, Pattern

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the fit.

    Attributes:
        iterations: at most.
        tolerance: stop when the objective grows by less, per item.
        strength: pseudo-votes that each event has before data.
        trusted: share of pseudo-votes of the strongest kind on the label voted for.
        part: share of these on "part" instead.
        alike: chance that rules take a part of a longer entity for an entity of its own.
        start: probability of what the vote chose, in the first step.
        flat: exponent of the types' shares in the vote; 0 makes all types equal.
        threshold: a span is chosen when it is at least this probable.
    """

    iterations: int = 10
    tolerance: float = 1e-5
    strength: float = 30.0
    trusted: float = 0.9
    part: float = 0.05
    alike: float = 0.8
    start: float = 0.8
    flat: float = 0.5
    threshold: float = 0.45


def rate_of(mean: Floats) -> Floats:
    """Rate of a Poisson that is never nought, from its mean: x / (1 - exp(-x)) = mean > 1."""
    mean = np.maximum(mean, 1.0 + 1e-6)
    x = np.where(mean < 1.5, 2.0 * (mean - 1.0), mean)
    for _ in range(50):  # Newton; the function is convex and rises, so it cannot miss
        some = -np.expm1(-x)
        move = (x / some - mean) * some**2 / (some - x * np.exp(-x))
        x = np.maximum(x - move, 1e-9)
        if np.abs(move).max() < 1e-12:
            break
    return np.asarray(x)


class DawidSkene:
    """The fitted model; see the module.

    Args:
        names: labels, rules, groups, priorities.
        settings: of the fit.
    """

    touching = False

    def __init__(self, names: Names, settings: Settings | None = None) -> None:
        self.names = names
        self.settings = settings or Settings()
        self.events = Events()
        classes = len(names.labels) + 2
        self.emit = np.zeros((classes, 0))
        self.prior = np.full(classes, -np.log(classes))
        self.total = np.ones(classes)
        self.rate = np.ones(classes)
        self.history: list[float] = []

    def fit(self, counts: Mapping[Pattern, int]) -> DawidSkene:
        """Estimate emissions by EM from patterns with their counts, started from the vote."""
        patterns = list(counts)
        items = build_items(patterns, list(counts.values()), self.names, self.events)
        if not len(items):
            return self
        pseudo = self._pseudo(self.events.known)
        q = self._start(counts, items)
        self.prior = self._prior(q, items)
        self.history = []
        for _ in range(self.settings.iterations):
            self._maximise(items, q, pseudo)
            q, _, objective = self.expect(items)
            self.history.append(objective + self._log_prior(items, pseudo))
            if len(self.history) > 1:
                gain = self.history[-1] - self.history[-2]
                if gain < self.settings.tolerance * items.count.sum():
                    break
        return self

    def _prior(self, q: Floats, items: Items) -> Floats:
        """Log shares of the classes in the posterior ``q``, those of the types flattened."""
        types = len(self.names.labels)
        mass: Floats = (q * items.count[:, None]).sum(0) + 1.0
        flat = mass[:types] ** self.settings.flat
        mass[:types] = flat * (mass[:types].sum() / max(flat.sum(), 1.0))
        mass[-1] = mass[-2]  # a part within a longer entity is as likely as none elsewhere
        return np.asarray(np.log(mass / mass.sum()))

    def _maximise(self, items: Items, q: Floats, pseudo: Floats) -> None:
        """Set emissions and rates to the most probable ones given the posterior ``q``."""
        mass = q[items.owner] * (items.weight * items.count[items.owner])[:, None]
        table: Floats = np.stack(
            [np.bincount(items.event, column, pseudo.shape[1]) for column in mass.T]
        ).astype(np.float64)
        votes, times = table.sum(1), q.T @ items.count
        table += pseudo
        self.total = table.sum(1)
        self.emit = np.log(table / self.total[:, None])
        prior = self.settings.strength
        self.rate = rate_of((votes + prior * self._mean_size(items)) / (times + prior))

    @staticmethod
    def _mean_size(items: Items) -> float:
        """Votes an item gets on average, each group counted once."""
        return float((items.weight * items.count[items.owner]).sum() / items.count.sum())

    def _log_prior(self, items: Items, pseudo: Floats) -> float:
        """Log of the Dirichlet priors and of the rates' pseudo-places, but for a constant."""
        places = self._mean_size(items) * np.log(self.rate) - np.log(np.expm1(self.rate))
        return float((pseudo * self.emit).sum() + self.settings.strength * places.sum())

    def _start(self, counts: Mapping[Pattern, int], items: Items) -> Floats:
        """Posterior that the vote implies, (I, T + 2)."""
        types = len(self.names.labels)
        sure = self.settings.start
        q = np.zeros((len(items), types + 2))
        share = items.allowed / items.allowed.sum(1, keepdims=True)
        q[:, :types] = (1 - sure) * share
        bounds = items.lattice.offsets
        start, end = items.lattice.start.tolist(), items.lattice.end.tolist()
        taken = np.zeros(len(items))
        vote = SpanVote(self.names).fit(counts)
        for i, pattern in enumerate(counts):
            wins = {(c.start, c.end): c.label for c in vote.winners(pattern)}
            for item in range(bounds[i], bounds[i + 1]):
                label = wins.get((start[item], end[item]))
                if label is not None:
                    taken[item] = 1.0
                    q[item, :types] *= 0.5
                    q[item, label] += sure - q[item, :types].sum()
        np.add.at(q[:, types + 1], items.inner, sure * taken[items.outer])
        q[:, types + 1] = np.minimum(q[:, types + 1], 1.0 - q[:, :types].sum(1))
        q[:, types] = 1.0 - q[:, :types].sum(1) - q[:, types + 1]
        return q

    def _pseudo(self, known: Sequence[tuple[int, int, int]]) -> Floats:
        """Pseudo-counts (T + 2, events) of the Dirichlet priors."""
        names, settings = self.names, self.settings
        types = len(names.labels)
        out = np.zeros((types + 2, len(known)))
        for number, (_, label, strength) in enumerate(known):
            right = settings.trusted * STRENGTHS[strength]
            part = settings.part * right
            other = 0.3 * (1.0 - right)
            out[:types, number] = other / max(types, 1)
            if label < types:
                out[label, number] += right - part
            else:
                out[:types, number] += (right - part) / max(types, 1)
            out[types, number] = 1.0 - right - other
            out[types + 1, number] = part
        return settings.strength * out * shares(known, names)

    def expect(self, items: Items) -> tuple[Floats, Floats, float]:
        """Exact posterior; overlapping places exclude each other.

        Returns:
            (I, T + 2) posterior for the M-step, with parts that look like entities among the
            types; (I, T) probability of an entity that stands by itself; log likelihood.
        """
        types = len(self.names.labels)
        score: Floats = np.stack(
            [
                np.bincount(items.owner, row[items.event] * items.weight, len(items))
                for row in self.emit
            ],
            1,
        ).astype(np.float64)
        votes = np.bincount(items.owner, items.weight, len(items))
        score += self.prior + votes[:, None] * np.log(self.rate)
        score -= np.log(np.expm1(self.rate))
        typed = np.where(items.allowed, score[:, :types], -np.inf)
        top = typed.max(1, initial=-1e9)
        entity = top + np.log(np.exp(typed - top[:, None]).sum(1))
        weight = entity - score[:, types]
        alike = np.log(self.settings.alike)
        as_part = score[:, types + 1] + np.log1p(-self.settings.alike)
        either = np.logaddexp(as_part, entity + alike)
        np.add.at(weight, items.outer, (either - score[:, types])[items.inner])
        prob, total = items.lattice.marginals(weight)
        part = np.zeros(len(items))
        np.add.at(part, items.inner, prob[items.outer])
        q = np.zeros((len(items), types + 2))
        share = np.exp(typed - entity[:, None])
        like_entity = part * np.exp(entity + alike - either)
        q[:, :types] = share * prob[:, None]
        q[:, types + 1] = part - like_entity
        q[:, types] = np.maximum(1.0 - prob - part, 0.0)
        alone, q[:, :types] = q[:, :types].copy(), share * (prob + like_entity)[:, None]
        bounds = items.lattice.offsets
        full = np.flatnonzero(np.diff(bounds))
        likelihood = float((total[full] * items.count[bounds[full]]).sum())
        return q, alone, likelihood + float((score[:, types] * items.count).sum())

    def items(self, patterns: Sequence[Pattern]) -> Items:
        """Items of patterns; events that the fit never saw are worth their prior."""
        items = build_items(patterns, [1] * len(patterns), self.names, self.events)
        fresh = self.events.known[self.emit.shape[1] :]
        if fresh:
            added = np.log(self._pseudo(fresh) / self.total[:, None])
            self.emit = np.concatenate([self.emit, added], 1)
        return items

    def resolve(self, patterns: Sequence[Pattern]) -> list[Resolution]:
        """The answer for each pattern."""
        items = self.items(patterns)
        _, q, _ = self.expect(items)
        return pick(patterns, items, q, self.names, self.settings.threshold)
