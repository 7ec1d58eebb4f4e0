"""What taking pages apart is worth downstream: F1 of rules and of the student on what comes out.

All spans are placed in the page's raw text, so that every way of taking it apart is measured alike.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from hanspan import Extractor
from hanspan.data import Document, read_documents, write_documents
from hanspan.labelmodel import aggregate
from hanspan.pages import documents
from hanspan.pages.page import Page
from hanspan.weak import label
from page_stock import page_generator

Placed = set[tuple[str, int, int, str]]
Find = Callable[[Sequence[Document]], list[Document]]


def by_rules(given: Sequence[Document]) -> list[Document]:
    """Spans of the shipped news rules, merged by vote."""
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / name for name in ("a.jsonl", "b.jsonl", "c.jsonl")]
        write_documents(names[0], given)
        label(names[0], names[1], "news")
        aggregate(names[1], names[2], method="vote")
        return list(read_documents(names[2]))


@functools.cache
def _student() -> Extractor:
    return Extractor.from_pretrained(threads=1)


def by_student(given: Sequence[Document]) -> list[Document]:
    """Spans of the embedded model."""
    return list(_student().pipe(given))


FINDERS: dict[str, Find] = {"rules": by_rules, "student": by_student}


def placed(found: Sequence[Document]) -> Placed:
    """Spans by page, start and end in its raw text, label."""
    spans: Placed = set()
    for document in found:
        origin: dict[int, int] = {}
        for part in document.meta["paragraphs"]:
            raw = [at for start, end in part["raw"] for at in range(start, end)]
            origin.update(zip(range(part["start"], part["end"]), raw, strict=True))
        for span in document.spans:
            if span.start in origin and span.end - 1 in origin:
                first, last = origin[span.start], origin[span.end - 1]
                spans.add((document.meta["source"], first, last + 1, span.label))
    return spans


def f1(gold: Placed, found: Placed) -> float:
    """Strict spans."""
    return 2 * len(gold & found) / max(1, len(gold) + len(found))


def on_real_page(data: Path, pages: Sequence[Page], find: Find) -> list[float]:
    """F1 against the gold spans of two articles, once for each way the page was taken apart.

    The gold is that of the page's blocks in ``gold/news/dev``; spans elsewhere do not count.
    """
    text = (data / "pages/newspaper_page.txt").read_text(encoding="utf-8")
    gold: Placed = set()
    inside: set[int] = set()
    for document in read_documents(data / "gold/news/dev.jsonl"):
        if not document.id.startswith("page-") or len(document.text) < 40:
            continue
        place = text.index(document.text)
        inside |= set(range(place, place + len(document.text)))
        gold |= {("page", place + s.start, place + s.end, s.label) for s in document.spans}
    scores = []
    for page in pages:
        found = placed(find(list(documents(page, "page"))))
        scores.append(f1(gold, {span for span in found if span[1] in inside}))
    return scores


def _true_articles(made: page_generator.MadePage, name: str) -> list[Document]:
    """The articles of a made page as they are when nothing goes wrong."""
    stories: dict[int, dict[int, list[tuple[int, int]]]] = {}
    for line in made.lines:
        if line.role == "paragraph":
            paragraphs = stories.setdefault(line.story, {})
            paragraphs.setdefault(line.paragraph, []).append((line.start, line.end))
    found = []
    for number, paragraphs in stories.items():
        lines, meta, place = [], [], 0
        for _, pieces in sorted(paragraphs.items()):
            text = "".join(made.text[start:end] for start, end in pieces)
            raw = [list(piece) for piece in pieces]
            meta.append({"start": place, "end": place + len(text), "raw": raw})
            lines.append(text)
            place += len(text) + 1
        found.append(
            Document(
                f"{name}-t{number}",
                "\n".join(lines),
                meta={"source": name, "paragraphs": meta},
            )
        )
    return found


def on_made_pages(
    made: Sequence[page_generator.MadePage], ways: Sequence[Sequence[Page]], find: Find
) -> list[float]:
    """F1 against the finder's own spans on the true articles, once for each way.

    It says nothing about how good the finder is, only what the layout costs it.

    Args:
        made: the pages.
        ways: for each way the pages taken apart by it.
        find: puts spans on documents.
    """
    names = [f"made-{number}" for number in range(len(made))]
    true = [d for name, page in zip(names, made, strict=True) for d in _true_articles(page, name)]
    gold = placed(find(true))
    scores = []
    for pages in ways:
        given = [d for name, page in zip(names, pages, strict=True) for d in documents(page, name)]
        scores.append(f1(gold, placed(find(given))))
    return scores
