"""The predict stage: a model over files of any size, in constant memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanspan.data import Document, write_rejected
from hanspan.errors import HanspanError
from hanspan.extractor import Extractor, Rules
from hanspan.formats import writer_for
from hanspan.sources import read_any

Progress = Callable[[int, int | None, str], None]
_TELL_EVERY = 64


@dataclass(frozen=True)
class PredictSummary:
    """What was read and found.

    Attributes:
        documents: how many were written.
        characters: of their texts.
        spans: how many were found, by label.
        topics: how many documents, by topic.
        rejected: rows that could not be read; see ``<output>.rejected.jsonl``.
        backend: ``onnx`` or ``torch``.
        resumed: documents taken over from a run that was stopped.
    """

    documents: int
    characters: int
    spans: Mapping[str, int] = field(default_factory=dict)
    topics: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    backend: str = ""
    resumed: int = 0


def predict(
    input_path: str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    backend: str = "auto",
    revision: str | None = None,
    precision: str = "auto",
    batch_size: int = 64,
    labels: Collection[str] | None = None,
    thresholds: Mapping[str, float] | float | None = None,
    rules: str = "off",
    apply_rules: Rules | None = None,
    values: bool = False,
    progress: Progress | None = None,
) -> PredictSummary:
    """Find spans and topics in every document of a file.

    Args:
        input_path: documents, CSV, plain text, a folder of these, or ``-``
            (:func:`hanspan.sources.read_any`).
        output_path: its suffix names the form (:func:`hanspan.formats.writer_for`).
        model, backend, revision, precision: as in ``Extractor.from_pretrained``.
        batch_size, labels, thresholds, rules, values: as in ``Extractor.pipe``.
        apply_rules: puts the votes of rules on a document; for ``rules`` on and only.
        progress: called as (done, None, "documents").

    Raises:
        HanspanError: for a missing file or model; nothing then stands under the output's name.
    """
    if os.fspath(input_path) != "-" and not Path(input_path).exists():
        raise HanspanError(f"{input_path}: no such file; expected text or documents to read")
    write = writer_for(output_path)
    extract = Extractor.from_pretrained(
        model, backend, revision, precision=precision, rules=apply_rules
    )
    rejected: list[dict[str, Any]] = []
    spans: Counter[str] = Counter()
    topics: Counter[str] = Counter()
    sizes = [0, 0]

    def count(documents: Iterator[Document]) -> Iterator[Document]:
        for document in documents:
            sizes[0] += 1
            sizes[1] += len(document.text)
            spans.update(span.label for span in document.spans)
            if "topic" in document.labels:
                topics[document.labels["topic"]] += 1
            if progress and sizes[0] % _TELL_EVERY == 0:
                progress(sizes[0], None, "documents")
            yield document

    found = extract.pipe(
        read_any(input_path, rejected=rejected), batch_size, labels=labels,
        thresholds=thresholds, rules=rules, values=values,
    )  # fmt: skip
    write(output_path, count(found))
    write_rejected(output_path, rejected)
    if progress:
        progress(sizes[0], sizes[0], "documents")
    return PredictSummary(
        sizes[0], sizes[1], dict(spans.most_common()), dict(topics.most_common()),
        len(rejected), extract.backend,
    )  # fmt: skip
