"""A fitted label model as one thing: spans, topics, calibration; saved as JSON and npz."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hanspan.data import Document, whole
from hanspan.errors import HanspanError
from hanspan.labelmodel.auto import choose_method, make_model
from hanspan.labelmodel.calibration import Calibrated, Curve
from hanspan.labelmodel.dawid_skene import DawidSkene
from hanspan.labelmodel.hmm import HMM
from hanspan.labelmodel.items import Events
from hanspan.labelmodel.resolution import SpanModel
from hanspan.labelmodel.span_vote import SpanVote
from hanspan.labelmodel.topic_auto import choose_topics
from hanspan.labelmodel.topic_skene import TopicSkene
from hanspan.labelmodel.topics import TopicModel, TopicVote, TopicVoter, topic_votes
from hanspan.labelmodel.votes import Names, Pattern, count_patterns
from hanspan.soft import BROKEN_NPZ

FORMAT = 1
ASKED = "asked for"
"""The reason of a method that the user chose."""
SAMPLE = 20_000
"""Documents that a model is fitted on, at most."""
EVIDENCE = 200
"""Answers of hidden rules without which a calibration is not believed."""
JUDGED = 0.5
"""Answers of hidden rules for each span, likewise: where rules seldom meet, the few places where
they do are the contested ones, and say nothing of the rest."""


@dataclass
class Fitted:
    """A label model that is ready to answer.

    Attributes:
        names: labels, topics, rules, groups.
        method: of spans.
        reason: why that one.
        spans: model of spans, before calibration.
        topics: model of classes.
        topic_method: "vote" or "dawid-skene".
        curve: calibration of the probability of a span.
        about: further facts for the JSON file: reliability, what auto saw.
    """

    names: Names
    method: str
    reason: str
    spans: SpanModel
    topics: TopicModel
    topic_method: str
    curve: Curve = field(default_factory=Curve)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> SpanModel:
        """The model of spans with calibrated probabilities."""
        return Calibrated(self.spans, self.curve)


def sample(documents: Iterable[Document], size: int = SAMPLE) -> list[Document]:
    """The first ``size`` documents: the same ones every time, in one pass that stops early."""
    return list(islice(documents, size))


def fit(
    documents: Iterable[Document], names: Names, method: str, *, calibrate: bool = False
) -> Fitted:
    """Fit the models of spans and topics.

    Args:
        documents: with votes; read once, and at most :data:`SAMPLE` of them.
        names: labels, topics and rules.
        method: "vote", "dawid-skene", "hmm" or "auto". Classes of documents have no sequence:
            with "hmm" they are voted.
        calibrate: also fit the curve of the probabilities on hidden rules ("auto" always does).
    """
    if method == "vote" and not calibrate:  # one pass, no document is kept
        seen = islice(documents, SAMPLE)
        spans: SpanModel = SpanVote(names).fit(count_patterns(seen, names))
        return Fitted(names, "vote", ASKED, spans, TopicVoter(names), "vote")
    documents = sample(documents)
    touching = count_patterns(documents, names, touching=True)
    curve, reason = Curve(), ASKED
    about: dict[str, Any] = {}
    bags: dict[tuple[TopicVote, ...], int] = {}
    for document in documents:
        said = topic_votes(document, names)
        bags[said] = bags.get(said, 0) + 1
    topic_method = "dawid-skene" if method == "dawid-skene" else "vote"
    if method == "auto":
        topic_method, about["topic_reason"] = choose_topics(bags, names)
    if method == "auto" or calibrate:
        methods = ("vote", "dawid-skene", "hmm") if method == "auto" else (method,)
        choice = choose_method(touching, names, methods)
        if method == "auto":
            method, reason = choice.method, choice.reason
        curve = choice.curves[method]
        about |= {"agreement": dict(choice.agreement), "evidence": choice.evidence}
    counts = touching if method == "hmm" else count_patterns(documents, names)
    spans = make_model(method, names, counts)
    if curve.evidence < EVIDENCE or curve.evidence < JUDGED * _chosen(spans, counts):
        curve = Curve()
    topics: TopicModel = TopicVoter(names)
    if topic_method == "dawid-skene":
        topics = TopicSkene(names).fit(bags)
    return Fitted(names, method, reason, spans, topics, topic_method, curve, about)


def _chosen(model: SpanModel, counts: Mapping[Pattern, int]) -> int:
    """Spans of the answers."""
    found = model.resolve(list(counts))
    return sum(
        len(answer.chosen) * times for answer, times in zip(found, counts.values(), strict=True)
    )


def npz_path(path: str | os.PathLike[str]) -> Path:
    """The arrays beside ``x.labelmodel.json``: ``x.labelmodel.npz``."""
    return Path(path).with_suffix(".npz")


_ARRAYS: Mapping[type, tuple[str, ...]] = {
    DawidSkene: ("emit", "total", "rate", "prior"),
    HMM: ("emit", "total", "size", "opening", "going"),
    TopicSkene: ("emit", "total", "size", "prior"),
}


def save(fitted: Fitted, path: str | os.PathLike[str]) -> None:
    """Write the model as JSON and, where it has parameters, an npz of the same name."""
    names = fitted.names
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    about: dict[str, Any] = {
        "format": FORMAT,
        "method": fitted.method,
        "reason": fitted.reason,
        "topic_method": fitted.topic_method,
        "labels": names.labels,
        "topics": names.topics,
        "rules": [
            {"name": name, "group": group, "priority": priority}
            for name, group, priority in zip(names.rules, names.groups, names.priority, strict=True)
        ],
        "calibration": asdict(fitted.curve),
        **fitted.about,
    }
    if isinstance(fitted.spans, SpanVote):
        about["trust"] = fitted.spans.trust
    for part, model in (("spans", fitted.spans), ("topics", fitted.topics)):
        for key in _ARRAYS.get(type(model), ()):
            arrays[f"{part}_{key}"] = getattr(model, key)
        if isinstance(model, (DawidSkene, HMM, TopicSkene)):
            about[f"{part}_events"] = model.events.known[: model.emit.shape[1]]
            about[f"{part}_history"] = [round(x, 4) for x in model.history]
    with whole(path) as text_part:
        text_part.write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", "utf-8")
    if arrays:
        with whole(npz_path(path)) as array_part, array_part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    else:
        npz_path(path).unlink(missing_ok=True)


def _read_arrays(path: Path, part: str, model: DawidSkene | HMM | TopicSkene) -> None:
    """Set the parameters of a model from the npz, which must fit its labels and events.

    Raises:
        HanspanError: for a file that is missing, damaged or of another fit.
    """
    if not path.is_file():
        raise HanspanError(f"{path}: no such file; it belongs beside the label model's JSON")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[f"{part}_{key}"] for key in _ARRAYS[type(model)]}
    except (TypeError, *BROKEN_NPZ) as err:
        raise HanspanError(f"{path}: damaged or no arrays of a label model ({err!r})") from None
    known = model.events.known
    for key, array in arrays.items():
        shape = getattr(model, key).shape
        wanted = (*shape[:-1], len(known)) if key == "emit" else shape
        if array.shape != wanted:
            raise HanspanError(
                f"{path}: of another fit than its JSON ({part}_{key} has shape {array.shape}, "
                f"expected {wanted}); copy both files, or fit again"
            )
        setattr(model, key, array)
    if any(rule >= len(model.names.rules) for rule, *_ in known):
        raise HanspanError(f"{path}: of another fit than its JSON, which lists fewer rules")


def load(path: str | os.PathLike[str]) -> Fitted:
    """Read what :func:`save` wrote.

    Raises:
        HanspanError: for a missing or damaged file.
    """
    path = Path(path)
    if not path.is_file():
        raise HanspanError(
            f"{path}: no such file; expected the label model that 'hanspan aggregate' writes"
        )
    try:
        about = json.loads(path.read_text("utf-8"))
        rules = about["rules"]
        if about.get("format") != FORMAT:
            raise ValueError(f"format {about.get('format')}, expected {FORMAT}")
        if not isinstance(about["reason"], str):
            raise TypeError("reason is no text")
        names = Names(tuple(about["labels"]), tuple(about["topics"]))
        for rule in rules:
            names.add_rule(rule["name"], f"#{rule['group']}", rule["priority"])
        spans: SpanModel = {"dawid-skene": DawidSkene, "hmm": HMM, "vote": SpanVote}[
            about["method"]
        ](names)
        topics: TopicModel = {"dawid-skene": TopicSkene, "vote": TopicVoter}[about["topic_method"]](
            names
        )
        for part, model in (("spans", spans), ("topics", topics)):
            if isinstance(model, (DawidSkene, HMM, TopicSkene)):
                model.events = Events([tuple(e) for e in about[f"{part}_events"]])
                model.history = list(about[f"{part}_history"])
                _read_arrays(npz_path(path), part, model)
        if isinstance(spans, SpanVote):
            spans.trust = tuple(float(x) for x in about.get("trust", ()))
        curve = Curve(**{key: float(value) for key, value in about["calibration"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as err:
        raise HanspanError(f"{path}: damaged or no label model ({err!r})") from None
    kept = ("agreement", "evidence", "reliability", "topic_reason")
    return Fitted(
        names,
        about["method"],
        about["reason"],
        spans,
        topics,
        about["topic_method"],
        curve,
        {key: about[key] for key in kept if key in about},
    )
