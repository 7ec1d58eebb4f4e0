"""HANSPAN_DATA=../shared/data python scripts/bench_pages.py [--quick] [--json FILE] [--encoder N]

How well ``hanspan.pages`` takes pages apart: generated pages from unlabelled articles that no
weight or statistic was fitted on, the real page, clean single articles, bad slips, time.
Beside it two baselines: paragraphs as they are, and greedy joining of neighbours. What it is worth
downstream: F1 of rules and student, on the real page against gold, on generated pages against what
the same finder says of the true articles. ``--encoder N`` compares instead, on N pages, with and
without the embedded encoder's masked probability.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import page_stock
import page_worth
from hanspan.pages import page as roles
from hanspan.pages.blocks import BODY, BYLINE, CAPTION, DECK, FURNITURE, TITLE, Block, split_blocks
from hanspan.pages.page import NOBODY, Join, Layout, Page, assemble
from hanspan.pages.untangle import lay_out
from hanspan.text import ends_sentence
from page_stock import page_generator as generator

SEED = 9_000
WORTH_PAGES = 30
LayOut = Callable[[Sequence[Block]], Layout]
_ROLE = {
    BODY: roles.PARAGRAPH,
    TITLE: roles.HEADLINE,
    DECK: roles.SUBTITLE,
    BYLINE: roles.BYLINE,
    CAPTION: roles.CAPTION,
    FURNITURE: roles.FURNITURE,
}


def as_they_are(blocks: Sequence[Block]) -> Layout:
    """Baseline: an article goes from one title to the next; nothing is joined."""
    owners, current = [], 0
    for place, block in enumerate(blocks):
        if block.kind == TITLE and (place == 0 or blocks[place - 1].kind != TITLE):
            current += 1
        owners.append(NOBODY if block.kind == FURNITURE else current)
    return Layout(tuple(_ROLE[block.kind] for block in blocks), tuple(owners))


def greedy(blocks: Sequence[Block]) -> Layout:
    """Baseline: the same, and what ends without an end of sentence goes on in the next text."""
    plain = as_they_are(blocks)
    owners, joins, last = list(plain.owners), [], NOBODY
    for block in blocks:
        if plain.roles[block.index] != roles.PARAGRAPH:
            continue
        if last != NOBODY and not ends_sentence(blocks[last].text):
            joins.append(Join(last, block.index, 1.0))
            owners[block.index] = owners[last]
        last = block.index
    return Layout(plain.roles, tuple(owners), tuple(joins))


def take_apart(text: str, how: LayOut) -> Page:
    """A page by one of the ways."""
    blocks = tuple(split_blocks(text))
    return assemble(text, blocks, how(blocks))


def parts(page: Page) -> list[list[Sequence[tuple[int, int]]]]:
    """Ranges of everything that each article owns."""
    return [[part.pieces for part in article.parts()] for article in page.articles]


def named(page: Page) -> list[tuple[int, int, str]]:
    """Range and role of each block."""
    return [
        (block.pieces[0][0], block.pieces[-1][1], role)
        for block, role in zip(page.blocks, page.layout.roles, strict=True)
    ]


def generated(
    data: Path,
    count: int,
    how: LayOut,
    style: generator.Style | None = None,
    seed: int = SEED,
    bucket: int = 0,
) -> generator.Score:
    """Score of ``count`` pages."""
    score = generator.Score()
    for made in page_stock.made_pages(data, bucket, count, seed, style):
        page = take_apart(made.text, how)
        score.add(made, parts(page), named(page))
    return score


def real_page(data: Path, how: LayOut) -> dict[str, float]:
    """The real page against its articles."""
    text = (data / "pages/newspaper_page.txt").read_text(encoding="utf-8")
    gold = json.loads((data / "gold/news/page_articles.json").read_text(encoding="utf-8"))
    page = take_apart(text, how)
    have = ["\n".join(part.text for part in article.parts()) for article in page.articles]
    sizes, right, total = [], 0, 0
    for number, article in enumerate(gold["articles"]):
        lines = [*article["paragraphs"], *article["subheads"], *article["caption"]]
        lines += [article[key] for key in ("title", "subtitle", "byline") if article[key]]
        total += sum(map(len, lines))
        for other, found in enumerate(have):
            size = sum(_shared(line, found) for line in lines)
            sizes.append((size, number, other))
    used_gold: set[int] = set()
    used: set[int] = set()
    for size, number, other in sorted(sizes, reverse=True):
        if size and number not in used_gold and other not in used:
            right += size
            used_gold.add(number)
            used.add(other)
    blocks = [block.text for block in page.blocks]
    cut = [p for article in gold["articles"] for p in article["paragraphs"] if p not in blocks]
    whole = {part.text for article in page.articles for part in article.paragraphs}
    every = [p for article in gold["articles"] for p in article["paragraphs"]]
    return {
        "articles": len(page.articles),
        "cut": len(cut),
        "joined": sum(p in whole for p in cut),
        "characters": right / total,
        "paragraphs": sum(p in whole for p in every) / len(every),
        "titles": sum(
            a["title"] in {" ".join(p.text for p in b.title) for b in page.articles}
            for a in gold["articles"]
        ),
    }


def _shared(line: str, found: str) -> int:
    """Characters of ``line`` in ``found``: the whole, or its longest beginning and end."""
    if line in found:
        return len(line)
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if line[:middle] in found else (low, middle - 1)
    first, low, high = low, 0, len(line) - low
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if line[-middle:] in found else (low, middle - 1)
    return (first if first > 5 else 0) + (low if low > 5 else 0)


def _progress(done: str) -> None:
    print(f"{time.process_time():6.0f} CPU s: {done}", file=sys.stderr, flush=True)


def with_encoder(data: Path, count: int) -> None:
    """Print what the encoder's evidence for a join is worth, and what it costs."""
    from hanspan.masked import MaskedGains

    gains = MaskedGains()

    def asked(blocks: Sequence[Block]) -> Layout:
        return lay_out(blocks, gains=gains)

    made = list(page_stock.made_pages(data, 0, count, SEED))
    size = sum(len(page.text.encode()) for page in made) / 1e6
    print(f"{count} generated pages, {size:.2f} MB")
    for name, how in {"plain": lay_out, "encoder": asked}.items():
        score, begin = generator.Score(), time.process_time()
        for page in made:
            found = take_apart(page.text, how)
            score.add(page, parts(found), named(found))
        spent = time.process_time() - begin
        print(
            f"{name:8} characters {score.right / score.characters:.4f}  "
            f"cuts {score.rejoined / score.cuts:.4f} of {score.cuts}  "
            f"false joins {score.false / max(1, score.joins):.4f}  CPU s a MB {spent / size:.1f}",
            flush=True,
        )
    real = real_page(data, asked)
    print(f"real page with the encoder: {real}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--encoder", type=int, metavar="N", help="only this comparison, on N pages")
    args = parser.parse_args()
    if "HANSPAN_DATA" not in os.environ:
        sys.exit(__doc__)
    data = Path(os.environ["HANSPAN_DATA"])
    if args.encoder:
        with_encoder(data, args.encoder)
        return
    count = 40 if args.quick else 400
    ways: dict[str, LayOut] = {"as they are": as_they_are, "greedy": greedy, "hanspan": lay_out}
    rows: list[tuple[str, list[float], str]] = []
    scores = [generated(data, count, how) for how in ways.values()]
    _progress("generated pages")
    rows.append(
        (
            "generated: characters in the right article",
            [s.right / s.characters for s in scores],
            ">= 0.90",
        )
    )
    rows.append(("generated: cuts rejoined", [s.rejoined / s.cuts for s in scores], ">= 0.92"))
    rows.append(("generated: false joins", [s.false / max(1, s.joins) for s in scores], "<= 0.03"))
    rows.append(("generated: paragraphs whole", [s.whole / s.paragraphs for s in scores], ""))
    rows.append(("generated: articles found / true", [s.found / s.articles for s in scores], "1"))
    for role in sorted(scores[-1].roles):
        rows.append(
            (
                f"generated: {role} recognised",
                [s.roles[role][0] / s.roles[role][1] for s in scores],
                "",
            )
        )
    real = [real_page(data, how) for how in ways.values()]
    rows.append(("real page: articles", [r["articles"] for r in real], "4"))
    rows.append(("real page: cut sentences whole, of 4", [r["joined"] for r in real], "4"))
    rows.append(
        ("real page: characters in the right article", [r["characters"] for r in real], ">= 0.97")
    )
    rows.append(("real page: paragraphs whole", [r["paragraphs"] for r in real], ""))
    rows.append(("real page: headlines exact, of 4", [r["titles"] for r in real], "4"))
    text = (data / "pages/newspaper_page.txt").read_text(encoding="utf-8")
    real_pages = [take_apart(text, how) for how in ways.values()]
    made = list(page_stock.made_pages(data, 0, WORTH_PAGES, SEED + 2))
    apart = [[take_apart(page.text, how) for page in made] for how in ways.values()]
    for name, find in page_worth.FINDERS.items():
        against_gold = page_worth.on_real_page(data, real_pages, find)
        rows.append((f"real page: F1 of the {name}, gold of 2 articles", against_gold, ""))
        against_clean = page_worth.on_made_pages(made, apart, find)
        rows.append((f"generated: F1 of the {name} against their clean page", against_clean, ""))
        _progress(f"F1 of the {name}")
    alone = generator.Style(
        stories=(1, 1),
        cut=0.0,
        columns=(1, 1),
        late_headline=0.0,
        banner=0.0,
        furniture=0.0,
        slips=0.0,
    )
    _progress("real page")
    single = [generated(data, count, how, alone) for how in ways.values()]
    _progress("single articles")
    rows.append(
        (
            "single clean article: characters left as they are",
            [s.right / s.characters for s in single],
            ">= 0.995",
        )
    )
    rows.append(
        (
            "single clean article: paragraphs whole",
            [s.whole / s.paragraphs for s in single],
            ">= 0.995",
        )
    )
    made = list(page_stock.made_pages(data, 0, count, SEED + 1))
    for goal in (250_000, 500_000) if args.quick else (250_000, 500_000, 1_000_000):
        text, number = "", 0
        while len(text.encode()) < goal:
            text += made[number % len(made)].text + "\n\n"
            number += 1
        spent = []
        for how in ways.values():
            begin = time.process_time()
            take_apart(text, how)
            spent.append(time.process_time() - begin)
        _progress(f"{goal / 1e6:.2f} MB")
        rows.append(
            (f"CPU seconds for {goal / 1e6:.2f} MB", spent, "< 20" if goal == 1_000_000 else "")
        )
    print(f"{'':56}" + "".join(f"{name:>13}" for name in ways) + "  target")
    for what, values, target in rows:
        print(f"{what:56}" + "".join(f"{value:13.4g}" for value in values) + f"  {target}")
    if args.json:
        listed = [
            {
                "what": what,
                "value": values[-1],
                "unit": "s" if "seconds" in what else "",
                "peer": peer,
                "peer_value": values[place],
                "target": target,
            }
            for what, values, target in rows
            for place, peer in enumerate(list(ways)[:-1])
        ]
        args.json.write_text(json.dumps(listed, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
