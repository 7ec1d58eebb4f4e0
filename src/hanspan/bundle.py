"""The bundle stage: a trained run becomes one folder that others can read.

It is written under a temporary name, loaded again in stock classes and in ONNX Runtime, and gets
its name only when everything agrees.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hanspan.data import read_documents
from hanspan.errors import HanspanError
from hanspan.graphs import FP32, INT8, onnx_file
from hanspan.guard import check_folder, files
from hanspan.meta import BY_HAND, FILE, ModelMeta
from hanspan.origin import made_from
from hanspan.parity import add_onnx, check_stock

EXAMPLES = (
    "江城市副市长林知远在数字农业论坛上表示，今年全市粮食产量预计增长3.5%。",
    "云帆精密制造有限公司3月12日公告，拟投资20亿元在临川高新区建设储能电池生产线。",
)
"""Sentences about invented people and firms, for the card and as a last resort for the check."""

_CHECK_TEXTS, _CHECK_CHARS = 48, 300
BY_GOLD = "-selected-by-gold"
"""End of the name of a model whose epoch was chosen by hand labels."""
_MODEL_FILES = re.compile(
    r"(?:topic/)?(?:config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json"
    r"|(?:topic/)?(?:model\.safetensors|vocab\.txt)|hanspan\.json"
)
Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class BundleSummary:
    """What was packed.

    Attributes:
        folder: the bundle.
        files: size in bytes of each file.
        parameters: weights of the model.
        checks: what was compared and with what result, as the card shows it.
    """

    folder: str
    files: Mapping[str, int]
    parameters: int
    checks: Mapping[str, str] = field(default_factory=dict)


def bundle(
    run_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    onnx: bool = True,
    small: bool = False,
    graph_only: bool = False,
    report: str | os.PathLike[str] | None = None,
    texts: str | os.PathLike[str] | None = None,
    name: str | None = None,
    license: str = "apache-2.0",
    sources: Sequence[str] = (),
    progress: Progress | None = None,
) -> BundleSummary:
    """Pack a run into a folder in the form of a Hub model repository.

    Args:
        run_dir: what ``hanspan train`` wrote (``run_dir/model``), or a model folder.
        out_dir: the bundle; a bundle that stands there is replaced, anything else is refused.
        onnx: add both ONNX graphs.
        small: half-precision weights, and of the graphs the int8 one alone where it agrees: less
            than half the bytes. The graphs are compared with the weights as they are packed.
        graph_only: the int8 graph and nothing else that holds weights, a quarter of the bytes. It
            answers in ONNX Runtime; torch reads its weights out of the graph, stock transformers
            cannot. A bundle of such a folder is whole again.
        report: ``report.json`` of ``hanspan evaluate``; else the one in or beside ``run_dir``.
        texts: documents to compare int8 with fp32 on; else ``documents.jsonl`` beside the run.
        name: heading of the card; else the name of the folder.
        license: of the weights, as the Hub spells it.
        sources: names of the corpora, for the card.

    Raises:
        HanspanError: if the run is incomplete, or what was written does not load or agree;
            nothing then stands under ``out_dir``'s name that was not there before.
    """
    _need_torch()
    small, onnx = small or graph_only, onnx or graph_only
    run, out = Path(run_dir), Path(out_dir)
    source = run / "model" if (run / "model" / FILE).is_file() else run
    meta = ModelMeta.read(source)
    _free(out)
    tell = progress or (lambda *_: None)
    steps = 4 if onnx else 3
    with _folder(out) as made:
        tell(0, steps, "copying")
        _copy(source, made)
        check_folder(made)  # damaged weights are named here, not in a library's own words
        stock_labels(made, meta)
        if small:
            _halve(made)
        # Of a bundle its own, of a model folder what its training wrote there.
        told = {key: meta.extra[key] for key in BY_HAND if key in meta.extra}
        origin = {**told, **meta.extra.get("made_from", {}), **made_from(run)}
        meta = replace(meta, extra={**meta.extra, "made_from": origin})
        meta.write(made)
        measured = _report(run, report)
        if measured is not None:
            _write_json(made / "report.json", measured)
        samples = _samples(run, texts)
        checks: dict[str, str] = {}
        tell(1, steps, "loading in stock classes")
        parameters = check_stock(made, samples, checks)
        if onnx:
            tell(2, steps, "writing and comparing ONNX graphs")
            add_onnx(made, samples, checks)
            if small and (made / INT8).is_file():
                (made / FP32).unlink()
        if graph_only:
            _drop_weights(made)
        tell(steps - 1, steps, "card")
        title = name or out.name
        if origin.get("selection") == "gold" and not title.endswith(BY_GOLD):
            title += BY_GOLD
        _card(made, meta, title, license, sources, measured, checks)
        check_folder(made)
        sizes = {item: (made / item).stat().st_size for item in files(made)}
    return BundleSummary(str(out), sizes, parameters, checks)


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as err:
        raise HanspanError(
            f"found no {err.name}, which is needed to check a bundle in stock classes; type: "
            f"pip install 'hanspan[train,onnx]'"
        ) from None


def _free(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / FILE).is_file():
        raise HanspanError(
            f"{out}: found a folder that is no bundle; expected a new name or an older bundle"
        )
    if out.exists() and not out.is_dir():
        raise HanspanError(f"{out}: found a file; expected the name of a folder to make")


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that takes its name if the block succeeds."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".part.{out.name}.") as base:
            made, old = Path(base) / "new", Path(base) / "old"
            made.mkdir()
            yield made
            if out.exists():
                out.rename(old)
            made.rename(out)
    except OSError as err:
        raise HanspanError(f"{out}: cannot be written ({err.strerror or err})") from err


def _copy(source: Path, made: Path) -> None:
    for item in files(source):
        if _MODEL_FILES.fullmatch(item):
            target = made / item
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source / item, target)
            target.chmod(0o644)
    if not (made / "model.safetensors").is_file() and onnx_file(source):
        from hanspan.model import load_model, save_model

        save_model(*load_model(source)[:2], made, ModelMeta.read(source))
    missing = [
        item
        for item in ("config.json", "model.safetensors", "tokenizer.json", FILE)
        if not (made / item).is_file()
    ]
    if missing:
        raise HanspanError(
            f"{source}: found no {', '.join(missing)}; expected a finished run of 'hanspan train'"
        )


def stock_labels(folder: Path, meta: ModelMeta) -> None:
    """Name E- tags ``I-`` and S- tags ``B-`` in config.json, which stock pipelines understand.

    Stock aggregation knows B- and I- only, and takes ``E-ORG`` for another type; renamed, its
    groups are our spans. The order of the outputs, and ``hanspan.json``, stay as they are.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    names = {int(key): value for key, value in config["id2label"].items()}
    for index, tag in enumerate(meta.tags):
        names[index] = {"E-": "I-", "S-": "B-"}.get(tag[:2], tag[:2]) + tag[2:]
    config["id2label"] = {str(key): names[key] for key in sorted(names)}
    config["label2id"] = {name: key for key, name in sorted(names.items(), reverse=True)}
    _write_json(path, config)


def _halve(folder: Path) -> None:
    """Store float32 matrices as float16; config.json still says float32, so stock computes in it.

    Vectors stay: they weigh little, and rotary positions need every digit of their frequencies.
    """
    import numpy as np
    from safetensors.numpy import load_file, save_file

    for path in (folder / "model.safetensors", folder / "topic" / "model.safetensors"):
        if path.is_file():
            weights = {
                name: value.astype(np.float16)
                if value.dtype == np.float32 and value.ndim > 1
                else value
                for name, value in load_file(path).items()
            }
            save_file(weights, path, metadata={"format": "pt"})


def _drop_weights(folder: Path) -> None:
    """Leave the int8 graph alone, if it is there."""
    if not (folder / INT8).is_file():
        raise HanspanError(
            "the int8 graph does not agree well enough with the weights to stand alone; bundle "
            "without --graph-only"
        )
    (folder / "model.safetensors").unlink()
    shutil.rmtree(folder / "topic", ignore_errors=True)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _report(run: Path, given: str | os.PathLike[str] | None) -> Any:
    """The report without its examples: they quote the gold, which need not be ours to publish."""
    beside = (run / "report.json", run.resolve().parent / "report.json")
    path = Path(given) if given is not None else next((p for p in beside if p.is_file()), None)
    if path is None:
        return None
    try:
        report = json.loads(path.read_text("utf-8"))
        for part in (report, *report.get("systems", {}).values()):
            part.pop("examples", None)
    except (OSError, ValueError, AttributeError) as err:
        raise HanspanError(
            f"{path}: cannot be read as a report ({err}); expected the file that "
            f"'hanspan evaluate GOLD PREDICTED --json FILE' writes"
        ) from None
    return report


def _samples(run: Path, given: str | os.PathLike[str] | None) -> list[str]:
    path = Path(given) if given is not None else run.parent / "documents.jsonl"
    if given is None and not path.is_file():
        return list(EXAMPLES)
    found = []
    for document in read_documents(path):
        found.append(document.text[:_CHECK_CHARS])
        if len(found) == _CHECK_TEXTS:
            break
    return found or list(EXAMPLES)


def _card(
    made: Path,
    meta: ModelMeta,
    name: str,
    license: str,
    sources: Sequence[str],
    report: Any,
    checks: Mapping[str, str],
) -> None:
    from importlib.metadata import PackageNotFoundError, version

    from hanspan.card import card

    try:
        release = version("hanspan")
    except PackageNotFoundError:
        release = "0"
    facts = {
        "name": name,
        "labels": meta.labels,
        "topics": meta.topics,
        "max_length": meta.max_length,
        "folders": meta.folders,
        "onnx": [item for item in (FP32, INT8) if (made / item).is_file()],
        "stock": (made / "model.safetensors").is_file(),
        "examples": EXAMPLES,
        "version": release,
        "report": report,
        "license": license,
        "training": meta.extra["made_from"],
        "sources": sources,
        "parity": checks,
    }
    (made / "README.md").write_text(card(facts), "utf-8")
