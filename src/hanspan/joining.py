"""Documents of several files as one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hanspan.data import Document, read_documents


def bare(parts: Sequence[Path]) -> Iterator[Document]:
    """Bare text of all parts, numbered, so that no label of a row can reach training."""
    for document in numbered(row for part in parts for row in read_documents(part)):
        yield replace(document, spans=(), labels={})


def numbered(documents: Iterable[Document]) -> Iterator[Document]:
    """The same documents; an id that stands twice gets a number."""
    seen: dict[str, int] = {}
    for document in documents:
        count = seen[document.id] = seen.get(document.id, 0) + 1
        yield document if count == 1 else replace(document, id=f"{document.id}#{count}")


def without(
    documents: Iterator[Document], exclude: Sequence[Path], count: Counter[str]
) -> Iterator[Document]:
    """Documents that hold no sentence of the excluded files; ``count`` says what happened."""
    from hanspan.pretrain.exclude import DevTexts, normalize

    texts = DevTexts(d.text for path in exclude for d in read_documents(path))
    for document in documents:
        if any(texts.holds(normalize(line)) for line in document.text.split("\n")):
            count["left out"] += 1
            continue
        count["characters"] += len(document.text)
        yield document
