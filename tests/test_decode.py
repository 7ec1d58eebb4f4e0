"""THE decode against a slow reference that lists every valid path."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.decode import decode, log_softmax, marginals, softmax, spans_to_tags, tags_to_spans

settings.register_profile("model-wing", deadline=None, max_examples=60)
settings.load_profile("model-wing")


def valid(path: tuple[int, ...]) -> bool:
    open_label = -1
    for tag in path:
        label, part = divmod(tag - 1, 4) if tag else (-1, -1)
        if open_label < 0:
            if tag and part not in (0, 3):
                return False
            open_label = label if tag and part == 0 else -1
        else:
            if not tag or label != open_label or part not in (1, 2):
                return False
            open_label = label if part == 1 else -1
    return open_label < 0


def every_path(length: int, tags: int) -> list[tuple[int, ...]]:
    return [p for p in itertools.product(range(tags), repeat=length) if valid(p)]


PATHS = {(n, k): every_path(n, 1 + 4 * k) for n, k in [(1, 2), (2, 2), (3, 2), (4, 1), (5, 1)]}


@given(st.sampled_from(sorted(PATHS)), st.integers(0, 2**32), st.sampled_from([0.5, 1.0, 3.0]))
def test_equals_slow_reference(shape: tuple[int, int], seed: int, temperature: float) -> None:
    length, labels = shape
    logits = np.random.default_rng(seed).normal(0, 3, (length, 1 + 4 * labels))
    logp = log_softmax(logits / temperature)
    sums = {p: float(sum(logp[t, tag] for t, tag in enumerate(p))) for p in PATHS[shape]}
    best = max(sums, key=sums.__getitem__)
    total = sum(np.exp(v) for v in sums.values())
    (found,) = decode([logits], temperature=temperature)
    assert [(s.start, s.end, s.label) for s in found] == tags_to_spans(np.array(best))
    for span in found:
        want = tuple(spans_to_tags(length, [(span.start, span.end, span.label)]))
        part = slice(span.start, span.end)
        mass = sum(np.exp(v) for p, v in sums.items() if p[part] == want[part])
        assert span.score == pytest.approx(mass / total, rel=1e-6)


@given(st.sampled_from(sorted(PATHS)), st.integers(0, 2**32))
def test_marginals_are_sums_over_all_valid_paths(shape: tuple[int, int], seed: int) -> None:
    length, labels = shape
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (length, 1 + 4 * labels))
    logp = log_softmax(logits)
    wanted = np.zeros_like(logp)
    for path in PATHS[shape]:
        wanted[np.arange(length), path] += np.exp(sum(logp[t, tag] for t, tag in enumerate(path)))
    company = rng.normal(0, 3, (7, 1 + 4 * labels))
    found = marginals([company, logits, logits[:0]])
    assert found[1] == pytest.approx(wanted / wanted.sum(-1, keepdims=True), rel=1e-6)
    assert found[2].shape == (0, 1 + 4 * labels)
    assert found[0].sum(-1) == pytest.approx(np.ones(7))


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 2**32))
def test_company_in_a_batch_changes_nothing(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    many = [rng.normal(0, 2, (n, 9)) for n in lengths]
    alone = [decode([one])[0] for one in many]
    for one, two in zip(alone, decode(many), strict=True):
        assert [(s.start, s.end, s.label) for s in one] == [(s.start, s.end, s.label) for s in two]
        assert [s.score for s in one] == pytest.approx([s.score for s in two])


@st.composite
def flat(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int]]]:
    length = draw(st.integers(0, 30))
    spans, at = [], 0
    while at < length:
        end = draw(st.integers(at + 1, length))
        if draw(st.booleans()):
            spans.append((at, end, draw(st.integers(0, 13))))
        at = end
    return length, spans


@given(flat(), st.floats(0.5, 20))
def test_spans_to_tags_to_spans(case: tuple[int, list[tuple[int, int, int]]], gap: float) -> None:
    length, spans = case
    tags = spans_to_tags(length, spans)
    assert tags_to_spans(tags) == spans
    logits = np.eye(57)[tags] * gap
    (found,) = decode([logits])
    if gap > 10:
        assert [(s.start, s.end, s.label) for s in found] == spans
        assert all(s.score > 0.9 for s in found)


def test_hopeless_emissions_give_finite_scores() -> None:
    logits = np.full((6, 5), -1e4)
    logits[:, 2] = 1e4  # I everywhere: no valid path has it at the ends
    (found,) = decode([logits])
    assert all(0 <= s.score <= 1 for s in found)


def test_no_labels_and_no_texts() -> None:
    assert decode([np.zeros((3, 1)), np.zeros((0, 1))]) == [[], []]
    assert decode([]) == []


def test_softmax_sums_to_one_for_large_values() -> None:
    logits = np.array([[1e5, 0, -1e5], [3, 3, 3]])
    assert softmax(logits).sum(-1) == pytest.approx([1, 1])
    assert np.exp(log_softmax(logits)).sum(-1) == pytest.approx([1, 1])
