"""Small votes for the tests of the label model."""

from __future__ import annotations

import numpy as np

from hanspan.data import Document, Span
from hanspan.labelmodel.votes import Names, Pattern

LABELS = ("PER", "LOC", "ORG")


def names(
    rules: int = 6, groups: dict[int, str] | None = None, topics: tuple[str, ...] = ()
) -> Names:
    """Three labels and some rules, each its own group unless told otherwise."""
    out = Names(LABELS, topics)
    for index in range(rules):
        out.add_rule(f"rule:r{index}", (groups or {}).get(index, ""))
    return out


def votes(*items: tuple[int, int, str, str], text: str = "", score: float = 1.0) -> Document:
    """A document of ``x`` with votes (start, end, label, rule)."""
    length = max([len(text), *(item[1] for item in items)], default=0)
    spans = tuple(Span(s, e, label, score, f"rule:{rule}") for s, e, label, rule in items)
    return Document("d", text or "x" * length, spans)


def generated(
    seed: int,
    documents: int = 300,
    good: tuple[float, ...] = (0.95, 0.9, 0.8, 0.6, 0.5),
    coverage: float = 0.6,
) -> tuple[list[Document], list[Document], list[float]]:
    """Votes of rules with known precision, the truth, and the precision that came about.

    A wrong vote moves a border, names another label, or stands where nothing is.
    """
    rng = np.random.default_rng(seed)
    out, gold = [], []
    right, made = np.zeros(len(good)), np.zeros(len(good))
    for number in range(documents):
        truth, place = [], 1
        while place < 40:
            size = int(rng.integers(2, 5))
            truth.append((place, place + size, str(rng.choice(LABELS))))
            place += size + int(rng.integers(3, 6))
        spans = []
        for rule, share in enumerate(good):
            for start, end, label in truth:
                if rng.random() > coverage:
                    continue
                vote = (start, end, label)
                if rng.random() > share:
                    other = str(rng.choice([x for x in LABELS if x != label]))
                    vote = [
                        (start, end + 1, label),
                        (start + 1, end, label),
                        (start, end, other),
                        (end + 1, end + 2, label),
                        (end + 1, end + 2, label),
                    ][int(rng.integers(5))]
                made[rule] += 1
                right[rule] += vote == (start, end, label)
                spans.append(Span(*vote, 1.0, f"rule:r{rule}"))
        text = "x" * 60
        out.append(Document(f"d{number}", text, tuple(spans)))
        gold.append(Document(f"d{number}", text, tuple(Span(*t) for t in truth)))
    return out, gold, (right / np.maximum(made, 1)).tolist()


def pattern(*items: tuple[int, int, int, int]) -> Pattern:
    """A pattern from (start, end, label index, rule index)."""
    found = tuple(sorted((s, e, y, r, 1.0) for s, e, y, r in items))
    return Pattern(max(v[1] for v in found), found)


def f1(predicted: list[Document], gold: list[Document]) -> float:
    """Micro F1 of exact spans."""
    found = wanted = both = 0
    for p, g in zip(predicted, gold, strict=True):
        mine = {(s.start, s.end, s.label) for s in p.spans}
        truth = {(s.start, s.end, s.label) for s in g.spans}
        found, wanted, both = found + len(mine), wanted + len(truth), both + len(mine & truth)
    return 2 * both / max(found + wanted, 1)
