"""What counting neighbours guesses: the floor beside every masked accuracy.

A hidden character is guessed from its two neighbours by counts over the training shards: the
most frequent character between these two; where the pair was never seen, the best product of
the two one-sided counts; where a neighbour is hidden too, the other side alone.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hanspan.pretrain.masking import MaskSettings, choose_positions
from hanspan.pretrain.sampling import heldout_batch
from hanspan.pretrain.tokenizer import FIRST_CHAR, SEP

Ids = npt.NDArray[np.uint16]
SINGLE_MASKS = MaskSettings(rate=0.15, mean_span=1.0, longest=1, keep=0.0, swap=0.0)
HELDOUT_SEED = 15


def heldout_targets(
    ids: Ids, rows: int, length: int = 128
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Windows (R, length) of a held-out part and the flat positions to guess: 15 %, single."""
    batch = heldout_batch(ids, length, rows)
    return batch, choose_positions(batch, SINGLE_MASKS, np.random.default_rng(HELDOUT_SEED))


def neighbour_floor(
    train: Mapping[str, Ids], heldout: Mapping[str, Ids], vocab_size: int, rows: int = 64
) -> dict[str, float]:
    """Share of hidden characters that counting neighbours guesses, by source.

    The positions are those on which `Trainer.heldout` scores the network.
    """
    v = vocab_size
    cases = {n: _contexts(*heldout_targets(i, rows)) for n, i in heldout.items() if i.size >= 126}
    wanted = np.zeros(v * v, dtype=bool)
    for left, _, right in cases.values():
        wanted[left * v + right] = True
    between: list[npt.NDArray[np.int64]] = []
    pairs = np.zeros(v * v, dtype=np.int32)
    for ids in train.values():
        wide = ids.astype(np.int64)
        pairs += np.bincount(wide[:-1] * v + wide[1:], minlength=v * v).astype(np.int32)
        context = wide[:-2] * v + wide[2:]
        here = wanted[context]
        between.append(context[here] * v + wide[1:-1][here])
    keys, counts = np.unique(np.concatenate(between), return_counts=True)
    order = np.lexsort((counts, keys // v))  # the last of each context is its most frequent
    keys = keys[order]
    last = np.flatnonzero(np.append(np.diff(keys // v) != 0, True)) if keys.size else order
    best = dict(zip((keys[last] // v).tolist(), (keys[last] % v).tolist(), strict=True))
    table = pairs.reshape(v, v)
    table[:, :FIRST_CHAR] = 0  # markers are never the answer
    unigram = table.sum(0).astype(np.float64)
    result = {}
    for name, (left, middle, right) in cases.items():
        right_count = 0
        for a, c, b in zip(left.tolist(), middle.tolist(), right.tolist(), strict=True):
            guess = best.get(a * v + b) if a and b else None
            if guess is None:
                guess = _one_sided(table, unigram, a, b)
            right_count += guess == c
        result[name] = round(right_count / max(1, middle.size), 4)
    return result


def _contexts(
    batch: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Left neighbour, hidden character, right neighbour; a hidden neighbour is 0."""
    seen = batch.reshape(-1).copy()
    seen[seen < SEP] = SEP  # [CLS] begins a text as [SEP] ends the one before
    truth = seen[positions].copy()
    seen[positions] = 0
    return seen[positions - 1], truth, seen[np.minimum(positions + 1, seen.size - 1)]


def _one_sided(
    table: npt.NDArray[np.int32], unigram: npt.NDArray[np.float64], a: int, b: int
) -> int:
    score = np.zeros(unigram.size)
    if a:
        score += np.log(table[a] + 0.1)
    if b:
        score += np.log(table[:, b] + 0.1)
    if a and b:
        score -= np.log(unigram + 10.0)
    if not a and not b:
        score = unigram.copy()
    score[:FIRST_CHAR] = -np.inf
    return int(score.argmax())
