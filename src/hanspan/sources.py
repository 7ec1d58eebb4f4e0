"""What ``hanspan predict`` reads: documents, tables, plain text, folders and standard input."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from hanspan.data import SUFFIXES, Document, from_json, open_text, read_documents
from hanspan.errors import HanspanError

TEXT_SUFFIXES = (".txt", ".txt.gz", ".txt.xz", ".txt.zst")
CSV_SUFFIXES = (".csv", ".tsv")
_MAX_FIELD = 16 << 20


def read_any(
    path: str | os.PathLike[str],
    *,
    rejected: list[dict[str, Any]] | None = None,
    without: Collection[Path] = (),
) -> Iterator[Document]:
    """Documents of a file of any known kind, of a folder of such files, or of ``-`` (stdin).

    Plain text: paragraphs set apart by blank lines are a document each; without any blank line
    each line is one. CSV and TSV: a column ``text`` (and ``id``, if there), the others go to
    ``meta``. Standard input: JSON lines, or plain text.

    Args:
        path: what to read.
        rejected: as in :func:`hanspan.data.read_documents`.
        without: resolved paths that are passed over in a folder, such as an earlier output.

    Raises:
        HanspanError: for a missing file or an unknown kind; for the first bad row when
            ``rejected`` is not given.
    """
    if os.fspath(path) == "-":
        yield from _read_stream(sys.stdin, rejected)
        return
    path = Path(path)
    if path.is_dir():
        known = [p for p in sorted(path.rglob("*")) if p.is_file() and _kind(p)]
        known = [p for p in known if p.resolve() not in without]
        known = [p for p in known if not any(x.startswith(".") for x in p.parts[len(path.parts) :])]
        if not known:
            raise HanspanError(
                f"{path}: found no file to read in this folder; expected .jsonl, .csv or .txt"
            )
        for one in known:
            for document in read_any(one, rejected=rejected):
                # Ids are unique in a file only.
                name = f"{one.relative_to(path).as_posix()}:{document.id}"
                yield Document(name, document.text, document.spans, document.labels, document.meta)
        return
    kind = _kind(path)
    if kind == "documents":
        yield from read_documents(path, rejected=rejected)
    elif kind == "text":
        with open_text(path) as stream:
            yield from _read_text(stream, path)
    elif kind == "table":
        with open_text(path) as stream:
            yield from _read_table(stream, path, rejected)
    elif not path.exists():
        raise HanspanError(f"{path}: no such file; expected a file to read")
    else:
        raise HanspanError(
            f"{path}: unknown kind of file; expected one of "
            f"{', '.join((*SUFFIXES, *TEXT_SUFFIXES, *CSV_SUFFIXES))}, a folder, or - for stdin"
        )


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    for kind, suffixes in (
        ("documents", SUFFIXES), ("text", TEXT_SUFFIXES), ("table", CSV_SUFFIXES),
    ):  # fmt: skip
        if name.endswith(suffixes):
            return kind
    return None


def _lines(stream: IO[str], path: Path) -> Iterator[str]:
    try:
        for line in stream:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as err:
        raise HanspanError(
            f"{path}: not UTF-8 ({err.reason} at byte {err.start}); convert it first: "
            f"iconv -f GB18030 -t UTF-8 {path.name}"
        ) from None


def _read_text(stream: IO[str], path: Path) -> Iterator[Document]:
    """Paragraphs where the file has blank lines, else lines; one pass, bounded look-ahead."""
    lines = _lines(stream, path)
    head: list[str] = []
    blank = False
    for line in lines:  # a blank line between two others tells paragraphs from lines
        head.append(line.removeprefix("\ufeff") if not head else line)
        if not line.strip() and any(item.strip() for item in head):
            blank = True
            break
        if len(head) == 10_000:
            break
    rest = _chain(head, lines)
    number = 0
    paragraph: list[str] = []
    last = False
    while not last:
        entry = next(rest, None)
        last = entry is None
        if entry is not None and entry.strip():
            paragraph.append(entry)
            if blank:
                continue
        if paragraph:
            number += 1
            yield Document(f"{path.name}:{number}", "\n".join(paragraph))
            paragraph = []


def _chain(head: list[str], lines: Iterator[str]) -> Iterator[str]:
    yield from head
    yield from lines


def _read_table(
    stream: IO[str], path: Path, rejected: list[dict[str, Any]] | None
) -> Iterator[Document]:
    csv.field_size_limit(_MAX_FIELD)
    tab = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        rows = csv.DictReader(stream, delimiter=tab)
        names = [name.removeprefix("\ufeff") for name in rows.fieldnames or ()]
        if "text" not in names:
            raise HanspanError(
                f"{path}: found the columns {', '.join(names) or 'none'}; expected one named text"
            )
        rows.fieldnames = names
        for number, row in enumerate(rows, 1):
            text = row.pop("text")
            if text is None or None in row:
                _reject(path, rejected, rows.line_num, "another number of columns than the head")
                continue
            name = row.pop("id", None) or f"{path.name}:{number}"
            meta = {key: value for key, value in row.items() if value not in (None, "")}
            yield Document(name, text, meta=meta)
    except UnicodeDecodeError as err:
        raise HanspanError(
            f"{path}: not UTF-8 ({err.reason}); convert it first: "
            f"iconv -f GB18030 -t UTF-8 {path.name}"
        ) from None
    except csv.Error as err:
        raise HanspanError(f"{path}: line {rows.line_num}: no readable table ({err})") from None


def _reject(path: Path, rejected: list[dict[str, Any]] | None, line: int, reason: str) -> None:
    if rejected is None:
        raise HanspanError(f"{path}: line {line}: {reason}")
    rejected.append({"line": line, "reason": reason, "row": None})


def _read_stream(stream: IO[str], rejected: list[dict[str, Any]] | None) -> Iterator[Document]:
    import json

    number = 0
    plain = False
    for line in stream:
        number += 1
        line = line.rstrip("\r\n")
        if not line.strip():
            continue
        plain = plain or (number == 1 and not line.lstrip().startswith("{"))
        if plain:
            yield Document(f"stdin:{number}", line)
            continue
        try:
            yield from_json(json.loads(line), number=number)
        except (json.JSONDecodeError, HanspanError) as err:
            _reject(Path("-"), rejected, number, str(err))
