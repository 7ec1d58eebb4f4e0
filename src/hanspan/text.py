"""Text before it is a document: decoding bytes, cleaning with a map back, sentence borders.

Whatever removes or replaces characters here returns a :class:`Mapped`, so that every character
of the result knows the one it came from.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_PROBE = 1 << 16
_INVISIBLE = frozenset("\u00ad\u180e\u200b\u200c\u200e\u200f\u2060\ufeff")
CLOSERS = "”’」』】》〉）)]\"'"
"""Closing quotes and brackets that may follow the end of a sentence."""
ENDS = "。！？!?…"
"""Characters that end a sentence."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text that was bytes.

    Attributes:
        text: the characters; a byte that could not be read stands as U+FFFD.
        encoding: name of the codec that was used.
        broken: how many U+FFFD the decoding put in.
    """

    text: str
    encoding: str
    broken: int = 0


@functools.cache
def _common() -> frozenset[str]:
    path = resources.files("hanspan") / "assets" / "pages" / "common_characters.txt"
    return frozenset(path.read_text(encoding="utf-8").strip())


def _share_of_common(text: str) -> float:
    wide = [char for char in text if ord(char) > 0x7F]
    return sum(char in _common() for char in wide) / len(wide) if wide else 0.0


def _utf16(data: bytes) -> str | None:
    """UTF-16 without a mark: its high bytes repeat, at even or at odd places."""
    if len(data) < 8 or len(data) % 2:
        return None
    probe = data[: _PROBE & ~1]
    best, chosen = 0.5, None
    for name in ("utf-16-le", "utf-16-be"):
        try:
            text = probe.decode(name)
        except UnicodeDecodeError:
            continue
        good = sum(char in _common() or char in "\r\n，。、 " for char in text) / len(text)
        if good > best:
            best, chosen = good, name
    return chosen


def detect_encoding(data: bytes) -> str:
    """Name the codec of ``data``: mark, strict UTF-8, UTF-16 by its bytes, GB18030 or Big5.

    GB18030 and Big5 are told apart by the share of common characters that each would give
    (simplified and traditional); GB18030 covers GB2312 and GBK.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return name
    probe = data[:_PROBE]
    if b"\x00" in probe and (name16 := _utf16(data)):
        return name16
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    scores = {}
    for name in ("utf-8", "gb18030", "big5hkscs"):
        text = probe.decode(name, "replace")
        scores[name] = _share_of_common(text) - 2 * text.count("\ufffd") / max(1, len(text))
    name16 = _utf16(data)
    if name16 and _share_of_common(probe[: len(probe) & ~1].decode(name16, "replace")) > max(
        scores.values()
    ):
        return name16
    return max(scores, key=lambda name: scores[name])


def decode(data: bytes, encoding: str | None = None) -> Decoded:
    """Decode ``data`` by ``encoding``, or by :func:`detect_encoding`.

    A byte order mark is taken off; broken bytes become U+FFFD and are counted.
    """
    name = encoding or detect_encoding(data)
    for mark, marked in _BOMS:
        if data.startswith(mark) and marked.startswith(name.lower()[:6]):
            data = data[len(mark) :]
            break
    text = data.decode(name, "replace")
    broken = text.count("\ufffd")
    if broken:
        broken -= data.count("\ufffd".encode(name, "ignore") or b"\xff\xff\xff\xff")
    return Decoded(text, name, max(0, broken))


def looks_binary(text: str) -> bool:
    """Whether more than one character in twenty is a control character or U+FFFD."""
    probe = text[:_PROBE]
    bad = sum(char == "\ufffd" or (char < " " and char not in "\t\n\r\f") for char in probe)
    return bad * 20 > len(probe)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A text and where each of its characters stands in the text it was made from.

    Attributes:
        text: the result.
        origins: for each character of ``text`` the index of the original character.
    """

    text: str
    origins: tuple[int, ...]

    def raw(self, start: int, end: int) -> tuple[int, int]:
        """The smallest original range that holds ``text[start:end]``.

        Raises:
            ValueError: for an empty range, which stands nowhere in the original.
        """
        if not 0 <= start < end <= len(self.text):
            raise ValueError(f"range {start}:{end} of a text of {len(self.text)} characters")
        return self.origins[start], self.origins[end - 1] + 1

    def pieces(self, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
        """The original ranges whose characters, put together, are ``text[start:end]``.

        Exact where characters were only removed; a replaced character gives its origin.
        """
        ranges: list[tuple[int, int]] = []
        for place in self.origins[start:end]:
            if ranges and ranges[-1][1] == place:
                ranges[-1] = (ranges[-1][0], place + 1)
            elif not ranges or ranges[-1][1] != place + 1:
                ranges.append((place, place + 1))
        return ranges


def invisible(char: str) -> bool:
    """Whether ``char`` is a control character, a soft hyphen, a mark of direction or zero wide."""
    return char in _INVISIBLE or (unicodedata.category(char) == "Cc" and char not in "\n\t")


def clean(text: str, start: int = 0, end: int | None = None) -> Mapped:
    """Take white space off both ends of ``text[start:end]`` and invisible characters out of it.

    Returns:
        The text with origins counted in ``text`` itself. Characters are removed, never changed.
    """
    end = len(text) if end is None else end
    while start < end and (text[start].isspace() or invisible(text[start])):
        start += 1
    while end > start and (text[end - 1].isspace() or invisible(text[end - 1])):
        end -= 1
    part = text[start:end]
    if part.isprintable():
        return Mapped(part, tuple(range(start, end)))
    kept = [place for place in range(start, end) if not invisible(text[place])]
    return Mapped("".join(text[place] for place in kept), tuple(kept))


def fold(text: str) -> Mapped:
    """Full-width letters, digits and signs as half-width ones, compatibility forms as plain ones.

    Unicode NFKC, a character at a time, but Chinese punctuation stays as it is. One character
    may become several; each of them has the same origin.
    """
    out: list[str] = []
    origins: list[int] = []
    for place, char in enumerate(text):
        folded = char
        if char not in "，。：；！？（）…～" and not char.isascii():
            folded = unicodedata.normalize("NFKC", char)
        out.append(folded)
        origins.extend([place] * len(folded))
    return Mapped("".join(out), tuple(origins))


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, closing quotes included, white space around it not.

    A sentence ends after 。！？…… and their like, and at a line break.
    """
    place, size = 0, len(text)
    while place < size:
        end = place
        while end < size and text[end] != "\n" and text[end] not in ENDS:
            end += 1
        while end < size and text[end] in ENDS:
            end += 1
        while end < size and text[end] in CLOSERS:
            end += 1
        if end == place:
            end += 1
        first, last = place, end
        while first < last and text[first].isspace():
            first += 1
        while last > first and text[last - 1].isspace():
            last -= 1
        if first < last:
            yield first, last
        place = end


def ends_sentence(text: str) -> bool:
    """Whether ``text`` ends with the end of a sentence, closing quotes or brackets apart."""
    body = text.rstrip().rstrip(CLOSERS).rstrip()
    if not body:
        return False
    if body[-1] in ENDS:
        return True
    return body[-1] == "." and not body[-2:-1].isdigit()
