"""What characters alone say: do two ends fit, does a line begin a paragraph, is it a title.

Three logistic models over hashed character n-grams, trained by ``scripts/fit_pages.py`` on
unlabelled text and shipped as bytes. Each gives a log odds, balanced (0 = no opinion).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources

import numpy as np

JOIN_BITS, START_BITS, TITLE_BITS = 20, 15, 17
_PRIME = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
EDGE = "\x02"


def squash(text: str) -> str:
    """Digits as one class and Latin letters as another; what matters is that they go on."""
    if text.isascii() is False and not any(char.isascii() for char in text):
        return text
    return "".join(
        "0" if char in "0123456789" else "a" if char.isascii() and char.isalpha() else char
        for char in text
    )


def bucket(template: int, gram: str, bits: int) -> int:
    """The weight's place: a multiplicative hash of a template's number and its characters."""
    value = template + 1
    for char in gram:
        value = ((value ^ ord(char)) * _PRIME) & _MASK
        value ^= value >> 29
    return value >> (64 - bits)


def join_grams(tail: str, head: str) -> list[str]:
    """Grams across the border, one a template; both sides are squashed and padded."""
    t, h = (EDGE * 3 + tail)[-3:], (head + EDGE * 3)[:3]
    return [
        t[2] + h[0],
        t[1:] + h[0],
        t[2] + h[:2],
        t[1:] + h[:2],
        t + h[0],
        t[2] + h,
        t[2],
        h[0],
    ]


def start_grams(head: str) -> list[str]:
    """Grams at the beginning of a line, one a template."""
    h = (head + EDGE * 4)[:4]
    return [h[0], h[:2], h[:3], h[1], h[1:3], h[2:4]]


def title_grams(line: str) -> list[tuple[int, str]]:
    """Template and gram of a whole line: its edges, its pairs, its length."""
    line = line[:48]
    text = EDGE + line + EDGE
    grams = [(0, text[:2]), (1, text[:3]), (2, text[-2:]), (3, text[-3:])]
    grams += [(4, text[i : i + 2]) for i in range(1, len(text) - 2)]
    grams += [(5, char) for char in line]
    grams.append((6, str(min(len(line) // 3, 12))))
    return grams


@functools.cache
def _weights() -> dict[str, tuple[float, np.ndarray]]:
    path = resources.files("hanspan") / "assets" / "pages" / "ngrams.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return {
            name: (float(stored[f"{name}_scale"]), stored[name])
            for name in ("join", "start", "title")
        }


def _sum(name: str, places: Sequence[int]) -> float:
    scale, weights = _weights()[name]
    return scale * float(sum(int(weights[place]) for place in places))


@functools.lru_cache(maxsize=1 << 16)
def join_odds(tail: str, head: str) -> float:
    """Log odds that ``head`` goes on where ``tail`` stops, against any other middle of a text."""
    grams = join_grams(squash(tail[-3:]), squash(head[:3]))
    return _sum("join", [bucket(i, gram, JOIN_BITS) for i, gram in enumerate(grams)])


@functools.lru_cache(maxsize=1 << 14)
def start_odds(head: str) -> float:
    """Log odds that ``head`` begins a paragraph, against the middle of one."""
    grams = start_grams(squash(head[:4]))
    return _sum("start", [bucket(i, gram, START_BITS) for i, gram in enumerate(grams)])


@functools.lru_cache(maxsize=1 << 12)
def title_odds(line: str) -> float:
    """Log odds that ``line`` is a title, against a piece of running text."""
    grams = title_grams(squash(line))
    return _sum("title", [bucket(i, gram, TITLE_BITS) for i, gram in grams])
