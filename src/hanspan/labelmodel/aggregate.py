"""The ``aggregate`` stage: ``weak.jsonl`` -> ``train.jsonl`` with soft labels beside it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hanspan.data import Document, read_documents, whole, write_documents
from hanspan.errors import ConfigError, HanspanError
from hanspan.labelmodel.assemble import Collector, answers
from hanspan.labelmodel.fitted import fit, load, save
from hanspan.labelmodel.reliability import Reliability
from hanspan.labelmodel.span_vote import SpanVote
from hanspan.labelmodel.topics import TopicVoter
from hanspan.labelmodel.votes import names_from_meta, read_rules_meta, rules_path
from hanspan.soft import NEGATIVE, POSITIVE, soft_path

METHODS = ("vote", "dawid-skene", "hmm", "auto")
"""Label models by name; ``auto`` chooses among the others without gold."""

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class AggregateSummary:
    """Counts of the ``aggregate`` stage.

    Attributes:
        documents: read and written.
        votes: spans that rules voted for.
        spans: of the answer.
        labels: spans of the answer by entity type.
        topics: documents by class; those without a class are not counted.
        characters: of all texts; ``positive`` and ``negative`` of them have a known state.
        method: that was used for spans.
        reason: why, in one line.
        topic_reason: which model gave the classes and why, likewise; empty unless chosen.
    """

    documents: int
    votes: int
    spans: int
    labels: Mapping[str, int]
    topics: Mapping[str, int]
    characters: int
    positive: int
    negative: int
    method: str
    reason: str = ""
    topic_reason: str = ""


def model_path(documents: str | os.PathLike[str]) -> Path:
    """The place of the saved label model: ``train.jsonl`` -> ``train.labelmodel.json``."""
    path = soft_path(documents)
    return path.with_name(path.name.removesuffix(".soft.npz") + ".labelmodel.json")


def check_method(method: str) -> str:
    """The method, if there is one of that name.

    Raises:
        ConfigError: otherwise.
    """
    if method not in METHODS:
        raise ConfigError(f"aggregate: method {method!r}, expected one of {', '.join(METHODS)}")
    return method


def vote(documents: Iterable[Document], rules_meta: Mapping[str, Any]) -> Iterator[Document]:
    """Flat documents by the vote on spans, one at a time.

    Args:
        documents: spans are votes, ``source`` names the rule.
        rules_meta: the content of ``weak.rules.json``.
    """
    names = names_from_meta(rules_meta)
    return answers(documents, SpanVote(names), TopicVoter(names), names)


def aggregate(
    weak_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    method: str = "vote",
    labels: Sequence[str] | None = None,
    topics: Sequence[str] | None = None,
    rules: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    calibrate: bool = False,
    progress: Progress | None = None,
) -> AggregateSummary:
    """Turn the votes of a file into training data.

    Writes ``output`` (flat spans with scores and sources, ``labels["topic"]``), the soft labels
    beside it (``*.soft.npz``) and the label model (``*.labelmodel.json``).

    Args:
        weak_path: documents whose spans are votes.
        output: documents file to write.
        method: one of :data:`METHODS`.
        labels: entity types, where they differ from those of the rules file.
        topics: classes of a document, likewise.
        rules: the rules file; by default the one beside ``weak_path``.
        model: apply this saved label model, without fitting; ``method`` and ``rules`` are not
            looked at then.
        calibrate: fit the probabilities to what hidden rules say (slower; "auto" always does).
        progress: called as (done, total, what).

    Raises:
        HanspanError: for a missing or damaged file or an unknown label.
        ConfigError: for an unknown method.
    """
    check_method(method)
    if Path(weak_path).resolve() == Path(output).resolve():
        raise HanspanError(f"{output}: expected another file than the input")
    if model is not None:
        fitted = load(model)
    else:
        meta = read_rules_meta(rules or rules_path(weak_path))
        names = names_from_meta(meta, labels, topics)
        fitted = fit(read_documents(weak_path), names, method, calibrate=calibrate)
    names, trust = fitted.names, Reliability(fitted.names)
    collector = Collector(names)
    count: Counter[str] = Counter()
    by_label: Counter[str] = Counter()
    by_topic: Counter[str] = Counter()

    def incoming() -> Iterator[Document]:
        for document in read_documents(weak_path):
            count["votes"] += len(document.spans)
            yield document

    def outgoing() -> Iterator[Document]:
        for document in answers(incoming(), fitted.model, fitted.topics, names, collector, trust):
            count["documents"] += 1
            by_label.update(span.label for span in document.spans)
            if "topic" in document.labels:
                by_topic[document.labels["topic"]] += 1
            yield document
            if progress is not None and count["documents"] % 200 == 0:
                progress(count["documents"], None, "aggregate")

    soft_file = soft_path(output)
    with whole(soft_file) as soft_part:
        write_documents(output, outgoing())
        soft = collector.finish()
        soft.save(soft_part)
    fitted.about["reliability"] = trust.table()
    save(fitted, model_path(output))
    return AggregateSummary(
        count["documents"],
        count["votes"],
        sum(by_label.values()),
        dict(by_label.most_common()),
        dict(by_topic.most_common()),
        len(soft.state),
        int(np.count_nonzero(soft.state == POSITIVE)),
        int(np.count_nonzero(soft.state == NEGATIVE)),
        fitted.method,
        fitted.reason,
        str(fitted.about.get("topic_reason", "")) if names.topics else "",
    )
