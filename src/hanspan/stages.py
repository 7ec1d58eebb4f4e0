"""The stages of ``hanspan run``: what each reads, what it writes, what it calls.

This is where the two wings meet. Each stage is a thin call of the function of its own name.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hanspan.config import Config, expand
from hanspan.data import (
    SUFFIXES,
    Document,
    read_documents,
    whole,
    write_documents,
    write_rejected,
)
from hanspan.encoders import encoder_files
from hanspan.errors import HanspanError
from hanspan.evaluate import Report, evaluate
from hanspan.joining import bare, numbered, without
from hanspan.meta import HAND_BEFORE, ModelMeta
from hanspan.run import Progress, Stage, commit_of, digest, versions
from hanspan.systems import STUDENT, answers_of_systems
from hanspan.train_settings import TrainSettings

_log = logging.getLogger("hanspan")
_NOT_EXCLUDED = "its texts are not kept out of training"
_INFERENCE = [
    "extractor",
    "chunks",
    "backends",
    "graphs",
    "merge",
    "encode",
    "chartokens",
    "decode",
    "meta",
]


def _facts(summary: Any) -> dict[str, Any]:
    return dataclasses.asdict(summary)


def pages_stage(config: Config, out: Path) -> Stage:
    """Raw pages and corpora to ``documents.jsonl``."""
    from hanspan.pages import pages

    inputs = [(path, item.limit) for item in config.pages.input for path in expand(item.path)]
    if not inputs:
        raise HanspanError("pages.input: nothing to read; expected files, such as input: [*.txt]")
    exclude = [path for text in config.pages.exclude for path in _there(text, _NOT_EXCLUDED)]
    output = out / "documents.jsonl"

    def work(progress: Progress) -> Mapping[str, Any]:
        facts: dict[str, Any] = {}
        parts = []
        for number, (path, limit) in enumerate(inputs):
            part = out / f".pages-{number}.jsonl"
            progress(number, len(inputs), path.name)
            summary = _facts(pages([path], part, limit=limit, seed=config.seed))
            for key, value in summary.items():
                if isinstance(value, int):
                    facts[key] = facts.get(key, 0) + value
            parts.append(part)
        try:
            count: Counter[str] = Counter()
            facts["documents"] = write_documents(output, without(bare(parts), exclude, count))
            facts["characters"] = count["characters"]
            for kind in ("dropped", "rejected"):
                _gather(parts, output, kind)
        finally:
            for part in parts:
                for path in (part, *(_beside(part, kind) for kind in ("dropped", "rejected"))):
                    path.unlink(missing_ok=True)
        if exclude:
            facts["left out for holding a sentence of an excluded file"] = count["left out"]
        if not facts["documents"]:
            raise HanspanError("pages: no document found in the input; expected text")
        return facts

    settings = {
        "input": [(str(path), limit) for path, limit in inputs],
        "exclude": list(map(str, exclude)),
        "seed": config.seed,
    }
    sources = tuple(path for path, _ in inputs) + tuple(exclude)
    return Stage("pages", sources, (output,), settings, ("pages", "text", "data", "joining"), work)


def _beside(path: Path, kind: str) -> Path:
    return Path(f"{path}.{kind}.jsonl")


def _gather(parts: Sequence[Path], output: Path, kind: str) -> None:
    """Put the lists of what each part dropped or set aside beside the one output."""
    lists = [_beside(part, kind) for part in parts]
    rows = "".join(path.read_text("utf-8") for path in lists if path.exists())
    if not rows:
        _beside(output, kind).unlink(missing_ok=True)
        return
    with whole(_beside(output, kind)) as temporary:
        temporary.write_text(rows, "utf-8")


def _there(path: str, what: str) -> list[Path]:
    """The files of a path; none, with a notice, when gold is not there (weak mode needs none)."""
    try:
        return expand(path)
    except HanspanError as err:
        _log.warning("%s; %s", err, what)
        return []


def label_stage(config: Config, out: Path) -> Stage:
    """Rules to votes: ``weak.jsonl`` and ``weak.rules.json``."""
    from hanspan.rules import load_rules
    from hanspan.weak import label, rules_path

    source, output = out / "documents.jsonl", out / "weak.jsonl"

    def work(progress: Progress) -> Mapping[str, Any]:
        return _facts(
            label(
                source,
                output,
                config.label.rules,
                workers=config.label.workers,
                on_error=config.label.on_error,
                progress=progress,
            )
        )

    # The version covers every file that the set is made of; code of the user's own has none.
    version = load_rules(config.label.rules).version
    settings = {"rules": config.label.rules, "version": version, "on_error": config.label.on_error}
    outputs = (output, rules_path(output))
    return Stage("label", (source,), outputs, settings, ("rules", "weak", "data"), work)


def aggregate_stage(config: Config, out: Path) -> Stage:
    """Votes to soft labels: ``train.jsonl``, ``train.soft.npz``, ``train.labelmodel.json``."""
    from hanspan.labelmodel import aggregate
    from hanspan.labelmodel.aggregate import model_path
    from hanspan.soft import soft_path
    from hanspan.weak import rules_path

    source, output = out / "weak.jsonl", out / "train.jsonl"
    labels, topics = config.task.entity_labels(), config.task.topic_labels()

    def work(progress: Progress) -> Mapping[str, Any]:
        return _facts(
            aggregate(
                source,
                output,
                method=config.aggregate.method,
                labels=labels,
                topics=topics,
                calibrate=config.aggregate.calibrate,
                progress=progress,
            )
        )

    settings = {
        "calibrate": config.aggregate.calibrate,
        "method": config.aggregate.method,
        "labels": labels,
        "topics": topics,
    }
    outputs = (output, soft_path(output), model_path(output))
    inputs = (source, rules_path(source))
    return Stage("aggregate", inputs, outputs, settings, ("labelmodel", "soft", "data"), work)


def train_stage(config: Config, out: Path) -> Stage:
    """Soft labels to a model: ``run/``."""
    from hanspan.soft import soft_path

    source, output = out / "train.jsonl", out / "run"
    more = _more_for_training(config.train, out)
    files: dict[str, Any] = {key: str(path) for key, path in more.items()}
    names = {label: files.pop(f"replace_from.{label}") for label in config.train.replace_from}
    files["replace_from"] = names
    settings = config.train.model_copy(update={"seed": config.seed, **files})

    def work(progress: Progress) -> Mapping[str, Any]:
        from hanspan.train import train

        return _facts(train(source, output, settings, resume=True, progress=progress))

    code = (
        *("agreement", "batches", "decode", "encode", "encoders", "fit", "hidden", "joint"),
        *("losses", "meta", "model", "ranks", "rows", "run_files", "selftrain", "shapes", "soft"),
        *("train", "train_data", "train_settings", "word_lists"),
    )
    inputs = (source, soft_path(source), *more.values())
    values = settings.model_dump(mode="json")
    # By content: the place of the embedded one may change.
    values["encoder's files"] = {p.name: digest(p) for p in encoder_files(settings.encoder)}
    return Stage("train", inputs, (output,), values, code, work, keeps=True)


def _more_for_training(train: TrainSettings, out: Path) -> dict[str, Path]:
    """What training reads beside the soft labels; in weak mode no hand label is among it.

    Raises:
        HanspanError: before any stage has run, if a file is not there that none of them makes.
    """
    train.check_files_are_named()
    found = {}
    for key, path in train.files_read().items():
        try:
            made_here = Path(path).is_relative_to(out)
            found[key] = Path(path) if made_here else expand(path)[0]
        except HanspanError as err:
            raise HanspanError(f"train.{key}: {err}") from None
    return found


def evaluate_stage(config: Config, out: Path) -> Stage:
    """Each system of :mod:`hanspan.systems` on gold: ``report.json`` and ``report.html``."""
    from hanspan.weak import rules_path

    assert config.evaluate.gold is not None
    gold = expand(config.evaluate.gold)[0]
    folder = out / "evaluate"
    outputs = (out / "report.json", out / "report.html", folder)

    def work(progress: Progress) -> Mapping[str, Any]:
        wanted = list(read_documents(gold))
        folder.mkdir(parents=True, exist_ok=True)
        systems = {}
        for name, found in answers_of_systems(config, out, folder, wanted, progress):
            systems[name] = (evaluate(wanted, found, mapping=config.evaluate.map), found)
        _write_report(config, gold, wanted, systems, outputs)
        return {
            "gold": len(wanted),
            "scores": {name: _row(report) for name, (report, _) in systems.items()},
        }

    inputs = (gold, out / "run", out / "train.jsonl", rules_path(out / "weak.jsonl"))
    settings = {"map": config.evaluate.map, "rules": config.label.rules,
                "method": config.aggregate.method}  # fmt: skip
    code = ("evaluate", "report", "rules", "weak", "labelmodel", "systems", *_INFERENCE)
    return Stage("evaluate", inputs, outputs, settings, code, work)


def _row(report: Report) -> dict[str, float | None]:
    topics = report.topics
    return {
        "precision": report.micro.precision,
        "recall": report.micro.recall,
        "f1": report.micro.f1,
        "low": report.interval[0],
        "high": report.interval[1],
        "topic_accuracy": topics.accuracy if topics else None,
        "topic_macro_f1": topics.macro_f1 if topics else None,
    }


def _write_report(
    config: Config,
    gold: Path,
    wanted: Sequence[Document],
    systems: Mapping[str, tuple[Report, list[Document]]],
    outputs: Sequence[Path],
) -> None:
    from hanspan.report import report_page

    reports = {name: report.as_dict() for name, (report, _) in systems.items()}
    train = config.train
    selection: str = "without gold" if train.mode == "weak" else train.mode
    made = ModelMeta.read(Path(config.out) / "run" / "model")
    if train.mode == "weak" and made.extra.get(HAND_BEFORE):
        selection = "its encoder had hand labels"
    if train.select == "gold":
        selection = "by gold"
    facts = {
        "gold": f"{gold.parent.name}/{gold.name}",
        "documents": str(len(wanted)),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "selection": selection,
        "commit": commit_of(Path.cwd()),
        "versions": ", ".join(f"{k} {v}" for k, v in versions().items()),
    }
    with whole(outputs[0]) as temporary:
        content = {"format": 1, "task": config.task.name, "facts": facts, "systems": reports}
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), "utf-8")
    student = {document.id: document for document in systems[STUDENT][1]}
    pairs = [(document, student[document.id]) for document in wanted[:12]]
    with whole(outputs[1]) as temporary:
        page = report_page(f"hanspan: {config.task.name}", reports, facts, pairs)
        temporary.write_text(page, "utf-8")


def bundle_stage(config: Config, out: Path) -> Stage:
    """Model, card and ONNX files in one folder: ``bundle/``."""
    output = out / "bundle"
    report = out / "report.json"
    settings = config.bundle.model_dump()

    def work(progress: Progress) -> Mapping[str, Any]:
        from hanspan.bundle import bundle

        if output.exists():
            shutil.rmtree(output)
        return _facts(
            bundle(
                out / "run",
                output,
                **settings,
                report=report if config.evaluate.gold else None,
                name=f"hanspan-{config.task.name}",
            )
        )

    inputs = (out / "run", *([report] if config.evaluate.gold else []))
    code = ("bundle", "card", "guard", "onnx_export", "origin", "parity", "model", *_INFERENCE)
    return Stage("bundle", inputs, (output,), settings, code, work)


def predict_stage(config: Config, out: Path) -> Stage:
    """The bundle on text: ``predictions.jsonl``."""
    output = out / "predictions.jsonl"
    given = [path for text in config.predict.input for path in expand(text)]
    sources = given or [out / "documents.jsonl"]

    def work(progress: Progress) -> Mapping[str, Any]:
        from hanspan.infer import predict
        from hanspan.pages import pages
        from hanspan.sources import read_any

        source, joined = sources[0], out / ".predict-pages.jsonl"
        rejected: list[dict[str, Any]] = []
        if given and not all(path.name.endswith(SUFFIXES) for path in given):
            source = joined
            pages(given, source, seed=config.seed)
        elif len(given) > 1:
            source = joined
            rows = (row for path in given for row in read_any(path, rejected=rejected))
            write_documents(source, numbered(rows))
        try:
            facts = _facts(
                predict(
                    source,
                    output,
                    model=out / "bundle",
                    backend=config.predict.backend,
                    progress=progress,
                )
            )
            if rejected:
                write_rejected(output, rejected)
                facts["rejected"] = len(rejected)
            return facts
        finally:
            for path in (joined, _beside(joined, "dropped"), _beside(joined, "rejected")):
                path.unlink(missing_ok=True)

    code = ("predict", "sources", "pages", "joining", *_INFERENCE)
    inputs = (*sources, out / "bundle")
    settings = {"backend": config.predict.backend, "input": list(map(str, given))}
    return Stage("predict", inputs, (output,), settings, code, work)


def stages_of(config: Config) -> list[Stage]:
    """All stages of a config, in order; ``evaluate`` only where gold is named and there."""
    out = Path(config.out)
    if config.evaluate.gold and not _there(config.evaluate.gold, "the model is not measured"):
        unmeasured = config.evaluate.model_copy(update={"gold": None})
        config = config.model_copy(update={"evaluate": unmeasured})
    makers = [pages_stage, label_stage, aggregate_stage, train_stage]
    makers += [evaluate_stage] if config.evaluate.gold else []
    makers += [bundle_stage, predict_stage]
    return [maker(config, out) for maker in makers]
