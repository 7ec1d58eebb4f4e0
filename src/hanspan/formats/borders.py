"""Borders of spans as other tools count them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from hanspan.data import Span
from hanspan.errors import HanspanError


def utf16_map(text: str) -> dict[int, int]:
    """Place of each code point by its offset in UTF-16, as browsers count."""
    sizes = itertools.accumulate((1 + (ord(char) > 0xFFFF) for char in text), initial=0)
    return {place: index for index, place in enumerate(sizes)}


def span_of(text: str, start: Any, end: Any, label: Any, said: str | None = None) -> Span:
    """A span whose borders fit the text, counted in code points or, failing that, in UTF-16.

    Args:
        text: of the document.
        start, end: as the tool exports them.
        label: entity type.
        said: the characters as the tool exports them; None trusts the borders.

    Raises:
        HanspanError: if they fit neither way.
    """
    if not isinstance(label, str) or not label:
        raise HanspanError(f"span label {label!r:.40}: expected a name")
    try:
        start, end = int(start), int(end)
    except (TypeError, ValueError):
        raise HanspanError(f"span {start!r}:{end!r}: expected whole numbers") from None
    if 0 <= start < end <= len(text) and said in (None, text[start:end]):
        return Span(start, end, label)
    places = utf16_map(text)
    first, last = places.get(start, -1), places.get(end, -1)
    if 0 <= first < last and said in (None, text[first:last]):
        return Span(first, last, label)
    where = f" {said!r:.30}" if said is not None else ""
    raise HanspanError(
        f"span {start}:{end}{where}: does not fit the text of {len(text)} characters, counted in "
        f"code points or in UTF-16"
    )


def flat_spans(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans in order, each once.

    Raises:
        HanspanError: if two overlap; training data are flat.
    """
    ordered = sorted(set(spans), key=lambda span: (span.start, span.end))
    for one, two in itertools.pairwise(ordered):
        if one.overlaps(two):
            raise HanspanError(
                f"spans {one.start}:{one.end} {one.label} and {two.start}:{two.end} {two.label} "
                f"overlap; expected flat spans"
            )
    return tuple(ordered)
