"""The model's spans and the votes of rules, put together at inference.

Who found a span stays readable in its ``source``: ``model``, ``rule:a+rule:b``, or both joined
by ``+``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hanspan.data import ENTITY, NONE, Span


def merge(model: Sequence[Span], votes: Iterable[Span]) -> tuple[Span, ...]:
    """Flat spans from both.

    Votes of equal borders and label join their sources, and so does a model span with one of
    them. What overlaps is settled by score, then for the rules, then for the longer span: a rule
    of weight 1 (a user's own lexicon) always has its way, a weaker one only where the model is
    less sure than its weight. A vote ``NONE`` that wins leaves its place empty; ``ENTITY`` votes
    do nothing.

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

    def rank(item: tuple[tuple[int, int, str], Span]) -> tuple[float, float, int, int, str]:
        key, span = item
        return -span.score, -weight.get(key, 0.0), span.start - span.end, span.start, span.label

    taken: list[Span] = []
    for _, span in sorted(joined.items(), key=rank):
        if not any(span.overlaps(other) for other in taken):
            taken.append(span)
    kept = [span for span in taken if span.label != NONE]
    return tuple(sorted(kept, key=lambda span: span.start))
