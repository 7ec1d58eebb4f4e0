"""Views of a text of the same length: full width folded, traditional written simplified.

Only maps of one character to one are used, so offsets in a view are offsets in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Letters, digits and three signs only: Chinese punctuation keeps its width.
_WIDE = "".join(chr(c) for c in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B)))
_WIDE += "".join(chr(c) for c in range(0xFF41, 0xFF5B)) + "％＆＠"
_WIDTH = {ord(c): chr(ord(c) - 0xFEE0) for c in _WIDE}
_SURROGATE = re.compile("[\ud800-\udfff]")
_HAS_WIDE = re.compile(f"[{_WIDE}]")


def fold_width(text: str) -> str:
    """Full-width letters, digits and ％＆＠ as their half-width forms."""
    return text.translate(_WIDTH) if _HAS_WIDE.search(text) else text


class _Simplify:
    """OpenCC's ``t2s`` as an array over code points, and the phrases that go another way."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.single = np.arange(0x110000, dtype=np.uint32)
        self.single[[ord(c) for c in table["from"]]] = [ord(c) for c in table["to"]]
        self.phrases: Mapping[str, str] = table["phrases"]
        longest = sorted(self.phrases, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest)))
        self.cue = np.zeros(0x110000, bool)  # characters that a phrase writes in its own way
        for old, new in self.phrases.items():
            for before, after in zip(old, new, strict=True):
                self.cue[ord(before)] |= bool(self.single[ord(before)] != ord(after))

    def __call__(self, text: str) -> str:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        plain = self.single[points]
        if self.cue[points].any():
            for match in self.pattern.finditer(text):
                plain[match.start() : match.end()] = [ord(c) for c in self.phrases[match.group()]]
        return plain.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


@lru_cache(maxsize=1)
def _simplify() -> _Simplify:
    path = Path(__file__).parents[1] / "assets" / "simplified.json"
    return _Simplify(json.loads(path.read_text("utf-8")))


def to_simplified(text: str) -> str:
    """Simplified characters (OpenCC's ``t2s``), always of the same length."""
    return _simplify()(text)


class View:
    """One form of a text, as string and as bytes for re2, with offsets back to characters."""

    __slots__ = ("_before", "_data", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._data: bytes | None = None
        self._before: NDArray[np.int32] | None = None

    @property
    def data(self) -> bytes:
        """UTF-8."""
        if self._data is None:
            self._data = self.text.encode("utf-8", "surrogatepass")
        return self._data

    def char(self, offset: int) -> int:
        """Offset in code points of an offset in bytes."""
        if self._before is None:
            raw = np.frombuffer(self.data, np.uint8)
            self._before = np.zeros(len(raw) + 1, np.int32)
            np.cumsum((raw & 0xC0) != 0x80, out=self._before[1:])
        return self._before.item(offset)


class Views:
    """The forms of one text, made when first asked for; equal forms are one object."""

    __slots__ = ("_made", "text")

    def __init__(self, text: str) -> None:
        self.text = text = _SURROGATE.sub("\ufffd", text)  # the automata want UTF-8
        self._made: dict[tuple[bool, bool], View] = {(False, False): View(text)}

    def get(self, width: bool, traditional: bool) -> View:
        """The form with full width folded and/or traditional simplified."""
        key = (width, traditional)
        view = self._made.get(key)
        if view is None:
            text = fold(self.text, width, traditional)
            same = (made for made in self._made.values() if made.text == text)
            view = self._made[key] = next(same, None) or View(text)
        return view


def fold(text: str, width: bool, traditional: bool) -> str:
    """One form of a text."""
    if width:
        text = fold_width(text)
    return to_simplified(text) if traditional else text
