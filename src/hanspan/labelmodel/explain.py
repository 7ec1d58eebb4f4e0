"""Votes, weights and result of one document, as text."""

from __future__ import annotations

import os
from itertools import islice

from hanspan.data import Document, read_documents
from hanspan.errors import HanspanError
from hanspan.labelmodel.assemble import Resolver, answers
from hanspan.labelmodel.fitted import ASKED, SAMPLE, Fitted, fit, load
from hanspan.labelmodel.reliability import Reliability
from hanspan.labelmodel.resolution import Resolution
from hanspan.labelmodel.topics import topic_votes, winner
from hanspan.labelmodel.votes import (
    Names,
    Pattern,
    names_from_meta,
    read_rules_meta,
    rules_path,
)


def find(path: str | os.PathLike[str], document_id: str) -> Document:
    """The document of that id.

    Raises:
        HanspanError: naming some ids that exist, when there is none.
    """
    seen: list[str] = []
    for document in read_documents(path):
        if document.id == document_id:
            return document
        if len(seen) < 3:
            seen.append(document.id)
    some = ", ".join(seen) or "none: the file is empty"
    raise HanspanError(f"{path}: no document {document_id!r}; expected an id such as {some}")


def explain(
    weak_path: str | os.PathLike[str],
    document_id: str,
    *,
    method: str = "vote",
    model: str | os.PathLike[str] | None = None,
) -> str:
    """Votes, weights and result of one document.

    Args:
        weak_path: documents whose spans are votes.
        document_id: which one.
        method: fitted on the file, unless ``model`` is given.
        model: a saved ``*.labelmodel.json``; nothing is fitted then.

    Raises:
        HanspanError: for a missing file or an unknown id.
    """
    document = find(weak_path, document_id)
    if model is not None:
        fitted = load(model)
    else:
        names = names_from_meta(read_rules_meta(rules_path(weak_path)))
        fitted = fit(read_documents(weak_path), names, method)
        trust = Reliability(names)
        seen = islice(read_documents(weak_path), SAMPLE)
        for _ in answers(seen, fitted.model, fitted.topics, names, reliability=trust):
            pass
        fitted.about["reliability"] = trust.table()
    return describe(document, fitted)


def describe(document: Document, fitted: Fitted) -> str:
    """Text of :func:`explain` for a document with votes."""
    names = fitted.names
    (pieces,) = Resolver(fitted.model, names)([document])
    trust = fitted.about.get("reliability") or {}
    lines = [f"document {document.id}: {len(document.text)} characters, method {fitted.method}"]
    if fitted.reason != ASKED:
        lines.append(f"  {fitted.reason}")
    for base, pattern, answer in pieces:
        lines += _piece(document, base, pattern, answer, names, trust)
    if not pieces:
        lines.append("no rule voted on a span")
    votes = topic_votes(document, names)
    for topic, rule, score in votes:
        lines.append(f"topic {names.topics[topic]:<12} {score:.2f}  {names.rules[rule]}")
    if votes:
        shares = fitted.topics.predict(votes)
        first = winner(shares)
        told = ", ".join(f"{names.topics[i]} {shares[i]:.2f}" for i in shares.argsort()[::-1][:3])
        lines.append(
            f"=> topic {names.topics[first] if first is not None else 'undecided'} ({told})"
        )
    return "\n".join(lines)


def _piece(
    document: Document,
    base: int,
    pattern: Pattern,
    answer: Resolution,
    names: Names,
    trust: dict[str, dict[str, object]],
) -> list[str]:
    kinds = [*names.labels, "ENTITY", "NONE"]
    chosen = {(c.start, c.end, c.label): c.score for c in answer.chosen}
    around = document.text[max(0, base - 5) : base + pattern.length + 5].replace("\n", "⏎")
    lines = [f"at {base}: …{around}…"]
    for start, end, label, rule, weight in sorted(pattern.votes, key=lambda v: (v[0], -v[1], v[2])):
        if (start, end, label) in chosen:
            fate = "stands"
        elif label == names.entity and any((start, end) == key[:2] for key in chosen):
            fate = "agrees"
        elif label >= names.entity:
            fate = "evidence"
        elif any((start, end) == (c.start, c.end) for c in answer.chosen):
            fate = "lost to another type"
        elif any(c.start <= start and end <= c.end and c.label != label for c in answer.chosen):
            fate = "part of a longer span"
        else:
            fate = "lost"
        sure = _sure(trust.get(names.rules[rule], {}))
        surface = document.text[base + start : base + end].replace("\n", "⏎")
        lines.append(
            f"  {surface} {kinds[label]} weight {weight:.2f}{sure}, group {names.groups[rule]}, "
            f"priority {names.priority[rule]}  {names.rules[rule]}: {fate}"
        )
    for c in answer.chosen:
        surface = document.text[base + c.start : base + c.end].replace("\n", "⏎")
        lines.append(f"  => {surface} {names.labels[c.label]} {c.score:.2f}")
    if not answer.chosen:
        lines.append("  => nothing")
    return lines


def _sure(row: dict[str, object]) -> str:
    """A rule's reliability with its interval, as far as it is known."""
    known, interval = row.get("reliability"), row.get("interval")
    if not isinstance(known, float) or not isinstance(interval, list):
        return ""
    return f", reliability {known:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
