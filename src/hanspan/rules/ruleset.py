"""A set of rules that is applied to documents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from hanspan.data import ENTITY, NONE, Document, Span
from hanspan.rules.contract import FunctionRule, Rule, RuleError, RuleInfo, TopicVote
from hanspan.rules.finders import Finder, FunctionFinder, Scene
from hanspan.rules.hashing import hash_function
from hanspan.rules.prepare import Preparer
from hanspan.rules.topic import FunctionTopic, TopicFinder

Vote = tuple[int, int, str, int, float]
"""Start, end, label, number of the rule, score."""


@dataclass(frozen=True)
class Veto:
    """A candidate that its own rule's settings stopped."""

    start: int
    end: int
    label: str
    rule: str
    why: str


class RuleSet:
    """Rules, applied together.

    Args:
        name: of the task.
        finders: span rules, in order.
        topic_finders: topic rules, in order.
        labels: what spans may be labelled; ENTITY and NONE are always allowed.
        topics: classes of a document.
        origin: the function that loaded the set and what it was given; makes it picklable.
        hashes: rule name -> hash of its settings and words.
        notices: what the user should know, such as a lexicon that is missing.

    Raises:
        RuleError: for two rules of one name, or a label that the set does not know.
    """

    def __init__(
        self,
        name: str,
        finders: Sequence[Finder],
        topic_finders: Sequence[TopicFinder] = (),
        *,
        labels: Sequence[str] = (),
        topics: Sequence[str] = (),
        origin: tuple[Callable[[str], RuleSet], str] | None = None,
        hashes: Mapping[str, str] | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self.name, self.origin = name, origin
        self.finders, self.topic_finders = tuple(finders), tuple(topic_finders)
        self._everything: list[Finder | TopicFinder] = [*self.finders, *self.topic_finders]
        self.infos: tuple[RuleInfo, ...] = tuple(finder.info for finder in self._everything)
        self.labels = tuple(labels) or _seen(f.info for f in self.finders)
        self.topics = tuple(topics) or _seen(f.info for f in self.topic_finders)
        self.hashes, self.notices = dict(hashes or {}), tuple(notices)
        self._check()
        for number, finder in enumerate(self._everything):
            finder.number = number
        self._first = [f for f in self.finders if not f.info.after]
        self._second = [f for f in self.finders if f.info.after]
        self._topics_first = [f for f in self.topic_finders if not f.info.after]
        self._topics_second = [f for f in self.topic_finders if f.info.after]
        self._sources = [info.source for info in self.infos]
        self._preparer = Preparer(self.finders, self.topic_finders)

    def _check(self) -> None:
        seen: dict[str, RuleInfo] = {}
        for info in self.infos:
            if info.name in seen:
                raise RuleError(
                    f"{info.where}: another rule has this name: {seen[info.name].where}; "
                    f"rename one, or use 'disable:' or 'override:'"
                )
            seen[info.name] = info
            allowed = self.topics if info.topical else (*self.labels, ENTITY, NONE)
            for label in info.labels:
                if label not in allowed:
                    what = "topic" if info.topical else "label"
                    raise RuleError(
                        f"{info.where}: found the {what} {label!r}, expected one of "
                        f"{', '.join(allowed) or 'none: the set has no ' + what + 's'}"
                    )

    def __len__(self) -> int:
        return len(self.infos)

    def __reduce__(self) -> Any:
        if self.origin is None:
            rules = [finder.rule for finder in self._everything if hasattr(finder, "rule")]
            if len(rules) < len(self):
                raise RuleError(f"rule set {self.name!r} is a part of another and does not pickle")
            return _of, (rules, self.name, self.labels, self.topics)
        load, given = self.origin
        return load, (given,)

    @property
    def single(self) -> bool:
        """Whether only one process may run it."""
        return any(finder.single for finder in self.finders)

    def report(self) -> list[str]:
        """What the user should know after a run."""
        return [line for finder in self.finders for line in finder.report()]

    @property
    def version(self) -> str:
        """Hash of all that the votes depend on; empty where a rule has no hash."""
        if not all(self.hashes.get(info.name) for info in self.infos):
            return ""
        known = (sorted(self.hashes.items()), self.labels, self.topics)
        return hashlib.sha256(repr(known).encode()).hexdigest()[:16]

    def subset(self, names: Container[str]) -> RuleSet:
        """The rules of these names, as a set of their own."""
        return RuleSet(
            self.name,
            [copy(f) for f in self.finders if f.info.name in names],
            [copy(f) for f in self.topic_finders if f.info.name in names],
            labels=self.labels,
            topics=self.topics,
            hashes={n: h for n, h in self.hashes.items() if n in names},
        )

    def counting(self, keep: Callable[[str], bool]) -> RuleSet:
        """The set whose topic rules know only the words that ``keep`` wants; patterns stay."""
        topical = [finder.counting(keep) for finder in self.topic_finders]
        hashes = dict(self.hashes)
        for finder, before in zip(topical, self.topic_finders, strict=True):
            name = finder.info.name
            if hashes.get(name) and len(finder.words) < len(before.words):
                words = "\n".join([hashes[name], *sorted(finder.words)])
                digest = hashlib.sha256(words.encode("utf-8", "surrogatepass"))
                hashes[name] = digest.hexdigest()[:16]
        return RuleSet(
            self.name,
            [copy(finder) for finder in self.finders],
            topical,
            labels=self.labels,
            topics=self.topics,
            hashes=hashes,
            notices=self.notices,
        )

    def votes(
        self,
        document: Document,
        *,
        skip: Callable[[RuleInfo, Document, Exception], None] | None = None,
        vetoes: list[Veto] | None = None,
        known: tuple[Span, ...] = (),
    ) -> tuple[list[Vote], list[TopicVote]]:
        """All votes of all rules.

        Args:
            document: its own spans are not seen by the rules.
            known: votes of other rules, which the second pass sees, too.
            skip: where given, it is told of a rule that fails on this document, and the other
                rules go on; otherwise the failure is raised.
            vetoes: where given, candidates that a rule's own settings stopped are added.

        Raises:
            RuleError: naming the rule that failed, its file and line.
        """
        if document.spans:
            document = document.with_spans(())
        scene = self._preparer.scene(document)
        votes: list[Vote] = []
        topics: list[TopicVote] = []
        self._run(self._first, scene, votes, skip, vetoes)
        self._run_topics(self._topics_first, scene, topics, skip)
        if self._second or self._topics_second:
            scene.document = document.with_spans((*known, *self._spans(votes)))
            self._run(self._second, scene, votes, skip, vetoes)
            self._run_topics(self._topics_second, scene, topics, skip)
        return votes, topics

    def counted(self, document: Document) -> dict[str, dict[str, float]]:
        """By source of a topic rule, the words and patterns it counted and their weights in all."""
        scene = self._preparer.scene(document.with_spans(()))
        return {finder.info.source: finder.counted(scene) for finder in self.topic_finders}

    def _run(
        self,
        finders: Iterable[Finder],
        scene: Scene,
        votes: list[Vote],
        skip: Callable[[RuleInfo, Document, Exception], None] | None,
        vetoes: list[Veto] | None,
    ) -> None:
        awake = scene.awake
        for finder in finders:
            number, weight = finder.number, finder.info.weight
            if finder.gated and number not in awake:
                continue
            try:
                if vetoes is None:
                    found = finder.find(scene)
                else:
                    found = finder.find(scene, _teller(finder.info.name, vetoes))
                for item in found:
                    votes.append(
                        (item[0], item[1], item[2], number, item[3] if len(item) > 3 else weight)
                    )
            except RuleError as err:
                if skip is None:
                    raise
                skip(finder.info, scene.document, err)

    def _run_topics(
        self,
        finders: Iterable[TopicFinder],
        scene: Scene,
        topics: list[TopicVote],
        skip: Callable[[RuleInfo, Document, Exception], None] | None,
    ) -> None:
        for finder in finders:
            try:
                topics.extend(finder.vote(scene))
            except RuleError as err:
                if skip is None:
                    raise
                skip(finder.info, scene.document, err)

    def _spans(self, votes: Iterable[Vote]) -> tuple[Span, ...]:
        sources = self._sources
        return tuple(Span(s, e, label, score, sources[n]) for s, e, label, n, score in votes)

    def apply(
        self,
        document: Document,
        *,
        skip: Callable[[RuleInfo, Document, Exception], None] | None = None,
    ) -> Document:
        """The same document with all votes as spans, and topic votes in its meta.

        Spans may overlap; ``source`` is ``rule:<name>``. ``meta["topic_votes"]`` is a list of
        ``{"label", "score", "source"}``, absent when no topic rule spoke.

        Raises:
            RuleError: naming the rule that failed, its file and line, unless ``skip`` is given.
        """
        votes, topics = self.votes(document, skip=skip)
        meta = {k: v for k, v in document.meta.items() if k != "topic_votes"}
        if topics:
            ordered = sorted(topics, key=lambda t: (t.label, t.score, t.source))
            meta["topic_votes"] = [
                {"label": t.label, "score": round(t.score, 4), "source": t.source} for t in ordered
            ]
        spans = sorted(set(self._spans(votes)), key=_order)
        return replace(document, spans=tuple(spans), meta=meta)

    __call__ = apply

    @classmethod
    def of(
        cls,
        rules: Iterable[Rule | FunctionRule],
        *,
        name: str = "rules",
        labels: Sequence[str] = (),
        topics: Sequence[str] = (),
    ) -> RuleSet:
        """A set of rules made in Python."""
        rules = tuple(rules)
        finders: list[Finder] = []
        topical: list[TopicFinder] = []
        for item in rules:
            info = item.info if isinstance(item, FunctionRule) else _info(item)
            if isinstance(item, FunctionRule) and info.topical:
                topical.append(FunctionTopic(item, info))
            else:
                finders.append(FunctionFinder(item, info))
        hashes = {r.name: hash_function(r) for r in rules if isinstance(r, FunctionRule)}
        return cls(name, finders, topical, labels=labels, topics=topics, hashes=hashes)


def _order(span: Span) -> tuple[int, int, str, str, float]:
    return span.start, span.end, span.label, span.source, span.score


def _of(rules: Sequence[Rule], name: str, labels: Sequence[str], topics: Sequence[str]) -> RuleSet:
    return RuleSet.of(rules, name=name, labels=labels, topics=topics)


def _teller(name: str, vetoes: list[Veto]) -> Callable[[int, int, str, str], None]:
    return lambda start, end, label, why: vetoes.append(Veto(start, end, label, name, why))


def _info(item: Any) -> RuleInfo:
    try:
        return RuleInfo(
            item.name, "python", tuple(item.labels), item.group or "", int(item.priority or 0)
        )
    except (AttributeError, TypeError) as err:
        raise RuleError(
            f"found {type(item).__name__} as a rule, expected an object with name, labels, "
            f"group, priority and __call__ ({err}); the decorator @rule makes one"
        ) from None


def _seen(infos: Iterable[RuleInfo]) -> tuple[str, ...]:
    labels = dict.fromkeys(label for info in infos for label in info.labels)
    return tuple(label for label in labels if label not in (ENTITY, NONE))
