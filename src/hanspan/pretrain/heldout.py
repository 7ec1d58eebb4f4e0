"""Masked accuracy on held-out text by source, and the floor beside it."""

import json
from pathlib import Path
from typing import Any

import torch

from hanspan.data import whole
from hanspan.pretrain.corpus import Shards
from hanspan.pretrain.floor import heldout_targets, neighbour_floor
from hanspan.pretrain.network import SparseLoss
from hanspan.pretrain.tokenizer import MASK

Scores = dict[str, tuple[float, float]]


@torch.no_grad()
def heldout_scores(model: Any, shards: Shards, rows: int) -> Scores:
    """Loss (nats) and accuracy by source on held-out text: 15 % single characters, all [MASK]."""
    sparse = SparseLoss(model)
    device = next(model.parameters()).device
    result = {}
    for name, ids in sorted(shards.heldout.items()):
        if ids.size < 126:  # less than one window
            continue
        batch, positions = heldout_targets(ids, rows)
        hidden = batch.copy()
        hidden.reshape(-1)[positions] = MASK
        targets = torch.from_numpy(batch.reshape(-1)[positions]).to(device)
        logits = sparse.logits(
            torch.from_numpy(hidden).to(device), torch.from_numpy(positions).to(device)
        ).float()
        loss = torch.nn.functional.cross_entropy(logits, targets)
        right = (logits.argmax(-1) == targets).float().mean()
        result[name] = (round(float(loss), 4), round(float(right), 4))
    return result


def cached_floor(shards: Shards, rows: int) -> dict[str, float]:
    """`neighbour_floor` of these shards, counted once and kept beside them."""
    path = _floor_path(shards.folder, rows)
    if not path.exists():
        floor = neighbour_floor(shards.train, shards.heldout, shards.vocab_size, rows)
        try:
            with whole(path) as temporary:
                temporary.write_text(json.dumps(floor), encoding="utf-8")
        except OSError:  # shards that may be read alone
            return floor
    return json.loads(path.read_text(encoding="utf-8"))


def known_floor(folder: Path, rows: int) -> float | None:
    """Mean over sources of the floor kept beside the shards, or None where none is yet."""
    path = _floor_path(folder, rows)
    if not path.is_file():
        return None
    floor = json.loads(path.read_text(encoding="utf-8"))
    return sum(floor.values()) / max(1, len(floor))


def _floor_path(folder: Path, rows: int) -> Path:
    return folder / f"floor-{rows}.json"


def score_table(scores: Scores, floor: dict[str, float], shards: Shards) -> list[tuple[Any, ...]]:
    """Rows (source, training characters, loss, accuracy, floor), and last the mean of sources."""
    rows: list[tuple[Any, ...]] = [
        (name, int(shards.train[name].size), loss, accuracy, floor[name])
        for name, (loss, accuracy) in scores.items()
    ]
    total = sum(int(ids.size) for ids in shards.train.values())
    means = [round(sum(r[i] for r in rows) / max(1, len(rows)), 4) for i in (2, 3, 4)]
    return [*rows, ("mean", total, *means)]
