"""Rules of the second pass: they read the votes of the first in the whole document."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hanspan.data import ENTITY, NONE, Span
from hanspan.rules.borders import Borders
from hanspan.rules.contract import RuleInfo
from hanspan.rules.finders import Finder, Scene
from hanspan.rules.spec import RepeatSpec, ShortFormSpec, SurnameSpec

_SHORT = re.compile(
    r"\s{0,2}[（(]\s?(?:以下|下文|下|以后|又|也|曾|现)?(?:统|简|合|并|通|又|俗)?称(?:为|作|之为|是)?[：:]?\s?"
    r"[“\"「『‘']?(?P<span>[^“”\"「」『』‘’'，。、；：（）()\n]{2,20})[”\"」』’']?\s?[）)]"
)


class _Second(Finder):
    def __init__(self, info: RuleInfo, spec: Any, labels: Sequence[str]) -> None:
        super().__init__(info)
        self.spec = spec
        self.gives = tuple(spec.labels) or tuple(labels)
        self.borders = Borders(spec)


class RepeatFinder(_Second):
    """The majority label of a string, wherever else it stands in the document."""

    def __init__(self, info: RuleInfo, spec: RepeatSpec, labels: Sequence[str]) -> None:
        super().__init__(info, spec, labels)

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        document, spec = scene.document, self.spec
        text = document.text
        votes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        places: dict[str, set[int]] = defaultdict(set)
        for span in document.spans:
            if span.end - span.start >= spec.min_length and span.label not in (ENTITY, NONE):
                surface = text[span.start : span.end]
                votes[surface][span.label] += span.score
                places[surface].add(span.start)
        taken: Taken | None = None
        for surface, labels in votes.items():
            if len(labels) == 1 and text.count(surface) <= len(places[surface]):
                continue  # every place has its vote
            total = sum(labels.values())
            label, best = max(labels.items(), key=lambda item: (item[1], item[0]))
            if label not in self.gives or total < spec.min_votes or best < spec.min_share * total:
                continue
            taken = taken or Taken(document.spans)
            for start, end in occurrences(text, surface):
                there = taken.at(start, end)
                if not there or all(
                    (s.start, s.end) == (start, end) and s.label != label for s in there
                ):
                    yield start, end, label


class ShortFormFinder(_Second):
    """A short form that a full name introduces, there and in the rest of the document."""

    def __init__(self, info: RuleInfo, spec: ShortFormSpec, labels: Sequence[str]) -> None:
        super().__init__(info, spec, labels)

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        document = scene.document
        text = document.text
        if "称" not in text:
            return
        full: dict[int, Span] = {}
        for span in document.spans:
            known = full.get(span.end)
            if span.label in self.gives and (known is None or span.start < known.start):
                full[span.end] = span
        taken = Taken(document.spans)
        for end, span in sorted(full.items()):
            match = _SHORT.match(text, end)
            if match is None:
                continue
            yield match.start("span"), match.end("span"), span.label
            for start, stop in occurrences(text, match["span"]):
                longer = (s for s in taken.at(start, stop) if s.end - s.start > stop - start)
                if start >= match.end() and not any(longer):
                    yield start, stop, span.label


class SurnameFinder(_Second):
    """A surname with a title or form of address, after the full name stood in the document."""

    def __init__(self, info: RuleInfo, spec: SurnameSpec, labels: Sequence[str]) -> None:
        super().__init__(info, spec, labels)

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        document, spec = scene.document, self.spec
        label = self.gives[0]
        first: dict[str, int] = {}
        for span in document.spans:
            surface = document.surface(span)
            if span.label == label and 2 <= len(surface) <= 4 and "·" not in surface:
                surname = surface[:2] if surface[:2] in spec.compound else surface[:1]
                first.setdefault(surname, span.end)
        taken = Taken(document.spans)
        for surname, known in first.items():
            for start, end in occurrences(document.text, surname):
                if (
                    start >= known
                    and document.text.startswith(spec.followed_by, end)
                    and not taken.at(start, end)
                ):
                    yield start, end, label


class Taken:
    """Which spans touch a place."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._by_block: dict[int, list[Span]] = defaultdict(list)
        for span in spans:
            for block in range(span.start >> 6, (span.end - 1 >> 6) + 1):
                self._by_block[block].append(span)

    def at(self, start: int, end: int) -> list[Span]:
        """Spans that overlap ``start:end``."""
        blocks = range(start >> 6, (end - 1 >> 6) + 1)
        found = (s for b in blocks for s in self._by_block.get(b, ()))
        return [s for s in found if s.start < end and start < s.end]


def occurrences(text: str, surface: str) -> Iterator[tuple[int, int]]:
    """Where a string stands, from left to right, without overlap."""
    position = text.find(surface)
    while position >= 0:
        yield position, position + len(surface)
        position = text.find(surface, position + len(surface))
