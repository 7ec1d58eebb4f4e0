"""The words of all rules in few Aho-Corasick automata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hanspan.rules.fold import fold_width, to_simplified

Hits = dict[int, list[tuple[int, int, Any]]]
"""Rule number -> its leftmost-longest matches, in order: start, end, what the word stands for."""

_ALONE = 50_000
"""A rule with so many words gets an automaton of its own, which reports no nested matches."""


def spellings(word: str, width: bool, traditional: bool) -> tuple[str, ...]:
    """The forms of a word that must be looked for in a folded text."""
    first = fold_width(word) if width else word
    second = to_simplified(first) if traditional else first
    return (first,) if first == second else (first, second)


class WordIndex:
    """Finds the words of many rules at once, each rule as if it were alone.

    Args:
        words: for each rule number, word -> value. A value of None makes no hit.
        width, traditional: the texts will be folded in this way.

    The automata do not pickle: build the index anew in another process.
    """

    def __init__(
        self, words: Mapping[int, Mapping[str, Any]], *, width: bool, traditional: bool
    ) -> None:
        self.width, self.traditional = width, traditional
        self._single: list[tuple[int, Any, list[Any]]] = []
        together: dict[str, list[tuple[int, Any]]] = {}
        for rule, entries in words.items():
            folded: dict[str, Any] = {}
            for word, value in entries.items():
                for form in spellings(word, width, traditional):
                    folded.setdefault(form, value)
            if len(folded) > _ALONE or len(words) == 1:
                self._single.append((rule, _automaton(folded, longest=True), [*folded.values()]))
            else:
                for form, value in folded.items():
                    together.setdefault(form, []).append((rule, value))
        self._targets = [*together.values()]
        self._together = _automaton(together, longest=False) if together else None

    def find(self, text: str, hits: Hits) -> None:
        """Add the matches in a folded text to ``hits``."""
        if self._together is not None:
            _scan(self._together, self._targets, text, hits)
        for rule, automaton, values in self._single:
            found = automaton.find_matches_as_indexes(text)
            if found:
                hits[rule] = [(start, end, values[i]) for i, start, end in found]


def _automaton(words: Iterable[str], *, longest: bool) -> Any:
    import ahocorasick_rs as ac

    kind = ac.MatchKind.LeftmostLongest if longest else ac.MatchKind.Standard
    return ac.AhoCorasick(list(words), matchkind=kind, store_patterns=False)


def _scan(automaton: Any, targets: list[list[tuple[int, Any]]], text: str, hits: Hits) -> None:
    # Matches come in the order of their ends; a later one replaces those that it contains, and
    # gives way to one that began before it: the leftmost-longest matches of each rule.
    for i, start, end in automaton.find_matches_as_indexes(text, overlapping=True):
        for rule, value in targets[i]:
            kept = hits.get(rule)
            if kept is None:
                hits[rule] = [(start, end, value)]
                continue
            k = len(kept)
            while k and kept[k - 1][0] >= start:
                k -= 1
            if k and kept[k - 1][1] > start:
                continue
            if k < len(kept):
                del kept[k:]
            kept.append((start, end, value))
