"""Rule files: YAML read safely, every scalar as a string, every key with its line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hanspan.rules.contract import RuleError
from hanspan.word_lists import word_list

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True)
class Source:
    """One rule file.

    Attributes:
        path: where it stands.
        data: mappings, lists and strings; nothing else (so that the keys ``yes`` and ``no``,
            entries such as 007 and dates stay what was written).
        lines: line of each key path, from 1.
    """

    path: Path
    data: dict[str, Any]
    lines: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def line(self, *where: Any) -> int:
        """Line of a key path, or of the longest part of it that is known."""
        while where:
            if where in self.lines:
                return self.lines[where]
            where = where[:-1]
        return 1


@dataclass(frozen=True)
class RawRule:
    """A rule as it stands in a file.

    Attributes:
        name: its key under ``rules:``.
        data: its settings, not checked.
        source: the file.
        line: where in it, from 1.
    """

    name: str
    data: dict[str, Any]
    source: Source
    line: int


def read_source(path: Path) -> Source:
    """Read a rule file.

    Raises:
        RuleError: for a missing file, another encoding than UTF-8, wrong YAML or a key that is
            given twice; with file and line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as err:
        raise RuleError(f"{path}: {err.strerror}; expected a YAML file with rules") from None
    except UnicodeDecodeError as err:
        raise RuleError(not_utf8(path, err)) from None
    lines: dict[tuple[Any, ...], int] = {}
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, path, set())
        data = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise RuleError(
            f"{path}: line {line}: {getattr(err, 'problem', err)}; expected valid YAML "
            f"(put patterns in 'single quotes')"
        ) from None
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        found = "nothing" if data is None else type(data).__name__
        raise RuleError(f"{path}: found {found}, expected a mapping with 'rules:'")
    return Source(path, data, lines)


def _walk(
    node: Any,
    here: tuple[Any, ...],
    lines: dict[tuple[Any, ...], int],
    path: Path,
    done: set[int],
) -> None:
    if id(node) in done:  # an alias is walked once: no bomb, no loop
        return
    done.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RuleError(
                    f"{path}: line {key.start_mark.line + 1}: found a list or mapping as a key, "
                    f"expected a word (put {{{{...}}}} in quotes)"
                )
            inner = (*here, key.value)
            if inner in lines:
                raise RuleError(
                    f"{path}: line {key.start_mark.line + 1}: key {key.value!r} is given twice, "
                    f"first in line {lines[inner]}; remove or rename one"
                )
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines, path, done)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            lines[(*here, i)] = value.start_mark.line + 1
            _walk(value, (*here, i), lines, path, done)


def not_utf8(path: Path, err: UnicodeDecodeError) -> str:
    """The message for a file in another encoding."""
    line = err.object[: err.start].count(b"\n") + 1
    return (
        f"{path}: line {line} is not UTF-8 (byte {err.object[err.start]:#04x}); convert it first: "
        f"iconv -f GB18030 -t UTF-8 {path.name}"
    )


def resolve(name: str, base: Path) -> Path:
    """A path written in a rule file: relative to it, with ``${HANSPAN_DATA}`` and ~ expanded."""
    path = Path(os.path.expanduser(os.path.expandvars(name)))
    return path if path.is_absolute() else base / path


def read_words(path: Path) -> list[tuple[int, str]]:
    """Entries of a word list, one a line, with their line; blank lines and ``#`` lines left out.

    Raises:
        RuleError: for a missing file or another encoding than UTF-8.
    """
    try:
        return word_list(path)
    except OSError as err:
        raise RuleError(
            f"{path}: {err.strerror}; expected one entry a line "
            f"(or write 'optional: true' beside 'file:')"
        ) from None
    except UnicodeDecodeError as err:
        raise RuleError(not_utf8(path, err)) from None
