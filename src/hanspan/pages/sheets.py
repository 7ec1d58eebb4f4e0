"""A very long source, cut into sheets, so that memory and time grow no faster than the file.

No printed page is as long as a sheet; a file that is longer holds many pages one after the other.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import replace

from hanspan.pages import forms
from hanspan.pages.source import Source
from hanspan.text import ends_sentence

SHEET = 200_000
"""Characters of a sheet at most."""


def sheets(source: Source, size: int = SHEET) -> Iterator[tuple[int, Source]]:
    """The parts of a source, each with the place where it begins; mostly it is one.

    A sheet ends at a form feed, else before a line that could be a title and after the end of a
    sentence, else at the end of a line: always the last such place that the size allows.
    """
    start, text = 0, source.text
    ends = [end for _, end, _ in source.skipped]
    while start < len(text):
        end = len(text) if len(text) - start <= size else _border(text, start, start + size)
        skipped = []
        for first, last, reason in source.skipped[bisect.bisect_right(ends, start) :]:
            if first >= end:
                break
            skipped.append((max(first, start) - start, min(last, end) - start, reason))
        yield start, replace(source, text=text[start:end], skipped=tuple(skipped))
        start = end


def _border(text: str, start: int, end: int) -> int:
    """Where the sheet that begins at ``start`` has to end, at ``end`` at the latest."""
    earliest = start + (end - start) // 2
    if (feed := text.rfind("\f", earliest, end)) > 0:
        return feed + 1
    last = place = text.rfind("\n", earliest, end) + 1
    while place > earliest:
        line_end = text.find("\n", place)
        line = text[place : line_end if line_end >= 0 else len(text)].strip()
        before = text[:place].rstrip() if place < 400 else text[place - 400 : place].rstrip()
        if forms.title_like(line) and before and ends_sentence(before):
            return place
        place = text.rfind("\n", earliest, place - 1) + 1
    return last or end
