"""Characters <-> tokens, windows over long texts, soft labels of tokens, and reading spans.

No torch here: the same code serves training, ``predict`` and the ONNX backend. A *unit* is a
token that carries a label: every token but special ones and the later pieces of a character
that a byte-level tokenizer splits. Offsets count code points of the original text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hanspan.data import Document, Span
from hanspan.decode import decode, softmax
from hanspan.errors import HanspanError
from hanspan.meta import ModelMeta

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Forward = Callable[
    [NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.floating], NDArray[np.floating]]
]
"""``(input_ids, attention_mask) -> (tag_logits (B, L, tags), topic_logits (B, topics))``."""

_CODE_POINTS = 0x110000
_TEXTS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens of one text without special tokens.

    Attributes:
        ids: token ids (n,).
        units: index of each unit in ``ids`` (k,).
        start: first character of each unit (k,), increasing.
        end: one past the last character of each unit (k,).
    """

    ids: NDArray[np.int64]
    units: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a text's tokens that goes through the model at once.

    ``start:end`` are the tokens in the window; it answers for ``own_start:own_end`` only. The
    own parts of a text's windows tile it, so no token is lost and none is counted twice.
    """

    start: int
    end: int
    own_start: int
    own_end: int


@dataclass(frozen=True, slots=True)
class Tagged:
    """What the model says of one text: spans, and the probability of each topic."""

    spans: tuple[Span, ...]
    topic_probs: NDArray[np.float64]


class TextEncoder:
    """Turns texts into token ids with offsets.

    A tokenizer that makes one token of each character (``FixedLength(1)`` and one-to-one
    replacements, as :mod:`hanspan.pretrain.tokenizer` builds it) is read into a table of code
    points, some fifty times as fast as the tokenizer itself; any other goes by its offsets.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        probe = tokenizer.encode("的")
        special = np.array(probe.special_tokens_mask, bool)
        inner = np.flatnonzero(~special)
        first, last = (inner[0], inner[-1] + 1) if len(inner) else (1, 1)
        self.prefix: list[int] = list(probe.ids[:first])
        self.suffix: list[int] = list(probe.ids[last:])
        self.table = _char_table(tokenizer)
        self.pad: int = _first_id(tokenizer, "[PAD]", "<pad>") or 0
        self.mask: int | None = _first_id(tokenizer, "[MASK]", "<mask>", "[UNK]", "<unk>")

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str]) -> TextEncoder:
        """Read ``tokenizer.json`` of a model folder.

        Raises:
            HanspanError: if it is missing or unreadable.
        """
        from tokenizers import Tokenizer

        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise HanspanError(
                f"{folder}: no tokenizer.json found; expected a model folder with a fast "
                f"tokenizer (tokenizer.save_pretrained writes one)"
            )
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as err:  # tokenizers raises bare Exception
            raise HanspanError(f"{path}: cannot be read as a tokenizer ({err})") from None

    @property
    def special(self) -> int:
        """How many special tokens each window has."""
        return len(self.prefix) + len(self.suffix)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Token ids and offsets of each text, uncut."""
        if self.table is not None:
            return [self._encode_chars(text, self.table) for text in texts]
        rows = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [
            _from_offsets(row.ids, row.offsets, text) for row, text in zip(rows, texts, strict=True)
        ]

    @staticmethod
    def _encode_chars(text: str, table: NDArray[np.int32]) -> Encoded:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        where = np.arange(len(points), dtype=np.int64)
        return Encoded(table[points].astype(np.int64), where, where, where + 1)


def _first_id(tokenizer: Tokenizer, *names: str) -> int | None:
    found = (tokenizer.token_to_id(name) for name in names)
    return next((number for number in found if number is not None), None)


def _from_offsets(ids: Sequence[int], offsets: Sequence[tuple[int, int]], text: str) -> Encoded:
    spans = np.array(offsets, np.int64).reshape(-1, 2)
    for token, (start, end) in enumerate(offsets):  # bytes and Metaspace take the space before
        if end - start > 1 and (word := text[start:end].lstrip()):
            spans[token, 0] = end - len(word)
    # A mark of a word's beginning that the word's own token covers: not a place of its own.
    covered = (spans[:-1, 0] == spans[1:, 0]) & (spans[:-1, 1] < spans[1:, 1])
    spans[:-1][covered, 1] = spans[:-1][covered, 0]
    ends = np.maximum.accumulate(np.concatenate([[0], spans[:, 1]]))[:-1]
    # An empty token, or a further piece of a character that is taken, carries no label.
    units = np.flatnonzero((spans[:, 1] > spans[:, 0]) & (spans[:, 0] >= ends))
    return Encoded(np.array(ids, np.int64), units, spans[units, 0], spans[units, 1])


def _char_table(tokenizer: Tokenizer) -> NDArray[np.int32] | None:
    """Id of each code point, or None where the tokenizer is not one token a character."""
    spec = json.loads(tokenizer.to_str())
    split = spec.get("pre_tokenizer") or {}
    model = spec["model"]
    if split.get("type") != "FixedLength" or split.get("length") != 1:
        return None
    if model["type"] != "WordLevel" or model["unk_token"] not in model["vocab"]:
        return None
    table = np.full(_CODE_POINTS, model["vocab"][model["unk_token"]], np.int32)
    for token, number in model["vocab"].items():
        if len(token) == 1:
            table[ord(token)] = number
    norm = spec.get("normalizer")
    steps = [] if norm is None else norm["normalizers"] if norm["type"] == "Sequence" else [norm]
    # A later replacement sees the result of the earlier ones, so work from the last backwards.
    for step in reversed(steps):
        old, new = (step.get("pattern") or {}).get("String", ""), step.get("content", "")
        if step["type"] != "Replace" or len(old) != 1 or len(new) != 1:
            return None
        table[ord(old)] = table[ord(new)]
    return table


def plan_windows(
    length: int, size: int, overlap: int, breaks: NDArray[np.bool_] | None = None
) -> list[Window]:
    """Windows of at most ``size`` tokens over ``length`` tokens.

    Args:
        length: tokens of the text; 0 gives one empty window.
        size: most tokens of a window, at least 1.
        overlap: tokens that neighbours share; the seam lies in its middle.
        breaks: (length,) True after which token a window may end well (a sentence end); used
            where one lies in the last quarter of the window and ``overlap`` is 0.
    """
    if size < 1:
        raise HanspanError(f"window of {size} tokens found, at least 1 expected")
    if length <= size:
        return [Window(0, length, 0, length)]
    overlap = min(overlap, size - 1)
    plan: list[Window] = []
    start = own = 0
    while True:
        end = min(start + size, length)
        if end == length:
            plan.append(Window(start, end, own, end))
            return plan
        if breaks is not None and not overlap:
            good = np.flatnonzero(breaks[end - size // 4 : end])
            end = end - size // 4 + int(good[-1]) + 1 if len(good) else end
        seam = end - overlap // 2
        plan.append(Window(start, end, own, seam))
        start, own = end - overlap, seam


def collate(
    rows: Sequence[NDArray[np.int64]], encoder: TextEncoder, length: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add special tokens, pad to at least ``length``: ``(input_ids, attention_mask)``, (B, L).

    A row without any token is read as one padding token.
    """
    before = len(encoder.prefix)
    longest = max(length, 1, max(len(row) for row in rows) + encoder.special)
    ids = np.full((len(rows), longest), encoder.pad, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for number, row in enumerate(rows):
        end = before + len(row)
        ids[number, :before] = encoder.prefix
        ids[number, before:end] = row
        ids[number, end : end + len(encoder.suffix)] = encoder.suffix
        mask[number, : max(1, end + len(encoder.suffix))] = 1
    return ids, mask


def unit_targets(
    char_probs: NDArray[np.floating], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Tag distribution of units from that of characters.

    Args:
        char_probs: (characters, 1 + 4 * labels); rows sum to 1, or are all zero.
        start, end: characters of each unit, as in :class:`Encoded`.

    A unit of one character keeps its row. For a longer one the label's mass is the mean over
    its characters, split over B, I, E, S by whether its first character opens the span and its
    last one closes it.
    """
    out = char_probs[start].astype(np.float32)
    for unit in np.flatnonzero(end - start > 1):
        rows = char_probs[start[unit] : end[unit]]
        by_label = rows[:, 1:].reshape(len(rows), -1, 4)
        mass = by_label.sum(-1)
        opens = by_label[0, :, 0] + by_label[0, :, 3]
        closes = by_label[-1, :, 2] + by_label[-1, :, 3]
        opens = np.divide(opens, mass[0], out=np.zeros_like(opens), where=mass[0] > 0)
        closes = np.divide(closes, mass[-1], out=np.zeros_like(closes), where=mass[-1] > 0)
        mean = mass.mean(0)
        parts = [opens * (1 - closes), (1 - opens) * (1 - closes), (1 - opens) * closes]
        out[unit, 1:] = (np.stack([*parts, opens * closes], -1) * mean[:, None]).ravel()
        out[unit, 0] = rows[:, 0].mean()
    return out


def unit_state(
    state: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """State of units: the highest of their characters (POSITIVE > NEGATIVE > UNKNOWN)."""
    if not len(start):
        return np.zeros(0, np.uint8)
    padded = np.append(state, np.uint8(0))
    pairs = np.stack([start, end], -1).ravel()
    return np.maximum.reduceat(padded, pairs)[::2].astype(np.uint8)


def emissions(
    texts: Sequence[str],
    encoder: TextEncoder,
    forward: Forward,
    meta: ModelMeta,
    *,
    batch_tokens: int = 4096,
) -> Iterator[tuple[Encoded, NDArray[np.float32], NDArray[np.float64]]]:
    """Run the model over texts of any length.

    Yields, text by text: its tokens, the tag logits of its units (k, tags), each taken from the
    window in which it lies deepest, and topic probabilities (topics,) averaged over windows.
    """
    size = max(1, meta.max_length - encoder.special)
    for at in range(0, len(texts), _TEXTS_AT_ONCE):
        part = encoder.encode(texts[at : at + _TEXTS_AT_ONCE])
        jobs = [
            (number, window)
            for number, row in enumerate(part)
            for window in plan_windows(len(row.ids), size, meta.overlap)
        ]
        jobs.sort(key=lambda job: job[1].end - job[1].start)
        logits: list[NDArray[np.float32]] = [
            np.zeros((len(row.ids), 1 + 4 * len(meta.labels)), np.float32) for row in part
        ]
        topics = np.zeros((len(part), len(meta.topics)))
        for batch in _batches(jobs, batch_tokens, encoder.special):
            ids, mask = collate([part[n].ids[w.start : w.end] for n, w in batch], encoder)
            tag_logits, topic_logits = forward(ids, mask)
            topic_probs = softmax(topic_logits / meta.topic_temperature) if meta.topics else None
            for row, (number, window) in enumerate(batch):
                first = len(encoder.prefix) - window.start
                own = slice(window.own_start + first, window.own_end + first)
                logits[number][window.own_start : window.own_end] = tag_logits[row, own]
                if topic_probs is not None:
                    share = window.own_end - window.own_start
                    topics[number] += topic_probs[row] * max(share, 1)
        totals = np.maximum(topics.sum(-1, keepdims=True), 1e-12)
        for number, encoded in enumerate(part):
            yield encoded, logits[number][encoded.units], (topics / totals)[number]


def _batches(
    jobs: list[tuple[int, Window]], batch_tokens: int, special: int
) -> Iterator[list[tuple[int, Window]]]:
    batch: list[tuple[int, Window]] = []
    for job in jobs:  # sorted by length, so the newest is the longest
        if batch and (len(batch) + 1) * (job[1].end - job[1].start + special) > batch_tokens:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def tag_texts(
    texts: Sequence[str],
    encoder: TextEncoder,
    forward: Forward,
    meta: ModelMeta,
    *,
    batch_tokens: int = 4096,
    scores: bool = True,
) -> Iterator[Tagged]:
    """Spans and topic probabilities of each text: what dev score, predict and ONNX all call."""
    pending: list[tuple[Encoded, NDArray[np.float32], NDArray[np.float64]]] = []
    for row in emissions(texts, encoder, forward, meta, batch_tokens=batch_tokens):
        pending.append(row)
        if len(pending) == _TEXTS_AT_ONCE:
            yield from _read(pending, meta, scores)
            pending = []
    yield from _read(pending, meta, scores)


def _read(
    rows: list[tuple[Encoded, NDArray[np.float32], NDArray[np.float64]]],
    meta: ModelMeta,
    scores: bool,
) -> Iterator[Tagged]:
    found = decode([row[1] for row in rows], temperature=meta.temperature, scores=scores)
    for (encoded, _, topic_probs), units in zip(rows, found, strict=True):
        spans = []
        for unit in units:
            label = meta.labels[unit.label]
            if unit.score >= meta.thresholds.get(label, 0.0):
                start, end = int(encoded.start[unit.start]), int(encoded.end[unit.end - 1])
                spans.append(Span(start, end, label, round(unit.score, 4), "model"))
        yield Tagged(tuple(spans), topic_probs)


def scores_by_topic(meta: ModelMeta, probs: NDArray[np.floating]) -> dict[str, float]:
    """Probability of each topic by its name, to four places."""
    return {topic: round(float(score), 4) for topic, score in zip(meta.topics, probs, strict=True)}


def tag_documents(
    documents: Iterable[Document],
    encoder: TextEncoder,
    forward: Forward,
    meta: ModelMeta,
    *,
    batch_tokens: int = 4096,
) -> Iterator[Document]:
    """The same documents with the model's spans and ``labels["topic"]`` in place of their own.

    ``meta["topic_scores"]`` holds the probability of each topic.
    """
    chunk: list[Document] = []

    def flush() -> Iterator[Document]:
        texts = [document.text for document in chunk]
        rows = tag_texts(texts, encoder, forward, meta, batch_tokens=batch_tokens)
        for document, tagged in zip(chunk, rows, strict=True):
            labels, more = dict(document.labels), dict(document.meta)
            if meta.topics:
                labels["topic"] = meta.topics[int(tagged.topic_probs.argmax())]
                more["topic_scores"] = scores_by_topic(meta, tagged.topic_probs)
            yield Document(document.id, document.text, tagged.spans, labels, more)

    for document in documents:
        chunk.append(document)
        if len(chunk) == _TEXTS_AT_ONCE:
            yield from flush()
            chunk = []
    yield from flush()
