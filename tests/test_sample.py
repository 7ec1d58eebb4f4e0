"""The embedded sample: enough of it, every type and topic, offsets that hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(str(files("hanspan"))) / "assets" / "sample"
PARTS = ("dev", "test")
TYPES = [
    *("PER", "TITLE", "GOV", "COM", "ORG", "LOC", "EVENT", "POLICY", "WORK", "IND"),
    *("TIME", "MONEY", "PERCENT", "QTY"),
]
TOPICS = [
    *("politics", "economy", "technology", "agriculture", "environment"),
    *("society", "culture", "world", "military"),
]
FINAL = "。！？…；：”）"
"""Marks that close a paragraph. A block whose first line ends otherwise is a headline."""


def rows(part: str) -> list[dict[str, Any]]:
    with (SAMPLE / f"{part}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def articles() -> list[tuple[str, list[str]]]:
    """(headline, paragraphs) of every article in the raw pages."""
    found: list[tuple[str, list[str]]] = []
    for page in sorted((SAMPLE / "pages").glob("*.txt")):
        for block in page.read_text(encoding="utf-8").strip().split("\n\n"):
            first = block.split("\n")[0]
            if first[-1] not in FINAL:
                found.append((first, []))
            else:
                assert found, f"{page.name} starts without a headline"
                found[-1][1].append(block)
    return found


def test_size() -> None:
    train = articles()
    gold = [row["text"] for part in PARTS for row in rows(part)]
    assert len(gold) >= 45
    assert len(train) + len(gold) >= 120
    characters = sum(len("".join(body)) for _, body in train) + sum(map(len, gold))
    assert characters >= 25_000
    assert len(list((SAMPLE / "pages").glob("*.txt"))) == len(train)


def test_pages_are_articles() -> None:
    train = articles()
    for headline, body in train:
        assert 4 <= len(headline) <= 34, headline
        assert 1 <= len(body) <= 4, headline
        assert 80 <= len("".join(body)) <= 370, headline
    assert len({headline for headline, _ in train}) == len(train)


@pytest.mark.parametrize("part", PARTS)
def test_every_type_and_topic(part: str) -> None:
    documents = rows(part)
    labels = Counter(span["label"] for row in documents for span in row["spans"])
    topics = Counter(row["labels"]["topic"] for row in documents)
    assert set(labels) == set(TYPES)
    assert min(labels.values()) >= 8, labels
    assert set(topics) == set(TOPICS)
    assert min(topics.values()) >= 2, topics


@pytest.mark.parametrize("part", PARTS)
def test_spans(part: str) -> None:
    for number, row in enumerate(rows(part), start=1):
        assert row["id"] == f"sample-{part}-{number:02d}"
        assert set(row) == {"id", "text", "spans", "labels", "meta"}
        end = 0
        for span in row["spans"]:
            assert end <= span["start"] < span["end"] <= len(row["text"]), (row["id"], span)
            surface = row["text"][span["start"] : span["end"]]
            assert surface == surface.strip(), (row["id"], surface)
            assert "\n" not in surface
            assert surface[0] not in "，。、；：”（）"
            assert surface[-1] not in "，。、；：“（"
            end = span["end"]
        assert "[[" not in row["text"]
        assert "|" not in row["text"]


@pytest.mark.parametrize("part", PARTS)
def test_one_surface_one_way(part: str) -> None:
    """Quote marks stay outside names unless they are book marks, and those are whole."""
    for row in rows(part):
        for span in row["spans"]:
            surface = row["text"][span["start"] : span["end"]]
            assert surface.count("《") == surface.count("》"), (row["id"], surface)
            assert surface.count("“") == surface.count("”"), (row["id"], surface)
            assert not (surface[0] == "“" and surface[-1] == "”"), (row["id"], surface)


def test_no_text_twice() -> None:
    train = {paragraph for _, body in articles() for paragraph in body}
    assert len(train) == sum(len(body) for _, body in articles())
    gold = [text for part in PARTS for row in rows(part) for text in row["text"].split("\n")]
    assert len(set(gold)) == len(gold)
    assert not train & set(gold)
    # No long stretch of an annotated text stands in the pages either.
    joined = "\n".join(sorted(train))
    assert not [
        text for text in gold for at in range(0, len(text) - 24, 8) if text[at : at + 24] in joined
    ]


def test_readme_counts() -> None:
    """The table of README.md is what the files hold."""
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    table = {
        name: (int(a), int(b))
        for name, a, b in re.findall(
            r"^\| ([A-Za-z ]+) \| (\d+) \| (\d+) \|$", readme, re.MULTILINE
        )
    }
    parts = [rows(part) for part in PARTS]
    for label in TYPES:
        counts = tuple(sum(s["label"] == label for r in p for s in r["spans"]) for p in parts)
        assert table[label] == counts, label
    for topic in TOPICS:
        counts = tuple(sum(r["labels"]["topic"] == topic for r in p) for p in parts)
        assert table[topic] == counts, topic
    assert f"**{len(articles())} articles**" in readme
