"""Soft labels: what the label model tells the trainer, character by character.

The labels wing writes them, the model wing reads them; neither imports the other.
They live beside the documents: ``train.jsonl`` has ``train.soft.npz``, row for row.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanspan.data import whole
from hanspan.errors import HanspanError

BROKEN_NPZ = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error,
              NotImplementedError)  # fmt: skip
"""What reading an npz raises that is damaged, cut, or of another kind."""
UNKNOWN, NEGATIVE, POSITIVE = 0, 1, 2
"""State of a character: no rule spoke; certainly no entity; part of an entity."""


def bioes_tags(labels: list[str] | tuple[str, ...]) -> list[str]:
    """``O``, then B-, I-, E-, S- of each label in the order given: 1 + 4 * len(labels) tags."""
    return ["O", *(f"{part}-{label}" for label in labels for part in "BIES")]


def likeliest(topic_prob: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of each document's topic distribution (documents, topics) the highest entry alone.

    Those who tie for it stay, the others become 0.
    """
    highest = topic_prob.max(-1, keepdims=True, initial=0.0)
    return np.where(topic_prob == highest, topic_prob, topic_prob.dtype.type(0))


def soft_path(documents: str | os.PathLike[str]) -> Path:
    """The place of the soft labels of a documents file: ``x.jsonl.gz`` -> ``x.soft.npz``."""
    path = Path(documents)
    return path.with_name(path.name.split(".jsonl")[0].removesuffix(".parquet") + ".soft.npz")


@dataclass(frozen=True)
class SoftLabels:
    """Soft labels of N documents with C characters in all.

    Attributes:
        labels: entity types, in the order of the tags.
        topics: classes of a document; may be empty.
        offsets: int64 (N + 1,), document i holds characters ``offsets[i]:offsets[i+1]``.
        state: uint8 (C,), one of UNKNOWN, NEGATIVE, POSITIVE.
        char: int64 (M,), sorted; the character of entry m of the sparse tag distribution.
        tag: uint8 (M,), index into ``bioes_tags(labels)``.
        prob: float32 (M,); the entries of one character sum to 1. Every POSITIVE character has
            entries; others may (evidence below the vote), and most have none.
        topic_prob: float32 (N, K); a row of zeros means that no rule spoke.
    """

    labels: tuple[str, ...]
    topics: tuple[str, ...]
    offsets: NDArray[np.int64]
    state: NDArray[np.uint8]
    char: NDArray[np.int64]
    tag: NDArray[np.uint8]
    prob: NDArray[np.float32]
    topic_prob: NDArray[np.float32]

    def __post_init__(self) -> None:
        if len(self.labels) > 63:
            raise HanspanError(f"{len(self.labels)} labels found, at most 63 expected")
        if len(self.state) != int(self.offsets[-1]):
            raise HanspanError(
                f"soft labels: {len(self.state)} states for {int(self.offsets[-1])} characters"
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def dense(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Distribution (L, T) over tags and state (L,) of the characters of one document.

        Characters without entries have an all-zero row.
        """
        lo, hi = int(self.offsets[index]), int(self.offsets[index + 1])
        out = np.zeros((hi - lo, 1 + 4 * len(self.labels)), np.float32)
        a, b = np.searchsorted(self.char, (lo, hi))
        out[self.char[a:b] - lo, self.tag[a:b]] = self.prob[a:b]
        return out, self.state[lo:hi]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npz`` without pickles; whole or not at all."""
        with whole(path) as temporary:
            with temporary.open("wb") as stream:
                np.savez_compressed(
                    stream,
                    labels=np.array(self.labels, dtype=np.str_),
                    topics=np.array(self.topics, dtype=np.str_),
                    offsets=self.offsets.astype(np.int64),
                    state=self.state.astype(np.uint8),
                    char=self.char.astype(np.int64),
                    tag=self.tag.astype(np.uint8),
                    prob=self.prob.astype(np.float16),
                    topic_prob=self.topic_prob.astype(np.float16),
                )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SoftLabels:
        """Read what :meth:`save` wrote.

        Raises:
            HanspanError: if the file is missing or is no such file.
        """
        path = Path(path)
        if not path.is_file():
            raise HanspanError(
                f"{path}: no such file; expected the soft labels that "
                f"'hanspan aggregate IN.jsonl OUT.jsonl' writes beside its output"
            )
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    tuple(str(label) for label in file["labels"]),
                    tuple(str(topic) for topic in file["topics"]),
                    file["offsets"],
                    file["state"],
                    file["char"],
                    file["tag"],
                    file["prob"].astype(np.float32),
                    file["topic_prob"].astype(np.float32),
                )
        except BROKEN_NPZ as err:
            raise HanspanError(f"{path}: damaged or no soft labels ({err})") from None
