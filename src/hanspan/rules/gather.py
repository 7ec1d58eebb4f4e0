"""One set from several files: what it extends, what it includes, what it says itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanspan.rules.contract import RuleError
from hanspan.rules.source import RawRule, Source, read_source, resolve
from hanspan.rules.validate import near

_KEYS = (
    "name", "extends", "include", "labels", "label_set", "topics",
    "python", "disable", "override", "define", "rules",
)  # fmt: skip


@dataclass
class Gathered:
    """What all files of a set say together.

    Attributes:
        path: the file that was asked for.
        python: (module or file, folder that it is relative to).
        defines: fragment -> (pattern, list of words or ``{file: path}``, folder).
        rules: by name, in order.
    """

    path: Path
    name: str = ""
    label_set: str = ""
    labels: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    python: list[tuple[str, Path]] = field(default_factory=list)
    disable: list[str] = field(default_factory=list)
    override: dict[str, dict[str, Any]] = field(default_factory=dict)
    defines: dict[str, tuple[Any, Path]] = field(default_factory=dict)
    rules: dict[str, RawRule] = field(default_factory=dict)


def gather(path: Path, find: Callable[[str, Path], Path]) -> Gathered:
    """Read a rule file and all that it names.

    Args:
        path: the file.
        find: finds the file of a set that is extended.

    Raises:
        RuleError: for a file that cannot be read, an unknown key, two rules of one name, or
            files that extend each other.
    """
    gathered = Gathered(path)
    _read(path, gathered, find, ())
    return gathered


def _read(
    path: Path, out: Gathered, find: Callable[[str, Path], Path], chain: tuple[Path, ...]
) -> None:
    path = path.resolve()
    if path in chain:
        raise RuleError(f"{path}: extends or includes itself; break the circle")
    source = read_source(path)
    for key in source.data:
        if key not in _KEYS:
            raise RuleError(
                f"{path}: line {source.line(key)}: no such key {key!r}{near(key, _KEYS)}; "
                f"expected {', '.join(_KEYS)}"
            )
    for name in _list(source, "extends"):
        _read(find(name, path.parent), out, find, (*chain, path))
    for name in _list(source, "include"):
        _read(resolve(name, path.parent), out, find, (*chain, path))
    out.name = _word(source, "name") or out.name
    out.label_set = _word(source, "label_set") or out.label_set
    out.labels = _list(source, "labels") or out.labels
    out.topics = _list(source, "topics") or out.topics
    named = [(name, path.parent) for name in _list(source, "python")]
    out.python += [item for item in named if item not in out.python]
    out.disable += _list(source, "disable")
    for name, changes in _mapping(source, "override").items():
        if not isinstance(changes, dict):
            raise RuleError(
                f"{path}: line {source.line('override', name)}: override of {name!r}: found "
                f"{changes!r}, expected settings such as {{weight: 0.5}}"
            )
        out.override.setdefault(name, {}).update(_rooted(changes, path.parent))
    for name, value in _mapping(source, "define").items():
        out.defines[name] = (value, path.parent)
    for name, settings in _mapping(source, "rules").items():
        line = source.line("rules", name)
        if name in out.rules:
            other = out.rules[name]
            raise RuleError(
                f"{path}: line {line}: rule {name!r} is given twice, first in "
                f"{other.source.path}:{other.line}; rename it, or use 'override:'"
            )
        if not isinstance(settings, dict):
            raise RuleError(
                f"{path}: line {line}: rule {name!r}: found {settings!r}, expected settings "
                f"such as 'kind: lexicon'"
            )
        out.rules[name] = RawRule(name, settings, source, line)


def _rooted(value: Any, base: Path, key: str = "") -> Any:
    """Settings in which the names of files are relative to no folder any more."""
    if isinstance(value, dict):
        return {k: _rooted(v, base, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_rooted(v, base, key if key == "file" else "") for v in value]
    named = isinstance(value, str) and key in ("file", "common_words")
    return str(resolve(value, base)) if named else value


def _list(source: Source, key: str) -> list[str]:
    value = source.data.get(key) or []
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RuleError(
            f"{source.path}: line {source.line(key)}: {key}: found {value!r}, expected a list"
        )
    return value


def _word(source: Source, key: str) -> str:
    value = source.data.get(key) or ""
    if not isinstance(value, str):
        raise RuleError(
            f"{source.path}: line {source.line(key)}: {key}: found {value!r}, expected one word"
        )
    return value


def _mapping(source: Source, key: str) -> dict[str, Any]:
    value = source.data.get(key) or {}
    if not isinstance(value, dict):
        raise RuleError(
            f"{source.path}: line {source.line(key)}: {key}: found {type(value).__name__}, "
            f"expected a mapping 'name: …'"
        )
    return value
