"""Span and Document, and the files they live in.

Offsets count Unicode code points of the original text, half open: ``text[start:end]``.
One JSON object a line; ``.jsonl``, ``.jsonl.gz``, ``.jsonl.xz``, ``.jsonl.zst`` and ``.parquet``
are read and written alike, one document at a time.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import lzma
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from hanspan.errors import HanspanError

ENTITY = "ENTITY"
"""Label of a span that is an entity of unknown type."""
NONE = "NONE"
"""Label of a span that is certainly no entity (a trusted negative)."""

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".jsonl.zst", ".parquet")
_PARQUET_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of text.

    Attributes:
        start: first character, counted in code points of the document's text.
        end: one past the last character.
        label: entity type, or :data:`ENTITY` or :data:`NONE`.
        score: probability or weight in [0, 1].
        source: who said so, such as ``rule:suffix_org`` or ``model``.
    """

    start: int
    end: int
    label: str
    score: float = 1.0
    source: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise HanspanError(
                f"span {self.start}:{self.end} {self.label!r}: expected 0 <= start < end"
            )

    def overlaps(self, other: Span) -> bool:
        """Whether the two share at least one character."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its spans and class labels.

    Attributes:
        id: unique within a file.
        text: the original text, never normalised; only a lone surrogate, which JSON can spell
            and UTF-8 cannot, becomes U+FFFD, here and in ``id``: offsets stay.
        spans: sorted as given; may overlap where they are votes of rules.
        labels: class of the document by task, such as ``{"topic": "economy"}``.
        meta: whatever else travels with it; JSON values only.
    """

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("id", "text"):
            value = getattr(self, name)
            try:
                value.encode()
            except UnicodeEncodeError:
                raw = value.encode("utf-32-le", "surrogatepass")
                object.__setattr__(self, name, raw.decode("utf-32-le", "replace"))
        for span in self.spans:
            if span.end > len(self.text):
                raise HanspanError(
                    f"document {self.id!r}: span {span.start}:{span.end} {span.label!r} ends "
                    f"outside the text of {len(self.text)} characters; offsets count code points"
                )

    def with_spans(self, spans: Iterable[Span]) -> Document:
        """The same document with other spans."""
        return replace(self, spans=tuple(spans))

    def surface(self, span: Span) -> str:
        """The characters that ``span`` covers."""
        return self.text[span.start : span.end]


def to_json(document: Document) -> dict[str, Any]:
    """The document as plain JSON values; empty parts are left out."""
    row: dict[str, Any] = {"id": document.id, "text": document.text, "spans": []}
    for span in document.spans:
        item: dict[str, Any] = {"start": span.start, "end": span.end, "label": span.label}
        if span.score != 1.0:
            item["score"] = span.score
        if span.source:
            item["source"] = span.source
        row["spans"].append(item)
    if document.labels:
        row["labels"] = dict(document.labels)
    if document.meta:
        row["meta"] = dict(document.meta)
    return row


def from_json(row: Any, *, number: int = 0) -> Document:
    """The document that a JSON object describes.

    Args:
        row: an object with at least ``text``.
        number: gives a name to a row that has no ``id``.

    Raises:
        HanspanError: naming the key that is missing or wrong.
    """
    if not isinstance(row, dict):
        raise HanspanError(f"expected a JSON object, found {type(row).__name__}")
    text = row.get("text")
    if not isinstance(text, str):
        found = f"found {type(text).__name__}" if "text" in row else f"found keys {sorted(row)}"
        raise HanspanError(f"expected a string under 'text', {found}")
    labels, meta = row.get("labels") or {}, row.get("meta") or {}
    if not isinstance(labels, dict) or not isinstance(meta, dict):
        raise HanspanError("expected objects under 'labels' and 'meta'")
    if not all(isinstance(value, str) for value in labels.values()):
        raise HanspanError(f"expected a string for each label, found {labels!r}")
    spans = []
    for item in row.get("spans") or ():
        try:
            span = Span(
                int(item["start"]),
                int(item["end"]),
                str(item["label"]),
                1.0 if item.get("score") is None else float(item["score"]),
                item.get("source") or "",
            )
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise HanspanError(
                f"span {item!r}: expected {{'start', 'end', 'label'}} with whole numbers ({err})"
            ) from None
        spans.append(span)
    return Document(str(row.get("id", f"row-{number}")), text, tuple(spans), labels, meta)


def _suffix(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    raise HanspanError(f"{path}: unknown kind of file; expected one of {', '.join(SUFFIXES)}")


@contextlib.contextmanager
def open_text(path: str | os.PathLike[str], mode: str = "r") -> Iterator[IO[str]]:
    """Open plain, ``.gz``, ``.xz`` or ``.zst`` text as UTF-8 with ``\\n`` line ends.

    Raises:
        HanspanError: if the file is missing, is a folder, is damaged or is not UTF-8.
    """
    path = Path(path)
    if mode == "r" and not path.is_file():
        raise HanspanError(f"{path}: no such file; expected a file to read")
    damaged: tuple[type[Exception], ...]
    damaged = (gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    if path.name.endswith(".zst"):
        try:
            import zstandard
        except ImportError:
            raise HanspanError(
                f"{path}: found no zstandard; type: pip install 'hanspan[zst]'"
            ) from None
        damaged += (zstandard.ZstdError,)
        opener = zstandard.open
    try:
        with opener(path, mode + "t", encoding="utf-8", newline="\n") as stream:
            yield cast(IO[str], stream)
    except (UnicodeDecodeError, *damaged) as err:
        if mode != "r":  # of another file, which the caller reads meanwhile
            raise
        if isinstance(err, UnicodeDecodeError):
            raise HanspanError(
                f"{path}: not UTF-8 ({err.reason} at byte {err.start}); convert it first: "
                f"iconv -f GB18030 -t UTF-8 {path.name}"
            ) from None
        raise HanspanError(f"{path}: damaged ({err})") from None


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it there only if the block succeeds.

    The temporary name keeps the suffix, and is removed if the block fails, so that no
    half-written file ever stands under its final name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as err:
        raise HanspanError(f"{path}: cannot be written ({err.strerror or err})") from err
    finally:
        temporary.unlink(missing_ok=True)


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line number and value, or the exception that reading it raised."""
    if _suffix(path) == ".parquet":
        yield from _parquet_rows(path)
        return
    with open_text(path) as stream:
        number = 0
        while True:
            number += 1
            try:
                line = stream.readline()
            except UnicodeDecodeError as err:
                raise HanspanError(
                    f"{path}: line {number} is not UTF-8 ({err.reason} at byte {err.start}); "
                    f"convert it first: iconv -f GB18030 -t UTF-8 {path.name}"
                ) from None
            except (OSError, EOFError, lzma.LZMAError) as err:
                raise HanspanError(f"{path}: damaged near line {number} ({err})") from None
            if not line:
                return
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as err:
                yield number, HanspanError(f"not JSON: {err.msg} at column {err.colno}")


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    pa = _pyarrow(path)
    if not path.is_file():
        raise HanspanError(f"{path}: no such file; expected a file to read")
    number = 0
    try:
        for batch in pa.parquet.ParquetFile(path).iter_batches(_PARQUET_BATCH):
            for row in batch.to_pylist():
                number += 1
                try:
                    for key in ("labels", "meta"):
                        if isinstance(row.get(key), str):
                            row[key] = json.loads(row[key])
                except json.JSONDecodeError as err:
                    yield number, HanspanError(f"{key!r} is not JSON: {err.msg}")
                    continue
                yield number, row
    except (pa.ArrowException, OSError) as err:
        reason = " ".join(str(err).split())[:200]
        raise HanspanError(f"{path}: damaged near row {number + 1} ({reason})") from None


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise HanspanError(f"{path}: found no pyarrow; type: pip install pyarrow") from None
    return pa


def read_documents(
    path: str | os.PathLike[str], *, rejected: list[dict[str, Any]] | None = None
) -> Iterator[Document]:
    """Read documents one at a time.

    Args:
        path: a file with one of :data:`SUFFIXES`.
        rejected: where given, a row that cannot be read is added to it as
            ``{"line", "reason", "row"}`` and reading goes on; otherwise it raises.

    Raises:
        HanspanError: for a missing or damaged file, or the first bad row when ``rejected``
            is not given.
    """
    path = Path(path)
    for number, row in _rows(path):
        try:
            if isinstance(row, HanspanError):
                raise row
            document = from_json(row, number=number)
        except HanspanError as err:
            if rejected is None:
                raise HanspanError(f"{path}: line {number}: {err}") from None
            kept = None if isinstance(row, HanspanError) else row
            rejected.append({"line": number, "reason": str(err), "row": kept})
            continue
        yield document


def write_documents(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write documents one at a time; the file gets its name only when it is whole.

    Returns:
        How many were written.

    Raises:
        HanspanError: for an unknown suffix or a file that cannot be written.
    """
    path = Path(path)
    if _suffix(path) == ".parquet":
        return _write_parquet(path, documents)
    count = 0
    with whole(path) as temporary, open_text(temporary, "w") as stream:
        for document in documents:
            stream.write(json.dumps(to_json(document), ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(path: Path, documents: Iterable[Document]) -> int:
    pa = _pyarrow(path)
    span = pa.struct(
        [
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("label", pa.string()),
            ("score", pa.float64()),
            ("source", pa.string()),
        ]
    )
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("text", pa.string()),
            ("spans", pa.list_(span)),
            ("labels", pa.string()),
            ("meta", pa.string()),
        ]
    )
    count = 0
    with whole(path) as temporary, pa.parquet.ParquetWriter(temporary, schema) as writer:
        rows: list[dict[str, Any]] = []
        for document in documents:
            row = to_json(document)
            row["labels"] = json.dumps(dict(document.labels), ensure_ascii=False)
            row["meta"] = json.dumps(dict(document.meta), ensure_ascii=False)
            row["spans"] = [{"score": 1.0, "source": "", **item} for item in row["spans"]]
            rows.append(row)
            count += 1
            if len(rows) == _PARQUET_BATCH:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        if rows or not count:
            writer.write_table(pa.Table.from_pylist(rows, schema))
    return count


def write_rejected(output: str | os.PathLike[str], rejected: list[dict[str, Any]]) -> Path | None:
    """Write ``<output>.rejected.jsonl`` with line number and reason of each row set aside.

    Returns:
        Its path, or None when nothing was rejected (an old one is then removed).
    """
    path = Path(f"{os.fspath(output)}.rejected.jsonl")
    if not rejected:
        path.unlink(missing_ok=True)
        return None
    with whole(path) as temporary, open_text(temporary, "w") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rejected)
    return path
