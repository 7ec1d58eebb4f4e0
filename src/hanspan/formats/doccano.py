"""doccano's JSON lines: ``{"text", "label": [[start, end, type]]}``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hanspan.data import Document, open_text, whole
from hanspan.errors import HanspanError
from hanspan.formats import Rejected
from hanspan.formats.borders import flat_spans, span_of


def write(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write for doccano's import of sequence labels; returns the number of documents."""
    count = 0
    with whole(path) as temporary, open_text(temporary, "w") as stream:
        for document in documents:
            row: dict[str, Any] = {"id": document.id, "text": document.text}
            row["label"] = [[span.start, span.end, span.label] for span in document.spans]
            if "topic" in document.labels:
                row["topic"] = document.labels["topic"]
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read(path: str | os.PathLike[str], rejected: Rejected) -> Iterator[Document]:
    """Read any of doccano's exports: ``label``, ``labels`` or ``entities``."""
    name = Path(path).name
    with open_text(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                yield _document(json.loads(line), f"{name}:{number}")
            except (HanspanError, ValueError) as err:
                rejected.append({"line": number, "reason": str(err), "row": line[:200]})


def _document(row: Any, name: str) -> Document:
    text = row.get("text", row.get("data")) if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise HanspanError("expected an object with a string under 'text'")
    spans, labels = [], {}
    if isinstance(row.get("topic"), str):
        labels["topic"] = row["topic"]
    for item in row.get("entities") or row.get("label") or row.get("labels") or ():
        if isinstance(item, dict):
            spans.append(
                span_of(text, item.get("start_offset"), item.get("end_offset"), item.get("label"))
            )
        elif isinstance(item, list) and len(item) == 3:
            spans.append(span_of(text, *item))
        elif isinstance(item, str):
            labels["topic"] = item
        else:
            raise HanspanError(f"label {item!r:.40}: expected [start, end, type]")
    return Document(str(row.get("id", name)), text, flat_spans(spans), labels)
