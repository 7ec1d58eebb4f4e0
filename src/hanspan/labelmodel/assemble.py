"""From resolutions of patterns to documents and the arrays of :class:`hanspan.soft.SoftLabels`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hanspan.data import Document, Span
from hanspan.labelmodel.reliability import Reliability
from hanspan.labelmodel.resolution import Resolution, SpanModel
from hanspan.labelmodel.topics import TopicModel, topic_votes, winner
from hanspan.labelmodel.votes import Names, Pattern, cut
from hanspan.soft import NEGATIVE, SoftLabels

CHUNK = 2000
"""Documents that are resolved together."""
MEMORY = 200_000
"""Patterns whose answer is remembered; then the memory is emptied."""
BREAKS = np.frombuffer("。，；：？！\n\r".encode("utf-32-le"), np.uint32)
"""Characters that are no entity by form where no vote for an entity covers them."""

Piece = tuple[int, Pattern, Resolution]


class Resolver:
    """Cuts documents into patterns and resolves each distinct pattern once."""

    def __init__(self, model: SpanModel, names: Names) -> None:
        self.model = model
        self.names = names
        self._known: dict[Pattern, Resolution] = {}

    def __call__(self, documents: Sequence[Document]) -> list[list[Piece]]:
        """For each document its pieces: place, votes, answer."""
        cuts = [cut(d, self.names, touching=self.model.touching) for d in documents]
        if len(self._known) > MEMORY:
            self._known.clear()
        known = self._known
        fresh = list({p: None for pieces in cuts for _, p in pieces if p not in known})
        known.update(zip(fresh, self.model.resolve(fresh), strict=True))
        return [[(base, p, known[p]) for base, p in pieces] for pieces in cuts]


class Collector:
    """Grows the arrays of :class:`SoftLabels` document by document."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._sizes: list[NDArray[np.int64]] = []
        self._state: list[NDArray[np.uint8]] = []
        self._char: list[NDArray[np.int64]] = []
        self._tag: list[NDArray[np.uint8]] = []
        self._prob: list[NDArray[np.float16]] = []
        self._topic: list[NDArray[np.float32]] = []
        self._characters = 0

    def add(
        self,
        documents: Sequence[Document],
        pieces: Sequence[Sequence[Piece]],
        topics: NDArray[np.float32],
    ) -> None:
        """Append documents with their pieces and topic distributions (n, K)."""
        sizes = np.array([len(d.text) for d in documents], np.int64)
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1])) if len(sizes) else sizes
        text = "".join(d.text for d in documents).encode("utf-32-le", "surrogatepass")
        state = np.where(np.isin(np.frombuffer(text, np.uint32), BREAKS), NEGATIVE, 0)
        state = state.astype(np.uint8)
        bases: list[int] = []
        answers: list[Resolution] = []
        for start, items in zip(starts.tolist(), pieces, strict=True):
            for base, pattern, answer in items:
                lo = start + base
                state[lo : lo + pattern.length] = answer.state
                if len(answer.char):
                    bases.append(lo)
                    answers.append(answer)
        self._sizes.append(sizes)
        self._state.append(state)
        if answers:
            shift = np.repeat(np.array(bases, np.int64), [len(a.char) for a in answers])
            char = np.concatenate([a.char for a in answers])
            self._char.append(char + shift + self._characters)
            self._tag.append(np.concatenate([a.tag for a in answers]))
            self._prob.append(np.concatenate([a.prob for a in answers]).astype(np.float16))
        self._topic.append(topics)
        self._characters += int(sizes.sum())

    def finish(self) -> SoftLabels:
        """The soft labels of everything that was added."""

        def joined(parts: list[NDArray[np.generic]], kind: type) -> NDArray[np.generic]:
            whole = np.concatenate(parts) if parts else np.zeros(0, kind)
            parts.clear()
            return whole.astype(kind, copy=False)

        sizes = joined(self._sizes, np.int64)  # type: ignore[arg-type]
        topic = (
            np.concatenate(self._topic)
            if self._topic
            else np.zeros((0, len(self.names.topics)), np.float32)
        )
        return SoftLabels(
            self.names.labels,
            self.names.topics,
            np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            joined(self._state, np.uint8),  # type: ignore[arg-type]
            joined(self._char, np.int64),  # type: ignore[arg-type]
            joined(self._tag, np.uint8),  # type: ignore[arg-type]
            joined(self._prob, np.float32),  # type: ignore[arg-type]
            topic,
        )


def labelled(
    document: Document, pieces: Sequence[Piece], topic: NDArray[np.float64], names: Names
) -> Document:
    """The document with the answer: flat spans, topic; votes on topics leave ``meta``."""
    spans = []
    for base, _, answer in pieces:
        for c in answer.chosen:
            source = "+".join(names.rules[rule] for rule in c.rules)
            score = round(min(max(c.score, 0.0), 1.0), 4)
            spans.append(Span(base + c.start, base + c.end, names.labels[c.label], score, source))
    labels = dict(document.labels)
    first = winner(topic)
    if first is not None:
        labels["topic"] = names.topics[first]
    meta = {key: value for key, value in document.meta.items() if key != "topic_votes"}
    return Document(document.id, document.text, tuple(spans), labels, meta)


def answers(
    documents: Iterable[Document],
    model: SpanModel,
    topic_model: TopicModel,
    names: Names,
    collector: Collector | None = None,
    reliability: Reliability | None = None,
) -> Iterator[Document]:
    """Stream documents with votes to documents with answers; fills collectors on the way."""
    resolver = Resolver(model, names)
    stream = iter(documents)
    while chunk := list(islice(stream, CHUNK)):
        pieces = resolver(chunk)
        if reliability is not None:
            for items in pieces:
                for _, pattern, answer in items:
                    reliability.add(pattern, answer)
        said = [topic_votes(d, names) for d in chunk]
        topics = [topic_model.predict(votes) for votes in said]
        if reliability is not None:
            for votes, shares in zip(said, topics, strict=True):
                reliability.add_topic(votes, shares)
        if collector is not None:
            table = np.array(topics, np.float32).reshape(len(chunk), len(names.topics))
            collector.add(chunk, pieces, table)
        for document, items, topic in zip(chunk, pieces, topics, strict=True):
            yield labelled(document, items, topic, names)
