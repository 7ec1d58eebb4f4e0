"""The model's spans and the votes of rules, put together at inference.

A rule says what its user wants, so its span wins over the model's that it overlaps; who found a
span stays readable in its ``source``: ``model``, ``rule:a+rule:b``, or both joined by ``+``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hanspan.data import ENTITY, NONE, Span


def merge(model: Sequence[Span], votes: Iterable[Span]) -> tuple[Span, ...]:
    """Flat spans from both.

    Votes of equal borders and label join their sources. Among overlapping votes the longer wins,
    then the one with the higher score, then the one that starts first. A model span with the
    borders and label of a vote is kept once with both sources; one that overlaps a vote is
    dropped. A vote ``NONE`` removes model spans inside or across it; ``ENTITY`` votes do nothing.

    Args:
        model: flat spans.
        votes: spans of rules, in any order; they may overlap.

    Returns:
        Spans in the order of the text.
    """
    joined: dict[tuple[int, int, str], Span] = {}
    for span in votes:
        key = (span.start, span.end, span.label)
        seen = joined.get(key)
        if seen is None:
            joined[key] = span
            continue
        sources = dict.fromkeys([*seen.source.split("+"), *span.source.split("+")])
        score = max(seen.score, span.score)
        joined[key] = replace(seen, score=score, source="+".join(filter(None, sources)))
    taken: list[Span] = []
    order = sorted(joined.values(), key=lambda s: (s.start - s.end, -s.score, s.start, s.label))
    for span in order:
        if span.label != ENTITY and not any(span.overlaps(other) for other in taken):
            taken.append(span)
    same = {(span.start, span.end, span.label): span for span in taken}
    out = [span for span in taken if span.label != NONE]
    for span in model:
        vote = same.get((span.start, span.end, span.label))
        if vote is not None:
            both = "+".join(filter(None, [span.source, vote.source]))
            out[out.index(vote)] = replace(vote, score=max(vote.score, span.score), source=both)
        elif not any(span.overlaps(other) for other in taken):
            out.append(span)
    return tuple(sorted(out, key=lambda span: span.start))
