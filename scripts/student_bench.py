"""What bench_quality.py and bench_ablation.py share: sets, weak labels, training, scores."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hanspan.data import Document, Span, open_text, read_documents, write_documents
from hanspan.evaluate import Report, Score, evaluate, flat
from hanspan.pretrain.exclude import normalize
from hanspan.train import train
from hanspan.train_data import files_digest
from hanspan.train_settings import TrainSettings

OTHERS = dict.fromkeys(
    ["TITLE", "EVENT", "POLICY", "WORK", "IND", "TIME", "MONEY", "PERCENT", "QTY"], ""
)
COARSE = {"GOV": "ORG", "COM": "ORG"}
CLUENER = {
    "name": "PER", "position": "TITLE", "government": "GOV", "company": "COM",
    "organization": "ORG", "address": "LOC", "scene": "LOC", "book": "WORK", "movie": "WORK",
    "game": "WORK",
}  # fmt: skip
NOT_CLUENER = dict.fromkeys(["EVENT", "POLICY", "IND", "TIME", "MONEY", "PERCENT", "QTY"], "")


@dataclass(frozen=True)
class GoldSet:
    """A development set: file under gold/, labels as scored, hand labels of the reference run."""

    name: str
    file: str
    mapping: dict[str, str] = field(default_factory=dict)
    supervised: str | None = None
    target: float | None = None
    dictionary: float | None = None
    """Published score of the dictionary behind ready distant labels: what they alone must beat."""
    unread: int | None = None
    """Row of ``supervised`` up to which an unread set leaves them to the reference runs."""
    skip: int = 0
    """Leading rows of ``file`` that are left out; of the others some are drawn."""
    without: frozenset[str] = frozenset()
    """Texts that are left out, normalised."""
    gain: float | None = None
    """F1 points that the student is wanted to have above the label model."""


@dataclass(frozen=True)
class Group:
    """Sets that one student serves, and the text and rules it learns from."""

    name: str
    rules: str | None
    sets: tuple[GoldSet, ...]
    text: dict[str, int]
    """Files under the data folder, and how many documents are drawn from each; ``FILE#SOURCE``
    means the rows of that source alone."""
    weak: str | None = None
    """Ready distant labels instead of rules."""
    hand: str | None = None
    """Hand labels that the set's published way adds to the distant ones."""


_UNLABELLED = {
    f"unlabelled/{name}.jsonl.xz": count
    for name, count in {
        "xwlb_2012_2026": 1500, "finance_news": 2500, "chinanews_2020_03": 500,
        "official_media_articles": 60, "gov_report_2026": 8,
    }.items()
}  # fmt: skip
GROUPS = (
    Group(
        "news",
        "news",
        (
            GoldSet("news", "news/dev.jsonl", gain=8.0),
            GoldSet("news coarse", "news/dev.jsonl", {**OTHERS, **COARSE}),
            GoldSet("msra", "msra/dev.jsonl", {**OTHERS, **COARSE},
                    "msra/supervised_train.jsonl.xz", 80.0, unread=10000),
            GoldSet("cluener", "cluener/dev.jsonl", {**NOT_CLUENER, **CLUENER},
                    "cluener/supervised_train.jsonl.xz", 60.0, unread=7000),
        ),
        {
            **_UNLABELLED,
            "gold/msra/supervised_train.jsonl.xz": 4000,
            "gold/cluener/supervised_train.jsonl.xz": 4000,
        },
    ),
    Group(
        "thucnews",
        "thucnews",
        (GoldSet("thucnews", "thucnews_title/dev.jsonl", {},
                 "thucnews_title/supervised_train.jsonl.xz", 84.0),),
        {"unlabelled/thucnews_titles.txt.xz": 44870},
    ),
    Group(
        "tnews",
        "tnews",
        (GoldSet("tnews", "tnews/dev.jsonl", {}, None, 45.0),),
        {"unlabelled/news_titles.jsonl.xz": 60000},
    ),
    Group(
        "tnews_own",
        "tnews",
        (GoldSet("tnews own", "tnews/dev.jsonl", {}, None, 45.0),),
        {"unlabelled/news_titles.jsonl.xz#FewCLUE/tnews unlabeled": 60000},
    ),
    Group(
        "dsner_ec",
        None,
        (GoldSet("dsner_ec", "dsner_ec/dev.jsonl", {}, "dsner_ec/train.jsonl", 61.45, 44.02),),
        {},
        "dsner_ec/distant_pa.jsonl",
        "dsner_ec/train.jsonl",
    ),
    Group(
        "dsner_news",
        None,
        (GoldSet("dsner_news", "dsner_news/dev.jsonl.xz", {},
                 "dsner_news/train.jsonl.xz", 79.22, 47.75),),
        {},
        "dsner_news/distant_pa.jsonl.xz",
        "dsner_news/train.jsonl.xz",
    ),
)  # fmt: skip


_UNREAD = 3000


def data_folder() -> Path:
    """HANSPAN_DATA, or the end of the program."""
    if "HANSPAN_DATA" not in os.environ:
        raise SystemExit("HANSPAN_DATA is not set; expected the folder of the data")
    return Path(os.environ["HANSPAN_DATA"])


def draw(name: str, count: int, seed: int) -> list[Document]:
    """``count`` documents, without their labels; text of a gold set stays text.

    ``name`` as in :attr:`Group.text`.
    """
    file, _, source = name.partition("#")
    path = data_folder() / file
    if source:
        with open_text(path) as stream:
            rows = [json.loads(line) for line in stream]
        kept = [row["text"] for row in rows if row.get("source") == source]
        found = [Document(f"{path.name}-{i}", text) for i, text in enumerate(kept)]
    elif ".txt" in path.name:
        import lzma

        with lzma.open(path, "rt", encoding="utf-8") as stream:
            found = [Document(f"{path.name}-{i}", line.strip()) for i, line in enumerate(stream)]
    else:
        found = [replace(d, spans=(), labels={}) for d in read_documents(path)]
    found = [d for d in found if d.text]
    rng = random.Random(f"{seed}-{path.name}")
    return rng.sample(found, min(count, len(found)))


def weak_labels(group: Group, folder: Path, scale: float, seed: int = 1) -> Path:
    """``train.jsonl`` with soft labels for a group; made once a folder.

    An earlier one of another share of the text, or of other rules, is refused.
    """
    from hanspan.labelmodel import aggregate
    from hanspan.rules import load_rules
    from hanspan.weak import label

    path = folder / "train.jsonl"
    drawn = folder / "scale.txt"
    rules = load_rules(group.rules).version if group.rules else "none"
    if path.is_file():
        before = drawn.read_text("utf-8") if drawn.is_file() else "unknown"
        share, _, voted = before.partition(" ")
        if share != f"{scale:g}":
            raise SystemExit(
                f"{folder}: its text was drawn with --scale {share}; found --scale {scale:g}; "
                f"expected the same, or another --work"
            )
        if voted != rules:
            raise SystemExit(
                f"{folder}: its labels are of other rules than those of today; expected another "
                f"--work, or this one removed"
            )
        return path
    folder.mkdir(parents=True, exist_ok=True)
    drawn.write_text(f"{scale:g} {rules}", "utf-8")
    if group.weak:
        gold = data_folder() / "gold"
        hand = list(read_documents(gold / group.hand)) if group.hand else []
        return distant(gold / group.weak, path, {s.label for d in hand for s in d.spans})
    held = {d.text for s in group.sets for d in read_documents(data_folder() / "gold" / s.file)}
    documents = [
        document
        for name, count in group.text.items()
        for document in draw(name, max(20, int(count * scale)), seed)
        if document.text not in held
    ]
    write_documents(folder / "documents.jsonl", documents)
    label(folder / "documents.jsonl", folder / "weak.jsonl", group.rules or "")
    aggregate(folder / "weak.jsonl", path)
    return path


def distant(source: Path, path: Path, more: set[str]) -> Path:
    """Distant labels as soft ones: spans are sure, the rest is unknown; ``more`` label names."""
    import numpy as np

    from hanspan.soft import POSITIVE, UNKNOWN, soft_path
    from hanspan.train_data import hand_labels

    documents = list(read_documents(source))
    labels = tuple(sorted({s.label for d in documents for s in d.spans} | more))
    soft = hand_labels(documents, labels, (), source)
    state = np.where(soft.state == POSITIVE, POSITIVE, UNKNOWN).astype(np.uint8)
    write_documents(path, documents)
    replace(soft, state=state).save(soft_path(path))
    return path


def by_rules(group: Group, wanted: GoldSet, folder: Path, method: str) -> list[Document]:
    """What rules and a label model say of the gold's text."""
    from hanspan.labelmodel import aggregate
    from hanspan.weak import label

    folder.mkdir(parents=True, exist_ok=True)
    name = wanted.name.replace(" ", "-")
    bare = [replace(d, spans=(), labels={}) for d in gold_of(wanted)]
    write_documents(folder / f"{name}.jsonl", bare)
    label(folder / f"{name}.jsonl", folder / f"{name}.weak.jsonl", group.rules or "")
    aggregate(folder / f"{name}.weak.jsonl", folder / f"{name}.{method}.jsonl", method=method)
    return list(read_documents(folder / f"{name}.{method}.jsonl"))


def gold_of(wanted: GoldSet) -> list[Document]:
    """The development documents of a set."""
    documents = list(read_documents(data_folder() / "gold" / wanted.file))
    if not wanted.skip:
        return documents
    held = wanted.without | {normalize(d.text) for d in documents[: wanted.skip]}
    rest = [d for d in documents[wanted.skip :] if normalize(d.text) not in held]
    drawn = random.Random(1).sample(rest, min(_UNREAD, len(rest)))
    return [d.with_spans(flat(d.spans)) for d in drawn]  # CLUENER's training part nests two


def unread_sets(group: Group, trained: Path) -> tuple[GoldSet, ...]:
    """For each set of a group hand-labelled rows that are not among the texts of a training.

    They are taken from behind the rows that the reference runs learn from, which no writer of
    rules has looked at.
    """
    texts = frozenset(normalize(d.text) for d in read_documents(trained))
    return tuple(
        replace(
            s, name=f"{s.name} unread", file=s.supervised, skip=s.unread, target=None, without=texts
        )
        for s in group.sets
        if s.supervised and s.unread
    )


def hand_file(wanted: GoldSet, folder: Path, count: int | None = None, seed: int = 1) -> Path:
    """Hand labels of the reference run under the names that are scored, at most ``count``."""
    assert wanted.supervised is not None
    path = folder / f"hand-{wanted.name.replace(' ', '-')}-{count or 'all'}.jsonl"
    documents = list(read_documents(data_folder() / "gold" / wanted.supervised))
    if wanted.skip:  # the others are what it is scored on
        documents = documents[: wanted.skip]
    if count is not None and count < len(documents):
        documents = random.Random(seed).sample(documents, count)
    write_documents(path, [_renamed(d, wanted.mapping) for d in documents])
    return path


def _renamed(document: Document, mapping: dict[str, str]) -> Document:
    spans = [
        Span(s.start, s.end, mapping.get(s.label, s.label), s.score, s.source)
        for s in document.spans
        if mapping.get(s.label, s.label)
    ]
    return document.with_spans(flat(spans))  # CLUENER's training part nests two


def student(path: Path, folder: Path, settings: TrainSettings) -> Path:
    """Model folder of a training; one in ``folder`` of equal settings and files is taken."""
    done = folder / "train.json"
    if done.is_file():
        old = json.loads(done.read_text("utf-8"))
        files = files_digest(path, settings)
        if old["settings"] == settings.model_dump(mode="json") and old.get("files") == files:
            return folder / "model"
    return train(path, folder, settings).model


def predicted(model: Path, documents: Iterable[Document]) -> list[Document]:
    """The model's answer, in bf16 where that is faster; by its graph where it has no weights."""
    from hanspan import Extractor
    from hanspan.encode import TextEncoder, tag_documents
    from hanspan.fit import use_bf16
    from hanspan.model import forward_fn, load_model

    bare = [replace(d, spans=(), labels={}) for d in documents]
    if not (model / "model.safetensors").is_file():
        extract = Extractor.from_pretrained(model)
        return [
            replace(d, id=b.id)
            for b, d in zip(
                bare, extract.pipe([d.text for d in bare], topic_scores=True), strict=True
            )
        ]
    loaded, _, meta = load_model(model)
    forward = forward_fn(loaded, bf16=use_bf16("auto", "cpu"))
    return list(tag_documents(bare, TextEncoder.from_folder(model), forward, meta))


def with_rules(group: Group, answer: Iterable[Document]) -> list[Document]:
    """A model's answer mixed with that of the group's rules, as ``--rules`` does."""
    from hanspan.labelmodel.answering import answering
    from hanspan.merge import beside
    from hanspan.rules import load_rules

    rules = answering(load_rules(group.rules or ""))
    return [beside(d, rules(replace(d, spans=(), labels={}))) for d in answer]


def known_mentions(path: Path) -> set[str]:
    """Strings that the weak labels mark anywhere."""
    return {d.surface(s) for d in read_documents(path) for s in d.spans}


def score(wanted: GoldSet, answer: Sequence[Document], known: set[str] | None = None) -> Report:
    """Strict spans and topics of an answer on a set."""
    return evaluate(gold_of(wanted), answer, mapping=wanted.mapping, known_mentions=known)


def main_score(report: Report) -> float:
    """Span F1 where the set has spans, else topic accuracy; in [0, 1]."""
    return report.micro.f1 if report.micro.support else getattr(report.topics, "accuracy", 0.0)


def row(what: str, wanted: GoldSet, report: Report) -> list[dict[str, Any]]:
    """Rows for ``--json``: span F1 and topic accuracy, where the set has them."""
    rows = []
    if report.micro.support:
        rows.append({
            "what": f"{wanted.name}: {what}, span F1", "value": round(100 * report.micro.f1, 2),
            "unit": "%", "peer": None, "peer_value": None, "target": wanted.target,
            "precision": round(100 * report.micro.precision, 2),
            "recall": round(100 * report.micro.recall, 2),
            "interval": [round(100 * x, 1) for x in report.interval],
            "seen": _of_side(report.seen), "unseen": _of_side(report.unseen),
            "scores": report.scores and
                      [round(100 * report.scores.mean, 1), round(100 * report.scores.error, 1)],
        })  # fmt: skip
    if report.topics and "coarse" not in wanted.name:
        target = wanted.target if not report.micro.support else None
        rows.append({
            "what": f"{wanted.name}: {what}, topic accuracy",
            "value": round(100 * report.topics.accuracy, 2), "unit": "%", "peer": None,
            "peer_value": None, "target": target,
            "interval": [round(100 * x, 1) for x in report.topics.interval],
        })  # fmt: skip
    return rows


def gain_rows(wanted: GoldSet, scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """How far the student is above the label model, where that is wanted; scores in [0, 1]."""
    if wanted.gain is None or not {"student", "label model"} <= scores.keys():
        return []
    return [{
        "what": f"{wanted.name}: student above the label model",
        "value": round(100 * (scores["student"] - scores["label model"]), 2), "unit": "F1",
        "peer": "label model", "peer_value": round(100 * scores["label model"], 2),
        "target": wanted.gain,
    }]  # fmt: skip


def _of_side(side: Score | None) -> list[float] | None:
    """F1 and recall, %, of mentions that the weak labels hold, or do not hold."""
    return None if side is None else [round(100 * side.f1, 1), round(100 * side.recall, 1)]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """One table."""
    width = max((len(r["what"]) for r in rows), default=10)
    for r in rows:
        parts = [f"{r['what']:{width}}  {r['value']:7.2f} {r['unit']}"]
        if "interval" in r:
            parts.append(f"{r['interval'][0]:5.1f} to {r['interval'][1]:5.1f}")
        if "precision" in r:
            parts.append(f"P {r['precision']:5.1f} R {r['recall']:5.1f}")
        if r.get("scores") is not None:
            parts.append(f"scores {r['scores'][0]} off by {r['scores'][1]}")
        for side in ("seen", "unseen"):
            if r.get(side) is not None:
                parts.append(f"{side} F1 {r[side][0]} R {r[side][1]}")
        if r.get("target") is not None:
            parts.append(f"target {r['target']}")
        print("  ".join(parts), flush=True)


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, printed."""
    show(rows)
    return rows
