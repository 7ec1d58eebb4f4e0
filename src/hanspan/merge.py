"""The model's spans and the votes of rules, put together at inference.

Who found a span stays readable in its ``source``: ``model``, ``rule:a+rule:b``, or both joined
by ``+``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from hanspan.data import ENTITY, NONE, Document, Span
from hanspan.errors import HanspanError

SURE = 0.5
"""Score from which on rules are more likely right than wrong by their own account; of a topic it
is their share for it."""


def beside(found: Document, said: Document) -> Document:
    """A model's document with what rules said of the same text: spans merged, topic settled."""
    labels, scores = dict(found.labels), found.meta.get("topic_scores", {})
    named, topic = labels.get("topic"), said.labels.get("topic")
    if topic := settled_topic(named, scores.get(named, 1.0), topic, said.meta.get("topic_score")):
        labels["topic"] = topic
    return replace(found, spans=merge(found.spans, said.spans), labels=labels)


def settled_topic(
    model: str | None, model_score: float, rules: str | None, rules_score: Any
) -> str | None:
    """The topic of the rules where their share for it is :data:`SURE` or surer than the model.

    Rules that do not tell how sure they are count as sure; where one side names none, the other's
    stands.

    Raises:
        HanspanError: for a score of rules of one's own that is no number.
    """
    score = 1.0 if rules_score is None else rules_score
    if not isinstance(score, (int, float)):
        raise HanspanError(f'rules: found meta["topic_score"] {score!r}, expected a number or none')
    return rules if rules and (model is None or score >= min(SURE, model_score)) else model


def merge(model: Sequence[Span], votes: Iterable[Span]) -> tuple[Span, ...]:
    """Flat spans from both.

    Votes of equal borders and label join their sources, and so does a model span with one of
    them. Where a span of rules and one of the model overlap, that of the rules has its way if its
    score is at least :data:`SURE`: a student has learned from rules like these, and where they
    speak it repeats them with faults of its own; it is to speak where they are silent. A fainter
    one has to be surer than the model. Rules among themselves are settled by score, then for the
    longer span; :func:`hanspan.labelmodel.answering.answering` weighs them better before.
    A vote ``NONE`` that wins leaves its place empty; ``ENTITY`` votes do nothing.

    Args:
        model: flat spans.
        votes: spans of rules, in any order; they may overlap.

    Returns:
        Spans in the order of the text.
    """
    joined: dict[tuple[int, int, str], Span] = {}
    weight: dict[tuple[int, int, str], float] = {}  # of the strongest vote
    for number, span in enumerate((*model, *votes)):
        key = (span.start, span.end, span.label)
        if number >= len(model):
            weight[key] = max(weight.get(key, 0.0), span.score)
        seen = joined.get(key)
        if seen is not None:
            sources = dict.fromkeys([*seen.source.split("+"), *span.source.split("+")])
            score = max(seen.score, span.score)
            joined[key] = replace(seen, score=score, source="+".join(filter(None, sources)))
        elif span.label != ENTITY:
            joined[key] = span

    def rank(
        item: tuple[tuple[int, int, str], Span],
    ) -> tuple[bool, float, float, int, int, str]:
        key, span = item
        heard = weight.get(key, 0.0)
        first = heard >= SURE
        by = heard if first else span.score
        return not first, -by, -heard, span.start - span.end, span.start, span.label

    taken: list[Span] = []
    for _, span in sorted(joined.items(), key=rank):
        if not any(span.overlaps(other) for other in taken):
            taken.append(span)
    kept = [span for span in taken if span.label != NONE]
    return tuple(sorted(kept, key=lambda span: span.start))
