"""More evidence for joins, from outside: whoever can say how well two ends fit is asked about those
pairs of a page that could be joins.

This package never loads a network of its own; ``hanspan.masked`` has one that can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hanspan.pages import blocks as kinds
from hanspan.pages import ends
from hanspan.pages.blocks import Block
from hanspan.pages.clues import FAR, Clue

Gains = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Pairs of ends -> for each what either side gains by the other, in nats a character, summed."""
Evidence = Mapping[int, Mapping[int, float]]
"""Index of a block that was cut -> of a later one -> what is added to the log odds of a join."""
SHARE, LEAST, MOST = 0.5, -4.0, 6.0
"""What a gain counts, and its bounds; the half was chosen on 60 pages of those for fitting."""
UNASKED = -0.5
"""What is added for a pair that was not asked about."""
_BEST, _TEXT = 8, 40


def evidence(blocks: Sequence[Block], clues: Sequence[Clue], gains: Gains) -> Evidence:
    """Ask about each cut block and the eight later ones that the ends fit best, and the next.

    Args:
        blocks: of a page.
        clues: of the same blocks.
        gains: who is asked, once a page.
    """
    heads = [c for c in clues if c.kind in (kinds.BODY, kinds.TITLE)]
    found: dict[int, dict[int, float]] = {}
    places: list[tuple[int, int]] = []
    for cut in heads:
        if not cut.open or cut.title > 0:
            continue
        near = [c for c in heads if 0 < c.index - cut.index <= FAR]
        found[cut.index] = {clue.index: UNASKED for clue in near}
        likely = [clue for clue in near if clue.start < 1.5]
        likely.sort(key=lambda clue: clue.start - ends.join_odds(cut.tail, clue.head))
        asked = [*likely[:_BEST], *(c for c in likely[_BEST:] if c.index == cut.index + 1)]
        places += [(cut.index, clue.index) for clue in asked]
    pairs = [(blocks[cut].text[-_TEXT:], blocks[clue].text[:_TEXT]) for cut, clue in places]
    for (first, second), gain in zip(places, gains(pairs) if pairs else (), strict=True):
        found[first][second] = SHARE * max(LEAST, min(MOST, gain))
    return found
