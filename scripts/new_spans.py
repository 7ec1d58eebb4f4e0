"""HANSPAN_DATA=../shared/data python scripts/new_spans.py [FILE ...] [--count 20] [--model FOLDER]

Spans that a model gives and no rule voted on, as they come, each in its sentence; right and wrong
ones alike, to be judged by reading. Without FILE the newspaper page of the data folder; a FILE may
be all that ``hanspan pages`` reads. ``--model`` is a bundle or a run's model, the embedded one
when left out; ``--rules`` the rules that are asked, ``news`` when left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hanspan import Extractor
from hanspan.data import NONE, Document, Span, read_documents
from hanspan.errors import HanspanError
from hanspan.pages import pages
from hanspan.rules import load_rules
from hanspan.text import sentences


def untouched(document: Document, votes: Document) -> Iterator[Span]:
    """Spans of a document that share no character with a vote for an entity."""
    said = {i for vote in votes.spans if vote.label != NONE for i in range(vote.start, vote.end)}
    for span in document.spans:
        if said.isdisjoint(range(span.start, span.end)):
            yield span


def in_its_sentence(text: str, span: Span) -> str:
    """The sentence around a span, which stands in brackets."""
    around = [(s, e) for s, e in sentences(text) if s < span.end and span.start < e]
    start, stop = min(span.start, around[0][0]), max(span.end, around[-1][1])
    inside = f"[{text[span.start : span.end]}]"
    return text[start : span.start] + inside + text[span.end : stop]


def main() -> int:
    """Print the spans; returns the exit status, 2 for a mistake of the user."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--model", type=Path, metavar="FOLDER")
    parser.add_argument("--rules", default="news")
    options = parser.parse_args()
    files = options.files
    if not files:
        if "HANSPAN_DATA" not in os.environ:
            parser.error("no FILE given and HANSPAN_DATA is not set; expected one of them")
        files = [Path(os.environ["HANSPAN_DATA"]) / "pages" / "newspaper_page.txt"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            pages(files, Path(folder) / "documents.jsonl")
            documents = list(read_documents(Path(folder) / "documents.jsonl"))
        votes = map(load_rules(options.rules).apply, documents)
        model = [str(options.model)] if options.model else []
        with Extractor.from_pretrained(*model) as extract:
            found = list(extract.pipe([d.text for d in documents]))
        new = [
            (document, span)
            for document, vote in zip(found, votes, strict=True)
            for span in untouched(document, vote)
        ]
    except HanspanError as err:
        print(f"new_spans: {err}", file=sys.stderr)
        return 2
    for document, span in new[: options.count]:
        place = in_its_sentence(document.text, span)
        print(f"{span.label:<9} {span.score:.2f}  {place}")
    total = sum(len(d.spans) for d in found)
    print(
        f"{min(options.count, len(new))} of {len(new)} spans that no rule voted on; {total} in all"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
