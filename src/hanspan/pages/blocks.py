"""Raw text -> blocks: lines put together where a page was only wrapped, each with its range."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hanspan.pages import forms
from hanspan.text import CLOSERS, clean, ends_sentence

BODY, TITLE, DECK, BYLINE, CAPTION, FURNITURE = (
    "body",
    "title",
    "deck",
    "byline",
    "caption",
    "furniture",
)
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the page that hangs together.

    Attributes:
        index: place on the page.
        kind: what it is by its form (a ``title`` may turn out a section head or a cut line).
        text: cleaned text.
        pieces: ranges of the source text whose characters make ``text``, in order.
        gap: whether a blank line (or the page's edge) stands before it.
        reason: the sort of furniture.
        glued: whether it follows the block before on the same line.
    """

    index: int
    kind: str
    text: str
    pieces: tuple[tuple[int, int], ...]
    gap: bool = True
    reason: str = ""
    glued: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    text: str
    gap: bool
    indent: bool


def _lines(source: str) -> Iterator[_Line]:
    start, gap, size = 0, True, len(source)
    while start < size:
        end = start
        while end < size and source[end] not in _LINE_ENDS:
            end += 1
        text = clean(source, start, end).text
        if text:
            indent = source[start:end].startswith(("\u3000", "  ", "\t"))
            yield _Line(start, end, text, gap, indent)
            gap = False
        elif end > start or source[start : start + 1] != "\n" or source[start - 1] == "\n":
            gap = True
        start = end + (2 if source[end : end + 2] == "\r\n" else 1)


def _wrap_width(lines: list[_Line]) -> int:
    """Width at which the lines were wrapped, or 0 when lines are whole paragraphs."""
    sizes = sorted(len(line.text) for line in lines if len(line.text) > 6)
    if len(sizes) < 6:
        return 0
    width = sizes[int(len(sizes) * 0.9)]
    full = [line for line in lines if width - 3 <= len(line.text) <= width + 2]
    if width > 90 or len(full) * 2 < len(sizes):
        return 0
    open_ends = sum(not ends_sentence(line.text) for line in full)
    return width if open_ends * 2 > len(full) else 0


def _paragraphs(lines: list[_Line]) -> Iterator[list[_Line]]:
    width = _wrap_width(lines)
    part: list[_Line] = []
    for line in lines:
        if part and (not width or line.gap or line.indent or len(part[-1].text) < width - 3):
            yield part
            part = []
        part.append(line)
    if part:
        yield part


def _kind(text: str) -> tuple[str, str]:
    if reason := forms.furniture(text):
        return FURNITURE, reason
    if forms.byline(text):
        return BYLINE, ""
    if forms.is_caption(text):
        return CAPTION, ""
    if forms.is_deck(text):
        return DECK, ""
    if forms.title_like(text) and not (ends_sentence(text) and text.rstrip(CLOSERS)[-1] == "…"):
        return TITLE, ""
    return BODY, ""


def split_blocks(source: str, skipped: Sequence[tuple[int, int, str]] = ()) -> list[Block]:
    """Cut a page's text into blocks in reading order.

    Args:
        source: the decoded text.
        skipped: ranges that are furniture, with the reason why.

    Every character of ``source`` that is no white space and not invisible is in exactly one
    block.
    """
    blocks: list[Block] = []
    skips = [start for start, _, _ in skipped]
    for part in _paragraphs(list(_lines(source))):
        text, origins = "", list[int]()
        for line in part:
            mapped = clean(source, line.start, line.end)
            if text and text[-1].isascii() and text[-1].isalnum() and mapped.text[0].isascii():
                place = part[part.index(line) - 1].end
                text, origins = text + source[place], [*origins, place]
            text += mapped.text
            origins.extend(mapped.origins)
        cuts = [0, len(text)]
        for match in forms.INLINE_CAPTION.finditer(text):
            if match.end() - match.start() < len(text):
                cuts += match.span()
        cuts = sorted(set(cuts))
        for start, end in itertools.pairwise(cuts):
            kind, reason = _kind(text[start:end])
            place = bisect.bisect_right(skips, origins[start]) - 1
            if place >= 0 and origins[start] < skipped[place][1]:
                kind, reason = FURNITURE, skipped[place][2]
            pieces: list[tuple[int, int]] = []
            for place in origins[start:end]:
                if pieces and pieces[-1][1] == place:
                    pieces[-1] = (pieces[-1][0], place + 1)
                else:
                    pieces.append((place, place + 1))
            blocks.append(
                Block(
                    len(blocks),
                    kind,
                    text[start:end],
                    tuple(pieces),
                    part[0].gap and start == 0,
                    reason,
                    start > 0,
                )
            )
    return blocks
