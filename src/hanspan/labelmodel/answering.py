"""Rules and the vote on them as one function of a document, for use beside a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hanspan.data import NONE, Document
from hanspan.labelmodel.assemble import answers
from hanspan.labelmodel.span_vote import SpanVote
from hanspan.labelmodel.topics import TopicVoter
from hanspan.labelmodel.votes import names_from_meta
from hanspan.rules.describe import describe
from hanspan.rules.ruleset import RuleSet


def answering(rules: RuleSet) -> Callable[[Document], Document]:
    """What a rule set says of a document once its votes are weighed against each other.

    The function gives flat spans with the score of the vote, the topic under
    ``labels["topic"]`` where rules agree on one, and those ``NONE`` votes that no span of the
    answer overlaps. It is what ``Extractor.from_pretrained(rules=...)`` takes; it may run in
    several threads.
    """
    names = names_from_meta(describe(rules))
    spans, topics = SpanVote(names), TopicVoter(names)

    def answer(document: Document) -> Document:
        votes = rules.apply(replace(document, spans=()))
        (found,) = answers([votes], spans, topics, names)
        nones = [
            vote
            for vote in votes.spans
            if vote.label == NONE and not any(vote.overlaps(span) for span in found.spans)
        ]
        return found.with_spans([*found.spans, *nones])

    return answer
