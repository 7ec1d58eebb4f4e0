"""Rule sets from YAML: ``load_rules("news")`` for a shipped one, a path for one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hanspan.data import ENTITY, NONE
from hanspan.errors import HanspanError
from hanspan.labels import LABEL_SETS
from hanspan.rules.build import Context, build, lexicon_entries
from hanspan.rules.contract import FunctionRule, RuleError, RuleInfo
from hanspan.rules.finders import Finder, FunctionFinder
from hanspan.rules.gather import Gathered, gather
from hanspan.rules.hashing import hash_function, hash_rule
from hanspan.rules.python import load_functions
from hanspan.rules.ruleset import RuleSet
from hanspan.rules.source import RawRule, read_words, resolve
from hanspan.rules.spec import LexiconSpec, Spec
from hanspan.rules.topic import FunctionTopic, TopicFinder
from hanspan.rules.validate import near, validate

SETS = Path(__file__).parent / "sets"


def shipped() -> list[str]:
    """Names of the rule sets that ship."""
    return sorted(path.parent.name for path in SETS.glob("*/rules.yaml"))


def find_rules(name: str | os.PathLike[str], base: Path | None = None) -> Path:
    """The file of a shipped set or of a path.

    Raises:
        RuleError: when there is no such set or file.
    """
    text = os.fspath(name)
    own = SETS / text / "rules.yaml"
    if "/" not in text and "." not in text and own.is_file():
        return own
    path = resolve(text, base or Path())
    if path.is_dir():
        path = path / "rules.yaml"
    if not path.is_file():
        raise RuleError(
            f"{text}: no such rule set; expected a YAML file or one of {', '.join(shipped())}"
            f"{near(text, shipped())}"
        )
    return path


def load_rules(name: str | os.PathLike[str]) -> RuleSet:
    """Load a rule set with everything that it extends and includes.

    Args:
        name: a shipped set (``news``) or the path of a YAML file.

    Raises:
        RuleError: everything that is wrong with the set's settings, one a line, each with file,
            line and rule.
    """
    path = find_rules(name)
    gathered = gather(path, find_rules)
    labels, topics = _label_set(gathered)
    loading = _Loading(gathered, labels)
    finders, topic_finders, hashes = loading.build()
    missing = [n for n in gathered.disable if n not in loading.names]
    missing += [n for n in gathered.override if n not in loading.names]
    errors = loading.errors + [
        f"{path}: no rule {n!r} to disable or override{near(n, loading.names)}" for n in missing
    ]
    if errors:
        raise RuleError("\n".join(errors))
    return RuleSet(
        gathered.name or path.parent.name,
        finders,
        topic_finders,
        labels=labels,
        topics=topics,
        origin=(load_rules, os.fspath(path.absolute())),
        hashes=hashes,
        notices=loading.notices,
    )


def _label_set(gathered: Gathered) -> tuple[tuple[str, ...], tuple[str, ...]]:
    labels, topics = tuple(gathered.labels), tuple(gathered.topics)
    if gathered.label_set:
        known = LABEL_SETS.get(gathered.label_set)
        if known is None:
            raise RuleError(
                f"{gathered.path}: found label_set {gathered.label_set!r}, expected one of "
                f"{', '.join(LABEL_SETS)}{near(gathered.label_set, LABEL_SETS)}"
            )
        labels, topics = labels or known.entities, topics or known.topics
    return labels, topics


class _Loading:
    """Builds every rule of a gathered set, collecting all that is wrong."""

    def __init__(self, gathered: Gathered, labels: tuple[str, ...]) -> None:
        self.gathered, self.labels = gathered, labels
        self.errors: list[str] = []
        self.notices: list[str] = []
        self.names: list[str] = []
        self.specs: dict[str, tuple[Spec, RawRule]] = {}

    def known(self, word: str) -> bool:
        """Whether a word may be a label."""
        return word in (ENTITY, NONE) or word in self.labels or not self.labels

    def fragments(self, name: str) -> str | tuple[str, ...] | None:
        """A fragment of ``define:``, or the entries of a lexicon."""
        found = self.gathered.defines.get(name)
        if found is not None:
            value, base = found
            if isinstance(value, dict):
                return tuple(self._file(value, base, f"define {name!r}"))
            return value if isinstance(value, str) else tuple(value)
        spec, raw = self.specs.get(name, (None, None))
        if not isinstance(spec, LexiconSpec) or raw is None:
            return None
        return tuple(lexicon_entries(spec, _info(spec, raw).where, raw.source.path.parent, []))

    def _file(self, value: dict[str, Any], base: Path, where: str) -> list[str]:
        extra = set(value) - {"file", "optional"}
        if extra or not isinstance(value.get("file"), str):
            raise RuleError(f"{where}: found {value!r}, expected {{file: path}} or a list")
        path = resolve(value["file"], base)
        if str(value.get("optional", "")).lower() in ("true", "yes") and not path.is_file():
            self.notices.append(f"{where}: {value['file']} is missing and is left out")
            return []
        return [word for _, word in read_words(path)]

    def _words(self, value: Any, raw: RawRule) -> Any:
        """Put the words of a file in the place of every ``{file: path}``."""
        if isinstance(value, dict):
            if "file" in value and set(value) <= {"file", "optional"}:
                return self._file(value, raw.source.path.parent, f"rule {raw.name!r}")
            return {k: self._words(v, raw) for k, v in value.items()}
        return [self._words(v, raw) for v in value] if isinstance(value, list) else value

    def build(self) -> tuple[list[Finder], list[TopicFinder], dict[str, str]]:
        """All rules that are not disabled."""
        for raw in self._raw():
            data = dict(raw.data)
            common = data.get("common_words")
            if isinstance(common, str):
                data["common_words"] = {"file": common, "optional": data.get("optional", "")}
            try:
                data = {k: self._words(v, raw) for k, v in data.items()}
            except HanspanError as err:
                self.errors.append(f"{raw.source.path}: line {raw.line}: {err}")
                continue
            spec = validate(data, raw, self.errors)
            if spec is None:
                continue
            if getattr(spec, "engine", "re2") == "re" and SETS not in raw.source.path.parents:
                self.errors.append(
                    f"{raw.source.path}: line {raw.line}: rule {raw.name!r}: found 'engine: re', "
                    f"expected re2, whose time is linear in the length of the text"
                )
                continue
            self.specs[raw.name] = (spec, raw)
        finders: list[Finder] = []
        topic_finders: list[TopicFinder] = []
        hashes: dict[str, str] = {}
        for spec, raw in sorted(self.specs.values(), key=lambda item: item[0].second_pass):
            info = _info(spec, raw)
            base = raw.source.path.parent
            context = Context(base, self.known, self.fragments, self.notices, self._labels(finders))
            try:
                made = build(spec, info, context)
                made.info = replace(info, labels=_labels(made, spec))
                self._check(made.info)
            except HanspanError as err:
                self.errors.append(str(err))
                continue
            hashes[raw.name] = hash_rule(spec, made)
            (finders if isinstance(made, Finder) else topic_finders).append(made)  # type: ignore[arg-type]
        for rule in self._functions():
            try:
                self._check(rule.info)
            except HanspanError as err:
                self.errors.append(str(err))
                continue
            hashes[rule.name] = hash_function(rule)
            if rule.info.topical:
                topic_finders.append(FunctionTopic(rule, rule.info))
            else:
                finders.append(FunctionFinder(rule, rule.info))
        return finders, topic_finders, hashes

    def _labels(self, finders: list[Finder]) -> tuple[str, ...]:
        """Labels of the set, or where it names none, of the rules so far."""
        seen = dict.fromkeys(label for finder in finders for label in finder.info.labels)
        return self.labels or tuple(label for label in seen if label not in (ENTITY, NONE))

    def _raw(self) -> Iterator[RawRule]:
        for raw in self.gathered.rules.values():
            self.names.append(raw.name)
            if raw.name not in self.gathered.disable:
                changes = self.gathered.override.get(raw.name)
                yield replace(raw, data={**raw.data, **changes}) if changes else raw

    def _functions(self) -> Iterator[FunctionRule]:
        for rule in load_functions(self.gathered.python):
            self.names.append(rule.name)
            if rule.name in self.gathered.disable:
                continue
            changes = self.gathered.override.get(rule.name, {})
            types = {"weight": float, "priority": int, "group": str}
            try:
                yield rule.changed(**{k: types[k](v) for k, v in changes.items()})
            except (KeyError, ValueError) as err:
                self.errors.append(
                    f"{self.gathered.path}: override of the Python rule {rule.name!r}: {err}; "
                    f"expected weight, priority or group"
                )

    def _check(self, info: RuleInfo) -> None:
        allowed = self.gathered_topics if info.topical else self.labels
        for label in info.labels:
            if allowed and label not in (*allowed, ENTITY, NONE):
                what = "topic" if info.topical else "label"
                raise RuleError(
                    f"{info.where}: found the {what} {label!r}, expected one of "
                    f"{', '.join(allowed)}{near(label, allowed)}"
                )

    @property
    def gathered_topics(self) -> tuple[str, ...]:
        """Topics of the set."""
        return _label_set(self.gathered)[1]


def _info(spec: Spec, raw: RawRule) -> RuleInfo:
    return RuleInfo(
        raw.name,
        spec.kind,
        (),
        spec.group,
        spec.priority,
        spec.weight,
        "votes" if spec.second_pass else "",
        spec.yes,
        spec.no,
        str(raw.source.path),
        raw.line,
        topical=bool(getattr(spec, "topic", "")),
    )


def _labels(made: Finder | TopicFinder, spec: Spec) -> tuple[str, ...]:
    """Every label that a rule may give."""
    topic = getattr(spec, "topic", "")
    if topic:
        return (topic,)
    found = dict.fromkeys(made.words.values()) if isinstance(made, Finder) else {}
    for matcher in getattr(made, "matchers", ()):
        found.update(dict.fromkeys(matcher.labels))
    for label in getattr(made, "gives", ()):
        found[label] = None
    return tuple(found) or tuple(filter(None, [getattr(spec, "label", "")]))
