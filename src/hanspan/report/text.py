"""Documents with coloured spans as HTML; all text is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

from hanspan.data import Document, Span

PALETTE = (
    "#f3b0a5", "#f6d186", "#a9cdf2", "#b5e0b1", "#d8c3f0", "#9fdcd6", "#f5bfdc",
    "#c9d59a", "#e3c5a1", "#b9c6e8", "#cfe8c6", "#f2dfa0", "#e6b8c2", "#c6d2d6",
)  # fmt: skip


def colour_of(label: str, labels: Iterable[str]) -> str:
    """A fixed light colour for a label, by its place among ``labels``."""
    order = list(labels)
    place = order.index(label) if label in order else sum(map(ord, label))
    return PALETTE[place % len(PALETTE)]


def highlight_html(document: Document, spans: Iterable[Span], labels: Iterable[str]) -> str:
    """The text with flat spans marked; line breaks become ``<br>``."""
    labels = list(labels)
    parts, position = [], 0

    def plain(text: str) -> str:
        return html.escape(text).replace("\n", "<br>")

    for span in sorted(spans, key=lambda s: s.start):
        if span.start < position:
            continue
        parts.append(plain(document.text[position : span.start]))
        note = f"{span.label} {span.score:.2f} {span.source}".strip()
        parts.append(
            f'<mark style="background:{colour_of(span.label, labels)}" title="{html.escape(note)}">'
            f"{plain(document.surface(span))}<sub>{html.escape(span.label)}</sub></mark>"
        )
        position = span.end
    parts.append(plain(document.text[position:]))
    return "".join(parts)
