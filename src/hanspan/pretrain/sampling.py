"""Windows out of the shards: a mixture of sources, even coverage, a state of a few integers."""

import math
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hanspan.errors import HanspanError
from hanspan.pretrain.tokenizer import CLS, SEP

_GOLDEN = (math.sqrt(5) - 1) / 2
Item = TypeVar("Item")


@dataclass(frozen=True)
class Window:
    """A window length in tokens and its share of the micro-batches."""

    length: int
    share: float


def mixture(
    weights: Mapping[str, float], tokens: Mapping[str, int], temperature: float | None
) -> dict[str, float]:
    """Shares of the windows by source, which sum to 1.

    Args:
        weights: of the sources; in proportion to them without a temperature.
        tokens: of each source.
        temperature: T weighs each source by ``tokens ** (1 / T)`` too: 1 is by size, more is
            flatter (Arivazhagan et al. 2019).
    """
    power = 1 / temperature if temperature else 0.0
    shares = {name: weight * tokens[name] ** power for name, weight in weights.items()}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


class Sampler:
    """Micro-batches of packed windows as a function of (seed, number of the micro-batch).

    The k-th window of a source starts at the fraction (k · golden ratio) of its shard, moved
    back to the start of its sentence: any number of draws covers the shard evenly, and each
    pass cuts it elsewhere. All state is how often each source was drawn, `drawn`.
    """

    def __init__(
        self,
        shards: Mapping[str, npt.NDArray[np.uint16]],
        weights: Mapping[str, float],
        windows: tuple[Window, ...],
        tokens: int,
        seed: int,
        breaks: npt.NDArray[np.uint16],
        temperature: float | None = None,
    ) -> None:
        """`tokens` is the size of a micro-batch; `breaks` are the ids that end a sentence."""
        missing = sorted(set(weights) ^ set(shards))
        if missing:
            raise HanspanError(
                f"pretrain: sources {', '.join(missing)} are in only one of the mixing table and "
                "the shards; make them anew by --only shards, or give another corpus.shards"
            )
        self.names = sorted(weights)
        shares = mixture(weights, {n: int(i.size) for n, i in shards.items()}, temperature)
        self.shares = np.array([shares[n] for n in self.names])
        self.windows, self.tokens, self.seed = windows, tokens, seed
        self.drawn = dict.fromkeys(self.names, 0)
        self.number = 0
        self._ids = [shards[n] for n in self.names]
        longest = max(w.length for w in windows)
        short = [n for n, ids in zip(self.names, self._ids, strict=True) if ids.size < longest + 1]
        if short:
            raise HanspanError(
                f"pretrain: sources {', '.join(short)} hold less than one window of {longest} "
                "tokens; leave them out or give shorter windows"
            )
        ends = np.append(breaks, SEP).astype(np.uint16)
        self._starts = [
            np.concatenate([[0], np.flatnonzero(np.isin(ids[:-longest], ends)) + 1])
            for ids in self._ids
        ]

    def state(self) -> dict[str, int]:
        """Draws by source, and the number of the next micro-batch under the key ""."""
        return {"": self.number, **self.drawn}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where `state` was taken."""
        self.number = state[""]
        self.drawn = {n: state[n] for n in self.names}

    def _draw(self) -> tuple[int, npt.NDArray[np.int64], np.random.Generator]:
        """Length of the next micro-batch, the source of each row, and its random generator."""
        rng = np.random.default_rng([self.seed, self.number])
        self.number += 1
        shares = np.array([w.share for w in self.windows])
        length = self.windows[int(rng.choice(len(shares), p=shares / shares.sum()))].length
        return length, rng.choice(len(self.names), size=self.tokens // length, p=self.shares), rng

    def skip(self) -> None:
        """Leave one micro-batch out, as if another process had drawn it; reads no shard."""
        _, sources, _ = self._draw()
        for name, count in zip(self.names, np.bincount(sources, minlength=len(self.names)),
                               strict=True):  # fmt: skip
            self.drawn[name] += int(count)

    def next(self) -> tuple[npt.NDArray[np.int64], np.random.Generator]:
        """Ids of shape (tokens // length, length), and the random generator of this batch."""
        length, sources, rng = self._draw()
        batch = np.empty((sources.size, length), dtype=np.int64)
        for row, source in enumerate(sources):
            name, ids, starts = self.names[source], self._ids[source], self._starts[source]
            k = self.drawn[name] = self.drawn[name] + 1
            near = int((k * _GOLDEN) % 1.0 * (ids.size - length))
            start = starts[np.searchsorted(starts, near, side="right") - 1]
            batch[row, 1:-1] = ids[start : start + length - 2]
        batch[:, 0], batch[:, -1] = CLS, SEP
        return batch, rng


def ahead(items: Iterator[Item], count: int = 3) -> Iterator[Item]:
    """The same items, worked out by a thread up to `count` ahead of their use."""
    waiting: queue.Queue[Item | BaseException] = queue.Queue(count)

    def work() -> None:
        try:
            for item in items:
                waiting.put(item)
        except BaseException as error:
            waiting.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        item = waiting.get()
        if isinstance(item, BaseException):
            raise item
        yield item


def heldout_batch(ids: npt.NDArray[np.uint16], length: int, rows: int) -> npt.NDArray[np.int64]:
    """At most `rows` evenly spread windows of a held-out part, shape (rows, length)."""
    count = min(rows, ids.size // (length - 2))
    batch = np.empty((count, length), dtype=np.int64)
    batch[:, 0], batch[:, -1] = CLS, SEP
    for row in range(count):
        start = row * (ids.size - length + 2) // count
        batch[row, 1:-1] = ids[start : start + length - 2]
    return batch
