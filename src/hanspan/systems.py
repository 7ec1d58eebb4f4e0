"""What a run is measured beside: rules alone, label model, student, and student with rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hanspan.config import Config
from hanspan.data import Document, read_documents, write_documents
from hanspan.evaluate import flat
from hanspan.merge import beside
from hanspan.run import Progress

RULES_ALONE, LABEL_MODEL, STUDENT = "rules alone", "label model", "student"
WITH_RULES = "student with rules"
"""As ``predict --rules`` answers: rules stand where they are sure (:mod:`hanspan.merge`)."""


def answers_of_systems(
    config: Config, out: Path, folder: Path, gold: Sequence[Document], progress: Progress
) -> Iterator[tuple[str, list[Document]]]:
    """Each system by name with its answer for the texts of the gold; it sees no label.

    Args:
        config: of the run.
        out: its folder, with the trained model and the fitted label model.
        folder: gets the texts and the answers.
        gold: documents; only id, text and meta are read.
        progress: called before each system.
    """
    from hanspan.infer import Extractor
    from hanspan.labelmodel import aggregate, answering
    from hanspan.labelmodel.aggregate import model_path
    from hanspan.rules import load_rules
    from hanspan.weak import label

    texts = folder / "texts.jsonl"
    write_documents(texts, (Document(d.id, d.text, meta=d.meta) for d in gold))
    progress(0, 3, RULES_ALONE)
    label(texts, folder / "weak.jsonl", config.label.rules, on_error=config.label.on_error)
    yield RULES_ALONE, [_loud(d) for d in read_documents(folder / "weak.jsonl")]
    progress(1, 3, LABEL_MODEL)
    aggregate(
        folder / "weak.jsonl",
        folder / "labelmodel.jsonl",
        method=config.aggregate.method,
        model=model_path(out / "train.jsonl"),
        labels=config.task.entity_labels(),
        topics=config.task.topic_labels(),
    )
    yield LABEL_MODEL, list(read_documents(folder / "labelmodel.jsonl"))
    progress(2, 3, STUDENT)
    with Extractor.from_pretrained(out / "run" / "model", backend="torch") as extract:
        found = list(extract.pipe(read_documents(texts), topic_scores=True))
    write_documents(folder / "student.jsonl", found)
    rules = answering(load_rules(config.label.rules))
    said = (rules(document) for document in read_documents(texts))
    yield WITH_RULES, [beside(d, r) for d, r in zip(found, said, strict=True)]
    yield STUDENT, found  # last: the report shows its mistakes


def _loud(document: Document) -> Document:
    """Rules without a label model: the longest span wins, the topic with most votes wins."""
    spans = flat(s for s in document.spans if s.label not in ("ENTITY", "NONE"))
    votes: dict[str, float] = {}
    for item in document.meta.get("topic_votes", ()):
        votes[item["label"]] = votes.get(item["label"], 0.0) + item.get("score", 1.0)
    labels = {"topic": max(votes, key=lambda name: votes[name])} if votes else {}
    return Document(document.id, document.text, tuple(spans), labels)
