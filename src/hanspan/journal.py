"""What a stopped run of predict leaves, so that the next one goes on from there.

Finished documents are kept beside the output in a hidden file, with a note of what they were
made from: input, model and options. Another input, model or option starts anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from hanspan.data import Document, read_documents, to_json
from hanspan.errors import HanspanError

_FLUSH_EVERY = 64


class Journal:
    """Finished documents of one output.

    Attributes:
        path: the hidden file.
        done: how many documents were there when it was opened.
    """

    def __init__(self, output: Path, made_from: Mapping[str, Any]) -> None:
        self.path = output.with_name(f".{output.name}.partial.jsonl")
        self.note = self.path.with_suffix(".json")
        self.made_from = json.loads(json.dumps(made_from))
        self.done = 0
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            if self._fits():
                self.done = _whole_lines(self.path)
            else:
                self.path.write_bytes(b"")
                self.note.write_text(json.dumps(self.made_from), "utf-8")
        except OSError as err:
            raise HanspanError(f"{output}: cannot be written ({err.strerror or err})") from None

    def _fits(self) -> bool:
        try:
            old = json.loads(self.note.read_text("utf-8"))
            return bool(old == self.made_from) and self.path.is_file()
        except (OSError, ValueError):
            return False

    def earlier(self) -> Iterator[Document]:
        """The documents that were there."""
        yield from islice(read_documents(self.path), self.done)

    def add(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Keep each document, and pass it on."""
        try:
            with self.path.open("a", encoding="utf-8", newline="\n") as stream:
                for number, document in enumerate(documents, 1):
                    stream.write(json.dumps(to_json(document), ensure_ascii=False) + "\n")
                    if number % _FLUSH_EVERY == 0:
                        stream.flush()
                    yield document
        except OSError as err:
            raise HanspanError(f"{self.path}: cannot be written ({err.strerror or err})") from None

    def remove(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _whole_lines(path: Path) -> int:
    """Cut a line that was not finished; how many are whole."""
    count = end = 0
    with path.open("rb+") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            count, end = count + 1, end + len(line)
        stream.truncate(end)
    return count


def print_of(path: str | os.PathLike[str]) -> list[Any]:
    """What tells whether a file, or the files of a folder, changed: name, size, time."""
    path = Path(path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
