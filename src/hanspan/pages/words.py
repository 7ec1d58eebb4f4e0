"""What a block is about: pairs of characters, weighed by how rare they are elsewhere."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from importlib import resources

import numpy as np

SMOOTHING = 500.0
"""Pairs of general text that a bag is taken to hold from the start."""
_PLACES = 100  # pairs of a middling paragraph: turns a share of paragraphs into a frequency


def grams(text: str) -> list[str]:
    """Pairs of neighbouring letters, digits left out."""
    return [
        text[i : i + 2] for i in range(len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()
    ]


@functools.cache
def _rarity() -> tuple[dict[str, float], float]:
    path = resources.files("hanspan") / "assets" / "pages" / "ngrams.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        values = stored["rarity"].astype(float) / 8
        table = dict(zip(stored["grams"].tolist(), values.tolist(), strict=True))
    return table, max(table.values()) + 1.0


def rarity(gram: str) -> float:
    """Minus log of the share of paragraphs that hold the pair."""
    table, rest = _rarity()
    return table.get(gram, rest)


@functools.lru_cache(maxsize=1 << 16)
def _weight(gram: str) -> float:
    """What one sighting of the pair counts against the smoothing."""
    return _PLACES / SMOOTHING * math.exp(min(rarity(gram), 9.0))


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The pairs of one block.

    Attributes:
        key: names the block; bags remember by it what they have worked out.
        pairs: each pair, how often it stands there (at most twice), and its weight.
        trust: from 0 to 1: few words say little.
    """

    key: int
    pairs: tuple[tuple[str, int, float], ...]
    trust: float


def words_of(text: str, key: int) -> Words:
    """Count the pairs of a text."""
    counts: dict[str, int] = {}
    for gram in grams(text):
        counts[gram] = min(2, counts.get(gram, 0) + 1)
    pairs = tuple((gram, number, _weight(gram)) for gram, number in counts.items())
    return Words(key, pairs, min(1.0, len(pairs) / 40))


class Bag:
    """Counts of the pairs of some blocks. Never changed: :meth:`plus` makes, and keeps, another."""

    __slots__ = ("counts", "fits", "more", "total")

    def __init__(self, counts: dict[str, int] | None = None, total: int = 0) -> None:
        self.counts = counts or {}
        self.total = total
        self.more: dict[tuple[int, int], Bag] = {}
        self.fits: dict[int, float] = {}

    def plus(self, words: Words, weight: int = 1) -> Bag:
        """The bag with a block's pairs added; the same object whenever asked again."""
        bag = self.more.get((words.key, weight))
        if bag is None:
            counts, total = dict(self.counts), self.total
            for gram, number, _ in words.pairs:
                counts[gram] = counts.get(gram, 0) + number * weight
                total += number * weight
            bag = self.more[words.key, weight] = Bag(counts, total)
        return bag

    def fit(self, words: Words) -> float:
        """How much likelier the block's pairs are in this bag than anywhere, in nats a pair.

        A unigram model over pairs, smoothed by a Dirichlet prior on their general frequency
        (Zhai and Lafferty, 2001); from -2 to 4, and less for a block of few words.
        """
        known = self.fits.get(words.key)
        if known is not None:
            return known
        value = 0.0
        if words.pairs and self.total:
            get, log1p = self.counts.get, math.log1p
            for gram, _, weight in words.pairs:
                seen = get(gram)
                if seen:
                    value += log1p(seen * weight)
            value = value / len(words.pairs) - log1p(self.total / SMOOTHING)
            value = words.trust * max(-2.0, min(4.0, value))
        self.fits[words.key] = value
        return value
