"""Scores without gold: how well a student agrees with weak labels it was not trained on.

Where the rules are silent nothing can be said, so a span counts against the student only where
it touches a character that a rule labelled, or that is certainly no entity.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hanspan.data import read_documents
from hanspan.decode import decode, log_softmax
from hanspan.encode import TextEncoder, tag_documents, tag_texts
from hanspan.errors import HanspanError
from hanspan.hidden import recovered
from hanspan.meta import ModelMeta
from hanspan.rows import Row, token_spans, unit_logits
from hanspan.soft import NEGATIVE, POSITIVE
from hanspan.train_data import TrainData, held_out

if TYPE_CHECKING:
    from hanspan.joint import JointModel


@dataclass(frozen=True)
class Agreement:
    """Counts of spans on held-out rows, and their F1 and topic accuracy."""

    both: int
    student: int
    rules: int
    topic: float

    @property
    def f1(self) -> float:
        """Harmonic mean of ``both / student`` and ``both / rules``; 0 without spans."""
        return 2 * self.both / max(1, self.student + self.rules)

    @property
    def score(self) -> float:
        """F1, or the topic accuracy where there are no spans to agree on."""
        return self.f1 if self.rules else self.topic


def agreement(
    rows: Sequence[Row], logits: Sequence[NDArray[np.floating]], topics: NDArray[np.floating]
) -> Agreement:
    """Compare the student's best paths with the rows' own labels."""
    both = student = rules = 0
    of_units = [unit_logits(row, values) for row, values in zip(rows, logits, strict=True)]
    for row, spans in zip(rows, decode(of_units, scores=False), strict=True):
        own = set(row.mentions)
        known = (row.state == POSITIVE) | (row.state == NEGATIVE)
        found = {(s.start, s.end, s.label) for s in token_spans(row, spans)}
        both += len(found & own)
        rules += len(own)
        student += sum(1 for s in found if s in own or known[s[0] : s[1]].any())
    right = [
        int(topics[i].argmax() == row.topic.argmax())
        for i, row in enumerate(rows)
        if len(row.topic) and row.topic.any()
    ]
    return Agreement(both, student, rules, float(np.mean(right)) if right else 0.0)


_TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(3.0), 19))


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """The temperature with the least cross-entropy to targets (n, classes); 1 without any.

    The sum of a row of targets is its weight.

    Guo et al. 2017, with weak labels for gold: it corrects how sure the model is of what rules
    know, which is the best that can be had without hand labels.
    """
    if len(targets) < 50:
        return 1.0
    losses = [-(targets * log_softmax(logits / t)).sum(-1).mean() for t in _TEMPERATURES]
    return round(float(_TEMPERATURES[int(np.argmin(losses))]), 3)


def temperatures(rows: list[Row], tags: Any, topics: Any) -> tuple[float, float]:
    """Temperatures of tags and topics from the labelled characters of held-out rows.

    A character is as much an entity as the label model is sure of its span.
    """
    logits, targets = [], []
    for row, of_row in zip(rows, tags, strict=True):
        dense = np.zeros(of_row.shape, np.float32)
        dense[row.where, row.tag] = row.prob
        mass = dense.sum(-1)
        known = mass > 0
        dense[known, 0] += 1 - mass[known]  # what the vote doubts may be no entity
        logits.append(of_row[known])
        targets.append(dense[known])
    spoken = np.array([bool(row.topic.any()) for row in rows], bool)
    by_topic = np.stack([row.topic for row in rows])  # faint evidence weighs little
    return (
        fit_temperature(np.concatenate(logits), np.concatenate(targets)),
        fit_temperature(topics[spoken], by_topic[spoken]) if by_topic.shape[1] else 1.0,
    )


def of_hidden(
    data: TrainData, model: JointModel, encoder: TextEncoder, meta: ModelMeta, bf16: bool
) -> dict[str, float | None]:
    """What the student finds on held-out documents of which spans were hidden; None without any.

    Returns:
        ``recovered``, the share of hidden spans that came back, and ``whole``, the F1 against
        shown and hidden spans together, where each other span counts as wrong.
    """
    from hanspan.model import forward_fn

    if not any(data.hidden):
        return {"recovered": None, "whole": None}
    forward = forward_fn(model.eval(), bf16=bf16)
    texts = [document.text for document in data.held_documents]
    found = [t.spans for t in tag_texts(texts, encoder, forward, meta, scores=False)]
    back, total = recovered(data.hidden, found)
    every = [(*d.spans, *out) for d, out in zip(data.held_documents, data.hidden, strict=True)]
    both, wanted = recovered(every, found)
    whole = Agreement(both, sum(map(len, found)), wanted, topic=0.0)
    return {"recovered": round(back / total, 4), "whole": round(whole.f1, 4)}


def of_topics(
    model: str | os.PathLike[str],
    shown: str | os.PathLike[str],
    every: str | os.PathLike[str],
    held_out_share: float,
) -> tuple[dict[str, float | None], int]:
    """Topics of a student on held-out documents, where rules lost a share of their words.

    Args:
        model: its folder.
        shown: the weak labels it learned from.
        every: those of the same documents by all words.
        held_out_share: of the documents, ``held_out`` of its training.

    Returns:
        ``recovered``, the share of documents that got the topic of all words where the rest gave
        none or another (None where there are no such documents); ``agreement`` with the topics
        that were shown; and ``whole``, with those of all words. And how many documents the
        first is a share of.

    Raises:
        HanspanError: if both files are not of the same documents.
    """
    from hanspan.fit import use_bf16
    from hanspan.model import forward_fn, load_model

    loaded, _, meta = load_model(model)
    forward = forward_fn(loaded, bf16=use_bf16("auto", "cpu"))
    fewer, whole = list(read_documents(shown)), list(read_documents(every))
    if [d.text for d in fewer] != [d.text for d in whole]:
        raise HanspanError(f"{shown}: expected the documents of {every}, in their order")
    held = sorted(held_out(fewer, held_out_share))
    encoder = TextEncoder.from_folder(model)
    found = tag_documents([fewer[i] for i in held], encoder, forward, meta)
    rows = [
        tuple(d.labels.get("topic") for d in (answer, fewer[i], whole[i]))
        for answer, i in zip(found, held, strict=True)
    ]

    def share(pairs: list[bool]) -> float | None:
        return round(float(np.mean(pairs)), 4) if pairs else None

    changed = [topic == wanted for topic, given, wanted in rows if wanted not in (None, given)]
    figures = {
        "recovered": share(changed),
        "agreement": share([topic == given for topic, given, _ in rows if given is not None]),
        "whole": share([topic == wanted for topic, _, wanted in rows if wanted is not None]),
    }
    return figures, len(changed)
