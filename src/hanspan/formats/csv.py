"""A table with one row a span, for spreadsheets: UTF-8 with the mark that Excel wants."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable

from hanspan.data import Document, whole

COLUMNS = ("id", "start", "end", "label", "surface", "score", "source", "topic")


def write(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write the table; a document without spans has one row with its topic alone."""
    count = 0
    with whole(path) as temporary:
        with temporary.open("w", encoding="utf-8-sig", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(COLUMNS)
            for document in documents:
                topic = document.labels.get("topic", "")
                for s in document.spans:
                    row = [s.start, s.end, s.label, _safe(document.surface(s)), s.score, s.source]
                    table.writerow([_safe(document.id), *row, topic])
                if not document.spans:
                    table.writerow([_safe(document.id), "", "", "", "", "", "", topic])
                count += 1
    return count


def _safe(cell: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; an apostrophe keeps it text."""
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
