"""HANSPAN_DATA=../shared/data python scripts/fit_pages.py ngrams|weights

ngrams: fit the character models of ``hanspan.pages.ngrams`` on unlabelled text.
weights: fit the weights of the moves (``hanspan.pages.moves``) on generated pages.
A tenth of the documents (``hold_out`` 0) is never read here: ``scripts/bench_pages.py`` makes its
pages from it.
"""

from __future__ import annotations

import itertools
import json
import lzma
import os
import random
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hanspan.pages import moves, ngrams, untangle, words
from hanspan.pages.blocks import split_blocks
from hanspan.pages.clues import gather
from hanspan.text import ENDS, ends_sentence

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import page_generator

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
RATE = 0.005
PASSES = 4
OUT = Path(__file__).resolve().parents[1] / "src/hanspan/assets/pages/ngrams.npz"

Keep = Callable[[str, np.ndarray], None]


def hold_out(text: str) -> int:
    """0: for the benchmark alone; 1: pages that weights are fitted on; others: n-grams."""
    return zlib.crc32(text[:60].encode()) % 10


def corpus(data: Path, name: str) -> Iterator[str]:
    """Texts of one unlabelled corpus."""
    with lzma.open(data / "unlabelled" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)["text"]


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


def fit_ngrams(data: Path) -> None:
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

    stored: dict[str, np.ndarray] = {}

    def keep(name: str, weights: np.ndarray) -> None:
        scale = float(np.quantile(np.abs(weights[weights != 0]), 0.9995)) / 127
        stored[name] = np.clip(np.round(weights / scale), -127, 127).astype(np.int8)
        stored[f"{name}_scale"] = np.float32(scale)

    pairs = np.zeros((2 * PAIRS, 8), np.int32)
    for number in range(PAIRS):
        line, place = middle()
        tail, head = line[max(0, place - 3) : place], line[place : place + 3]
        other, there = middle()
        for side, end in enumerate((head, other[there : there + 3])):
            grams = ngrams.join_grams(tail, end)
            pairs[2 * number + side] = [
                ngrams.bucket(i, gram, ngrams.JOIN_BITS) for i, gram in enumerate(grams)
            ]
    _report("join", keep, pairs, [1, 0] * PAIRS, 1 << ngrams.JOIN_BITS, 3, 5e-4)
    del pairs

    rows: list[list[int]] = []
    target: list[int] = []
    for _ in range(200_000):
        rows.append(_start(dice.choice(squashed)))
        line, place = middle()
        rows.append(_start(line[place:]))
        target += [1, 0]
    _report("start", keep, rows, target, 1 << ngrams.START_BITS, 3, 1e-3)

    rows, target = [], []
    for _ in range(150_000):
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
    _report("title", keep, rows, target, 1 << ngrams.TITLE_BITS, 3, 1e-3)
    common, rarity = _rarity(squashed)
    stored["grams"], stored["rarity"] = common, rarity
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


def made_pages(
    data: Path, bucket: int, count: int, seed: int, style: page_generator.Style | None = None
) -> Iterator[page_generator.MadePage]:
    """Generated pages; half of them take neighbours of one corpus, and so of the same days."""
    stock = stories(data, bucket)
    names = sorted(stock)
    if style is None:
        heads = (t for t in corpus(data, "pd_titles_1996_2022") if hold_out(t) == bucket)
        short = [tuple(t.split()) for t in itertools.islice(heads, 4000) if 4 <= len(t) <= 14]
        style = page_generator.Style(banners=tuple(short))
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        wanted = dice.randint(*style.stories)
        if dice.random() < 0.5:
            near = stock[dice.choice(names)]
            first = dice.randrange(max(1, len(near) - 12))
            raw = dice.sample(near[first : first + 12], wanted)
        else:
            raw = [dice.choice(stock[dice.choice(names)]) for _ in range(wanted)]
        habit = dice.choice((0.0, style.byline, 0.95, 1.0)) if style.byline else 0.0
        dressed = [page_generator.dress(title, text, dice, style, habit) for title, text in raw]
        yield page_generator.make_page(dressed, dice.randrange(1 << 30), style)


Choice = tuple[moves.Move, dict[moves.Move, moves.Features]]


def gold_moves(made: page_generator.MadePage) -> tuple[list[Choice], moves.State, bool]:
    """For each block of a page the right move and the features of all; the end; if complete."""
    blocks = split_blocks(made.text)
    clues = gather(blocks)
    truth = {(line.start, line.end): line for line in made.lines}
    numbers: dict[int, int] = {}
    state = moves.State()
    choices: list[Choice] = []
    for block in blocks:
        if block.kind not in ("body", "title"):
            continue
        line = truth.get((block.pieces[0][0], block.pieces[-1][1]))
        if line is None:
            return choices, state, False
        number = numbers.get(line.story, moves.NOBODY)
        thread = state.thread(number)
        if line.role == "paragraph":
            if thread is None:
                right = moves.Move(moves.NEW)
            elif line.part and thread.open:
                right = moves.Move(moves.JOIN, number)
            else:
                right = moves.Move(moves.TEXT, number)
        elif line.role == "section" and thread is not None:
            right = moves.Move(moves.SECTION, number)
        elif line.role in ("banner", "furniture", "caption"):
            right = moves.Move(moves.BANNER)
        elif thread is None:
            right = moves.Move(moves.HEAD)
        elif not thread.titled:
            right = moves.Move(moves.ATTACH, number)
        else:
            right = moves.Move(moves.MORE, number)
        options = dict(moves.moves(state, clues[block.index], clues))
        if right not in options:
            return choices, state, False
        if right.what in (moves.NEW, moves.HEAD):
            numbers[line.story] = state.count
        choices.append((right, options))
        state = moves.step(state, clues[block.index], right)
    return choices, state, True


def polish(pages: list[page_generator.MadePage], weight: dict[str, float], spread: dict[str, float],
           passes: int) -> dict[str, float]:
    """Averaged structured perceptron over whole pages, from the weights of the single choices."""
    golds = [(made, *gold_moves(made)) for made in pages]
    golds = [gold for gold in golds if gold[3]]
    total: Counter[str] = Counter()
    turns = 0
    dice = random.Random(SEED)
    for turn in range(passes):
        dice.shuffle(golds)
        wrong = blocks_wrong = 0
        for made, choices, end, _ in golds:
            blocks = split_blocks(made.text)
            clues = gather(blocks)
            order = [b.index for b in blocks if b.kind in ("body", "title")]
            found = untangle.search(clues, order, weight)
            change: Counter[str] = Counter()
            state = moves.State()
            for index, move, (right, options) in zip(order, found, choices, strict=True):
                blocks_wrong += move != right
                for name, value in dict(moves.moves(state, clues[index], clues))[move].items():
                    change[name] -= value
                for name, value in options[right].items():
                    change[name] += value
                state = moves.step(state, clues[index], move)
            for name, value in untangle.endings(end).items():
                change[name] += value - untangle.endings(state)[name]
            if found != [right for right, _ in choices]:
                wrong += 1
                margin = sum(weight.get(name, 0.0) * value for name, value in change.items())
                if margin < 0:
                    for name, value in change.items():
                        scale = spread.get(name, 1.0) ** 2
                        weight[name] = weight.get(name, 0.0) + RATE / scale * max(
                            -4 * scale, min(4 * scale, value)
                        )
            turns += 1
            for name, value in weight.items():
                total[name] += value
        print(f"  pass {turn + 1}: {wrong} of {len(golds)} pages differ, {blocks_wrong} moves")
    return {name: value / turns for name, value in total.items()}


def fit_weights(data: Path, count: int = 1200) -> None:
    """Conditional logit over the moves, by gradient descent with momentum, lightly shrunk."""
    rows: list[tuple[moves.Features, list[moves.Features]]] = []
    pages = list(made_pages(data, 1, count, SEED))
    for made in pages:
        for right, options in gold_moves(made)[0]:
            chosen = options.pop(right)
            rows.append((chosen, list(options.values())))
    names = sorted({name for right, others in rows for one in (right, *others) for name in one})
    column = {name: i for i, name in enumerate(names)}
    ends = np.cumsum([1 + len(others) for _, others in rows])
    starts = np.concatenate([[0], ends[:-1]])
    matrix = np.zeros((int(ends[-1]), len(names)), np.float32)
    place = 0
    for right, others in rows:
        for one in (right, *others):
            for name, value in one.items():
                matrix[place, column[name]] = value
            place += 1
    print(f"{count} pages, {len(rows)} choices among {len(matrix)} moves, {len(names)} features")
    spread = matrix.std(0) + 1e-6
    scaled = matrix / spread
    weight, speed = np.zeros(len(names)), np.zeros(len(names))
    choice = np.repeat(np.arange(len(rows)), np.diff(np.concatenate([[0], ends])))
    for turn in range(1500):
        value = scaled @ weight
        value -= np.maximum.reduceat(value, starts)[choice]
        chance = np.exp(value)
        chance /= np.add.reduceat(chance, starts)[choice]
        expected = chance @ scaled
        wanted = scaled[starts].sum(0)
        gradient = (wanted - expected) / len(rows) - 2e-4 * weight
        speed = 0.95 * speed + gradient
        weight += 0.5 * speed
        if turn % 300 == 299:
            loss = -np.log(np.maximum(chance[starts], 1e-12)).mean()
            best = np.maximum.reduceat(chance, starts)
            right_share = (chance[starts] >= best - 1e-9).mean()
            print(f"  turn {turn + 1}: loss {loss:.4f}, right move first {right_share:.4f}")
    final = {name: float(w) for name, w in zip(names, weight / spread, strict=True)}
    final |= {"end:cut": -2.0, "end:headless": -2.0, "end:empty": -2.0}
    final = polish(pages, final, dict(zip(names, map(float, spread), strict=True)), PASSES)
    final = {name: round(value, 3) for name, value in sorted(final.items())}
    path = OUT.with_name("weights.json")
    path.write_text(json.dumps(final, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Read the command line."""
    jobs = {"ngrams": fit_ngrams, "weights": fit_weights}
    if len(sys.argv) != 2 or sys.argv[1] not in jobs or "HANSPAN_DATA" not in os.environ:
        sys.exit(__doc__)
    jobs[sys.argv[1]](Path(os.environ["HANSPAN_DATA"]))


if __name__ == "__main__":
    main()
