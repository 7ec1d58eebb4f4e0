"""Rules ready to run: each finds candidates in a scene, which its borders then let pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hanspan.data import Document, Span
from hanspan.rules.borders import Borders
from hanspan.rules.contract import RuleError, RuleInfo
from hanspan.rules.fold import Views
from hanspan.rules.gate import Windows
from hanspan.rules.patterns import Matcher
from hanspan.rules.spec import Matching
from hanspan.rules.words import Hits

Candidate = tuple[int, int, str, float]
"""Start, end, label, score."""


class Scene:
    """One document with what all rules share: its views and the hits of their words.

    Attributes:
        document: as the rules see it; in the second pass with the votes of the first.
        views: forms of the text.
        hits: matches of the words of rule ``n`` under ``n``, of its longer words under ``~n``.
        windows: where each pattern may match, by its number; None for everywhere.
        awake: numbers of the gated rules that may have candidates.
        title: forms and hits of ``meta.title`` where it is not the head of the text, else None.
    """

    __slots__ = ("awake", "document", "hits", "title", "title_end", "views", "windows")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.views = Views(document.text)
        self.hits: Hits = {}
        self.title: tuple[Views, Hits] | None = None
        self.title_end = 0
        self.windows: Windows | None = None
        self.awake: set[int] = set()


class Finder(ABC):
    """A rule that finds spans.

    Attributes:
        info: name, group and so on.
        number: its place in the set.
        words: word -> value, for the automaton; ``longer``: the words that veto.
        width, traditional: which view it reads.
        flat: whether of overlapping candidates only the leftmost-longest is a vote.
        single: whether only one process may run it.
        gated: whether it has candidates only where the scene calls it awake.
    """

    words: Mapping[str, Any] = {}
    longer: tuple[str, ...] = ()
    width = False
    traditional = False
    borders: Borders | None = None
    flat = False
    single = False
    gated = False
    number = -1

    def __init__(self, info: RuleInfo) -> None:
        self.info = info

    @abstractmethod
    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        """(start, end, label) or (start, end, label, score)."""

    def report(self) -> list[str]:
        """What the user should know after a run."""
        return []

    def find(
        self, scene: Scene, vetoed: Callable[[int, int, str, str], None] | None = None
    ) -> Iterable[tuple[Any, ...]]:
        """The candidates that pass the borders.

        Args:
            scene: the document.
            vetoed: told (start, end, label, why) of each that does not pass.
        """
        found = self.candidates(scene)
        if self.borders is not None and self.borders.active:
            found = self._pass(found, self.borders, scene, vetoed)
        return _flat(found) if self.flat else found

    def _pass(
        self,
        found: Iterable[tuple[Any, ...]],
        borders: Borders,
        scene: Scene,
        vetoed: Callable[[int, int, str, str], None] | None,
    ) -> list[tuple[Any, ...]]:
        text = scene.views.get(self.width, self.traditional).text
        longer = scene.hits.get(~self.number, ())
        passed = []
        for candidate in found:
            why = borders.stop(text, candidate[0], candidate[1], longer)
            if not why:
                passed.append(candidate)
            elif vetoed is not None:
                vetoed(candidate[0], candidate[1], candidate[2], why)
        return passed


def _flat(found: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The leftmost-longest of candidates that overlap: one rule says one thing of a place."""
    out: list[tuple[Any, ...]] = []
    end = 0
    for candidate in sorted(found, key=lambda c: (c[0], -c[1])):
        if candidate[0] >= end:
            out.append(candidate)
            end = candidate[1]
    return out


class _Text(Finder):
    gated = True

    def __init__(self, info: RuleInfo, spec: Matching, longer: Sequence[str] = ()) -> None:
        super().__init__(info)
        self.width, self.traditional = spec.width, spec.traditional
        self.longer = (*spec.unless_inside_of, *longer)
        self.borders = Borders(spec, inside=bool(self.longer))


class WordFinder(_Text):
    """Words with a label each; ASCII words must not touch other ASCII letters or digits."""

    def __init__(
        self, info: RuleInfo, spec: Matching, words: Mapping[str, str], longer: Sequence[str] = ()
    ) -> None:
        super().__init__(info, spec, longer)
        self.words = words
        self._ascii = any(_edge(word[0]) or _edge(word[-1]) for word in words)

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        found = scene.hits.get(self.number, ())
        if not self._ascii or not found:
            return found
        text = scene.views.get(self.width, self.traditional).text
        return [hit for hit in found if _apart(text, hit[0], hit[1])]


def _edge(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _apart(text: str, start: int, end: int) -> bool:
    if start and _edge(text[start]) and _edge(text[start - 1]):
        return False
    return not (end < len(text) and _edge(text[end - 1]) and _edge(text[end]))


class PatternFinder(_Text):
    """One or more patterns; ``numbers`` are theirs in the set's gate."""

    numbers: Sequence[int]

    def __init__(
        self,
        info: RuleInfo,
        spec: Matching,
        matchers: Sequence[Matcher],
        words: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(info, spec)
        self.matchers = tuple(matchers)
        self.numbers = range(len(self.matchers))
        self.flat = len(self.matchers) + bool(words) > 1
        self.words = words or {}

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        view = scene.views.get(self.width, self.traditional)
        found = [*scene.hits.get(self.number, ())] if self.words else []
        windows = scene.windows
        for number, matcher in zip(self.numbers, self.matchers, strict=True):
            if windows is None:
                found += matcher.find(view)
            elif number in windows:
                found += matcher.find(view, windows[number])
        return found


class FunctionFinder(Finder):
    """A Python rule; what it yields is checked."""

    def __init__(self, rule: Any, info: RuleInfo) -> None:
        super().__init__(info)
        self.rule = rule

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        info, size = self.info, len(scene.document.text)
        out: list[Candidate] = []
        try:
            for item in self.rule(scene.document) or ():
                if isinstance(item, Span):
                    start, end, label = item.start, item.end, item.label
                    score = item.score * info.weight
                else:
                    start, end = item[0], item[1]
                    label = item[2] if len(item) > 2 else info.labels[0]
                    score = info.weight
                    if len(item) == 2 and len(info.labels) > 1:
                        raise RuleError(
                            f"{info.where}: found (start, end) without a label; "
                            f"expected one of {', '.join(info.labels)}"
                        )
                if label not in info.labels:
                    raise RuleError(
                        f"{info.where}: found the label {label!r}, expected one of its labels "
                        f"{', '.join(info.labels)}"
                    )
                if not 0 <= start < end <= size:
                    raise RuleError(
                        f"{info.where}: span {start}:{end} in document "
                        f"{scene.document.id!r} of {size} characters; expected "
                        f"0 <= start < end <= {size}, counted in code points"
                    )
                out.append((start, end, label, score))
        except RuleError:
            raise
        except Exception as err:
            raise failed(info, scene.document, err) from err
        return out


def failed(info: RuleInfo, document: Document, err: Exception) -> RuleError:
    """The error for a rule that raised, with the line that raised where it is known."""
    place, trace = "", err.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == info.file:
            place = f" in line {trace.tb_lineno}"
        trace = trace.tb_next
    return RuleError(
        f"{info.where}: raised {type(err).__name__}: {err}{place}, on document {document.id!r}; "
        f"mend it, disable it, or run with --on-error skip"
    )
