"""A hidden Markov model over characters: states O and B, I, E, S of each type.

Given the state of a character, the number of votes that cover it is Poisson, and each is drawn
from the state's distribution over events (rule, label, part of the vote at this character). The
characters of one vote are one piece of evidence: each of its n characters weighs
``n ** -sharing``; and rules of a group share one vote. A state is possible at a character only
where a rule voted for it; a vote for ENTITY opens all types. Characters that no vote covers are
O, so that the pieces between them are independent, and equal pieces count once.

Fitted by EM (Baum-Welch) with Dirichlet priors, started from the vote. Compare skweak's HMM
(Lison et al. 2020), which has no groups and no end tags, and visits one document after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hanspan.labelmodel.cells import Cells, state_of, tabulate
from hanspan.labelmodel.chain import TINY, Chain, Expected, expected, forward_backward
from hanspan.labelmodel.items import STRENGTHS, Events, Items, build_items, shares
from hanspan.labelmodel.pick import pick
from hanspan.labelmodel.resolution import Resolution, tag_of
from hanspan.labelmodel.span_vote import Candidate, SpanVote, candidates
from hanspan.labelmodel.votes import Names, Pattern

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the fit.

    Attributes:
        iterations: at most.
        tolerance: stop when the objective grows by less, per pattern.
        strength: pseudo-votes that each event has before data.
        trusted: share of them on states that agree, for the strongest kind of vote.
        part: share of that on other parts of the same type (wrong border).
        sharing: exponent of the weight of one character of a vote.
        start: probability of what the vote chose, in the first step.
        threshold: a span is chosen when it is at least this probable.
    """

    iterations: int = 15
    tolerance: float = 1e-4
    strength: float = 20.0
    trusted: float = 0.9
    part: float = 0.3
    sharing: float = 0.25
    start: float = 0.8
    threshold: float = 0.4


@dataclass
class Counts:
    """Expected counts of one E-step.

    Attributes:
        table: (S, E) votes by state and event.
        occupied, votes: (S,) characters in a state, and votes on them.
        opening: (2, 1 + 2T); going, leaving: (2, T); see :class:`Chain`.
    """

    table: Floats
    occupied: Floats
    votes: Floats
    opening: Floats
    going: Floats
    leaving: Floats


class HMM:
    """The fitted model; see the module.

    Args:
        names: labels, rules, groups, priorities.
        settings: of the fit.
    """

    touching = True

    def __init__(self, names: Names, settings: Settings | None = None) -> None:
        self.names = names
        self.settings = settings or Settings()
        self.events = Events()
        types = len(names.labels)
        states = 1 + 4 * types
        self.emit = np.zeros((states, 0))
        self.total, self.size = np.ones(states), np.ones(states)
        self.opening = np.full((2, 1 + 2 * types), 1.0 / (1 + 2 * types))
        self.going = np.full((2, types), 0.5)
        self.history: list[float] = []

    def _zero(self) -> Counts:
        states, types = len(self.total), len(self.names.labels)
        return Counts(
            np.zeros((states, len(self.events.known))),
            np.zeros(states),
            np.zeros(states),
            np.zeros((2, 1 + 2 * types)),
            np.zeros((2, types)),
            np.zeros((2, types)),
        )

    def _chain(self, cells: Cells) -> Chain:
        """Transitions of each pattern of a batch, by its slots."""
        types, slots = len(self.names.labels), cells.slots
        log = np.log(self.opening)
        zero = np.zeros((len(slots), 1), np.int64)
        index = np.concatenate([zero, 1 + slots, 1 + types + slots], 1)
        going, leaving = np.log(self.going), np.log1p(-self.going)
        return Chain(
            np.moveaxis(log[:, index], 0, 1),
            np.moveaxis(going[:, slots], 0, 1),
            np.moveaxis(leaving[:, slots], 0, 1),
        )

    def _scores(self, cells: Cells) -> Floats:
        """Log emission (P, L, 1 + 4K); states that are not allowed get :data:`TINY`."""
        rows, width, states = cells.allowed.shape
        index = cells.states(len(self.names.labels))
        owner = index[cells.cell // width]
        terms = self.emit[owner, cells.event[:, None]] * cells.weight[:, None]
        size = self.size[index][:, None]
        flat = np.bincount(cells.spots, terms.ravel(), rows * width * states)
        out: Floats = flat.astype(np.float64, copy=False).reshape(rows, width, states)
        out += cells.votes.reshape(rows, width, 1) * np.log(size) - size
        return np.where(cells.allowed, out, TINY)

    def _pseudo(self, known: Sequence[tuple[int, int, int]]) -> Floats:
        """Pseudo-counts (S, events) of the Dirichlet priors."""
        types, settings = len(self.names.labels), self.settings
        out = np.zeros((1 + 4 * types, len(known)))
        for number, (_, tag, strength) in enumerate(known):
            right = settings.trusted * STRENGTHS[strength]
            other = 0.3 * (1.0 - right)
            label, part = divmod(tag - 1, 4)
            out[1:, number] = other / max(4 * types, 1)
            kinds = list(range(types)) if label == self.names.entity else [label]
            here = right / max(len(kinds), 1)
            for kind in kinds:
                out[1 + kind :: types, number] += settings.part * here / 4
                out[1 + part * types + kind, number] += (1 - settings.part) * here
            out[0, number] = 1.0 - right - other
        return settings.strength * out * shares(known, self.names)

    def fit(self, counts: Mapping[Pattern, int]) -> HMM:
        """Estimate emissions and transitions by EM from patterns with their counts."""
        patterns, times = list(counts), np.array(list(counts.values()), np.float64)
        self.history = []
        everything = [candidates(pattern, self.names) for pattern in patterns]
        batches = list(
            tabulate(patterns, self.names, self.events, self.settings.sharing, everything)
        )
        if not self.events.known:
            return self
        pseudo = self._pseudo(self.events.known)
        found = self._start(patterns, times, batches, everything)
        mean = float(found.votes.sum() / found.occupied.sum())
        for _ in range(self.settings.iterations):
            self._maximise(found, pseudo, mean)
            found, objective = self._expect(batches, times)
            self.history.append(objective + self._log_prior(pseudo, mean))
            if len(self.history) > 1:
                gain = self.history[-1] - self.history[-2]
                if gain < self.settings.tolerance * times.sum():
                    break
        return self

    def _maximise(self, found: Counts, pseudo: Floats, mean: float) -> None:
        prior = self.settings.strength
        table = found.table + pseudo
        self.total = table.sum(1)
        self.emit = np.log(table / self.total[:, None])
        self.size = (found.votes + prior * mean) / (found.occupied + prior)
        opening = found.opening + 1.0
        self.opening = opening / opening.sum(1, keepdims=True)
        self.going = (found.going + 1.0) / (found.going + found.leaving + 2.0)

    def _log_prior(self, pseudo: Floats, mean: float) -> float:
        """Log of the Dirichlet, Gamma and Beta priors, but for a constant."""
        size = self.settings.strength * (mean * np.log(self.size) - self.size).sum()
        moves = np.log(self.opening).sum() + (np.log(self.going) + np.log1p(-self.going)).sum()
        return float((pseudo * self.emit).sum() + size + moves)

    def _start(
        self,
        patterns: Sequence[Pattern],
        times: Floats,
        batches: Sequence[Cells],
        everything: Sequence[Sequence[Candidate]],
    ) -> Counts:
        """Expected counts when the vote is right with a fixed probability."""
        types, sure = len(self.names.labels), self.settings.start
        found = self._zero()
        vote = SpanVote(self.names).fit(dict(zip(patterns, times.tolist(), strict=True)))
        for cells in batches:
            rows, width, states = cells.allowed.shape
            k = cells.slots.shape[1]
            path = np.zeros((rows, width), np.int64)
            for row, i in enumerate(cells.rows.tolist()):
                slot_of = {
                    label: slot for slot, label in reversed(list(enumerate(cells.slots[row])))
                }
                ended, before = 0, 0
                for c in vote.winners(patterns[i], everything[i]):
                    slot = slot_of[c.label]
                    for at in range(c.start, c.end):
                        tag = tag_of(at, c.start, c.end, slot)
                        path[row, at] = state_of(tag, k)
                    if c.start > before:
                        found.opening[ended, 0] += times[i]
                        ended = 0
                    found.opening[0, 0] += times[i] * max(c.start - before - 1, 0)
                    single = c.end - c.start == 1
                    found.opening[ended, 1 + c.label + (types if single else 0)] += times[i]
                    if not single:
                        length = c.end - c.start
                        found.going[0, c.label] += times[i] * (length > 2)
                        found.leaving[0, c.label] += times[i] * (length == 2)
                        found.going[1, c.label] += times[i] * max(length - 3, 0)
                        found.leaving[1, c.label] += times[i] * (length > 2)
                    ended, before = 1, c.end
                found.opening[ended, 0] += times[i]
            gamma = (1 - sure) * cells.allowed / cells.allowed.sum(2, keepdims=True)
            flat = gamma.reshape(-1, states)
            flat[np.arange(len(flat)), path.ravel()] += sure
            gamma[np.arange(width)[None] >= cells.lengths[:, None]] = 0.0
            self._collect(cells, gamma * times[cells.rows][:, None, None], found)
        return found

    def _collect(self, cells: Cells, gamma: Floats, found: Counts) -> None:
        """Add expected votes and characters of a batch by state."""
        rows, width, states = gamma.shape
        index = cells.states(len(self.names.labels))
        events = found.table.shape[1]
        flat = gamma.reshape(-1, states)
        owner = index[cells.cell // width]
        spot = owner * events + cells.event[:, None]
        mass = flat[cells.cell] * cells.weight[:, None]
        found.table += np.bincount(spot.ravel(), mass.ravel(), found.table.size).reshape(
            found.table.shape
        )
        size = len(found.occupied)
        found.occupied += np.bincount(index.ravel(), gamma.sum(1).ravel(), size)
        votes = (gamma * cells.votes.reshape(rows, width, 1)).sum(1)
        found.votes += np.bincount(index.ravel(), votes.ravel(), size)

    def _expect(self, batches: Sequence[Cells], times: Floats) -> tuple[Counts, float]:
        """Expected counts and the log likelihood."""
        found = self._zero()
        likelihood = 0.0
        for cells in batches:
            step = expected(self._scores(cells), cells.lengths, self._chain(cells))
            count = times[cells.rows]
            likelihood += float((step.total * count).sum())
            self._collect(cells, step.gamma * count[:, None, None], found)
            self._moves(cells, step, count, found)
        return found, likelihood

    def _moves(self, cells: Cells, step: Expected, count: Floats, found: Counts) -> None:
        """Add expected transitions of a batch."""
        types, slots = len(self.names.labels), cells.slots
        first = np.zeros((len(slots), 1), np.int64)
        columns = np.concatenate([first, 1 + slots, 1 + types + slots], 1).ravel()
        for target, source, column in (
            (found.opening, step.opening, columns),
            (found.going, step.going, slots.ravel()),
            (found.leaving, step.leaving, slots.ravel()),
        ):
            for part in range(2):
                mass = (source[:, part] * count[:, None]).ravel()
                target[part] += np.bincount(column, mass, target.shape[1])

    def spans(self, patterns: Sequence[Pattern], items: Items) -> Floats:
        """Probability that each place is exactly an entity of each type, (I, T)."""
        types = len(self.names.labels)
        q = np.zeros((len(items), types))
        bounds, lo, hi = items.lattice.offsets, items.lattice.start, items.lattice.end
        batches = list(tabulate(patterns, self.names, self.events, self.settings.sharing))
        fresh = self.events.known[self.emit.shape[1] :]
        if fresh:  # events that the fit never saw are worth their prior
            added = np.log(self._pseudo(fresh) / self.total[:, None])
            self.emit = np.concatenate([self.emit, added], 1)
        for cells in batches:
            emit, chain = self._scores(cells), self._chain(cells)
            alpha, beta, total = forward_backward(emit, cells.lengths, chain)
            k = chain.labels
            b, i, e, s = (slice(1 + part * k, 1 + (part + 1) * k) for part in range(4))
            going = chain.going[:, 1]
            # inside a place its own states are allowed; TINY elsewhere would swallow the sums
            run = np.cumsum(np.where(cells.allowed, emit, 0.0)[:, :, i] + going[:, None], 1)
            sizes = bounds[cells.rows + 1] - bounds[cells.rows]
            if not sizes.sum():
                continue
            row = np.repeat(np.arange(len(cells.rows)), sizes)
            item = np.concatenate([np.arange(bounds[r], bounds[r + 1]) for r in cells.rows])
            first, last = lo[item], hi[item] - 1
            single = alpha[row, first][:, s] + beta[row, first][:, s]
            inner = run[row, np.maximum(last - 1, 0)] - run[row, first] - going[row]
            middle = np.where(
                (last - first > 1)[:, None],
                chain.going[row, 0] + inner + chain.leaving[row, 1],
                chain.leaving[row, 0],
            )
            longer = alpha[row, first][:, b] + middle + emit[row, last][:, e]
            longer += beta[row, last][:, e]
            score = np.where((last == first)[:, None], single, longer) - total[row, None]
            prob = np.exp(np.clip(score, -700.0, 0.0))
            for slot in range(k):
                label = cells.slots[row, slot]
                q[item, label] = np.maximum(q[item, label], prob[:, slot])
        return q * items.allowed

    def resolve(self, patterns: Sequence[Pattern]) -> list[Resolution]:
        """The answer for each pattern."""
        items = build_items(patterns, [1] * len(patterns), self.names, Events())
        q = self.spans(patterns, items)
        return pick(patterns, items, q, self.names, self.settings.threshold)
