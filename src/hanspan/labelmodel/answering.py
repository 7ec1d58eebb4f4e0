"""Rules and the vote on them as one function of a document, for use beside a model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hanspan.data import NONE, Document
from hanspan.labelmodel.assemble import Resolver, labelled
from hanspan.labelmodel.span_vote import SpanVote
from hanspan.labelmodel.topics import TopicVoter, topic_votes
from hanspan.labelmodel.votes import Names, names_from_meta
from hanspan.rules.describe import describe
from hanspan.rules.ruleset import RuleSet


@dataclass(frozen=True)
class Answering:
    """A rule set and the vote on it; what :func:`answering` gives."""

    rules: RuleSet
    names: Names
    spans: SpanVote
    topics: TopicVoter

    @property
    def labels(self) -> tuple[str, ...]:
        """Entity types that an answer may hold."""
        return self.names.labels

    def __call__(self, document: Document) -> Document:
        """The answer for one document."""
        labels = {key: value for key, value in document.labels.items() if key != "topic"}
        votes = self.rules.apply(replace(document, spans=(), labels=labels))
        (pieces,) = Resolver(self.spans, self.names)([votes])
        shares = self.topics.predict(topic_votes(votes, self.names))
        found = labelled(votes, pieces, shares, self.names)
        nones = [
            vote
            for vote in votes.spans
            if vote.label == NONE and not any(vote.overlaps(span) for span in found.spans)
        ]
        meta = found.meta
        if "topic" in found.labels:
            meta = {**meta, "topic_score": round(float(shares.max()), 4)}
        return replace(found.with_spans([*found.spans, *nones]), meta=meta)


def answering(rules: RuleSet) -> Answering:
    """What a rule set says of a document once its votes are weighed against each other.

    The function gives flat spans with the score of the vote, the topic under
    ``labels["topic"]`` where rules agree on one, with its probability under
    ``meta["topic_score"]``, and those ``NONE`` votes that no span of the answer overlaps. It is
    what ``Extractor.from_pretrained(rules=...)`` takes; it may run in
    several threads.
    """
    if rules.labels or rules.topics:
        names = names_from_meta(describe(rules))
    else:  # rules that only say what is nothing
        names = Names((), ())
        for info in rules.infos:
            names.add_rule(info.source, info.group, info.priority)
    return Answering(rules, names, SpanVote(names), TopicVoter(names))
