"""Whether two blocks of one article are one paragraph: the last word on each join of the search.

The search asks where a block belongs; a join that it makes in passing may still put a whole line
(a section head, a kicker) before a paragraph. This decides pair by pair, with weights of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hanspan.pages import blocks as kinds
from hanspan.pages.clues import Clue
from hanspan.pages.threads import JOIN, TEXT, Move, Thread

KEPT = 0.8
"""Probability that a join needs; chosen on generated pages that weights are fitted on."""

_DIGITS = "0123456789０１２３４５６７８９一二三四五六七八九十百千两几数"
_AFTER_DIGITS = _DIGITS + "万亿余多%％.．"

Features = dict[str, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the search saw a join.

    Attributes:
        sure: its probability among all moves, as a logarithm.
        ahead: its score less that of the same text as a new paragraph.
    """

    sure: float
    ahead: float


def standing(rated: Mapping[Move, float], number: int) -> Standing:
    """How a join with article ``number`` stood among the moves that were open."""
    join = rated[Move(JOIN, number)]
    top = max(rated.values())
    whole = top + math.log(sum(math.exp(value - top) for value in rated.values()))
    return Standing(join - whole, join - rated[Move(TEXT, number)])


def features(cut: Clue, clue: Clue, thread: Thread, stood: Standing) -> Features:
    """What speaks for and against a join.

    Args:
        cut: the block that stops.
        clue: the one that may go on.
        thread: the article, its last paragraph being ``cut``.
        stood: how the search saw it.
    """
    odds = cut.odds(clue)
    rival = cut.best_after(clue.index)
    found = {
        "glue:bias": 1.0,
        "glue:fits": max(-6.0, min(6.0, odds)),
        "glue:starts": max(-5.0, min(5.0, clue.start)),
        "glue:better later": max(-4.0, min(6.0, rival - (odds - clue.start))),
        "glue:gap": math.log(clue.index - cut.index),
        "glue:fit": thread.fit(clue),
        "glue:fit to last": thread.recent.fit(clue.words),
        "glue:sure": max(-6.0, stood.sure),
        "glue:ahead": min(8.0, stood.ahead),
        "glue:after comma": float(cut.ending == "comma"),
        "glue:must": float(clue.misfit),
        "glue:opened": float(bool(cut.opened)),
        "glue:could be title": float(clue.kind == kinds.TITLE),
    }
    if cut.tail[-1] in _DIGITS and clue.head[0] in _AFTER_DIGITS:
        found["glue:inside a number"] = 1.0
    if clue.closed:
        closes = bool(cut.opened) and cut.opened[-1] == clue.closed[0]
        found["glue:closes"] = float(closes) if cut.opened else -1.0
    if cut.kind == kinds.TITLE:
        found["glue:title-like"] = 1.0
        found["glue:line fits"] = found["glue:fits"]
        found["glue:title"] = max(-12.0, min(6.0, cut.title))
        found["glue:size"] = math.log(cut.size)
        found["glue:comma"] = float(cut.comma)
        found["glue:pieces"] = float(len(cut.pieces) > 1)
    return found


def probability(
    cut: Clue, clue: Clue, thread: Thread, stood: Standing, weight: Mapping[str, float]
) -> float:
    """Probability that ``clue`` goes on where ``cut`` stops."""
    shown = features(cut, clue, thread, stood)
    odds = sum(weight.get(name, 0.0) * value for name, value in shown.items())
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))
