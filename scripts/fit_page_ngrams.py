"""HANSPAN_DATA=../shared/data python scripts/fit_page_ngrams.py

Fit the character models of ``hanspan.pages.ngrams`` on unlabelled text: do two ends fit, does a
line begin a paragraph, is it a title; and count how rare pairs of characters are. Two tenths of
the documents (``page_stock.hold_out`` 0 and 1) are never read here.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hanspan.data import open_text
from hanspan.pages import ngrams, words
from hanspan.text import ENDS, ends_sentence
from page_stock import corpus, hold_out

SHARES = {  # how many characters of each corpus
    "xwlb_2012_2026": 5_000_000,
    "chinanews_2020_03": 2_000_000,
    "official_media_articles": 2_000_000,
    "finance_news": 1_500_000,
    "gov_report_2026": 500_000,
    "wiki": 800_000,
    "tech_weekly": 800_000,
    "laws": 500_000,
}
SEED = 20261124
PAIRS = 4_000_000
RARITY = 20_000
OUT = Path(__file__).resolve().parents[1] / "src/hanspan/assets/pages/ngrams.npz"

Keep = Callable[[str, np.ndarray], None]


def _training(data: Path) -> tuple[list[str], list[str]]:
    """Paragraphs, and titles and section heads."""
    paragraphs: list[str] = []
    titles: list[str] = []
    dice = random.Random(SEED)
    for name, share in SHARES.items():
        texts = [text for text in corpus(data, name) if hold_out(text) > 1]
        dice.shuffle(texts)
        size = 0
        for text in texts:
            for number, line in enumerate(text.split("\n")):
                line = line.strip()
                if len(line) >= 25 and ends_sentence(line):
                    paragraphs.append(line)
                    size += len(line)
                elif (
                    3 <= len(line) <= 36
                    and line[-1] not in "，。、；："
                    and (number == 0 or name in ("gov_report_2026", "tech_weekly"))
                ):
                    titles.append(line)
            if size > share:
                break
    more = [text for text in corpus(data, "pd_titles_1996_2022") if hold_out(text) > 1]
    titles += dice.sample(more, 60_000)
    more = [text for text in corpus(data, "news_titles") if hold_out(text) > 1]
    titles += [text for text in more if 4 <= len(text) <= 36 and text[-1] not in "。，…"][:60_000]
    with open_text(data / "unlabelled" / "thucnews_titles.txt.xz") as stream:
        titles += [line.strip() for line in stream if 4 <= len(line) <= 36][:44_000]
    return paragraphs, titles


def _fit(
    places: np.ndarray, mask: np.ndarray, target: np.ndarray, size: int, passes: int, decay: float
) -> np.ndarray:
    """AdaGrad on logistic loss; ``places`` (examples, features), ``mask`` 0 where padded."""
    weights, squares = np.zeros(size, np.float32), np.full(size, 1e-6, np.float32)
    dice = np.random.default_rng(SEED)
    for _ in range(passes):
        order = dice.permutation(len(target))
        for start in range(0, len(order), 4096):
            rows = order[start : start + 4096]
            where, on = places[rows], mask[rows]
            score = (weights[where] * on).sum(1)
            error = 1 / (1 + np.exp(-np.clip(score, -30, 30))) - target[rows]
            grad = np.bincount(where.ravel(), (error[:, None] * on).ravel(), size)
            hit = np.flatnonzero(grad)
            step = grad[hit] + decay * weights[hit]
            squares[hit] += step**2
            weights[hit] -= (0.3 / np.sqrt(squares[hit]) * step).astype(np.float32)
    return weights


def _table(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    width = max(map(len, rows))
    places = np.zeros((len(rows), width), np.int32)
    mask = np.zeros((len(rows), width), np.float32)
    for i, row in enumerate(rows):
        places[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return places, mask


def fit_ngrams(data: Path, only: str = "") -> None:
    """Fit the three models, print how well they do on paragraphs kept apart, write them."""
    paragraphs, titles = _training(data)
    dice = random.Random(SEED)
    dice.shuffle(paragraphs)
    dice.shuffle(titles)
    print(
        f"{len(paragraphs)} paragraphs, {sum(map(len, paragraphs))} characters, "
        f"{len(titles)} titles"
    )
    squashed = [ngrams.squash(line) for line in paragraphs]

    def middle() -> tuple[str, int]:
        while True:
            line = dice.choice(squashed)
            place = dice.randrange(2, len(line) - 2)
            if line[place - 1] not in ENDS + "”" and line[place] not in "，。、；：”）！？":
                return line, place

    stored: dict[str, Any] = {}
    if only:
        with np.load(OUT) as old:
            stored = dict(old)

    def keep(name: str, weights: np.ndarray) -> None:
        scale = float(np.quantile(np.abs(weights[weights != 0]), 0.9995)) / 127
        stored[name] = np.clip(np.round(weights / scale), -127, 127).astype(np.int8)
        stored[f"{name}_scale"] = np.float32(scale)

    wanted = 0 if only and only != "join" else PAIRS
    pairs = np.zeros((2 * wanted, 8), np.int32)
    for number in range(wanted):
        line, place = middle()
        tail, head = line[max(0, place - 3) : place], line[place : place + 3]
        other, there = middle()
        for side, end in enumerate((head, other[there : there + 3])):
            grams = ngrams.join_grams(tail, end)
            pairs[2 * number + side] = [
                ngrams.bucket(i, gram, ngrams.JOIN_BITS) for i, gram in enumerate(grams)
            ]
    if wanted:
        _report("join", keep, pairs, [1, 0] * PAIRS, 1 << ngrams.JOIN_BITS, 3, 5e-4)
    del pairs

    rows: list[list[int]] = []
    target: list[int] = []
    for _ in range(0 if only and only != "start" else 200_000):
        rows.append(_start(dice.choice(squashed)))
        line, place = middle()
        rows.append(_start(line[place:]))
        target += [1, 0]
    if rows:
        _report("start", keep, rows, target, 1 << ngrams.START_BITS, 3, 1e-3)

    rows, target = [], []
    for _ in range(0 if only and only != "title" else 250_000):
        title = ngrams.squash(dice.choice(titles))
        rows.append(_title(title))
        line, place = middle()
        if dice.random() < 0.7:  # a tail: begins like a paragraph or a sentence
            place = dice.choice([0, *(i + 1 for i, c in enumerate(line) if c in "。！？")])
        size = len(title) if dice.random() < 0.7 else dice.randrange(2, 40)
        piece = line[place : place + size].rstrip("，。、；：！？”")
        if len(piece) < 2:
            piece = line[:size]
        rows.append(_title(piece))
        target += [1, 0]
    if rows:
        _report("title", keep, rows, target, 1 << ngrams.TITLE_BITS, 3, 1e-3)
    if not only:
        stored["grams"], stored["rarity"] = _rarity(squashed)
    np.savez_compressed(OUT, **stored)
    print(f"{OUT.name}: {OUT.stat().st_size // 1024} KiB")


def _rarity(paragraphs: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The commonest pairs of characters, with minus log their share of paragraphs (in eighths)."""
    count: Counter[str] = Counter()
    for line in paragraphs:
        count.update(set(words.grams(line)))
    common = count.most_common(RARITY)
    share = np.array([n for _, n in common]) / len(paragraphs)
    order = np.argsort([gram for gram, _ in common])
    listed = np.array([gram for gram, _ in common])[order]
    return listed, np.round(-np.log(share) * 8).astype(np.uint8)[order]


def _start(line: str) -> list[int]:
    grams = enumerate(ngrams.start_grams(line))
    return [ngrams.bucket(i, gram, ngrams.START_BITS) for i, gram in grams]


def _title(line: str) -> list[int]:
    return [ngrams.bucket(i, gram, ngrams.TITLE_BITS) for i, gram in ngrams.title_grams(line)]


def _report(
    name: str,
    keep: Keep,
    rows: list[list[int]] | np.ndarray,
    target: list[int],
    size: int,
    passes: int,
    decay: float,
) -> None:
    if isinstance(rows, np.ndarray):
        places, mask = rows, np.ones(rows.shape, np.float32)
    else:
        places, mask = _table(rows)
    truth = np.array(target, np.float32)
    cut = len(rows) * 49 // 50 // 2 * 2
    weights = _fit(places[:cut], mask[:cut], truth[:cut], size, passes, decay)
    score = (weights[places[cut:]] * mask[cut:]).sum(1)
    right = ((score > 0) == (truth[cut:] > 0)).mean()
    pairs = (score[::2] > score[1::2]).mean()
    print(f"{name}: accuracy {right:.3f}, pairs in order {pairs:.3f} on {len(score)} kept apart")
    keep(name, weights)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["join", "start", "title"], default="")
    args = parser.parse_args()
    if "HANSPAN_DATA" not in os.environ:
        sys.exit("HANSPAN_DATA is not set; expected the folder of the data")
    fit_ngrams(Path(os.environ["HANSPAN_DATA"]), args.only)


if __name__ == "__main__":
    main()
