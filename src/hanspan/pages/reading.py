"""Files -> source texts: plain text, HTML, DOCX, PDF; folders; standard input."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hanspan.errors import HanspanError
from hanspan.pages.source import Source
from hanspan.text import decode, looks_binary

ROWS = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".jsonl.zst", ".parquet")
"""Files that hold one document a row."""
LINES = (".txt.gz", ".txt.xz", ".txt.zst")
"""Files that hold one document a line."""
PAGES = (".txt", ".text", ".md", ".html", ".htm", ".xhtml", ".docx", ".pdf")
"""Files that hold a page."""
LARGEST = 64 << 20
"""Bytes; a larger page is refused (it is a corpus: one JSON object a line is read as a stream)."""


def expand(inputs: Sequence[Path]) -> Iterator[Path]:
    """The files that ``inputs`` name: folders are searched for kinds of file that can be read.

    Raises:
        HanspanError: for a path that is not there, or a folder with nothing to read.
    """
    for path in inputs:
        if str(path) == "-" or path.is_file():
            yield path
        elif path.is_dir():
            known = (*ROWS, *LINES, *PAGES)
            found = [
                file
                for file in sorted(path.rglob("*"))
                if file.is_file()
                and file.name.lower().endswith(known)
                and not file.name.startswith(".")
            ]
            if not found:
                raise HanspanError(f"{path}: a folder without pages; expected {', '.join(PAGES)}")
            yield from found
        else:
            raise HanspanError(f"{path}: no such file; expected a page to read")


def read_source(path: Path, encoding: str | None = None) -> Source:
    """Read one page.

    Args:
        path: a file, or ``-`` for standard input.
        encoding: codec of a text file; found out when not given.

    Raises:
        HanspanError: for an empty, encrypted, scanned, binary or oversized file.
    """
    if str(path) == "-":
        return _source("stdin", sys.stdin.buffer.read(), encoding)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise HanspanError(
                f"{path}: {size >> 20} MB is too large for a page (at most {LARGEST >> 20} MB); "
                "split it, or give it as JSON lines with a 'text' each"
            )
        data = path.read_bytes()
    except OSError as err:
        raise HanspanError(f"{path}: cannot be read ({err.strerror or err})") from err
    return _source(path.name, data, encoding)


def _source(name: str, data: bytes, encoding: str | None) -> Source:
    """The text of some bytes, which tell themselves what they are."""
    if data.startswith(b"%PDF"):
        from hanspan.pages.pdf import read_pdf

        return read_pdf(name, data)
    if data.startswith(b"PK\x03\x04"):
        from hanspan.pages.docx import read_docx

        return read_docx(name, data)
    head = data[:1024].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if name.lower().endswith((".html", ".htm", ".xhtml")) or head.startswith(
        (b"<!doctype html", b"<html")
    ):
        from hanspan.pages.html import read_html

        return read_html(name, data, encoding)
    return _text(name, data, encoding)


def _text(name: str, data: bytes, encoding: str | None) -> Source:
    decoded = decode(data, encoding)
    if not decoded.text.strip():
        raise HanspanError(f"{name}: empty; expected the text of a page")
    if looks_binary(decoded.text):
        raise HanspanError(
            f"{name}: looks like binary data and not text; expected {', '.join(PAGES)}"
        )
    return Source(name, decoded.text, decoded.encoding, decoded.broken)
