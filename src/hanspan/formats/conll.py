"""CoNLL: one character a line, TAB, its BIO tag, a blank line between documents.

White space that a line cannot carry is written as a visible mark; ``# text`` and ``# id`` lines
hold the text as JSON, so that nothing is lost. BIO, BIOES and BMES tags are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hanspan.data import Document, Span, open_text, whole
from hanspan.errors import HanspanError
from hanspan.formats import Rejected

MARKS = {" ": "␣", "\n": "␤", "\r": "␍", "\t": "␉"}
"""What is written in place of white space."""
_BACK = {mark: char for char, mark in MARKS.items()}


def write(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write flat spans as BIO tags; returns the number of documents."""
    count = 0
    with whole(path) as temporary, open_text(temporary, "w") as stream:
        for document in documents:
            for key, value in (("id", document.id), ("text", document.text)):
                stream.write(f"# {key}\t{json.dumps(value, ensure_ascii=False)}\n")
            for task, label in document.labels.items():
                stream.write(f"# label\t{json.dumps([task, label], ensure_ascii=False)}\n")
            tags = ["O"] * len(document.text)
            for span in document.spans:
                tags[span.start : span.end] = [f"I-{span.label}"] * (span.end - span.start)
                tags[span.start] = f"B-{span.label}"
            for char, tag in zip(document.text, tags, strict=True):
                stream.write(f"{MARKS.get(char, char)}\t{tag}\n")
            stream.write("\n")
            count += 1
    return count


def read(path: str | os.PathLike[str], rejected: Rejected) -> Iterator[Document]:
    """Read documents; a block that cannot be read goes to ``rejected`` with its first line."""
    name = Path(path).name
    block: list[str] = []
    first = number = 0
    with open_text(path) as stream:
        lines = iter(stream)
        while True:
            line = next(lines, None)
            number += 1
            text = None if line is None else line.rstrip("\n")
            if text:
                first = first if block else number
                block.append(text)
                continue
            if block:
                try:
                    yield _document(block, f"{name}:{first}")
                except HanspanError as err:
                    rejected.append({"line": first, "reason": str(err), "row": block[:3]})
                block = []
            if line is None:
                return


def _document(block: list[str], name: str) -> Document:
    text, labels = None, {}
    chars, tags = [], []
    for line in block:
        if line.startswith("# "):
            key, _, value = line[2:].partition("\t")
            try:
                row = json.loads(value)
            except json.JSONDecodeError:
                continue  # a comment of another tool
            if key == "id":
                name = str(row)
            elif key == "text" and isinstance(row, str):
                text = row
            elif key == "label" and isinstance(row, list) and len(row) == 2:
                labels[str(row[0])] = str(row[1])
            continue
        # Not str.split(): it takes U+3000 for a separator. Some tools write a blank, not a TAB.
        cut = "\t" if "\t" in line else " "
        token, *_, tag = line.rstrip("\r").split(cut) if cut in line else [line, ""]
        if not tag:
            raise HanspanError(f"line {line!r:.30}: expected a character, a TAB and a tag")
        chars.append(_BACK.get(token, token))
        tags.append(tag)
    joined = "".join(chars)
    if text is not None and len(text) == len(joined) == len(chars):
        joined = text
    spans, place = [], 0
    start, open_label = 0, ""
    for token, tag in [*zip(chars, tags, strict=True), ("", "O")]:
        part, _, label = tag.partition("-")
        if part not in ("B", "I", "M", "E", "S", "O", "L", "U") or (part != "O" and not label):
            raise HanspanError(f"tag {tag!r:.30}: expected O, or B-, I-, M-, E-, S- and a type")
        if open_label and (part in "BSUO" or label != open_label):
            spans.append(Span(start, place, open_label))
            open_label = ""
        if part != "O" and not open_label:
            start, open_label = place, label
        place += len(token)
        if part in ("E", "S", "L", "U") and open_label:
            spans.append(Span(start, place, open_label))
            open_label = ""
    return Document(name, joined, tuple(spans), labels)
