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
    from hanspan.rules.fold import View
    from hanspan.rules.patterns import Matcher

_WIDEST = 200  # characters; wider windows would cover most texts
_TOO_FREQUENT = 200.0  # in a thousand characters
_FOUR_BYTES = re.compile(b"[\xf0-\xf4]")

Windows = dict[int, list[int]]
"""Number of a pattern -> low, high, low, high, ... in order and apart.

In bytes for re2, in characters for ``re``.

With -1 in front: every match begins at one of the lows, which may then lie close together.
"""


class Gate:
    """Required strings of patterns.

    Args:
        matchers: patterns, all for the same view of the text.
        first: number of the first of them.
        in_bytes: whether they run on UTF-8, or else on characters.
    """

    def __init__(
        self, matchers: Sequence[Matcher], first: int = 0, *, in_bytes: bool = True
    ) -> None:
        self.in_bytes = in_bytes
        near: dict[str, list[tuple[int, int, int, int]]] = {}
        anywhere: dict[str, list[int]] = {}
        self.always: list[int] = []
        for number, matcher in enumerate(matchers, first):
            need = needs(matcher.pattern)
            atoms = need.atoms
            if atoms is None or cost(atoms.strings) > _TOO_FREQUENT:
                self.always.append(number)
                continue
            marks = 2 if not need.marks else 1 if not need.marks & FULL_STOPS else 0
            wide = atoms.before + atoms.after > _WIDEST
            before, after = (UNBOUNDED, UNBOUNDED) if wide else (atoms.before, atoms.after)
            for atom in atoms.strings:
                if wide and not marks:
                    anywhere.setdefault(atom, []).append(number)
                else:
                    near.setdefault(atom, []).append((number, before, after, marks))
        strings = [*dict.fromkeys([*near, *anywhere])]
        self._near = [tuple(near.get(atom, ())) for atom in strings]
        self._anywhere = [tuple(anywhere.get(atom, ())) for atom in strings]
        self._automaton = _automaton(strings, in_bytes) if strings else None
        self._marks = _automaton([*FULL_STOPS, *(MARKS - FULL_STOPS)], in_bytes)

    def windows(self, view: View, out: Windows) -> None:
        """Add where each pattern may match; a pattern that is not added matches nowhere."""
        data: Any = view.data if self.in_bytes else view.text
        size = len(data)
        whole = [0, size]
        for number in self.always:
            out[number] = whole
        if self._automaton is None:
            return
        all_near, all_anywhere = self._near, self._anywhere
        unit = 1  # most bytes of a character
        if self.in_bytes:
            unit = 4 if _FOUR_BYTES.search(data) else 3
        cuts = self._cuts(data)
        piece = [(0, size), (0, 0), (0, 0)]  # around the last atom: text, sentence, clause
        for i, start, end in self._automaton.find_matches_as_indexes(data, overlapping=True):
            for number in all_anywhere[i]:
                out[number] = whole
            for number, before, after, marks in all_near[i]:
                first, last = piece[marks]
                if not first <= start < last:
                    borders = cuts[marks]
                    k = bisect_right(borders, start)
                    first, last = piece[marks] = borders[k - 1], borders[k]
                low, high = start - before * unit, end + after * unit
                if low < first:
                    low = first
                if high > last:
                    high = last
                seen = out.get(number)
                if not before:
                    if seen is None:
                        out[number] = [-1, low, high]
                    else:
                        seen += (low, high)
                elif seen is None:
                    out[number] = [low, high]
                elif low <= seen[-1]:
                    if high > seen[-1]:
                        seen[-1] = high
                    if low < seen[-2]:
                        _merge(seen, low)
                else:
                    seen += (low, high)

    def _cuts(self, data: Any) -> tuple[list[int], list[int], list[int]]:
        """Borders of the text, of the pieces between full stops, and between any marks."""
        sentences, clauses = [0], [0]
        for i, start, end in self._marks.find_matches_as_indexes(data):
            clauses += (start, end)
            if i < len(FULL_STOPS):
                sentences += (start, end)
        size = len(data)
        sentences += (size, size + 1)
        clauses += (size, size + 1)
        return [0, size], sentences, clauses


def _merge(seen: list[int], low: int) -> None:
    """Let the last window begin earlier, swallowing those before it."""
    while len(seen) > 2 and low <= seen[-3]:
        high = seen[-1]
        del seen[-2:]
        seen[-1] = max(high, seen[-1])
    seen[-2] = min(seen[-2], low)


def _automaton(words: Sequence[str], in_bytes: bool) -> Any:
    import ahocorasick_rs as ac

    if not in_bytes:
        return ac.AhoCorasick(words, matchkind=ac.MatchKind.Standard, store_patterns=False)
    raw = [word.encode("utf-8", "surrogatepass") for word in words]
    return ac.BytesAhoCorasick(raw, matchkind=ac.MatchKind.Standard)
