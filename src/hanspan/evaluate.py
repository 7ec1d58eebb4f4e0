"""Gold and predicted documents in, a report out; knows no model and no rule.

An entity counts as found only when start, end and label all agree, which is what seqeval
calls strict mode on BIOES or IOB2 tags; the tests hold the two counts equal.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanspan.data import Document, Span
from hanspan.errors import HanspanError

_RESAMPLES = 1000
_BINS = 10


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one label, and the rates that follow from them (0 where undefined).

    Attributes:
        correct: predicted spans that are gold spans.
        predicted: how many were predicted.
        support: how many the gold holds.
    """

    correct: int
    predicted: int
    support: int

    @property
    def precision(self) -> float:
        """Share of the predicted that is right."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold that was found."""
        return self.correct / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        both = self.predicted + self.support
        return 2 * self.correct / both if both else 0.0

    def as_dict(self) -> dict[str, float | int]:
        """Counts and rates, for JSON."""
        rates = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**asdict(self), **rates}


@dataclass(frozen=True, slots=True)
class TopicReport:
    """Classes of documents: accuracy, macro F1 over the classes of the gold, and the matrix."""

    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    by_class: dict[str, Score]
    confusion: dict[str, dict[str, int]]
    documents: int
    silent: int
    """Documents for which no class was predicted; they count as wrong."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One span that is missing, too many, of the wrong type, or with wrong borders."""

    document: str
    kind: str
    context: str
    gold: str
    predicted: str


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """Whether scores of spans are probabilities.

    Attributes:
        mean: of the scores; a probability would have the precision for its mean.
        error: expected calibration error (Guo et al. 2017, eq. 3) over ten bins of equal width.
    """

    mean: float
    error: float


@dataclass(frozen=True, slots=True)
class Report:
    """What ``hanspan evaluate`` measured.

    Attributes:
        micro: over all spans.
        interval: 95 % bootstrap interval of micro F1 over documents.
        macro_f1: mean F1 over the labels of the gold.
        by_label: score of each label that occurs.
        topics: None where the gold has no topic.
        mistakes: count by kind (missed, invented, wrong type, wrong border).
        seen, unseen: of the spans whose string occurs (or not) among known mentions; None where
            no known mentions were given.
        scores: None where all found spans have score 1, some a score that is no probability, or
            there are none.
        examples: some mistakes, in the order of the documents.
    """

    documents: int
    characters: int
    micro: Score
    interval: tuple[float, float]
    macro_f1: float
    by_label: dict[str, Score]
    topics: TopicReport | None
    mistakes: dict[str, int]
    seen: Score | None = None
    unseen: Score | None = None
    scores: ScoreReport | None = None
    extra: int = 0
    examples: tuple[Mistake, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        out: dict[str, Any] = {
            "documents": self.documents,
            "characters": self.characters,
            "entities": {
                **self.micro.as_dict(),
                "f1_interval_95": list(self.interval),
                "macro_f1": self.macro_f1,
                "by_label": {label: score.as_dict() for label, score in self.by_label.items()},
                "mistakes": self.mistakes,
            },
            "examples": [asdict(item) for item in self.examples],
        }
        if self.seen is not None and self.unseen is not None:
            out["entities"]["seen_mentions"] = self.seen.as_dict()
            out["entities"]["unseen_mentions"] = self.unseen.as_dict()
        if self.scores is not None:
            out["entities"]["mean_score"] = self.scores.mean
            out["entities"]["calibration_error"] = self.scores.error
        if self.topics is not None:
            out["topics"] = {
                "accuracy": self.topics.accuracy,
                "accuracy_interval_95": list(self.topics.interval),
                "macro_f1": self.topics.macro_f1,
                "documents": self.topics.documents,
                "silent": self.topics.silent,
                "by_class": {name: score.as_dict() for name, score in self.topics.by_class.items()},
                "confusion": self.topics.confusion,
            }
        return out


def parse_mapping(text: str) -> dict[str, str]:
    """Read ``GOV=ORG,COM=ORG``; an empty right side drops the label.

    Raises:
        HanspanError: for a part without ``=``.
    """
    mapping = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        left, found, right = part.partition("=")
        if not found or not left.strip():
            raise HanspanError(f"--map: found {part!r}, expected LABEL=LABEL, such as GOV=ORG")
        mapping[left.strip()] = right.strip()
    return mapping


def flat(spans: Iterable[Span]) -> list[Span]:
    """Sort spans; of two that overlap keep the longer, then the earlier one."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start, s.label)):
        if not any(span.overlaps(other) for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


def _gold_spans(document: Document, mapping: Mapping[str, str]) -> list[Span]:
    spans = _mapped(document, mapping)
    for left, right in itertools.pairwise(spans):
        if left.end > right.start:
            raise HanspanError(
                f"gold document {document.id!r}: {left.label} {document.surface(left)!r} at "
                f"{left.start}:{left.end} and {right.label} {document.surface(right)!r} at "
                f"{right.start}:{right.end} overlap; expected flat spans"
            )
    return spans


def _mapped(document: Document, mapping: Mapping[str, str]) -> list[Span]:
    spans = (
        Span(s.start, s.end, mapping.get(s.label, s.label), s.score, s.source)
        for s in document.spans
        if mapping.get(s.label, s.label)
    )
    return sorted(spans, key=lambda s: (s.start, s.end, s.label))


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def _mistake(document: Document, gold: Span | None, predicted: Span | None, kind: str) -> Mistake:
    one = gold or predicted
    assert one is not None
    lo, hi = max(0, one.start - 12), min(len(document.text), one.end + 12)

    def name(span: Span | None) -> str:
        return "" if span is None else f"{document.surface(span)} {span.label}"

    return Mistake(document.id, kind, document.text[lo:hi], name(gold), name(predicted))


def _mistakes(document: Document, gold: list[Span], predicted: list[Span]) -> list[Mistake]:
    """Name each disagreement once: a gold span is paired with the first span it overlaps."""
    right = {_key(s) for s in gold} & {_key(s) for s in predicted}
    free = [s for s in predicted if _key(s) not in right]
    out = []
    for span in gold:
        if _key(span) in right:
            continue
        other = next((s for s in free if s.overlaps(span)), None)
        if other is None:
            out.append(_mistake(document, span, None, "missed"))
            continue
        free.remove(other)
        same = (other.start, other.end) == (span.start, span.end)
        out.append(_mistake(document, span, other, "wrong type" if same else "wrong border"))
    out.extend(_mistake(document, None, s, "invented") for s in free)
    return out


def _interval(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64], seed: int
) -> tuple[float, float]:
    """95 % percentile bootstrap over documents of sum(numerator) / sum(denominator)."""
    n = len(numerator)
    if n == 0 or denominator.sum() == 0:
        return 0.0, 0.0
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), _RESAMPLES)
    below = weights @ denominator
    values = np.divide(weights @ numerator, below, out=np.zeros(_RESAMPLES), where=below > 0)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _scores(pairs: Sequence[tuple[float, bool]]) -> ScoreReport | None:
    """Of each found span its score and whether it is right; None where scores say nothing."""
    if all(score >= 1 for score, _ in pairs) or not all(0 <= score <= 1 for score, _ in pairs):
        return None
    score, right = np.array(pairs, np.float64).T
    bins = np.minimum((score * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, score - right, _BINS)
    return ScoreReport(float(score.mean()), float(np.abs(gaps).sum() / len(pairs)))


def _topics(pairs: list[tuple[Document, Document]], task: str, seed: int) -> TopicReport | None:
    rows = [(g.labels[task], p.labels.get(task, "")) for g, p in pairs if task in g.labels]
    if not rows:
        return None
    correct, predicted, support = Counter[str](), Counter[str](), Counter[str]()
    confusion: dict[str, dict[str, int]] = {}
    for gold, found in rows:
        support[gold] += 1
        predicted[found] += bool(found)
        correct[gold] += gold == found
        row = confusion.setdefault(gold, {})
        row[found or "(none)"] = row.get(found or "(none)", 0) + 1
    names = sorted(set(support) | (set(predicted) - {""}))
    by_class = {n: Score(correct[n], predicted[n], support[n]) for n in names}
    hits = np.array([g == p for g, p in rows], np.float64)
    return TopicReport(
        accuracy=float(hits.mean()),
        interval=_interval(hits, np.ones(len(hits)), seed),
        macro_f1=float(np.mean([by_class[n].f1 for n in support])),
        by_class=by_class,
        confusion=confusion,
        documents=len(rows),
        silent=sum(not found for _, found in rows),
    )


def _paired(
    gold: Iterable[Document], predicted: Iterable[Document]
) -> tuple[list[tuple[Document, Document]], int]:
    by_id: dict[str, Document] = {}
    for document in predicted:
        if document.id in by_id:
            raise HanspanError(f"predicted: id {document.id!r} stands twice; expected unique ids")
        by_id[document.id] = document
    pairs = []
    for document in gold:
        other = by_id.pop(document.id, None)
        if other is None:
            raise HanspanError(
                f"gold document {document.id!r} is not among the predicted ones; "
                f"predict the gold file itself: hanspan predict GOLD.jsonl PREDICTED.jsonl"
            )
        if other.text != document.text:
            raise HanspanError(
                f"document {document.id!r}: gold and predicted text differ "
                f"({len(document.text)} and {len(other.text)} characters); expected equal texts"
            )
        pairs.append((document, other))
    if not pairs:
        raise HanspanError("gold: no document found, expected at least one")
    return pairs, len(by_id)


def evaluate(
    gold: Iterable[Document],
    predicted: Iterable[Document],
    *,
    mapping: Mapping[str, str] | None = None,
    known_mentions: Iterable[str] | None = None,
    task: str = "topic",
    seed: int = 0,
    n_examples: int = 200,
) -> Report:
    """Compare predicted documents with gold ones, paired by id.

    Args:
        gold: documents with flat spans.
        predicted: documents of the same ids and texts; more ids are counted as ``extra``.
        mapping: renames labels on both sides first; an empty name drops the label.
        known_mentions: strings seen in training, to score seen and unseen mentions apart.
        task: the key of ``labels`` that is scored as a class.
        seed: of the bootstrap.
        n_examples: how many mistakes are kept with their context.

    Raises:
        HanspanError: for overlapping gold spans, a missing document or another text.
    """
    pairs, extra = _paired(gold, predicted)
    mapping = mapping or {}
    known = None if known_mentions is None else frozenset(known_mentions)
    correct, found, support = Counter[str](), Counter[str](), Counter[str]()
    sides = {True: [0, 0, 0], False: [0, 0, 0]}
    per_document, mistakes = [], []
    scored: list[tuple[float, bool]] = []
    for one, other in pairs:
        wanted, given = _gold_spans(one, mapping), flat(_mapped(other, mapping))
        hits = {_key(s) for s in wanted} & {_key(s) for s in given}
        support.update(s.label for s in wanted)
        found.update(s.label for s in given)
        correct.update(label for _, _, label in hits)
        scored.extend((span.score, _key(span) in hits) for span in given)
        per_document.append((2 * len(hits), len(wanted) + len(given)))
        mistakes.extend(_mistakes(one, wanted, given))
        for at, spans in ((1, given), (2, wanted)) if known is not None else ():
            for span in spans:
                side = sides[one.surface(span) in (known or ())]
                side[0] += at == 2 and _key(span) in hits
                side[at] += 1
    by_label = {
        label: Score(correct[label], found[label], support[label])
        for label in sorted(set(support) | set(found))
    }
    counts = np.array(per_document, np.float64)
    return Report(
        documents=len(pairs),
        characters=sum(len(one.text) for one, _ in pairs),
        micro=Score(correct.total(), found.total(), support.total()),
        interval=_interval(counts[:, 0], counts[:, 1], seed),
        macro_f1=float(np.mean([by_label[n].f1 for n in support])) if support else 0.0,
        by_label=by_label,
        topics=_topics(pairs, task, seed),
        mistakes=dict(Counter(item.kind for item in mistakes)),
        seen=None if known is None else Score(*sides[True]),
        unseen=None if known is None else Score(*sides[False]),
        scores=_scores(scored),
        extra=extra,
        examples=tuple(mistakes[:n_examples]),
    )
