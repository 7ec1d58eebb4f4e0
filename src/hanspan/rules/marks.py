"""Sentences with marked spans, as they stand beside rules."""

from __future__ import annotations

import re

_MARK = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)


def marked(example: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Text and spans of an example such as ``投资[[3亿元]]`` or ``投资[[3亿元|MONEY]]``."""
    text, spans, last = "", [], 0
    for match in _MARK.finditer(example):
        text += example[last : match.start()]
        surface, _, label = match[1].partition("|")
        spans.append((len(text), len(text) + len(surface), label))
        text += surface
        last = match.end()
    return text + example[last:], spans
