"""Which characters to hide: short spans, a constant number of them in every batch.

A constant count keeps the shapes of the prediction head fixed, so that a compiled step is
compiled once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hanspan.pretrain.tokenizer import FIRST_CHAR, MASK, SEP, UNK


@dataclass(frozen=True)
class MaskSettings:
    """`rate` of all positions are predicted, in spans of geometric length with mean `mean_span`.

    Of the chosen, `keep` stay as they are, `swap` become a random character, the rest [MASK].
    """

    rate: float = 0.2
    mean_span: float = 2.0
    longest: int = 8
    keep: float = 0.1
    swap: float = 0.1


def target_count(settings: MaskSettings, positions: int) -> int:
    """How many positions of a batch are predicted; the same for every batch of that size."""
    return max(1, round(settings.rate * positions))


def choose_positions(
    ids: npt.NDArray[np.int64], settings: MaskSettings, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Flat positions to predict, sorted, shape (K,) with K = target_count of ids.size.

    `ids` is a batch of shape (B, S). Spans stop at special tokens and at the end of a row. Where
    a batch holds fewer ordinary characters than K, special tokens fill the count.
    """
    wanted = target_count(settings, ids.size)
    flat, length = ids.reshape(-1), ids.shape[1]
    # Twice the expected number of spans is enough; the rest is filled below in any case.
    starts = rng.permutation(flat.size)[: 2 * int(wanted / settings.mean_span) + 64]
    spans = np.minimum(rng.geometric(1 / settings.mean_span, starts.size), settings.longest)
    steps = np.arange(settings.longest)
    grid = starts[:, None] + steps
    inside = (steps < spans[:, None]) & (grid // length == (starts // length)[:, None])
    ordinary = np.where(inside, flat[np.minimum(grid, flat.size - 1)] >= FIRST_CHAR, False)
    ordinary = np.logical_and.accumulate(ordinary, axis=1)  # a marker ends the span
    order = grid[ordinary]
    _, first = np.unique(order, return_index=True)
    chosen = order[np.sort(first)[:wanted]]
    if chosen.size < wanted:  # ordinary characters first, markers last
        rest = np.setdiff1d(rng.permutation(flat.size), chosen, assume_unique=True)
        rest = rest[np.argsort(flat[rest] < FIRST_CHAR, kind="stable")]
        chosen = np.concatenate([chosen, rest[: wanted - chosen.size]])
    return np.sort(chosen)


def hide(
    ids: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    settings: MaskSettings,
    vocab_size: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """A copy of `ids` (B, S) with the chosen flat positions hidden.

    One in ten of the swapped characters becomes [UNK], so that its embedding is trained too.
    """
    hidden = ids.copy().reshape(-1)
    draw = rng.random(positions.size)
    random_ids = rng.integers(FIRST_CHAR, vocab_size, positions.size)
    random_ids[rng.random(positions.size) < 0.1] = UNK
    replaced = np.where(draw < settings.keep, hidden[positions], MASK)
    swapped = (draw >= settings.keep) & (draw < settings.keep + settings.swap)
    replaced = np.where(swapped, random_ids, replaced)
    # Fillers beyond the ordinary characters stay visible: a hidden [SEP] teaches nothing.
    hidden[positions] = np.where(hidden[positions] > SEP, replaced, hidden[positions])
    return hidden.reshape(ids.shape)
