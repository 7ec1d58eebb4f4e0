"""The stage: raw files in, documents out."""

from __future__ import annotations

import codecs
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hanspan.data import (
    Document,
    from_json,
    open_text,
    read_documents,
    whole,
    write_documents,
    write_rejected,
)
from hanspan.errors import HanspanError
from hanspan.pages.blocks import split_blocks
from hanspan.pages.borders import Gains
from hanspan.pages.page import Page, assemble, documents
from hanspan.pages.picture import explain_all
from hanspan.pages.reading import LINES, ROWS, Source, expand, read_source
from hanspan.pages.sheets import sheets
from hanspan.pages.untangle import lay_out

Progress = Callable[[int, int | None, str], None]
_Item = TypeVar("_Item")
SHOWN, SHOWN_CHARACTERS = 20, 400_000
"""Pages and characters that a picture holds at most; the first page is shown in any case."""


@dataclass(frozen=True, slots=True)
class PagesSummary:
    """What the stage did.

    Attributes:
        files: how many were read.
        documents: how many were written.
        characters: of their texts.
        dropped: characters of pages that no article has, by reason.
        joins: cut paragraphs that were put together.
        broken: characters that could not be decoded.
        doubtful: articles with a confidence below one half.
        rejected: rows that could not be read; see ``<output>.rejected.jsonl``.
        failed: name and reason of each file that could not be read.
    """

    files: int
    documents: int
    characters: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    joins: int = 0
    broken: int = 0
    doubtful: int = 0
    rejected: int = 0
    failed: tuple[tuple[str, str], ...] = ()


def read_page(source: str | Source, gains: Gains | None = None) -> Page:
    """Take a page apart into articles.

    Args:
        source: its text, or what :func:`hanspan.pages.reading.read_source` gave.
        gains: asked how well ends fit, such as :class:`hanspan.masked.MaskedGains`.
    """
    if isinstance(source, str):
        source = Source("", source, "")
    blocks = tuple(split_blocks(source.text, source.skipped))
    return assemble(source.text, blocks, lay_out(blocks, gains=gains))


def dropped_path(output: Path) -> Path:
    """Where the list of what was dropped lies beside ``output``."""
    return Path(f"{output}.dropped.jsonl")


class _Run:
    """Counts of one run, and the rows of its side files."""

    def __init__(self, show: bool, gains: Gains | None) -> None:
        self.show = show
        self.gains = gains
        self.count: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.rows: list[dict[str, Any]] = []
        self.rejected: list[dict[str, Any]] = []
        self.failed: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.shown: list[tuple[str, Page]] = []

    def unique(self, document: Document) -> Document:
        name, number = document.id, 1
        while name in self.ids:
            number += 1
            name = f"{document.id}~{number}"
        self.ids.add(name)
        if name == document.id:
            return document
        return Document(name, document.text, document.spans, document.labels, document.meta)

    def page(self, path: Path, encoding: str | None) -> Iterator[Document]:
        source = read_source(path, encoding)
        name = Path(source.name).name
        self.count["broken"] += source.broken
        number = 0
        for start, sheet in sheets(source):
            page = read_page(sheet, self.gains)
            self.count["pages"] += 1
            if self.show:
                self.keep(name, page)
            self.count["joins"] += len(page.layout.joins)
            self.drop(page, name, start)
            for document in documents(page, Path(name).stem, number, start):
                self.count["doubtful"] += document.meta.get("confidence", 1.0) < 0.5
                yield document
            number += len(page.articles)
        if not number:
            raise HanspanError(f"{path}: no article found; expected paragraphs of text")

    def keep(self, name: str, page: Page) -> None:
        """Remember a page for the picture, if it has room and no page before was left out."""
        size = sum(len(shown.source) for _, shown in self.shown) + len(page.source)
        room = len(self.shown) < SHOWN and size <= SHOWN_CHARACTERS
        if not self.shown or (room and len(self.shown) == self.count["pages"] - 1):
            self.shown.append((name, page))

    def drop(self, page: Page, name: str, offset: int) -> None:
        """List what no article of the page has."""
        blank: Counter[str] = Counter()
        for drop in page.dropped:
            self.dropped[drop.reason] += drop.end - drop.start
            if drop.reason in ("white space", "invisible characters"):
                blank[drop.reason] += drop.end - drop.start
                continue
            self.rows.append(
                {
                    "source": name,
                    "start": offset + drop.start,
                    "end": offset + drop.end,
                    "reason": drop.reason,
                    "text": page.source[drop.start : drop.end],
                }
            )
        for reason, size in blank.items():
            self.rows.append({"source": name, "reason": reason, "characters": size})


def _lines(path: Path, limit: int | None, seed: int) -> Iterator[tuple[int, str]]:
    """Lines with their numbers: all of them, or ``limit`` of them chosen by ``seed``."""
    with open_text(path) as stream:
        numbered = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
        yield from _drawn(numbered, path.name, limit, seed)


def _drawn(items: Iterable[_Item], name: str, limit: int | None, seed: int) -> Iterator[_Item]:
    """All items, or ``limit`` of them chosen by ``seed`` and the file's name, in their order."""
    if limit is None:
        yield from items
        return
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    dice = random.Random(int.from_bytes(digest[:8], "big"))
    chosen: list[tuple[int, _Item]] = []
    for seen, item in enumerate(items):
        if seen < limit:
            chosen.append((seen, item))
        elif (place := dice.randrange(seen + 1)) < limit:
            chosen[place] = (seen, item)
    for _, item in sorted(chosen, key=lambda pair: pair[0]):
        yield item


def _rows(path: Path, limit: int | None, seed: int, run: _Run) -> Iterator[Document]:
    stem = path.name.split(".")[0]
    if path.name.endswith(".parquet"):
        documents = read_documents(path, rejected=run.rejected)
        yield from _drawn(documents, path.name, limit, seed)
        return
    as_line = path.name.endswith(LINES)
    try:
        for number, line in _lines(path, limit, seed):
            if as_line:
                yield Document(f"{stem}-{number}", line.strip(), meta={"source": stem})
                continue
            try:
                row = json.loads(line)
                document = from_json(row, number=number)
            except (json.JSONDecodeError, HanspanError) as err:
                run.rejected.append(
                    {"file": path.name, "line": number, "reason": str(err), "row": line[:2000]}
                )
                continue
            meta = {
                key: value
                for key, value in row.items()
                if key not in ("id", "text", "spans", "labels", "meta")
            }
            name = document.id if "id" in row else f"{stem}-{number}"
            yield Document(
                name, document.text, document.spans, document.labels, {**meta, **document.meta}
            )
    except (UnicodeDecodeError, OSError, EOFError) as err:
        raise HanspanError(f"{path}: damaged or not UTF-8 ({err})") from err


def pages(
    inputs: Sequence[Path | str],
    output: Path | str,
    *,
    limit: int | None = None,
    seed: int = 0,
    encoding: str | None = None,
    explain: Path | str | None = None,
    gains: Gains | None = None,
    progress: Progress | None = None,
) -> PagesSummary:
    """Turn raw files into documents, one an article.

    Text, HTML, DOCX and PDF are pages: they are taken apart into articles. ``.jsonl`` (plain,
    ``.gz``, ``.xz``, ``.zst``), Parquet and ``.txt.xz`` are corpora: a row or line is a
    document and passes through. Beside ``output`` stand ``<output>.dropped.jsonl`` with all that
    no article has and why, and ``<output>.rejected.jsonl`` with rows that could not be read.

    Args:
        inputs: files, folders, or ``-`` for standard input.
        output: documents, with a suffix that :mod:`hanspan.data` knows.
        limit: at most so many documents of each corpus file, chosen by ``seed``.
        seed: of the choice.
        encoding: codec of text files; found out when not given.
        explain: an HTML file to write that shows the pages taken apart, the first 20 at most.
        gains: asked how well ends fit that could be joined, such as
            :class:`hanspan.masked.MaskedGains`; the statistics alone when not given.
        progress: called with files done, files in all, and the name of the next.

    Raises:
        HanspanError: for an input that is not there, or when no file gave a document. A single
            bad file among others is reported in the summary and the rest goes on.
    """
    output = Path(output)
    if limit is not None and limit < 1:
        raise HanspanError(f"limit is {limit}; expected at least 1 document a file, or none")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as err:
            raise HanspanError(
                f"encoding {encoding!r} is not known; expected one such as utf-8, gb18030, big5"
            ) from err
    named = [Path(path) for path in inputs]
    own = [output, dropped_path(output), Path(f"{output}.rejected.jsonl"), Path(explain or output)]
    ours = {path.resolve() for path in own if path not in named}
    # in a folder of inputs may lie what a run before wrote
    files = [path for path in expand(named) if path.resolve() not in ours]
    if not files:
        raise HanspanError("no input given; type: hanspan pages IN.txt… OUT.jsonl")
    run = _Run(explain is not None, gains)

    def all_documents() -> Iterator[Document]:
        for done, path in enumerate(files):
            if progress:
                progress(done, len(files), path.name)
            try:
                rows = path.name.lower().endswith((*ROWS, *LINES))
                found = _rows(path, limit, seed, run) if rows else run.page(path, encoding)
                for document in found:
                    run.count["documents"] += 1
                    run.count["characters"] += len(document.text)
                    yield run.unique(document)
                run.count["files"] += 1
            except HanspanError as err:
                run.failed.append((str(path), str(err)))
        if progress:
            progress(len(files), len(files), "")
        if not run.count["documents"]:
            reasons = "; ".join(reason for _, reason in run.failed[:3])
            raise HanspanError(reasons or "no documents found in the input")

    write_documents(output, all_documents())
    rejected = write_rejected(output, run.rejected)
    listing = dropped_path(output)
    if run.rows:
        with whole(listing) as temporary, open_text(temporary, "w") as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in run.rows)
    else:
        listing.unlink(missing_ok=True)
    if explain is not None:
        if not run.shown:
            raise HanspanError(f"{explain}: no page among the inputs that could be shown")
        with whole(explain) as temporary, open_text(temporary, "w") as stream:
            stream.write(explain_all(run.shown, run.count["pages"] - len(run.shown)))
    return PagesSummary(
        run.count["files"],
        run.count["documents"],
        run.count["characters"],
        dict(run.dropped),
        run.count["joins"],
        run.count["broken"],
        run.count["doubtful"],
        len(run.rejected) if rejected else 0,
        tuple(run.failed),
    )
