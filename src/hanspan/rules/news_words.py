"""Word lists that the Python rules of the news set share with its YAML files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hanspan.rules.source import read_words

WORDS = Path(__file__).parent / "sets" / "news" / "words"


@cache
def words(name: str) -> frozenset[str]:
    """Words of ``sets/news/words/<name>.txt``; several may stand on a line, between spaces."""
    rows = read_words(WORDS / f"{name}.txt")
    return frozenset(word for _, row in rows for word in row.split())


@cache
def tiers(name: str) -> dict[str, tuple[str, ...]]:
    """Lines ``tier<TAB>words`` of a list, tier -> its words (or characters, in one word)."""
    found: dict[str, tuple[str, ...]] = {}
    for _, row in read_words(WORDS / f"{name}.txt"):
        tier, _, rest = row.partition("\t")
        found[tier] = tuple(rest.split())
    return found


@cache
def _sizes(group: frozenset[str], at: int) -> dict[str, tuple[int, ...]]:
    """First (``at`` 0) or last (-1) character of the words -> their lengths, longest first."""
    found: dict[str, set[int]] = {}
    for word in group:
        if word:
            found.setdefault(word[at], set()).add(len(word))
    return {char: tuple(sorted(sizes, reverse=True)) for char, sizes in found.items()}


def endings(group: frozenset[str], text: str, end: int, longest: int = 6) -> int:
    """Length of the longest word of ``group`` that ends at ``end``; 0 for none."""
    most = min(longest, end)
    if most > 0:
        for size in _sizes(group, -1).get(text[end - 1], ()):
            if size <= most and text[end - size : end] in group:
                return size
    return 0


def starts(group: frozenset[str], text: str, start: int, longest: int = 6) -> int:
    """Length of the longest word of ``group`` that starts at ``start``; 0 for none."""
    most = min(longest, len(text) - start)
    if most > 0:
        for size in _sizes(group, 0).get(text[start], ()):
            if size <= most and text[start : start + size] in group:
                return size
    return 0
