"""A documents file in pieces that workers do apart, and their parts made one file again."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanspan.data import (
    Document,
    from_json,
    open_text,
    read_documents,
    whole,
    write_documents,
)
from hanspan.errors import HanspanError

_BYTES = 4 << 20
_ROWS = 2000
_SHARE = 16  # pieces for each worker: the last to end keeps the others waiting for one at most
_LEAST = 64 << 10  # bytes that are worth a piece


@dataclass(frozen=True)
class Piece:
    """A part of the input.

    Attributes:
        source: documents file.
        start, stop: in bytes of a plain ``.jsonl``, else in rows.
        part: the file to write, plain JSONL.
        bytes: which of the two.
    """

    source: Path
    start: int
    stop: int
    part: Path
    bytes: bool

    @property
    def size(self) -> int:
        """In bytes or rows."""
        return self.stop - self.start


@dataclass
class Done:
    """Counts of one piece or of all.

    Attributes:
        by_rule: source -> votes, topic votes included.
        skipped: rule name -> documents on which it failed.
        failures: rule name -> the first message.
        rejected: rows that could not be read.
    """

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    topic_votes: int = 0
    reused: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Done) -> None:
        """Count another piece in."""
        self.documents += other.documents
        self.characters += other.characters
        self.bytes += other.bytes
        self.topic_votes += other.topic_votes
        self.reused += other.reused
        self.by_rule.update(other.by_rule)
        self.skipped.update(other.skipped)
        self.failures = {**other.failures, **self.failures}
        self.rejected += other.rejected


@contextmanager
def parts(output: Path) -> Iterator[Path]:
    """A hidden folder beside the output for the parts; gone afterwards, whatever happens."""
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cut(source: Path, folder: Path, workers: int) -> list[Piece]:
    """Pieces of a documents file: byte ranges of plain JSONL, else ranges of rows."""
    plain = source.name.endswith(".jsonl")
    if plain:
        total, step = source.stat().st_size, _BYTES
        if workers > 1:
            share = max(_LEAST, -(-total // (_SHARE * workers)))
            step = max(1, min(step, share, -(-total // workers)))
    elif workers == 1:
        total = step = 1 << 62  # one piece: no need to count the rows
    else:
        total, step = _count(source), _ROWS
        step = max(1, min(step, -(-total // workers)))
    starts = range(0, max(total, 1), step)
    return [
        Piece(source, start, min(start + step, total), folder / f"{n:06d}.jsonl", plain)
        for n, start in enumerate(starts)
    ]


def _count(source: Path) -> int:
    if source.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.ParquetFile(source).metadata.num_rows)
    with open_text(source) as stream:
        return sum(1 for _ in stream)


def read_piece(piece: Piece, rejected: list[dict[str, Any]] | None) -> Iterator[Document]:
    """Documents of a piece.

    Args:
        piece: which.
        rejected: where given, rows that cannot be read are added and left out.

    Raises:
        HanspanError: naming file and line.
    """
    if not piece.bytes:
        rows = read_documents(piece.source, rejected=rejected)
        yield from itertools.islice(rows, piece.start, piece.stop)
        return
    with piece.source.open("rb") as stream:
        position, head = piece.start, 0
        if position:  # a line belongs to the piece in which it begins
            stream.seek(position - 1)
            position += len(stream.readline()) - 1
        first, number = position, -1
        while position < piece.stop:
            line = stream.readline()
            if not line:
                return
            position, number = position + len(line), number + 1
            if not line.strip():
                continue
            try:
                row = _parse(line, piece.source)
                if isinstance(row, dict) and "id" not in row:
                    head = head or _line(piece.source, first)
                    row["id"] = f"row-{head + number}"
                yield from_json(row)
            except HanspanError as err:
                head = head or _line(piece.source, first)
                if rejected is None:
                    raise HanspanError(f"{piece.source}: line {head + number}: {err}") from None
                rejected.append({"line": head + number, "reason": str(err), "row": None})


def _parse(line: bytes, source: Path) -> Any:
    try:
        return json.loads(line)
    except UnicodeDecodeError as err:
        raise HanspanError(
            f"not UTF-8 ({err.reason}); convert it first: iconv -f GB18030 -t UTF-8 {source.name}"
        ) from None
    except json.JSONDecodeError as err:
        raise HanspanError(f"not JSON: {err.msg} at column {err.colno}") from None


def _line(path: Path, position: int) -> int:
    """Number of the line that begins at a byte, from 1; reads the file up to there."""
    count = 1
    with path.open("rb") as stream:
        while position > 0:
            block = stream.read(min(1 << 20, position))
            count += block.count(b"\n")
            position -= len(block)
    return count


def join(part_files: Sequence[Path], output: Path) -> None:
    """Make one file of the parts, in order, under its final name when it is whole."""
    if output.name.endswith(".parquet"):
        write_documents(output, itertools.chain.from_iterable(map(read_documents, part_files)))
        return
    if len(part_files) == 1 and output.name.endswith(".jsonl"):
        os.replace(part_files[0], output)
        return
    with whole(output) as temporary:
        if output.name.endswith(".jsonl"):
            with temporary.open("wb") as raw:
                for part in part_files:
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, raw, 1 << 20)
        else:
            with open_text(temporary, "w") as stream:
                for part in part_files:
                    with open_text(part) as text:
                        shutil.copyfileobj(text, stream, 1 << 20)
