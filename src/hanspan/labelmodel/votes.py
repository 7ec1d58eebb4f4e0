"""Votes of rules, cut into patterns: the input that every label model shares.

A document is cut where no vote reaches across. Each piece, counted from its own first
character, is a *pattern*: the same rules on the same relative places. Real corpora repeat few
patterns very often, so a model resolves each distinct pattern once, and fits on patterns with
their counts. This is what makes the models fast, and it is exact: nothing outside a piece can
change its posterior.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanspan.data import ENTITY, NONE, Document, open_text
from hanspan.errors import HanspanError

Vote = tuple[int, int, int, int, float]
"""start, end (relative), label index, rule index, weight in (0, 1]."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A piece of text that votes cover without a gap.

    Attributes:
        length: characters.
        votes: sorted; label ``len(labels)`` is ENTITY, ``len(labels) + 1`` is NONE.
    """

    length: int
    votes: tuple[Vote, ...]


@dataclass
class Names:
    """Labels, topics and rules of a task by index; rules unknown to the file join as they come.

    Attributes:
        labels: entity types; the two indices after them are ENTITY and NONE.
        topics: classes of a document.
        rules: names such as ``rule:suffix_org``.
        groups: for each rule the index of its group; near-copies share one.
        priority: for each rule; the higher wins.
    """

    labels: tuple[str, ...]
    topics: tuple[str, ...] = ()
    rules: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    priority: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._group: dict[str, int] = {}
        self._rule = {name: index for index, name in enumerate(self.rules)}
        self._label = {name: index for index, name in enumerate(self.labels)}
        self._label[ENTITY] = len(self.labels)
        self._label[NONE] = len(self.labels) + 1
        self._topic = {name: index for index, name in enumerate(self.topics)}

    @property
    def entity(self) -> int:
        """Index of the label ENTITY."""
        return len(self.labels)

    @property
    def none(self) -> int:
        """Index of the label NONE."""
        return len(self.labels) + 1

    def add_rule(self, name: str, group: str = "", priority: int = 0) -> int:
        """Index of a rule; a rule without a group is a group of its own."""
        if name not in self._rule:
            key = f"group {group}" if group else f"rule {name}"
            self._rule[name] = len(self.rules)
            self.rules.append(name)
            self.groups.append(self._group.setdefault(key, len(self._group)))
            self.priority.append(priority)
        return self._rule[name]

    def label_index(self, label: str, document: str = "") -> int:
        """Index of an entity label, ENTITY and NONE included.

        Raises:
            HanspanError: for a label the task does not have.
        """
        try:
            return self._label[label]
        except KeyError:
            raise HanspanError(
                f"document {document!r}: a rule votes for {label!r}, expected one of "
                f"{', '.join(self.labels)}, {ENTITY}, {NONE}; add it to the task's labels, "
                f"or name rules that give these alone"
            ) from None

    def topic_index(self, topic: str, document: str = "") -> int:
        """Index of a topic.

        Raises:
            HanspanError: for a topic the task does not have.
        """
        try:
            return self._topic[topic]
        except KeyError:
            raise HanspanError(
                f"document {document!r}: a rule votes for topic {topic!r}, expected one of "
                f"{', '.join(self.topics) or 'none (the rules file lists no topics)'}"
            ) from None


def names_from_meta(
    meta: Mapping[str, Any],
    labels: Sequence[str] | None = None,
    topics: Sequence[str] | None = None,
) -> Names:
    """Names from the content of ``weak.rules.json``.

    Args:
        meta: ``{"labels", "topics", "rules": {name: {"group", "priority", ...}}}``.
        labels: take these entity types instead of those of ``meta``.
        topics: take these classes instead of those of ``meta``.

    Raises:
        HanspanError: when no labels and no topics are known, or ``meta`` has another shape.
    """
    types = tuple(labels if labels is not None else _listed(meta, "labels"))
    classes = tuple(topics if topics is not None else _listed(meta, "topics"))
    types = tuple(label for label in types if label not in (ENTITY, NONE))
    if not types and not classes:
        raise HanspanError(
            "the rules file lists no 'labels' and no 'topics'; expected at least one of them"
        )
    names = Names(types, classes)
    rules = meta.get("rules") or {}
    if not isinstance(rules, Mapping):
        raise HanspanError(f"the rules file: 'rules' is {rules!r}, expected names with settings")
    for name, about in rules.items():
        try:
            names.add_rule(name, str(about.get("group") or ""), int(about.get("priority") or 0))
        except (AttributeError, TypeError, ValueError):
            raise HanspanError(
                f"the rules file: rule {name!r} is {about!r}, expected a group that is a name "
                f"and a priority that is a whole number"
            ) from None
    return names


def _listed(meta: Mapping[str, Any], key: str) -> Sequence[str]:
    """The names under a key of the rules file."""
    found = meta.get(key) or ()
    if not isinstance(found, (list, tuple)) or not all(isinstance(x, str) for x in found):
        raise HanspanError(f"the rules file: {key!r} is {found!r}, expected a list of names")
    return found


def rules_path(documents: str | os.PathLike[str]) -> Path:
    """The place of the rules file of a weak file: ``x.jsonl.gz`` -> ``x.rules.json``."""
    path = Path(documents)
    return path.with_name(path.name.split(".jsonl")[0].removesuffix(".parquet") + ".rules.json")


def read_rules_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Content of ``weak.rules.json``.

    Raises:
        HanspanError: if it is missing or no JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise HanspanError(
            f"{path}: no such file; expected the list of rules that "
            f"'hanspan label IN.jsonl OUT.jsonl' writes beside its output"
        )
    try:
        with open_text(path) as stream:
            meta = json.load(stream)
    except ValueError as err:
        raise HanspanError(f"{path}: not JSON ({err})") from None
    if not isinstance(meta, dict):
        raise HanspanError(f"{path}: expected a JSON object, found {type(meta).__name__}")
    return meta


def cut(document: Document, names: Names, *, touching: bool = False) -> list[tuple[int, Pattern]]:
    """Pieces of a document that votes cover, each with the place of its first character.

    Args:
        document: spans are votes.
        names: rules that are new to it are added.
        touching: keep two votes that touch in one piece (a sequence model needs that).
    """
    if not document.spans:
        return []
    label, add = names.label_index, names.add_rule
    votes = sorted(
        {
            (s.start, s.end, label(s.label, document.id), add(s.source), s.score or 1e-3)
            for s in document.spans
        }
    )
    pieces: list[tuple[int, Pattern]] = []
    base, stop = votes[0][0], votes[0][1]
    piece: list[Vote] = []
    for start, end, kind, rule, weight in votes:
        if start > stop or (start == stop and not touching):
            pieces.append((base, Pattern(stop - base, tuple(piece))))
            piece, base, stop = [], start, end
        piece.append((start - base, end - base, kind, rule, weight))
        if end > stop:
            stop = end
    pieces.append((base, Pattern(stop - base, tuple(piece))))
    return pieces


def count_patterns(
    documents: Iterable[Document], names: Names, *, touching: bool = False
) -> dict[Pattern, int]:
    """Distinct patterns of many documents with how often each occurs, in order of arrival."""
    counts: dict[Pattern, int] = {}
    for document in documents:
        for _, pattern in cut(document, names, touching=touching):
            counts[pattern] = counts.get(pattern, 0) + 1
    return counts
