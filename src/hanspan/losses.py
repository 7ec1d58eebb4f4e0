"""Pieces of the training loss, each a small function of tensors.

Characters fall in three kinds: labelled by a rule (soft target), certainly no entity (``O``),
and unknown. Of the unknown a drawn share is trained as ``O`` (chosen in :mod:`hanspan.rows`);
:func:`missed_mentions` takes those back where the model itself is sure of an entity.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """``-sum(targets * log_softmax(logits))`` over the last axis, in float32.

    Args:
        logits: (..., classes).
        targets: (..., classes), rows summing to 1, or to 0 where the result is not used.
    """
    return -(targets * logits.float().log_softmax(-1)).sum(-1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """``sum(values * weights) / sum(weights)``; 0 where all weights are 0."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def allowance(expected: Tensor, key: tuple[int, ...]) -> Tensor:
    """Whole numbers (labels,) that are ``expected`` on average over many keys.

    A rare type is due less than one character a batch: rounded up, it would get many times what
    is due. The draw depends on ``key`` alone, so that a run that goes on draws the same.
    """
    draw = np.random.default_rng(key).random(len(expected), np.float32)
    return (expected + torch.from_numpy(draw).to(expected.device)).floor()


def missed_mentions(
    logits: Tensor, droppable: Tensor, threshold: float, allowance: Tensor
) -> Tensor:
    """Which unknown characters, trained as ``O``, the model is sure are part of an entity.

    Args:
        logits: (B, L, 1 + 4 * labels).
        droppable: bool (B, L), the characters in question.
        threshold: probability of any entity from which the model counts as sure.
        allowance: (labels,), the most characters of each type that may be dropped in this
            batch. The surest go first. It keeps a type with few labels from growing without
            any ``O`` to hold it back.

    Returns:
        bool (B, L), True where the loss is to be dropped. No gradient flows through it.
    """
    with torch.no_grad():
        probs = logits.float().softmax(-1)
        entity = 1 - probs[..., 0]
        sure = droppable & (entity >= threshold)
        if not bool(sure.any()):
            return sure
        by_type = probs[..., 1:].unflatten(-1, (-1, 4)).sum(-1)
        kind = by_type.argmax(-1)[sure]
        score = entity[sure]
        order = torch.argsort(score, descending=True, stable=True)
        # Rank of each candidate within its type, by falling certainty.
        hot = torch.nn.functional.one_hot(kind[order], by_type.shape[-1])
        rank = (hot.cumsum(0) * hot).sum(-1) - 1
        kept = torch.zeros_like(score, dtype=torch.bool)
        kept[order] = rank < allowance.to(rank.device)[kind[order]]
        out = torch.zeros_like(sure)
        out[sure] = kept
        return out


def tag_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    droppable: Tensor,
    *,
    threshold: float | None = None,
    allowance: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean soft cross-entropy of the characters that count, and how many were dropped.

    Args:
        logits, targets: (B, L, tags).
        weights: (B, L), 0 where a character does not count.
        droppable: bool (B, L), see :func:`missed_mentions`.
        threshold: None leaves every character in.
        allowance: required with ``threshold``.
    """
    dropped = torch.zeros((), device=logits.device)
    if threshold is not None and allowance is not None:
        drop = missed_mentions(logits, droppable, threshold, allowance)
        weights = weights.masked_fill(drop, 0.0)
        dropped = drop.sum()
    return weighted_mean(soft_cross_entropy(logits, targets), weights), dropped


def broken_pairs(logits: Tensor, weights: Tensor) -> Tensor:
    """How little neighbouring tags fit: ``-log`` of the probability that a pair may stand.

    After ``O``, E or S come ``O``, B or S; after B or I of a type, I or E of that type. Where
    this is near 0, each token's best tag alone spells whole spans, as the best path does.

    Args:
        logits: (B, L, 1 + 4 * labels).
        weights: (B, L), 0 where a token does not count; a pair counts where both tokens do.

    Returns:
        The mean over the pairs that count; 0 where there is none.
    """
    probs = logits.float().softmax(-1)
    outside = probs[..., 0]
    begin, inside, end, single = probs[..., 1:].unflatten(-1, (-1, 4)).unbind(-1)
    closed, opening = outside + (end + single).sum(-1), outside + (begin + single).sum(-1)
    going_on = ((begin + inside)[:, :-1] * (inside + end)[:, 1:]).sum(-1)
    fits = closed[:, :-1] * opening[:, 1:] + going_on
    return weighted_mean(-fits.clamp(min=1e-6).log(), weights[:, :-1] * weights[:, 1:])
