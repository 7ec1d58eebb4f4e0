"""Label Studio tasks: predictions out, annotations in.

The labelling setup that fits is :func:`config`; its names ``label``, ``topic`` and ``text`` are
those of the results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from hanspan.data import Document
from hanspan.errors import HanspanError
from hanspan.formats import Rejected
from hanspan.formats.borders import flat_spans, span_of
from hanspan.formats.jsonlist import write_list


def config(labels: Sequence[str], topics: Sequence[str] = ()) -> str:
    """The labelling setup to paste into a new project."""
    parts = ['<View>\n  <Labels name="label" toName="text">']
    parts += [f'    <Label value="{escape(label)}"/>' for label in labels]
    parts += ['  </Labels>\n  <Text name="text" value="$text"/>']
    if topics:
        parts.append('  <Choices name="topic" toName="text">')
        parts += [f'    <Choice value="{escape(topic)}"/>' for topic in topics]
        parts.append("  </Choices>")
    return "\n".join([*parts, "</View>"]) + "\n"


def _task(document: Document) -> dict[str, Any]:
    common = {"to_name": "text"}
    results: list[dict[str, Any]] = []
    for number, span in enumerate(document.spans):
        value = {"start": span.start, "end": span.end, "text": document.surface(span)}
        results.append(
            {"id": f"s{number}", "from_name": "label", **common, "type": "labels",
             "score": span.score, "value": {**value, "labels": [span.label]}}
        )  # fmt: skip
    if "topic" in document.labels:
        value = {"choices": [document.labels["topic"]]}
        results.append(
            {"id": "c0", "from_name": "topic", **common, "type": "choices", "value": value}
        )
    score = min((span.score for span in document.spans), default=1.0)
    guess = {"model_version": "hanspan", "score": score, "result": results}
    return {"data": {"text": document.text, "id": document.id}, "predictions": [guess]}


def write(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write tasks with predictions, one JSON list; returns the number of documents."""
    return write_list(path, documents, _task)


def read(path: str | os.PathLike[str], rejected: Rejected) -> Iterator[Document]:
    """Read an export (JSON): the last annotation that was not cancelled; others are rejected."""
    path = Path(path)
    try:
        tasks = json.loads(path.read_text("utf-8-sig"))
    except ValueError as err:
        raise HanspanError(
            f"{path}: not JSON ({err}); expected Label Studio's JSON export"
        ) from None
    if not isinstance(tasks, list):
        raise HanspanError(f"{path}: found {type(tasks).__name__}; expected a list of tasks")
    for number, task in enumerate(tasks, 1):
        try:
            yield _document(task, f"{path.name}:{number}")
        except HanspanError as err:
            rejected.append({"line": number, "reason": str(err), "row": None})


def _document(task: Any, name: str) -> Document:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        raise HanspanError("expected a task with a string under data.text")
    text = data["text"]
    rows = task.get("annotations") or task.get("completions") or []
    done = [row for row in rows if isinstance(row, dict) and not row.get("was_cancelled")]
    if not done:
        raise HanspanError("found no annotation; expected at least one that was submitted")
    spans, labels = [], {}
    for item in done[-1].get("result") or ():
        value = item.get("value") if isinstance(item, dict) else None
        if not isinstance(value, dict):
            raise HanspanError("expected results with a value")
        for label in value.get("labels") or value.get("hypertextlabels") or ():
            said = value.get("text")
            start, end = value.get("start"), value.get("end")
            spans.append(span_of(text, start, end, label, said if isinstance(said, str) else None))
        for choice in value.get("choices") or ():
            labels[str(item.get("from_name", "topic"))] = str(choice)
    return Document(str(data.get("id", task.get("id", name))), text, flat_spans(spans), labels)
