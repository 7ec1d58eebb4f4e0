"""What all rules of a set share on one document, made once: words, windows, the title."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hanspan.data import Document
from hanspan.rules.finders import Finder, PatternFinder, Scene
from hanspan.rules.fold import Views
from hanspan.rules.gate import Gate
from hanspan.rules.patterns import Matcher
from hanspan.rules.topic import TopicFinder
from hanspan.rules.words import Hits, WordIndex

_TITLE_END = re.compile(r"[。！？；…\n]")
_TITLE_LONGEST = 40


class Preparer:
    """Automata over the words and the required strings of all rules, built when first needed.

    Args:
        finders: span rules, numbered.
        topic_finders: topic rules, numbered.
    """

    def __init__(self, finders: Sequence[Finder], topic_finders: Sequence[TopicFinder]) -> None:
        self._finders, self._topic_finders = finders, topic_finders
        self._topic_views = {(f.width, f.traditional) for f in topic_finders if f.words}
        self._indexes: list[WordIndex] | None = None
        self._gates: list[tuple[bool, bool, Gate]] | None = None
        self._owners: list[int] = []  # number of a pattern -> number of its rule

    def scene(self, document: Document) -> Scene:
        """A document with the words found in it and the windows of the patterns."""
        scene = Scene(document)
        scene.windows = {}
        for width, traditional, gate in self._all_gates():
            gate.windows(scene.views.get(width, traditional), scene.windows)
        for index in self._all_indexes():
            index.find(scene.views.get(index.width, index.traditional).text, scene.hits)
        scene.awake.update(scene.hits)
        scene.awake.update(map(self._owners.__getitem__, scene.windows))
        if self._topic_finders:
            self._title(scene)
        return scene

    def _title(self, scene: Scene) -> None:
        """``meta.title``; without one, a short first line or a short text as a whole."""
        title, text = scene.document.meta.get("title"), scene.document.text
        if isinstance(title, str) and title:
            if text.startswith(title):
                scene.title_end = len(title)
                return
            views, hits = Views(title), Hits()
            for index in self._all_indexes():
                if (index.width, index.traditional) in self._topic_views:
                    index.find(views.get(index.width, index.traditional).text, hits)
            scene.title = (views, hits)
            return
        head = text.find("\n")
        if head < 0 and len(text) <= _TITLE_LONGEST:
            head = len(text)
        if 0 < head <= _TITLE_LONGEST and not _TITLE_END.search(text[:head]):
            scene.title_end = head

    def _all_indexes(self) -> list[WordIndex]:
        if self._indexes is None:
            everything: list[Finder | TopicFinder] = [*self._finders, *self._topic_finders]
            groups: dict[tuple[bool, bool], dict[int, Mapping[str, Any]]] = {}
            for finder in everything:
                group = groups.setdefault((finder.width, finder.traditional), {})
                if finder.words:
                    group[finder.number] = finder.words
                if finder.longer:
                    group[~finder.number] = dict.fromkeys(finder.longer)
            self._indexes = [
                WordIndex(words, width=width, traditional=traditional)
                for (width, traditional), words in groups.items()
                if words
            ]
        return self._indexes

    def _all_gates(self) -> list[tuple[bool, bool, Gate]]:
        if self._gates is None:
            groups: dict[tuple[bool, bool, bool], list[PatternFinder]] = {}
            for finder in self._finders:
                if isinstance(finder, PatternFinder) and finder.matchers:
                    key = finder.width, finder.traditional, finder.matchers[0].bytes
                    groups.setdefault(key, []).append(finder)
            gates: list[tuple[bool, bool, Gate]] = []
            owners: list[int] = []
            count = 0
            for (width, traditional, in_bytes), finders in groups.items():
                begin = count
                matchers: list[Matcher] = []
                for finder in finders:
                    begin_of_finder, count = count, count + len(finder.matchers)
                    finder.numbers = range(begin_of_finder, count)
                    matchers += finder.matchers
                    owners += [finder.number] * len(finder.matchers)
                gates.append((width, traditional, Gate(matchers, begin, in_bytes=in_bytes)))
            self._owners, self._gates = owners, gates  # last, whole: other threads may look
        return self._gates
