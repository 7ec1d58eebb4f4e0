"""What a rule is, as a hash: the same hash, the same votes on the same text."""

from __future__ import annotations

import hashlib
import inspect
import json
from functools import lru_cache
from pathlib import Path

from hanspan.rules.contract import FunctionRule
from hanspan.rules.finders import Finder
from hanspan.rules.spec import Spec
from hanspan.rules.topic import TopicFinder

ENGINE = 1
"""Raised when the engine finds other votes with the same rules."""


def hash_rule(spec: Spec, made: Finder | TopicFinder) -> str:
    """Hash of a YAML rule: its settings, words and patterns after all files are read."""
    digest = hashlib.sha256(f"{ENGINE}:".encode())
    settings = spec.model_dump(exclude={"yes", "no", "note", "entries", "words", "by_weight"})
    digest.update(json.dumps(settings, sort_keys=True, ensure_ascii=True).encode())
    for word, value in sorted(made.words.items()):
        digest.update(f"{word}\t{value}\n".encode("utf-8", "surrogatepass"))
    for matcher in getattr(made, "matchers", ()):
        digest.update(matcher.pattern.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


def hash_function(rule: FunctionRule) -> str:
    """Hash of a Python rule: its settings, every ``.py`` file beside its own, shipped word lists.

    Returns:
        An empty string where its source is no file, such as in a notebook: what it will find
        cannot be foreseen.
    """
    info = rule.info
    settings = (ENGINE, info.name, info.labels, info.group, info.priority, info.weight, info.after)
    try:
        file = Path(inspect.getsourcefile(rule.function) or "")
    except TypeError:
        return ""
    if not file.is_file():
        return ""
    stamps = tuple(
        (str(path), path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted([*file.parent.glob("*.py"), *file.parent.glob("sets/*/words/*.txt")])
    )
    return hashlib.sha256(f"{settings!r}{_files(stamps)}".encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _files(stamps: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _, _ in stamps:
        digest.update(Path(name).name.encode() + Path(name).read_bytes())
    return digest.hexdigest()
