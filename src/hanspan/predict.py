"""The predict stage: a model over files of any size, in constant memory."""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hanspan.data import Document, write_rejected
from hanspan.errors import HanspanError
from hanspan.extractor import Extractor, Rules
from hanspan.formats import form_of, writer_for
from hanspan.journal import Journal, print_of
from hanspan.locate import find_model
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
        looked_at: texts among which the least sure were chosen; 0 without ``uncertain``.
    """

    documents: int
    characters: int
    spans: Mapping[str, int] = field(default_factory=dict)
    topics: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    backend: str = ""
    resumed: int = 0
    looked_at: int = 0


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
    rules: str | None = None,
    apply_rules: Rules | None = None,
    rules_version: str = "",
    values: bool = False,
    form: str | None = None,
    uncertain: int | None = None,
    progress: Progress | None = None,
) -> PredictSummary:
    """Find spans and topics in every document of a file.

    A run that was stopped goes on where it was, as long as input, model and options are the
    same (standard input cannot be gone on with, nor rules without a version).

    Args:
        input_path: documents, CSV, plain text, a folder of these, or ``-``
            (:func:`hanspan.sources.read_any`).
        output_path: its name says the form (:func:`hanspan.formats.form_of`).
        model, backend, revision, precision: as in ``Extractor.from_pretrained``.
        batch_size, labels, thresholds, rules, values: as in ``Extractor.pipe``.
        apply_rules: puts the votes of rules on a document; for ``rules`` on and only.
        rules_version: tells these rules from others, as ``RuleSet.version`` does.
        form: of the output, where its name does not say it.
        uncertain: write only this many texts, those that the model is least sure of, with its
            guesses, the least sure first: what is most worth annotating.
        progress: called as (done, None, "documents").

    Raises:
        HanspanError: for a missing file or model, or an unknown option; nothing then stands
            under the output's name that was not there before.
    """
    output = Path(output_path)
    stdin = os.fspath(input_path) == "-"
    if not stdin and not Path(input_path).exists():
        raise HanspanError(f"{input_path}: no such file; expected text or documents to read")
    if uncertain is not None and uncertain < 1:
        raise HanspanError(f"uncertain={uncertain}: expected how many texts to write, 1 or more")
    own = (output.resolve(), Path(f"{output}.rejected.jsonl").resolve())
    if not stdin and Path(input_path).resolve() in own:
        raise HanspanError(f"{output}: found the input under this name; expected another output")
    kind, write = form_of(output, form), writer_for(output, form)
    folder = find_model(model, backend=backend, revision=revision, precision=precision)
    extract = Extractor.from_pretrained(folder, backend, precision=precision, rules=apply_rules)
    rules = rules or ("off" if apply_rules is None else "on")
    options: dict[str, Any] = {"labels": labels, "thresholds": thresholds}
    options |= {"rules": rules, "values": values}
    rejected: list[dict[str, Any]] = []
    source = read_any(input_path, rejected=rejected, without=own)
    tally = _Tally(progress)
    if uncertain is not None:
        chosen, looked_at = _least_sure(extract, source, uncertain, progress)
        write(output, tally.count(extract.pipe(chosen, batch_size, **options)))
        write_rejected(output, rejected)
        return tally.summary(len(rejected), extract.backend, looked_at=looked_at)
    labels_key = sorted(labels) if labels is not None else None
    made_from = {
        "input": "-" if stdin else print_of(input_path), "model": print_of(folder),
        "backend": extract.backend, "precision": precision, "version": 2,
        **options, "labels": labels_key, "rules_version": rules_version,
    }  # fmt: skip
    journal = Journal(output, made_from)
    if stdin or (rules != "off" and not rules_version):  # none to compare with what it was
        journal.remove()
        write(output, tally.count(extract.pipe(source, batch_size, **options)))
        write_rejected(output, rejected)
        return tally.summary(len(rejected), extract.backend)
    earlier = tally.count(journal.earlier())
    skipped = islice(source, journal.done, None)
    fresh = journal.add(tally.count(extract.pipe(skipped, batch_size, **options)))
    if kind == "hanspan" and output.name.endswith(".jsonl"):
        for _ in chain(earlier, fresh):
            pass
        with suppress(FileNotFoundError):
            os.replace(journal.path, output)
    else:
        write(output, chain(earlier, fresh))
    journal.remove()
    write_rejected(output, rejected)
    return tally.summary(len(rejected), extract.backend, resumed=journal.done)


def _least_sure(
    extract: Extractor, source: Iterator[Document], most: int, progress: Progress | None
) -> tuple[list[Document], int]:
    """The ``most`` documents with the lowest sureness, lowest first; how many were seen."""
    heap: list[tuple[float, int, Document]] = []
    number = 0
    for number, (document, sure) in enumerate(extract.sureness(source), 1):
        if document.text.strip():
            row = (-sure, -number, replace(document, meta={**document.meta, "sureness": sure}))
            if len(heap) < most:
                heapq.heappush(heap, row)
            elif row > heap[0]:
                heapq.heapreplace(heap, row)
        if progress and number % _TELL_EVERY == 0:
            progress(number, None, "documents")
    return [document for _, _, document in sorted(heap, reverse=True)], number


class _Tally:
    """Counts documents as they pass."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.documents = self.characters = 0
        self.spans: Counter[str] = Counter()
        self.topics: Counter[str] = Counter()

    def count(self, documents: Iterator[Document]) -> Iterator[Document]:
        for document in documents:
            self.documents += 1
            self.characters += len(document.text)
            self.spans.update(span.label for span in document.spans)
            if "topic" in document.labels:
                self.topics[document.labels["topic"]] += 1
            if self.progress and self.documents % _TELL_EVERY == 0:
                self.progress(self.documents, None, "documents")
            yield document

    def summary(self, rejected: int, backend: str, **more: int) -> PredictSummary:
        if self.progress:
            self.progress(self.documents, self.documents, "documents")
        spans, topics = dict(self.spans.most_common()), dict(self.topics.most_common())
        return PredictSummary(
            self.documents, self.characters, spans, topics, rejected, backend, **more
        )
