"""What a training reads, checked: documents, their soft labels, and which are held out."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanspan.data import ENTITY, NONE, Document, Span, read_documents
from hanspan.decode import spans_to_tags
from hanspan.encode import TextEncoder
from hanspan.encoders import encoder_files
from hanspan.errors import HanspanError
from hanspan.hidden import hide, is_drawn
from hanspan.soft import NEGATIVE, POSITIVE, SoftLabels, likeliest, soft_path
from hanspan.train_settings import TrainSettings
from hanspan.word_lists import word_list

_log = logging.getLogger("hanspan")
_LEAST_HELD = 5
_MOST = np.float32(0.999)
"""Rules are never as sure of a topic as hand labels are: self-training keeps those alone."""


@dataclass(frozen=True)
class TrainData:
    """Documents to train on and to hold out, with soft labels row for row."""

    labels: tuple[str, ...]
    topics: tuple[str, ...]
    documents: list[Document]
    soft: SoftLabels
    held_documents: list[Document]
    held_soft: SoftLabels
    warnings: tuple[str, ...]
    digest: str
    hidden: list[tuple[Span, ...]]
    """Of each held-out document, the spans that ``hide_rules`` and ``hide_mentions`` took."""


def load_train_data(path: str | os.PathLike[str], settings: TrainSettings) -> TrainData:
    """Read and check what ``settings.mode`` needs.

    ``weak`` reads ``path`` and its soft labels; ``mixed`` adds ``settings.hand``;
    ``supervised`` reads the hand labels only, from ``settings.hand`` or, without it, ``path``.

    Raises:
        HanspanError: for missing or empty files, files that do not belong together, or labels
            that the label list lacks.
    """
    path = Path(path)
    settings.check_files_are_named(soft_path(path).is_file())
    labels: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    documents: list[Document] = []
    parts: list[SoftLabels] = []
    if soft_path(path).is_file() or settings.mode != "supervised":
        weak = SoftLabels.load(soft_path(path))
        weak = replace(weak, topic_prob=np.minimum(weak.topic_prob, _MOST))
        labels, topics = weak.labels, weak.topics
        if settings.mode != "supervised":
            documents = _read(path)
            _check(path, documents, weak)
            parts.append(weak)
    if settings.mode != "weak":
        source = Path(settings.hand) if settings.hand else path
        hand = _read(source)
        if not labels and not topics:
            labels = tuple(sorted({s.label for d in hand for s in d.spans} - {ENTITY, NONE}))
            topics = tuple(sorted({d.labels["topic"] for d in hand if "topic" in d.labels}))
        parts.append(hand_labels(hand, labels, topics, source))
        documents += hand
    if not labels and not topics:
        raise HanspanError(f"{path}: no labels and no topics found; expected at least one")
    soft = join(parts)
    hidden: list[tuple[Span, ...]] = [()] * len(documents)
    if settings.hide_rules or settings.hide_mentions:
        documents, soft, hidden = hide(documents, soft, settings.hide_rules, settings.hide_mentions)
    if settings.hide_rules and not any(hidden):
        _log.warning(
            "train.hide_rules: no span was found by %s alone, so nothing is hidden; expected names "
            "of rules as weak.rules.json has them", ", ".join(settings.hide_rules),
        )  # fmt: skip
    held = held_out(documents, settings.held_out)
    kept = [i for i in range(len(documents)) if i not in held]
    chosen = sorted(held)
    shown, shown_soft = [documents[i] for i in kept], take(soft, kept)
    warnings = tuple(_warnings(shown, shown_soft, settings))
    for line in warnings:
        _log.warning(line)
    mark = hashlib.sha256()
    for document in documents:
        mark.update(document.text.encode("utf-8", "surrogatepass") + b"\0")
    for array in (soft.state, soft.char, soft.tag, soft.prob, soft.topic_prob):
        mark.update(np.ascontiguousarray(array).tobytes())
    return TrainData(
        labels,
        topics,
        shown,
        shown_soft,
        [documents[i] for i in chosen],
        take(soft, chosen),
        warnings,
        mark.hexdigest()[:16],
        [hidden[i] for i in chosen],
    )


def load_pool(path: str, like: SoftLabels) -> tuple[list[Document], SoftLabels]:
    """Documents without what labels they may have, with soft labels that say nothing."""
    documents = [replace(d, spans=(), labels={}) for d in _read(Path(path))]
    lengths = np.cumsum([0, *(len(d.text) for d in documents)]).astype(np.int64)
    empty = np.zeros(0, np.int64)
    return documents, SoftLabels(
        like.labels,
        like.topics,
        lengths,
        np.zeros(int(lengths[-1]), np.uint8),
        empty,
        empty.astype(np.uint8),
        empty.astype(np.float32),
        np.zeros((len(documents), len(like.topics)), np.float32),
    )


def load_gold(
    path: str, labels: tuple[str, ...], topics: tuple[str, ...]
) -> tuple[list[Document], SoftLabels]:
    """Hand-labelled documents that epochs are chosen by.

    Raises:
        HanspanError: if the file cannot be read; for a label not in ``labels``.
    """
    documents = _read(Path(path))
    return documents, hand_labels(documents, labels, topics, Path(path))


def load_names(
    files: Mapping[str, str], labels: Sequence[str], encoder: TextEncoder, hidden: float = 0.0
) -> dict[int, list[NDArray[np.int64]]]:
    """Token ids of names by label index, from ``train.replace_from``, but for hidden mentions.

    Raises:
        HanspanError: for a label that is not in ``labels``, a file that cannot be read or is empty.
    """
    found = {}
    for label, path in files.items():
        if label not in labels:
            raise HanspanError(
                f"train.replace_from: found label {label!r}; expected one of {', '.join(labels)}"
            )
        try:
            names = [name for _, name in word_list(Path(path)) if not is_drawn(name, hidden)]
        except (OSError, UnicodeDecodeError) as err:
            raise HanspanError(
                f"train.replace_from.{label}: {path} cannot be read ({err}); expected names in "
                f"UTF-8, one a line"
            ) from None
        if not names:
            raise HanspanError(f"train.replace_from.{label}: {path} holds no name")
        encoded = encoder.encode(names)
        bare = [e.ids[e.units[0] :] if len(e.units) else e.ids for e in encoded]
        kept = [i for i, e in zip(bare, encoded, strict=True) if 0 < len(i) == len(e.units)]
        if not kept:
            raise HanspanError(
                f"train.replace_from.{label}: the encoder splits a character of every name in "
                f"{path}; expected names it knows, or another encoder"
            )
        if left := len(names) - len(kept):
            _log.warning(
                "train.replace_from.%s: %s of %s names are left out, a character of theirs is "
                "split by the encoder", label, left, len(names),
            )  # fmt: skip
        found[labels.index(label)] = kept
    return found


def files_digest(path: str | os.PathLike[str], settings: TrainSettings) -> str:
    """Hash of all files that a training reads: labels, pool, names, a folder's encoder."""
    path, own = Path(path), encoder_files(settings.encoder)
    total = hashlib.blake2b(digest_size=16)
    for file in (path, soft_path(path), *map(Path, settings.files_read().values()), *own):
        if file.is_file():
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "blake2b").digest())
    return total.hexdigest()


def _read(path: Path) -> list[Document]:
    documents = list(read_documents(path))
    if not any(document.text for document in documents):
        raise HanspanError(f"{path}: no text found; expected at least one document")
    return documents


def _check(path: Path, documents: Sequence[Document], soft: SoftLabels) -> None:
    lengths = np.array([len(d.text) for d in documents], np.int64)
    if len(soft) != len(documents) or not np.array_equal(np.diff(soft.offsets), lengths):
        raise HanspanError(
            f"{path}: {len(documents)} documents with {int(lengths.sum())} characters, but "
            f"{soft_path(path).name} is of {len(soft)} with {int(soft.offsets[-1])}; make both "
            f"again: hanspan aggregate"
        )
    allowed = {*soft.labels, ENTITY, NONE}
    for document in documents:
        for span in document.spans:
            if span.label not in allowed:
                raise HanspanError(
                    f"{path}: document {document.id!r} has label {span.label!r}; expected one of "
                    f"{', '.join(soft.labels)}"
                )


def hand_labels(
    documents: Sequence[Document], labels: tuple[str, ...], topics: tuple[str, ...], source: Path
) -> SoftLabels:
    """Hand labels as soft ones: every character is known, spans with certainty.

    Topics that are not in ``topics`` count as unknown, with a warning that names them.

    Raises:
        HanspanError: for a label that is not in ``labels``, or spans that overlap.
    """
    number = {label: i for i, label in enumerate(labels)}
    state, char, tag = [], [], []
    strange: Counter[str] = Counter()
    topic = np.zeros((len(documents), len(topics)), np.float32)
    at = 0
    for row, document in enumerate(documents):
        spans, end = [], 0
        for span in sorted(document.spans, key=lambda s: s.start):
            if span.label not in number:
                raise HanspanError(
                    f"{source}: document {document.id!r} has label {span.label!r}; expected one "
                    f"of {', '.join(labels)}"
                )
            if span.start < end:
                raise HanspanError(
                    f"{source}: document {document.id!r}: span {span.start}:{span.end} "
                    f"{span.label!r} overlaps the one before it; expected flat spans"
                )
            end = span.end
            spans.append((span.start, span.end, number[span.label]))
        tags = spans_to_tags(len(document.text), spans)
        state.append(np.where(tags > 0, POSITIVE, NEGATIVE).astype(np.uint8))
        found = np.flatnonzero(tags)
        char.append(found + at)
        tag.append(tags[found])
        at += len(document.text)
        if (said := document.labels.get("topic")) in topics:
            topic[row, topics.index(said)] = 1.0
        elif said is not None and topics:
            strange[said] += 1
    for name, count in strange.most_common():
        _log.warning(
            "%s: found topic %r in %s documents, expected one of %s; it counts as unknown there",
            source, name, count, ", ".join(topics),
        )  # fmt: skip
    offsets = np.cumsum([0, *(len(d.text) for d in documents)]).astype(np.int64)
    chars = np.concatenate(char).astype(np.int64)
    return SoftLabels(
        labels,
        topics,
        offsets,
        np.concatenate(state),
        chars,
        np.concatenate(tag).astype(np.uint8),
        np.ones(len(chars), np.float32),
        topic,
    )


def join(parts: Sequence[SoftLabels]) -> SoftLabels:
    """The documents of all parts, one after another; labels must be equal."""
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *(int(p.offsets[-1]) for p in parts)])
    offsets = [p.offsets[:-1] + s for p, s in zip(parts, shifts, strict=False)]
    return SoftLabels(
        parts[0].labels,
        parts[0].topics,
        np.concatenate([*offsets, shifts[-1:]]).astype(np.int64),
        np.concatenate([p.state for p in parts]),
        np.concatenate([p.char + s for p, s in zip(parts, shifts, strict=False)]),
        np.concatenate([p.tag for p in parts]),
        np.concatenate([p.prob for p in parts]),
        np.concatenate([p.topic_prob for p in parts]),
    )


def take(soft: SoftLabels, rows: Sequence[int]) -> SoftLabels:
    """The soft labels of some documents, in increasing order of ``rows``."""
    lengths = np.diff(soft.offsets)
    keep = np.zeros(len(soft), bool)
    keep[list(rows)] = True
    chars = np.repeat(keep, lengths)
    new = np.cumsum(chars) - 1
    entries = chars[soft.char] if len(soft.char) else np.zeros(0, bool)
    offsets = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
    return SoftLabels(
        soft.labels,
        soft.topics,
        offsets,
        soft.state[chars],
        new[soft.char[entries]],
        soft.tag[entries],
        soft.prob[entries],
        soft.topic_prob[keep],
    )


def _types_shown(documents: Sequence[Document], soft: SoftLabels, winners: bool) -> set[str]:
    """Labels that some character is trained as; losers within a winning span are not."""
    shown: set[str] = set()
    beaten = np.zeros(len(soft.state), bool)
    for document, first in zip(documents, soft.offsets, strict=False):
        for span in document.spans if winners else ():
            if span.label in soft.labels:
                shown.add(span.label)
                beaten[first + span.start : first + span.end] = True
    tags = soft.tag[~beaten[soft.char] & (soft.prob > 0)].astype(int)
    return shown | {soft.labels[(tag - 1) // 4] for tag in np.unique(tags[tags > 0])}


def _warnings(
    documents: Sequence[Document], soft: SoftLabels, settings: TrainSettings
) -> list[str]:
    shown = _types_shown(documents, soft, settings.targets == "winner")
    lines = [
        f"type {label} has no weak labels in the text trained on: the model will never find it; "
        f"write a rule for it"
        for label in soft.labels
        if label not in shown
    ]
    lines += [
        f"topic {topic} has no weak labels: the model will never give it; write a rule for it"
        for topic, found in zip(soft.topics, likeliest(soft.topic_prob).sum(0), strict=True)
        if not found
    ]
    if not (soft.state == NEGATIVE).any() and not settings.unknown_share:
        lines.append(
            "no trusted negatives and train.unknown_share=0: the model will see no 'O' and call "
            "everything an entity; set train.unknown_share=0.3"
        )
    if len(soft) == 1:
        lines.append("one document only: expect the model to repeat it")
    return lines


def held_out(documents: Sequence[Document], share: float) -> set[int]:
    """Indices of the documents kept from training, by the hash of their text: always the same."""
    wanted = int(len(documents) * share)
    if wanted < _LEAST_HELD:
        return set()
    keys = [hashlib.sha256(d.text.encode("utf-8", "surrogatepass")).digest() for d in documents]
    return set(sorted(range(len(documents)), key=keys.__getitem__)[:wanted])
