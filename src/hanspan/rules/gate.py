"""Which patterns are worth running on a text, and where: near the strings that they need.

One automaton finds the required strings of all patterns at once. A pattern of bounded length
then runs only in windows around them, in which every match of it must lie; the others run on
the whole text, or not at all. This changes no match.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hanspan.rules.atoms import FULL_STOPS, MARKS, UNBOUNDED, cost
from hanspan.rules.literals import needs

if TYPE_CHECKING:
    from hanspan.rules.patterns import Matcher

_WIDEST = 200  # characters; wider windows would cover most texts
_TOO_FREQUENT = 200.0  # in a thousand characters
_NOTHING = re.compile(b"(?!)")
_FULL_STOPS = re.compile("|".join(FULL_STOPS).encode())
_MARKS = re.compile("|".join(MARKS).encode())
_FOUR_BYTES = re.compile(b"[\xf0-\xf4]")

Windows = dict[int, list[int]]
"""Number of a pattern -> low, high, low, high, ... in bytes, in order and apart."""


class Gate:
    """Required strings of patterns.

    Args:
        matchers: patterns, all for the same view of the text.
        first: number of the first of them.
    """

    def __init__(self, matchers: Sequence[Matcher], first: int = 0) -> None:
        targets: dict[str, list[tuple[int, int, int, int]]] = {}
        self.always: list[int] = []
        for number, matcher in enumerate(matchers, first):
            need = needs(matcher.pattern)
            atoms = need.atoms if matcher.bytes else None
            if atoms is None or cost(atoms.strings) > _TOO_FREQUENT:
                self.always.append(number)
                continue
            marks = 2 if not need.marks else 1 if not need.marks & FULL_STOPS else 0
            wide = atoms.before + atoms.after > _WIDEST
            before, after = (UNBOUNDED, UNBOUNDED) if wide else (atoms.before, atoms.after)
            for atom in atoms.strings:
                targets.setdefault(atom, []).append((number, before, after, marks))
        self._targets = [*targets.values()]
        self._automaton = _bytes_automaton([*targets]) if targets else None

    def windows(self, data: bytes, out: Windows) -> None:
        """Add where each pattern may match; a pattern that is not added matches nowhere."""
        size = len(data)
        for number in self.always:
            out[number] = [0, size]
        if self._automaton is None:
            return
        targets = self._targets
        cuts: tuple[list[int], ...] = ()
        unit = 4 if _FOUR_BYTES.search(data) else 3  # most bytes of a character
        for i, start, end in self._automaton.find_matches_as_indexes(data, overlapping=True):
            for number, before, after, marks in targets[i]:
                low, high = start - before * unit, end + after * unit
                if marks:
                    if not cuts:
                        cuts = _cuts(data)
                    borders = cuts[marks]
                    k = bisect_right(borders, start)
                    if borders[k - 1] > low:
                        low = borders[k - 1]
                    if borders[k] < high:
                        high = borders[k]
                elif high > size:
                    high = size
                seen = out.get(number)
                if seen is None:
                    out[number] = [low if low > 0 else 0, high]
                elif low <= seen[-1]:
                    if high > seen[-1]:
                        seen[-1] = high
                    if low < seen[-2]:
                        _merge(seen, max(0, low))
                else:
                    seen += (low, high)


def _cuts(data: bytes) -> tuple[list[int], ...]:
    """Borders of the pieces between full stops, and between any marks; first none."""
    size = len(data)
    return tuple(
        [0, *(end for match in marks.finditer(data) for end in match.span()), size, size + 1]
        for marks in (_NOTHING, _FULL_STOPS, _MARKS)
    )


def _merge(seen: list[int], low: int) -> None:
    """Let the last window begin earlier, swallowing those before it."""
    while len(seen) > 2 and low <= seen[-3]:
        high = seen[-1]
        del seen[-2:]
        seen[-1] = max(high, seen[-1])
    seen[-2] = min(seen[-2], low)


def _bytes_automaton(words: Sequence[str]) -> Any:
    import ahocorasick_rs as ac

    raw = [word.encode("utf-8", "surrogatepass") for word in words]
    return ac.BytesAhoCorasick(raw, matchkind=ac.MatchKind.Standard)
