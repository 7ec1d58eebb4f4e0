"""Votes of an earlier run: those of unchanged rules on unchanged documents are taken over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hanspan.data import Document, Span, from_json
from hanspan.errors import HanspanError
from hanspan.rules.contract import RuleInfo
from hanspan.rules.ruleset import RuleSet

Rows = set[tuple[int, int, str, str, float]]
Topics = list[tuple[str, float, str]]
_HEAD = b'{"id": '
_AFTER_ID = b', "text": '


@dataclass(frozen=True)
class Reuse:
    """An earlier output and which of its votes still hold.

    Attributes:
        path: plain JSONL.
        keep: sources of unchanged rules of the first pass.
        keys: uint64 (N,), sorted hashes of the ids.
        offsets: int64 (N,), where each row begins.
    """

    path: Path
    keep: frozenset[str]
    keys: NDArray[np.uint64]
    offsets: NDArray[np.int64]


def find_reuse(output: Path, rules_file: Path, rules: RuleSet) -> Reuse | None:
    """What of an earlier output can be used; None when nothing can.

    Args:
        output: of an earlier run, plain ``.jsonl``.
        rules_file: the ``.rules.json`` beside it.
        rules: the set of this run.
    """
    if not output.name.endswith(".jsonl") or not output.is_file():
        return None
    try:
        old = json.loads(rules_file.read_text("utf-8"))
        failed = set(old["failures"])
        if old["format"] != 1 or old["labels"] != list(rules.labels):
            return None
        before = {name: row.get("hash") for name, row in old["rules"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    keep = frozenset(
        info.source
        for info in rules.infos
        if not info.after
        and info.name not in failed
        and rules.hashes.get(info.name)
        and before.get(info.source) == rules.hashes[info.name]
    )
    if not keep:
        return None
    keys, offsets = _index(output)
    return Reuse(output, keep, keys, offsets)


def _key(raw_id: bytes) -> int:
    return int.from_bytes(blake2b(raw_id, digest_size=8).digest(), "little")


def _index(path: Path) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    from array import array

    keys, offsets, position = array("Q"), array("q"), 0
    with path.open("rb") as stream:
        for line in stream:
            end = line.find(_AFTER_ID)
            if end > 0 and line.startswith(_HEAD):
                keys.append(_key(line[len(_HEAD) : end]))
                offsets.append(position)
            position += len(line)
    all_keys = np.frombuffer(keys, np.uint64) if keys else np.zeros(0, np.uint64)
    all_offsets = np.frombuffer(offsets, np.int64) if offsets else np.zeros(0, np.int64)
    order = np.argsort(all_keys, kind="stable")
    return all_keys[order], all_offsets[order]


class Reuser:
    """Finds the earlier row of a document and brings its votes up to date."""

    def __init__(self, reuse: Reuse, rules: RuleSet) -> None:
        self._reuse = reuse
        self._stream: BinaryIO | None = None
        again = {info.name for info in rules.infos if info.source not in reuse.keep}
        self._rules = rules.subset(again)
        self._sources = [info.source for info in self._rules.infos]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The earlier output is open inside of it."""
        with self._reuse.path.open("rb") as self._stream:
            yield

    def old(self, document: Document) -> Document | None:
        """The earlier row of the same document, or None."""
        reuse, stream = self._reuse, self._stream
        assert stream is not None
        key = np.uint64(_key(json.dumps(document.id, ensure_ascii=False).encode()))
        at = int(np.searchsorted(reuse.keys, key))
        while at < len(reuse.keys) and reuse.keys[at] == key:
            stream.seek(int(reuse.offsets[at]))
            try:
                found = from_json(json.loads(stream.readline()))
            except (ValueError, HanspanError):
                return None
            if found.text == document.text and _meta(found) == _meta(document):
                return found
            at += 1
        return None

    def update(
        self,
        document: Document,
        old: Document,
        skip: Callable[[RuleInfo, Document, Exception], None] | None,
    ) -> tuple[Rows, Topics]:
        """Votes of unchanged rules as they were, of the others as they are now."""
        keep = self._reuse.keep
        known = tuple(span for span in old.spans if span.source in keep)
        topics = [
            (str(t["label"]), float(t["score"]), str(t["source"]))
            for t in old.meta.get("topic_votes", ())
            if t["source"] in keep
        ]
        rows: Rows = {_row(span) for span in known}
        if len(self._rules):
            votes, found = self._rules.votes(document, skip=skip, known=known)
            rows.update((s, e, label, self._sources[n], v) for s, e, label, n, v in votes)
            topics += [(t.label, t.score, t.source) for t in found]
        return rows, topics


def _row(span: Span) -> tuple[int, int, str, str, float]:
    return (span.start, span.end, span.label, span.source, span.score)


def _meta(document: Document) -> dict[str, Any]:
    return {k: v for k, v in document.meta.items() if k != "topic_votes"}
