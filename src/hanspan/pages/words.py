"""What a block is about: pairs of characters, weighed by how rare they are elsewhere."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Bag:
    """Counts of the pairs of some blocks.

    Attributes:
        counts: how often each pair stands there (more than twice in a block counts as twice).
        total: their sum.
    """

    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def plus(self, block: Counter[str], weight: int = 1) -> Bag:
        """A new bag with a block's pairs added."""
        counts = dict(self.counts)
        total = self.total
        for gram, number in block.items():
            number = min(number, 2) * weight
            counts[gram] = counts.get(gram, 0) + number
            total += number
        return Bag(counts, total)

    def fit(self, block: Counter[str]) -> float:
        """How much likelier the block's pairs are in this bag than anywhere, in nats a pair.

        A unigram model over pairs, smoothed by a Dirichlet prior on their general frequency
        (Zhai and Lafferty, 2001); a pair that is seen weighs at most as much as it is rare.
        """
        size = len(block)
        if not size or not self.total:
            return 0.0
        counts, score = self.counts, 0.0
        for gram in block:
            seen = counts.get(gram)
            if seen:
                score += math.log1p(seen * _PLACES / SMOOTHING * math.exp(min(rarity(gram), 9.0)))
        return score / size - math.log1p(self.total / SMOOTHING)
