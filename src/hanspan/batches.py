"""Rows as tensors, for training and for reading a model's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hanspan.encode import TextEncoder, collate
from hanspan.joint import JointModel
from hanspan.model import forward_fn
from hanspan.rows import Row, dense_targets, mine_mentions, replace_mentions
from hanspan.shapes import fixed_length
from hanspan.soft import POSITIVE
from hanspan.train_settings import TrainSettings

_MOST_OF_A_TOPIC = 10.0
"""A document counts at most so many times as one of a topic of mean size."""


class RowDataset(Dataset[dict[str, Any]]):
    """Rows as dense arrays, drawn anew for each ``(epoch, row)``."""

    def __init__(
        self,
        rows: Sequence[Row],
        tags: int,
        settings: TrainSettings,
        room: int,
        mask: int | None,
        lexicon: Mapping[int, Sequence[NDArray[np.int64]]] = MappingProxyType({}),
    ) -> None:
        self.rows, self.tags, self.settings, self.room = rows, tags, settings, room
        self.mask = mask
        share = settings.replace_mentions
        self.mentions = mine_mentions(rows) if share else {}
        for label, names in lexicon.items() if share else ():
            self.mentions.setdefault(label, []).extend(names)
        self.by_topic = topic_factors(rows, settings.topic_balance)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        rng = np.random.default_rng((self.settings.seed, epoch, index))
        row, settings = self.rows[index], self.settings
        if self.mentions:
            row = replace_mentions(row, self.mentions, settings.replace_mentions, rng, self.room)
        targets, weights, droppable = dense_targets(
            row, self.tags, settings.unknown_share, settings.confidence_weight, rng
        )
        ids = row.ids
        if settings.mask_tokens and self.mask is not None:
            ids = np.where(rng.random(len(row)) < settings.mask_tokens, self.mask, ids)
        return {
            "ids": ids,
            "targets": targets,
            "weights": weights,
            "droppable": droppable,
            "topic": row.topic,
            "topic_weight": self.topic_weight(row),
        }

    def topic_weight(self, row: Row) -> float:
        """What the row's topic counts: nothing where it has none."""
        if not row.topic.any():
            return 0.0
        counts = float(row.topic.max()) if self.settings.confidence_weight else row.share
        return counts * float(self.by_topic[row.topic.argmax()])


def topic_factors(rows: Sequence[Row], balance: float) -> NDArray[np.float64]:
    """What a document of each topic counts (topics,): (mean / its number) ** ``balance``.

    Args:
        rows: with topic targets; the mean is over the topics that occur.
        balance: 0 for all alike, 1 for as much in all for each topic.
    """
    if not rows:
        return np.ones(0)
    held = np.zeros(len(rows[0].topic))
    for row in rows:
        if row.topic.any():
            held[row.topic.argmax()] += row.share
    mean = held.sum() / max(1, np.count_nonzero(held))
    factors = np.divide(mean, held, out=np.ones_like(held), where=held > 0)
    return np.minimum(factors, _MOST_OF_A_TOPIC) ** balance


class Collator:
    """Pads the rows of a batch to tensors, special tokens in place; to fixed lengths if given."""

    def __init__(self, encoder: TextEncoder, fixed: tuple[int, ...] = ()) -> None:
        self.encoder, self.fixed = encoder, fixed

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(item["ids"]) for item in items) + self.encoder.special
        length = fixed_length(longest, self.fixed)
        ids, mask = collate([item["ids"] for item in items], self.encoder, length)
        tags, first = items[0]["targets"].shape[1], len(self.encoder.prefix)
        targets = np.zeros((*ids.shape, tags), np.float32)
        weights = np.zeros(ids.shape, np.float32)
        droppable = np.zeros(ids.shape, np.float32)
        for number, item in enumerate(items):
            place = slice(first, first + len(item["ids"]))
            targets[number, place] = item["targets"]
            weights[number, place] = item["weights"]
            droppable[number, place] = item["droppable"]
        topic = np.stack([item["topic"] for item in items]).astype(np.float32)
        arrays = {
            "input_ids": ids,
            "attention_mask": mask,
            "tag_targets": targets,
            "tag_weights": weights,
            "droppable": droppable,
            "topic_targets": topic,
            "topic_weights": np.array([item["topic_weight"] for item in items], np.float32),
        }
        return {name: torch.from_numpy(value) for name, value in arrays.items()}


def label_rates(rows: Sequence[Row], tags: int) -> torch.Tensor:
    """Labelled characters of each type per token of the rows (labels,)."""
    counts = np.zeros(max(1, (tags - 1) // 4))
    total = 0
    for row in rows:
        total += len(row)
        entity = (row.state[row.where] == POSITIVE) & (row.tag > 0)
        np.add.at(counts, (row.tag[entity] - 1) // 4, row.prob[entity])
    return torch.tensor(counts / max(total, 1), dtype=torch.float32)


def row_logits(
    model: JointModel,
    rows: Sequence[Row],
    encoder: TextEncoder,
    *,
    budget: int,
    bf16: bool,
    progress: Callable[[int, int | None, str], None] | None = None,
    what: str = "",
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Tag logits of each row's tokens, and topic logits (rows, topics), in the rows' order.

    ``progress`` is called as (rows read, rows, ``what``).
    """
    was = model.training
    model.eval()
    forward = forward_fn(model, bf16=bf16)
    tags: list[NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(rows)
    topics = np.zeros((len(rows), model.n_topics), np.float32)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    at, first = 0, len(encoder.prefix)
    while at < len(order):
        end = at + 1
        while end < len(order) and (end + 1 - at) * (len(rows[order[end]]) + 2) <= budget:
            end += 1
        batch = order[at:end]
        tag_logits, topic_logits = forward(*collate([rows[i].ids for i in batch], encoder))
        for number, i in enumerate(batch):
            tags[i] = tag_logits[number, first : first + len(rows[i])].astype(np.float32)
        topics[batch] = topic_logits
        at = end
        if progress:
            progress(at, len(order), what)
    model.train(was)
    return tags, topics
