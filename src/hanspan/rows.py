"""Training rows: windows of text with soft targets, and the batches made of them.

NumPy only. Everything that is drawn (which unknown characters are trained as ``O``, which
mentions are replaced, the order of rows) is a function of (seed, epoch, row), so that a run that
was killed goes on exactly.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hanspan.data import Document
from hanspan.decode import UnitSpan, spans_to_tags, tags_to_spans
from hanspan.encode import Encoded, TextEncoder, plan_windows, unit_state, unit_targets
from hanspan.soft import NEGATIVE, POSITIVE, UNKNOWN, SoftLabels, likeliest

IGNORED = 3
"""State of a token that carries no label and takes no part in the loss."""

_ENDS = frozenset("。！？!?；;\n")


@dataclass(frozen=True, slots=True)
class Row:
    """One window of a training text.

    Attributes:
        document: index of its document.
        ids: token ids without special tokens (n,).
        state: UNKNOWN, NEGATIVE, POSITIVE or IGNORED (n,).
        where, tag, prob: sparse tag distribution of tokens; ``where`` is sorted. The entries of a
            token may sum to less than 1, which is then the strength of the evidence.
        topic: target (topics,); all zero where nothing is known. It sums to at most ``share``;
            what is missing is how weak the evidence is.
        share: of its document; one over the number of windows, so that a long one, whose parts
            differ, does not outweigh the others.
        mentions: labelled spans ``(start, end, label index)`` that lie whole in the window.
    """

    document: int
    ids: NDArray[np.int64]
    state: NDArray[np.uint8]
    where: NDArray[np.int64]
    tag: NDArray[np.int64]
    prob: NDArray[np.float32]
    topic: NDArray[np.float32]
    mentions: tuple[tuple[int, int, int], ...] = ()
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.ids)


def sparse(dense: NDArray[np.floating], floor: float = 0.0) -> tuple[NDArray[np.int64], ...]:
    """``(where, tag)`` of the entries above ``floor`` of a dense (n, tags) array."""
    where, tag = np.nonzero(dense > floor)
    return where.astype(np.int64), tag.astype(np.int64)


def build_rows(
    documents: Sequence[Document],
    soft: SoftLabels,
    encoder: TextEncoder,
    max_length: int,
    *,
    winners: bool = False,
    first: int = 0,
) -> list[Row]:
    """Windows of all documents with the soft labels of their characters.

    A document takes its likeliest topic alone, with that probability: the vote's distribution
    over topics is flat, and a student would learn the flatness.

    Args:
        documents: row for row those of ``soft``.
        soft: see :class:`hanspan.soft.SoftLabels`.
        encoder: tokenizer of the model.
        max_length: tokens of a window, special ones included.
        winners: characters of a document's spans take the tags that spell the span, with the
            highest entity mass in it for evidence; otherwise they keep their distribution, in
            which candidates nested in the winner have a share.
        first: number of the first document.
    """
    rows: list[Row] = []
    topics = likeliest(soft.topic_prob)
    size = max(1, max_length - encoder.special)
    for at in range(0, len(documents), 256):
        part = documents[at : at + 256]
        for number, encoded in enumerate(encoder.encode([d.text for d in part])):
            if not len(encoded.ids):
                continue
            dense, state = soft.dense(at + number)
            if winners:
                dense, state = _winners(part[number], dense, state, soft.labels)
            topic = topics[at + number].astype(np.float32)
            rows += _windows(
                part[number].text, encoded, dense, state, topic, size, first + at + number
            )
    return rows


def _winners(
    document: Document, dense: NDArray[np.float32], state: NDArray[np.uint8], labels: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    state = state.copy()
    for span in document.spans:
        if span.label in labels:
            place = slice(span.start, span.end)
            evidence = max(float(dense[place, 1:].sum(-1).max()), span.score)
            whole = [(0, span.end - span.start, labels.index(span.label))]
            tags = spans_to_tags(span.end - span.start, whole)
            dense[place] = 0.0
            dense[np.arange(span.start, span.end), tags] = evidence
            state[place] = POSITIVE
    return dense, state


def _windows(
    text: str,
    encoded: Encoded,
    dense: NDArray[np.float32],
    state: NDArray[np.uint8],
    topic: NDArray[np.float32],
    size: int,
    document: int,
) -> Iterator[Row]:
    n = len(encoded.ids)
    targets = np.zeros((n, dense.shape[1]), np.float32)
    targets[encoded.units] = unit_targets(dense, encoded.start, encoded.end)
    states = np.full(n, IGNORED, np.uint8)
    states[encoded.units] = unit_state(state, encoded.start, encoded.end)
    breaks = None
    if n > size:
        breaks = np.zeros(n, bool)
        breaks[encoded.units] = [text[end - 1] in _ENDS for end in encoded.end]
    mentions = labelled_spans(targets, states)
    plan = plan_windows(n, size, 0, breaks)
    share = 1 / len(plan)
    for window in plan:
        a, b = window.start, window.end
        where, tag = sparse(targets[a:b])
        yield Row(
            document,
            encoded.ids[a:b],
            states[a:b],
            where,
            tag,
            targets[a:b][where, tag],
            topic * np.float32(share),
            tuple((s - a, e - a, k) for s, e, k in mentions if a <= s and e <= b),
            share,
        )


def labelled_spans(
    targets: NDArray[np.floating], state: NDArray[np.uint8]
) -> list[tuple[int, int, int]]:
    """The whole spans that the likeliest tags of POSITIVE tokens spell.

    IGNORED tokens are parts of a character, which its first token stands for.
    """
    units = state != IGNORED
    tags = np.where((state == POSITIVE) & targets.any(-1), targets.argmax(-1), 0)[units]
    found = []
    for start, end, label in tags_to_spans(tags):
        parts = (tags[start:end] - 1) % 4
        same = ((tags[start:end] - 1) // 4 == label).all()
        whole = parts[0] in (0, 3) and parts[-1] in (2, 3)
        if same and whole and (parts[1:-1] == 1).all() and (end - start == 1) == (parts[0] == 3):
            found.append((start, end, label))
    return _in_tokens(found, units)


def unit_logits(row: Row, logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of the tag logits of a row's tokens those of its units, which alone make paths.

    Args:
        row: as :func:`build_rows` gives it; after a round of self-training IGNORED says less.
        logits: (tokens, tags).
    """
    units = row.state != IGNORED
    return logits if units.all() else logits[units]


def token_spans(row: Row, spans: Iterable[UnitSpan]) -> list[UnitSpan]:
    """Spans over the units of a row, as :func:`unit_logits` counts them, in its tokens."""
    spans = list(spans)
    places = _in_tokens([(s.start, s.end, s.label) for s in spans], row.state != IGNORED)
    return [UnitSpan(*place, s.score) for place, s in zip(places, spans, strict=True)]


def _in_tokens(
    spans: list[tuple[int, int, int]], units: NDArray[np.bool_]
) -> list[tuple[int, int, int]]:
    """Spans over units as spans over tokens; a unit reaches to the next one."""
    if units.all():
        return spans
    bounds = np.append(np.flatnonzero(units), len(units))
    return [(int(bounds[s]), int(bounds[e]), label) for s, e, label in spans]


def mine_mentions(rows: Sequence[Row], least: int = 1) -> dict[int, list[NDArray[np.int64]]]:
    """Token ids of the distinct labelled mentions of each type that occur ``least`` times.

    Mentions with tokens that are no units are left out: nothing would tell which these are.
    """
    seen: dict[tuple[int, bytes], int] = {}
    for row in rows:
        for start, end, label in row.mentions:
            if (row.state[start:end] == IGNORED).any():
                continue
            key = (label, row.ids[start:end].tobytes())
            seen[key] = seen.get(key, 0) + 1
    found: dict[int, list[NDArray[np.int64]]] = {}
    for (label, raw), count in sorted(seen.items()):
        if count >= least:
            found.setdefault(label, []).append(np.frombuffer(raw, np.int64))
    return found


def replace_mentions(
    row: Row,
    mentions: dict[int, list[NDArray[np.int64]]],
    share: float,
    rng: np.random.Generator,
    room: int,
) -> Row:
    """A copy of the row in which a share of the labelled mentions are others of their type.

    Args:
        row: the row; its other labels move along.
        mentions: see :func:`mine_mentions`.
        share: probability of each mention to be replaced.
        rng: where the draw comes from.
        room: most tokens that the row may have; a replacement that does not fit is left out.
    """
    chosen = [m for m in row.mentions if rng.random() < share and len(mentions.get(m[2], ())) > 1]
    if not chosen:
        return row
    ids, state, spans = [], [], []
    # For each old token where it lies now; -1 if it was replaced.
    moved = np.full(len(row) + 1, -1, np.int64)
    where: list[int] = []
    tag: list[int] = []
    at = length = 0
    todo = {start: (end, label) for start, end, label in chosen}
    evidence: list[np.float32] = []
    total = len(row)
    for start in sorted(todo):
        end, label = todo[start]
        options = mentions[label]
        new = options[int(rng.integers(len(options)))]
        if total + len(new) - (end - start) > room:
            continue
        total += len(new) - (end - start)
        ids += [row.ids[at:start], new]
        state += [row.state[at:start], np.full(len(new), POSITIVE, np.uint8)]
        moved[at:start] = np.arange(length, length + start - at)
        length += start - at
        base = 1 + 4 * label
        tags = [base + 3] if len(new) == 1 else [base, *[base + 1] * (len(new) - 2), base + 2]
        where += range(length, length + len(new))
        tag += tags
        evidence += [row.prob[(row.where >= start) & (row.where < end)].max()] * len(new)
        spans.append((length, length + len(new), label))
        length += len(new)
        at = end
    ids.append(row.ids[at:])
    state.append(row.state[at:])
    moved[at:] = np.arange(length, length + len(row) + 1 - at)
    kept = moved[row.where] >= 0
    all_where = np.concatenate([moved[row.where[kept]], np.array(where, np.int64)])
    order = np.argsort(all_where, kind="stable")
    new_prob = np.array(evidence, np.float32)
    others = [
        (int(moved[s]), int(moved[e - 1]) + 1, k) for s, e, k in row.mentions if moved[s] >= 0
    ]
    return replace(
        row,
        ids=np.concatenate(ids),
        state=np.concatenate(state),
        where=all_where[order],
        tag=np.concatenate([row.tag[kept], np.array(tag, np.int64)])[order],
        prob=np.concatenate([row.prob[kept], new_prob])[order],
        mentions=tuple(sorted(others + spans)),
    )


def dense_targets(
    row: Row, tags: int, unknown_share: float, weighted: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float32], ...]:
    """Targets, weights and whether an ``O`` is one that may be taken back.

    Returns:
        ``targets`` (n, tags), ``weights`` (n,), ``droppable`` (n,) as 0 and 1.
    """
    targets = np.zeros((len(row), tags), np.float32)
    targets[row.where, row.tag] = row.prob
    mass = targets.sum(-1)
    known = mass > 0
    weights = np.zeros(len(row), np.float32)
    weights[known] = targets[known].max(-1) if weighted else 1.0
    targets[known] /= mass[known, None]
    trusted = (row.state == NEGATIVE) & ~known
    drawn = (row.state == UNKNOWN) & ~known & (rng.random(len(row)) < unknown_share)
    targets[trusted | drawn, 0] = 1.0
    weights[trusted | drawn] = 1.0
    weights[row.state == IGNORED] = 0.0
    return targets, weights, drawn.astype(np.float32)


def prior_correction(rows: Sequence[Row], unknown_share: float) -> float:
    """What to add to the logit of ``O`` because only a share of the unknown was trained as ``O``.

    The log of how many times too few ``O`` the model saw (prior correction after sampling, King
    and Zeng 2001). 0 where nothing is unknown, or where none of it was trained on.
    """
    trusted = unknown = 0
    for row in rows:
        free = np.ones(len(row), bool)
        free[row.where] = False
        trusted += int((free & (row.state == NEGATIVE)).sum())
        unknown += int((free & (row.state == UNKNOWN)).sum())
    if not unknown or not unknown_share:
        return 0.0
    return float(np.log((trusted + unknown) / (trusted + unknown_share * unknown)))


def _by_length(lengths: Sequence[int], fixed: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Rows by length: (length of the longest, rows), or (fixed length, rows)."""
    bounds = iter(fixed)
    top = next(bounds, 16)
    classes: list[tuple[int, list[int]]] = []
    members: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if lengths[index] > top:
            if members:
                classes.append((top if fixed else lengths[members[-1]], members))
            members = []
            while top < lengths[index]:
                top = next(bounds, top + max(8, top // 8))
        members.append(index)
    if members:
        classes.append((top if fixed else lengths[members[-1]], members))
    return classes


class TokenBudget:
    """Batches of rows of like length, each with about the same number of tokens.

    Yields lists of ``(epoch, row)``. Rows are drawn into classes of length; what does not fill
    a batch moves on to the next longer class. The number of batches is the same in each epoch,
    and their content is a function of (seed, epoch).

    With ``fixed`` the classes are those lengths (see :mod:`hanspan.shapes`).
    """

    batch_size = None  # accelerate asks; the size varies

    def __init__(
        self, lengths: Sequence[int], budget: int, seed: int, fixed: Sequence[int] = ()
    ) -> None:
        self.budget, self.seed, self.epoch = budget, seed, 0
        self.classes = _by_length(lengths, fixed)
        self._length = sum(1 for _ in self._batches(0))

    def __len__(self) -> int:
        return self._length

    def set_epoch(self, epoch: int) -> None:
        """Whose order the next iteration gives; transformers' Trainer calls it."""
        self.epoch = epoch

    def _batches(self, epoch: int) -> Iterator[list[int]]:
        rng = random.Random(f"{self.seed}-{epoch}")
        carried: list[int] = []
        for number, (longest, members) in enumerate(self.classes):
            pool = carried + members
            rng.shuffle(pool)
            size = max(1, self.budget // longest)
            full = len(pool) // size * size
            if number == len(self.classes) - 1:
                full = len(pool)
            for at in range(0, full, size):
                yield pool[at : min(at + size, full)]
            carried = pool[full:]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batches = list(self._batches(self.epoch))
        random.Random(f"{self.seed}-{self.epoch}-order").shuffle(batches)
        for batch in batches:
            yield [(self.epoch, row) for row in batch]
