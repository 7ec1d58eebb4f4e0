"""What a rule is: it sees a Document and yields spans (or a topic), or stays silent.

A rule written in Python::

    @rule("president", labels=["PER"], yes=["主席[[韩冰]]表示"], no=["主席表示"])
    def president(doc):
        for match in re.finditer("主席(..)表示", doc.text):
            yield match.span(1)
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

from hanspan.data import ENTITY, NONE, Document, Span
from hanspan.errors import HanspanError

__all__ = [
    "ENTITY",
    "NONE",
    "FunctionRule",
    "Rule",
    "RuleError",
    "RuleInfo",
    "TopicVote",
    "rule",
    "topic_rule",
]

Found = Span | tuple[int, int] | tuple[int, int, str]
"""What a rule function may yield."""


class RuleError(HanspanError):
    """A rule is wrong or failed; the message names the rule, its file and its line."""


@dataclass(frozen=True, slots=True)
class TopicVote:
    """A rule's word for the class of a document.

    Attributes:
        label: one of the set's topics.
        score: weight in (0, 1].
        source: ``rule:<name>``.
    """

    label: str
    score: float = 1.0
    source: str = ""


@runtime_checkable
class Rule(Protocol):
    """Anything that finds spans in a document.

    Attributes:
        name: unique within a set.
        labels: every label that it may give.
        group: rules of one group are correlated and count less than independent ones.
        priority: breaks ties in the vote; higher wins.
    """

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def group(self) -> str: ...
    @property
    def priority(self) -> int: ...

    def __call__(self, document: Document, /) -> Iterable[Any]: ...


@dataclass(frozen=True)
class RuleInfo:
    """What every rule has, of whatever kind.

    Attributes:
        name: unique within a set.
        kind: lexicon, pattern, ..., python, topic.
        labels: every label (or topic) that it may give.
        group: rules of one group count less together than independent ones.
        priority: breaks ties in the vote; higher wins.
        weight: score of its votes, in (0, 1].
        after: ``"votes"`` for a rule of the second pass.
        yes: sentences in which the marked spans, and no others, must be found.
        no: sentences in which the rule must find nothing.
        file: where it was written.
        line: where in that file, from 1; 0 where unknown.
        topical: whether it votes for the class of a document.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    group: str = ""
    priority: int = 0
    weight: float = 1.0
    after: str = ""
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    topical: bool = False

    @property
    def source(self) -> str:
        """The ``source`` of its spans."""
        return f"rule:{self.name}"

    @property
    def where(self) -> str:
        """Rule, file and line, for messages."""
        place = f" ({self.file}:{self.line})" if self.file else ""
        return f"rule {self.name!r}{place}"


@dataclass(frozen=True)
class FunctionRule:
    """A Python function as a rule; made by :func:`rule` and :func:`topic_rule`."""

    info: RuleInfo
    function: Callable[[Document], Any]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def labels(self) -> tuple[str, ...]:
        return self.info.labels

    @property
    def group(self) -> str:
        return self.info.group

    @property
    def priority(self) -> int:
        return self.info.priority

    def __call__(self, document: Document, /) -> Any:
        return self.function(document)

    def changed(self, **settings: Any) -> FunctionRule:
        """The same rule with other settings, such as ``weight=0.5``."""
        return replace(self, info=replace(self.info, **settings))

    def __reduce__(self) -> Any:
        module = sys.modules.get(self.function.__module__)
        name = getattr(self.function, "__name__", "")
        if getattr(module, name, None) is self:
            return _load, (self.function.__module__, name)
        return (FunctionRule, (self.info, self.function, self.extra))


def _load(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _decorate(info: dict[str, Any]) -> Callable[[Callable[[Document], Any]], FunctionRule]:
    def wrap(function: Callable[[Document], Any]) -> FunctionRule:
        code = getattr(function, "__code__", None)
        file, line = (code.co_filename, code.co_firstlineno) if code else ("", 0)
        return FunctionRule(RuleInfo(**info, file=file, line=line), function)

    return wrap


def rule(
    name: str,
    *,
    labels: Iterable[str],
    group: str = "",
    priority: int = 0,
    weight: float = 1.0,
    after: Literal["", "votes"] = "",
    yes: Iterable[str] = (),
    no: Iterable[str] = (),
    examples: Iterable[str] = (),
) -> Callable[[Callable[[Document], Iterable[Found]]], FunctionRule]:
    """Make a span rule of a function ``Document -> spans``.

    The function yields :class:`~hanspan.data.Span`, ``(start, end, label)``, or ``(start, end)``
    when the rule has one label; offsets count code points of ``doc.text``. With
    ``after="votes"`` it is called in a second pass, when ``doc.spans`` holds the votes of all
    rules of the first.

    Args:
        name: unique within a set.
        labels: every label that it may give; ENTITY and NONE are allowed.
        group: rules of one group count less together than independent ones.
        priority: breaks ties in the vote; higher wins.
        weight: score of its votes, in (0, 1].
        after: ``"votes"`` for the second pass.
        yes: examples such as ``"主席[[韩冰]]表示"`` or ``"主席[[韩冰|PER]]表示"``.
        no: sentences in which it must find nothing.
        examples: both in one list; those with ``[[`` are ``yes``.

    Raises:
        RuleError: for a weight outside (0, 1], or without any label.
    """
    marked = tuple(examples)
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    if not labels or not 0 < weight <= 1:
        raise RuleError(
            f"rule {name!r}: found labels {labels!r} and weight {weight!r}; "
            f"expected at least one label and a weight in (0, 1]"
        )
    if after not in ("", "votes"):
        raise RuleError(f"rule {name!r}: found after={after!r}, expected 'votes' or nothing")
    return _decorate(
        {
            "name": name,
            "kind": "python",
            "labels": labels,
            "group": group,
            "priority": priority,
            "weight": float(weight),
            "after": after,
            "yes": (*yes, *(e for e in marked if "[[" in e)),
            "no": (*no, *(e for e in marked if "[[" not in e)),
        }
    )


def topic_rule(
    name: str,
    *,
    topics: Iterable[str],
    group: str = "",
    priority: int = 0,
    weight: float = 1.0,
    after: Literal["", "votes"] = "",
    yes: Iterable[str] = (),
    no: Iterable[str] = (),
) -> Callable[[Callable[[Document], Any]], FunctionRule]:
    """Make a topic rule of a function ``Document -> topic``.

    The function returns None, a topic, ``(topic, score)``, a :class:`TopicVote`, or yields any
    number of these. Arguments as in :func:`rule`; in ``yes`` and ``no`` stand whole texts.

    Raises:
        RuleError: for a weight outside (0, 1], or without any topic.
    """
    topics = (topics,) if isinstance(topics, str) else tuple(topics)
    if not topics or not 0 < weight <= 1:
        raise RuleError(
            f"rule {name!r}: found topics {topics!r} and weight {weight!r}; "
            f"expected at least one topic and a weight in (0, 1]"
        )
    return _decorate(
        {
            "name": name,
            "kind": "topic",
            "labels": topics,
            "group": group,
            "priority": priority,
            "weight": float(weight),
            "after": after,
            "yes": tuple(yes),
            "no": tuple(no),
            "topical": True,
        }
    )
