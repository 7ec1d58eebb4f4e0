"""Argilla 2 records as JSON: suggestions out (``records.from_json``), responses in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hanspan.data import Document
from hanspan.errors import HanspanError
from hanspan.formats import Rejected
from hanspan.formats.borders import flat_spans, span_of
from hanspan.formats.jsonlist import write_list


def _record(document: Document) -> dict[str, Any]:
    values = [{"start": s.start, "end": s.end, "label": s.label} for s in document.spans]
    scores = [span.score for span in document.spans]
    spans: dict[str, Any] = {"value": values, "score": scores or None, "agent": "hanspan"}
    suggestions = {"spans": spans}
    if "topic" in document.labels:
        topic = document.labels["topic"]
        suggestions["topic"] = {"value": topic, "score": None, "agent": "hanspan"}
    return {
        "id": document.id,
        "fields": {"text": document.text},
        "metadata": {},
        "suggestions": suggestions,
        "responses": {},
        "vectors": {},
        "status": "pending",
    }


def write(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write records with suggestions ``spans`` and ``topic``; returns how many."""
    return write_list(path, documents, _record)


def read(path: str | os.PathLike[str], rejected: Rejected) -> Iterator[Document]:
    """Read ``records.to_json`` or ``to_list(flatten=True)``: the last response of each question."""
    path = Path(path)
    try:
        rows = json.loads(path.read_text("utf-8-sig"))
    except ValueError as err:
        raise HanspanError(f"{path}: not JSON ({err}); expected Argilla records") from None
    if not isinstance(rows, list):
        raise HanspanError(f"{path}: found {type(rows).__name__}; expected a list of records")
    for number, row in enumerate(rows, 1):
        try:
            yield _document(row, f"{path.name}:{number}")
        except HanspanError as err:
            rejected.append({"line": number, "reason": str(err), "row": None})


def _answer(row: dict[str, Any], question: str) -> Any:
    flat = row.get(f"{question}.responses")
    if isinstance(flat, list) and flat:
        return flat[-1]
    nested = row.get("responses")
    given = nested.get(question) if isinstance(nested, dict) else None
    if isinstance(given, list) and given and isinstance(given[-1], dict):
        return given[-1].get("value")
    return None


def _document(row: Any, name: str) -> Document:
    if not isinstance(row, dict):
        raise HanspanError("expected a record")
    fields = row.get("fields") if isinstance(row.get("fields"), dict) else row
    text = fields.get("text") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        raise HanspanError("expected a record with the field 'text'")
    spans, topic = _answer(row, "spans"), _answer(row, "topic")
    if spans is None and topic is None:
        raise HanspanError("found no response; expected one to 'spans' or 'topic'")
    found = []
    for item in spans or ():
        if not isinstance(item, dict):
            raise HanspanError(f"span {item!r:.40}: expected start, end and label")
        found.append(span_of(text, item.get("start"), item.get("end"), item.get("label")))
    labels = {"topic": topic} if isinstance(topic, str) else {}
    return Document(str(row.get("id", name)), text, flat_spans(found), labels)
