"""Topic rules ready to run: each votes for a class of the whole document, or stays silent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from hanspan.rules.contract import FunctionRule, RuleError, RuleInfo, TopicVote
from hanspan.rules.finders import Scene, failed
from hanspan.rules.patterns import Matcher
from hanspan.rules.spec import KeywordsSpec


class TopicFinder(ABC):
    """A rule that votes for a class of the document."""

    words: Mapping[str, Any] = {}
    longer: tuple[str, ...] = ()
    width = False
    traditional = False
    number = -1

    def __init__(self, info: RuleInfo) -> None:
        self.info = info

    @abstractmethod
    def vote(self, scene: Scene) -> Iterable[TopicVote]:
        """Its votes; usually none or one."""

    def counted(self, scene: Scene) -> dict[str, float]:
        """What of a text it counted, with the weight of each in all."""
        return {}

    def counting(self, keep: Callable[[str], bool]) -> TopicFinder:
        """A copy that knows only the words that ``keep`` wants; patterns stay."""
        made = copy(self)
        made.words = {word: weight for word, weight in self.words.items() if keep(word)}
        return made


class KeywordFinder(TopicFinder):
    """Weighted words; see :class:`~hanspan.rules.spec.KeywordsSpec`."""

    def __init__(
        self,
        info: RuleInfo,
        spec: KeywordsSpec,
        patterns: Sequence[tuple[Matcher, float]],
        title_patterns: Sequence[tuple[Matcher, float]],
    ) -> None:
        super().__init__(info)
        self.spec, self.words = spec, spec.all_words
        self.width, self.traditional = spec.width, spec.traditional
        self.patterns, self.title_patterns = tuple(patterns), tuple(title_patterns)

    def tally(self, scene: Scene, told: dict[str, float] | None = None) -> float:
        """The sum of the weights of what occurs; ``told`` gets each with its weight."""
        spec, total = self.spec, 0.0
        seen: dict[str, int] = {}

        def tell(what: str, weight: float) -> float:
            if told is not None:
                told[what] = told.get(what, 0.0) + weight
            return weight

        view = scene.views.get(self.width, self.traditional)

        def count(text: str, hits: Iterable[tuple[int, int, Any]], head: int) -> float:
            out = 0.0
            for start, end, weight in hits:
                word = text[start:end]
                seen[word] = seen.get(word, 0) + 1
                if seen[word] <= spec.cap:
                    out += tell(word, weight * (spec.title_weight if start < head else 1.0))
            return out

        title = scene.title
        if title is not None:
            other = title[0].get(self.width, self.traditional)
            total += count(other.text, title[1].get(self.number, ()), len(other.text))
            for matcher, weight in self.patterns:
                total += count(
                    other.text, ((s, e, weight) for s, e, _ in matcher.find(other)), 1 << 30
                )
        else:
            other = view
        total += count(view.text, scene.hits.get(self.number, ()), scene.title_end)
        for matcher, weight in self.patterns:
            total += count(
                view.text, ((s, e, weight) for s, e, _ in matcher.find(view)), scene.title_end
            )
        for matcher, weight in self.title_patterns:
            limit = len(other.text) if title is not None else scene.title_end
            if any(start < limit for start, _, _ in matcher.find(other)):
                total += tell(matcher.pattern, weight)
        if spec.sources:
            source = str(scene.document.meta.get("source", ""))
            total += sum(
                tell(f"source {part}", weight)
                for part, weight in spec.sources.items()
                if part in source
            )
        return total

    def counted(self, scene: Scene) -> dict[str, float]:
        told: dict[str, float] = {}
        self.tally(scene, told)
        return told

    def vote(self, scene: Scene) -> Iterable[TopicVote]:
        spec, total = self.spec, self.tally(scene)
        if total >= spec.threshold and total > 0:
            score = self.info.weight * total / (total + spec.scale)
            yield TopicVote(spec.topic, score, self.info.source)


class FunctionTopic(TopicFinder):
    """A Python topic rule; what it yields is checked."""

    def __init__(self, rule: FunctionRule, info: RuleInfo) -> None:
        super().__init__(info)
        self.rule = rule

    def vote(self, scene: Scene) -> Iterable[TopicVote]:
        info = self.info
        try:
            found = self.rule(scene.document)
            if found is None:
                return []
            items = (
                [found]
                if isinstance(found, (str, TopicVote))
                or (isinstance(found, tuple) and found and isinstance(found[0], str))
                else list(found)
            )
            votes = []
            for item in items:
                if isinstance(item, TopicVote):
                    topic, score = item.label, item.score
                elif isinstance(item, str):
                    topic, score = item, 1.0
                else:
                    topic, score = item[0], float(item[1])
                votes.append(TopicVote(topic, score * info.weight, info.source))
        except Exception as err:
            raise failed(info, scene.document, err) from err
        for vote in votes:
            if vote.label not in info.labels or not 0 < vote.score <= 1:
                raise RuleError(
                    f"{info.where}: found the vote ({vote.label!r}, {vote.score}), expected one "
                    f"of its topics {', '.join(info.labels)} and a score in (0, 1]"
                )
        return votes
