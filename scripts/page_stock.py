"""Articles for making pages: read from the unlabelled corpora, parted by a hash of their text."""

from __future__ import annotations

import itertools
import json
import lzma
import random
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hanspan.text import ends_sentence, sentences

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import page_generator


def hold_out(text: str) -> int:
    """0: for the benchmark alone; 1: pages that weights are fitted on; others: n-grams."""
    return zlib.crc32(text[:60].encode()) % 10


def corpus(data: Path, name: str) -> Iterator[str]:
    """Texts of one unlabelled corpus."""
    with lzma.open(data / "unlabelled" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)["text"]


def stories(data: Path, bucket: int) -> dict[str, list[tuple[str, list[str]]]]:
    """Articles of the corpora that have them, title and paragraphs, from one hold-out bucket."""
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for name in ("chinanews_2020_03", "official_media_articles", "xwlb_2012_2026"):
        chosen: list[tuple[str, list[str]]] = []
        for text in corpus(data, name):
            if hold_out(text) != bucket:
                continue
            title, *lines = [line.strip() for line in text.split("\n") if line.strip()]
            lines = [line for line in lines if len(line) >= 12]
            clean = all(ends_sentence(line) for line in lines) and 3 <= len(lines) <= 24
            if (
                clean
                and 6 <= len(title) <= 40
                and title[-1] not in "。，"
                and not any(title in line for line in lines)
            ):
                chosen.append((title, lines))
            if len(chosen) == 1500:
                break
        found[name] = chosen
    return found


def treatises(data: Path, bucket: int) -> list[page_generator.Story]:
    """Long documents with many heads of their own: reports of governments, laws."""
    found: list[page_generator.Story] = []
    for name in ("gov_report_2026", "laws"):
        texts = (text for text in corpus(data, name) if hold_out(text) == bucket)
        for text in itertools.islice(texts, 60):
            title, *lines = [line.strip() for line in text.split("\n") if line.strip()]
            paragraphs: list[str] = []
            heads: list[tuple[int, str]] = []
            for line in lines[:45]:
                if ends_sentence(line) or len(line) > 48 or line[-1] in "：；":
                    paragraphs.append(line)
                elif paragraphs:
                    heads.append((len(paragraphs), line))
            while heads and heads[-1][0] == len(paragraphs):
                heads.pop()
            if len(paragraphs) >= 5 and len(title) <= 40:
                found.append(page_generator.Story(title, tuple(paragraphs), sections=tuple(heads)))
    return found


def _brief(paragraphs: list[str], dice: random.Random) -> list[str]:
    """A short report: three to five paragraphs of one to three sentences."""
    short: list[str] = []
    for text in paragraphs[: dice.randint(3, 5)]:
        ends = [end for _, end in sentences(text)]
        short.append(text[: ends[min(len(ends), dice.randint(1, 3)) - 1]])
    return [text for text in short if len(text) >= 12] or paragraphs[:3]


def made_pages(
    data: Path,
    bucket: int,
    count: int,
    seed: int,
    style: page_generator.Style | None = None,
    treatise: float = 0.0,
) -> Iterator[page_generator.MadePage]:
    """Generated pages; half of them take neighbours of one corpus, and so of the same days.

    Args:
        data: the folder that HANSPAN_DATA names.
        bucket: of ``hold_out``.
        count: how many.
        seed: of the choice of articles and of the layout.
        style: how likely each trouble is.
        treatise: share of pages that are one long document.
    """
    stock = stories(data, bucket)
    names = sorted(stock)
    if style is None:
        heads = (t for t in corpus(data, "pd_titles_1996_2022") if hold_out(t) == bucket)
        short = [tuple(t.split()) for t in itertools.islice(heads, 4000) if 4 <= len(t) <= 14]
        style = page_generator.Style(banners=tuple(short))
    whole = treatises(data, bucket) if treatise else []
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        if dice.random() < treatise:
            plain = replace(style, columns=(1, 1), late_headline=0.0)
            yield page_generator.make_page([dice.choice(whole)], dice.randrange(1 << 30), plain)
            continue
        wanted = dice.randint(*style.stories)
        if dice.random() < 0.5:
            near = stock[dice.choice(names)]
            first = dice.randrange(max(1, len(near) - 12))
            raw = dice.sample(near[first : first + 12], wanted)
        else:
            raw = [dice.choice(stock[dice.choice(names)]) for _ in range(wanted)]
        if dice.random() < 0.3:
            raw = [(title, _brief(text, dice)) for title, text in raw]
        habit = dice.choice((0.0, style.byline, 0.95, 1.0)) if style.byline else 0.0
        dressed = [page_generator.dress(title, text, dice, style, habit) for title, text in raw]
        yield page_generator.make_page(dressed, dice.randrange(1 << 30), style)
