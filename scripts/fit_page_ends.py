"""HANSPAN_DATA=../shared/data python scripts/fit_page_ends.py

Fit the model of ``hanspan.pages.ends`` on unlabelled text: does a line go on where another stops?
Real neighbours against ends from elsewhere, half of these from the same document. Two tenths of
the documents (``page_stock.hold_out`` 0 and 1) are never read here. Needs torch; about four
minutes on one quiet core.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hanspan.pages.ends import WINDOW
from hanspan.text import ENDS, ends_sentence
from page_stock import corpus, hold_out

SHARES = {  # how many characters of each corpus at most
    "xwlb_2012_2026": 14_000_000,
    "chinanews_2020_03": 3_000_000,
    "official_media_articles": 3_000_000,
    "finance_news": 3_000_000,
    "gov_report_2026": 1_000_000,
    "wiki": 1_500_000,
    "tech_weekly": 1_000_000,
    "laws": 1_000_000,
}
SEED = 20261124
LETTERS = 5000
WIDE, HIDDEN, TOP = 32, 160, 32
BATCH, NEAR, FAR = 4096, 2, 2
OUT = Path(__file__).resolve().parents[1] / "src/hanspan/assets/pages/ends.npz"


class Ends(torch.nn.Module):
    """Letters on both sides of the border -> one log odds."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.letters = torch.nn.Embedding(letters + 2, WIDE)
        self.left = torch.nn.Linear(WINDOW * WIDE, HIDDEN)
        self.right = torch.nn.Linear(WINDOW * WIDE, HIDDEN, bias=False)
        self.top = torch.nn.Linear(HIDDEN, TOP)
        self.out = torch.nn.Linear(TOP, 1)

    def sides(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.left(self.letters(left).flatten(1)), self.right(self.letters(right).flatten(1))

    def odds(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        top = torch.relu(self.top(torch.relu(left + right)))
        return self.out(top).squeeze(-1)


def read(data: Path) -> list[str]:
    """Paragraphs, those of a document one after the other."""
    dice = random.Random(SEED)
    found: list[str] = []
    for name, share in SHARES.items():
        texts = [text for text in corpus(data, name) if hold_out(text) > 1]
        dice.shuffle(texts)
        size = 0
        for text in texts:
            for line in text.split("\n"):
                line = line.strip()
                if len(line) >= 25 and ends_sentence(line):
                    found.append(line)
                    size += len(line)
            if size > share:
                break
    return found


def numbered(lines: list[str], place: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """All characters as numbers with edges between paragraphs, and the places to cut at."""
    edge = [0] * WINDOW
    codes: list[int] = list(edge)
    cuts: list[int] = []
    for line in lines:
        start = len(codes)
        codes += [place.get(char, 1) for char in line]
        codes += edge
        cuts += [
            start + at
            for at in range(2, len(line) - 2)
            if line[at - 1] not in ENDS + "”" and line[at] not in "，。、；：”）！？"
        ]
    return np.array(codes, np.int16), np.array(cuts, np.int32)


def fit(data: Path, steps: int) -> None:
    """Fit, print how often real neighbours come before others, write."""
    torch.manual_seed(SEED)
    lines = read(data)
    count = Counter(char for line in lines for char in line)
    letters = [char for char, _ in count.most_common(LETTERS)]
    place = {char: number for number, char in enumerate(letters, 2)}
    codes, cuts = numbered(lines, place)
    apart = len(cuts) // 200
    cuts, kept = cuts[:-apart], cuts[-apart:]
    print(f"{len(lines)} paragraphs, {len(cuts)} places to cut", flush=True)
    model = Ends(len(letters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.05)
    dice = np.random.default_rng(SEED)
    back, ahead = np.arange(-WINDOW, 0), np.arange(WINDOW)

    def batch(source: np.ndarray, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs of eight places near each other."""
        first = dice.integers(0, len(source) - 400, size // 8)
        spots = source[first[:, None] + np.sort(dice.integers(0, 400, (size // 8, 8)), 1)].ravel()
        return (
            torch.from_numpy(codes[spots[:, None] + back].astype(np.int64)),
            torch.from_numpy(codes[spots[:, None] + ahead].astype(np.int64)),
        )

    def others(right: torch.Tensor) -> list[torch.Tensor]:
        runs = right.view(-1, 8, right.shape[-1])
        found = [runs.roll(1 + step * 3, 1).reshape(right.shape) for step in range(NEAR)]
        return found + [right.roll(8 * (1 + step * 7), 0) for step in range(FAR)]

    loss_of = torch.nn.functional.softplus
    mean = 0.0
    for step in range(steps):
        left, right = model.sides(*batch(cuts, BATCH))
        loss = loss_of(-model.odds(left, right)).mean()
        for other in others(right):
            loss = loss + loss_of(model.odds(left, other)).mean() / (NEAR + FAR)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean += (loss.item() / 2 - mean) / min(step + 1, 200)
        if step % 200 == 199:
            print(f"  step {step + 1}: loss {mean:.4f}", flush=True)
    with torch.no_grad():
        left, right = model.sides(*batch(kept, 32768))
        true = model.odds(left, right)
        order = [(true > model.odds(left, other)).float().mean().item() for other in others(right)]
    print(f"kept apart: before one of the same text {order[0]:.3f}, of another {order[-1]:.3f}")
    stored: dict[str, Any] = {"alphabet": np.array(list("".join(letters)))}
    for name, value in model.state_dict().items():
        stored[name] = value.numpy().astype(np.float16)
    np.savez_compressed(OUT, **stored)
    print(f"{OUT.name}: {OUT.stat().st_size // 1024} KiB")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    args = parser.parse_args()
    if "HANSPAN_DATA" not in os.environ:
        sys.exit("HANSPAN_DATA is not set; expected the folder of the data")
    fit(Path(os.environ["HANSPAN_DATA"]), args.steps)


if __name__ == "__main__":
    main()
