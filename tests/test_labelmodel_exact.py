"""The sums and maxima of the label models against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.labelmodel.chain import TINY, Chain, dense, expected, forward_backward, viterbi
from hanspan.labelmodel.dawid_skene import rate_of
from hanspan.labelmodel.lattice import Lattice

PLACES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 4)).map(lambda p: (p[0], p[0] + p[1])),
    min_size=0,
    max_size=6,
    unique=True,
)


def _sets(places: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """All sets of places without overlap."""
    every = itertools.chain.from_iterable(
        itertools.combinations(range(len(places)), size) for size in range(len(places) + 1)
    )
    return [
        chosen
        for chosen in every
        if all(
            places[a][1] <= places[b][0] or places[b][1] <= places[a][0]
            for a, b in itertools.combinations(chosen, 2)
        )
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=4), st.integers(0, 1000))
def test_lattice_equals_enumeration(patterns: list[list[tuple[int, int]]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    patterns = [sorted(p, key=lambda x: (x[1], x[0])) for p in patterns]
    flat = [place for p in patterns for place in p]
    offsets = np.cumsum([0, *(len(p) for p in patterns)])
    table = np.array(flat, np.int64).reshape(-1, 2)
    lattice = Lattice(table[:, 0], table[:, 1], offsets.astype(np.int64))
    odds = rng.normal(0, 2, len(flat))
    prob, total = lattice.marginals(odds)
    best = lattice.best(odds)
    for number, places in enumerate(patterns):
        mine = odds[offsets[number] : offsets[number + 1]]
        weights = {chosen: float(sum(mine[i] for i in chosen)) for chosen in _sets(places)}
        z = sum(np.exp(w) for w in weights.values())
        assert total[number] == pytest.approx(np.log(z))
        for i in range(len(places)):
            expected = sum(np.exp(w) for c, w in weights.items() if i in c) / z
            assert prob[offsets[number] + i] == pytest.approx(expected, abs=1e-9)
        picked = np.flatnonzero(best[offsets[number] : offsets[number + 1]])
        assert sum(mine[picked]) == pytest.approx(max(weights.values()), abs=1e-6)


def _chain(rng: np.random.Generator, rows: int, k: int) -> Chain:
    opening = rng.dirichlet(np.ones(1 + 2 * k), (rows, 2))
    going = rng.uniform(0.1, 0.9, (rows, 2, k))
    return Chain(np.log(opening), np.log(going), np.log1p(-going))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 2),
    st.integers(0, 1000),
    st.floats(0, 0.5),
)
def test_forward_backward_and_viterbi_equal_enumeration(
    sizes: list[int], k: int, seed: int, closed: float
) -> None:
    rng = np.random.default_rng(seed)
    lengths = np.array(sizes, np.int64)
    states = 1 + 4 * k
    emit = rng.normal(0, 2, (len(sizes), max(sizes), states))
    shut = rng.random(emit.shape) < closed
    shut[:, :, 0] = False
    emit[shut] = TINY
    chain = _chain(rng, len(sizes), k)
    move = dense(chain)
    alpha, beta, total = forward_backward(emit, lengths, chain)
    path, best = viterbi(emit, lengths, chain)
    for row, length in enumerate(sizes):
        scores = {}
        for states_of in itertools.product(range(states), repeat=length):
            score, before = 0.0, 0
            for t, state in enumerate(states_of):
                score += move[row, before, state] + emit[row, t, state]
                before = state
            score += move[row, before, 0]
            if score > -1e20:
                scores[states_of] = score
        z = sum(np.exp(s) for s in scores.values())
        assert total[row] == pytest.approx(np.log(z), abs=1e-8)
        for t in range(length):
            for state in range(states):
                expected = sum(np.exp(s) for p, s in scores.items() if p[t] == state) / z
                found = np.exp(min(alpha[row, t, state] + beta[row, t, state] - total[row], 0.0))
                assert found == pytest.approx(expected, abs=1e-8)
        assert best[row] == pytest.approx(max(scores.values()), abs=1e-8)
        assert scores[tuple(path[row, :length].tolist())] == pytest.approx(best[row], abs=1e-8)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 2),
    st.integers(0, 1000),
    st.sampled_from([2.0, 30.0, 900.0]),  # the last makes probabilities vanish
)
def test_expected_states_and_transitions_equal_enumeration(
    sizes: list[int], k: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    lengths = np.array(sizes, np.int64)
    states = 1 + 4 * k
    emit = rng.normal(0, spread, (len(sizes), max(sizes), states))
    shut = rng.random(emit.shape) < 0.2
    shut[:, :, 0] = False
    emit[shut] = TINY
    chain = _chain(rng, len(sizes), k)
    move = dense(chain)
    found = expected(emit, lengths, chain)
    opens = [0, *range(1, 1 + k), *range(1 + 3 * k, 1 + 4 * k)]
    for row, length in enumerate(sizes):
        paths, scores = [], []
        for path in itertools.product(range(states), repeat=length):
            whole = (0, *path, 0)
            score = sum(move[row, a, b] for a, b in itertools.pairwise(whole))
            score += sum(emit[row, t, state] for t, state in enumerate(path))
            paths.append(whole)
            scores.append(score)
        top = max(scores)
        weights = np.exp(np.array(scores) - top)
        assert found.total[row] == pytest.approx(top + np.log(weights.sum()), abs=1e-6)
        weights /= weights.sum()
        gamma = np.zeros((length, states))
        opening = np.zeros((2, 1 + 2 * k))
        steps = np.zeros((2, 2, k))  # going and leaving, from B and from I
        for whole, weight in zip(paths, weights, strict=True):
            for t, state in enumerate(whole[1:-1]):
                gamma[t, state] += weight
            for a, b in itertools.pairwise(whole):
                if b in opens and (a == 0 or a > 2 * k):
                    opening[int(a > 0), opens.index(b)] += weight
                elif weight > 0:
                    from_i, to_e = int(a > k), int(b > 2 * k)
                    steps[to_e, from_i, (a - 1) % k] += weight
        assert found.gamma[row, :length] == pytest.approx(gamma, abs=1e-6)
        assert not found.gamma[row, length:].any()
        assert found.opening[row] == pytest.approx(opening, abs=1e-6)
        assert found.going[row] == pytest.approx(steps[0], abs=1e-6)
        assert found.leaving[row] == pytest.approx(steps[1], abs=1e-6)


def test_a_place_of_its_own_is_a_logistic() -> None:
    lattice = Lattice(np.array([0]), np.array([2]), np.array([0, 1, 1]))
    prob, total = lattice.marginals(np.array([1.0]))
    assert prob[0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert total[1] == 0.0


@given(st.lists(st.floats(0.01, 20.0), min_size=1, max_size=5))
def test_the_rate_of_a_poisson_without_nought_comes_back_from_its_mean(rates: list[float]) -> None:
    given_rates = np.array(rates)
    found = rate_of(given_rates / -np.expm1(-given_rates))
    assert found == pytest.approx(given_rates, rel=1e-4)
    assert rate_of(np.array([1.0, 0.9])) == pytest.approx([0.0, 0.0], abs=1e-5)
