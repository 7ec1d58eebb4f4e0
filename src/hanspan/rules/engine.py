"""One way to call both engines: each match is a function from a group's number to its span.

re2's Python wrapper makes three objects for every call, which takes longer than most matches
do; where its inner object is to be had, that is asked instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Spans = Callable[[int], tuple[int, int]]
"""Number of a group -> start and end; (-1, -1) for a group that took no part."""


class Plain:
    """``re``, or re2 by its public names.

    Args:
        compiled: what either module's ``compile`` returned.
    """

    def __init__(self, compiled: Any) -> None:
        self._match, self._finditer = compiled.match, compiled.finditer

    def at(self, subject: Any, low: int, high: int) -> Spans | None:
        """The match that begins at ``low``."""
        match = self._match(subject, low, high)
        return None if match is None else match.span

    def every(self, subject: Any, low: int, high: int) -> Iterator[Spans]:
        """Matches from left to right, without overlap."""
        for match in self._finditer(subject, low, high):
            yield match.span


class Inner:
    """re2 without the wrapper; for bytes.

    Args:
        match: ``Match`` of the inner object.
        start, anywhere: its anchors.
    """

    def __init__(self, match: Callable[..., list[Any]], start: Any, anywhere: Any) -> None:
        self._match, self._start, self._anywhere = match, start, anywhere

    def at(self, subject: bytes, low: int, high: int) -> Spans | None:
        """The match that begins at ``low``."""
        spans = self._match(self._start, subject, low, high)
        return spans.__getitem__ if spans[0][0] >= 0 else None

    def every(self, subject: bytes, low: int, high: int) -> Iterator[Spans]:
        """Matches from left to right, without overlap."""
        match, anywhere = self._match, self._anywhere
        while low <= high:
            spans = match(anywhere, subject, low, high)
            begin, end = spans[0]
            if begin < 0:
                return
            yield spans.__getitem__
            low = end + 1 if end == low else end  # an empty match must not be found for ever


def engine(compiled: Any) -> Plain | Inner:
    """The fastest way to call a compiled pattern."""
    inner = getattr(compiled, "_regexp", None)
    if inner is None:
        return Plain(compiled)
    try:
        anchors = type(inner).Anchor
        return Inner(inner.Match, anchors.ANCHOR_START, anchors.UNANCHORED)
    except AttributeError:  # another release
        return Plain(compiled)
