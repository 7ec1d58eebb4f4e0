"""The files of a run folder: ``work/`` with its checkpoints, and what stands there at the end."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hanspan.data import whole
from hanspan.errors import HanspanError
from hanspan.joint import JointModel
from hanspan.meta import ModelMeta
from hanspan.model import save_model

_log = logging.getLogger("hanspan")


@dataclass(frozen=True)
class Fitted:
    """What one training did: steps in all, tokens and seconds of this call, last mean loss."""

    steps: int
    epochs: int
    tokens: int
    seconds: float
    loss: float
    resumed_at: int


@dataclass(frozen=True)
class TrainSummary:
    """What was trained on what.

    ``agreement`` is the span F1 against the rules on held-out documents (None without any);
    it says whether the student learned the rules, not whether the rules are right.
    ``prior_corrected`` tells whether the logit of ``O`` was raised after training.
    ``recovered`` and ``whole`` tell what it found of hidden spans (``agreement.of_hidden``).
    """

    documents: int
    characters: int
    held_out: int
    encoder: str
    parameters: int
    epochs: int
    steps: int
    seconds: float
    tokens_per_second: int
    loss: float
    agreement: float | None
    topic_agreement: float | None
    recovered: float | None
    whole: float | None
    prior_corrected: bool
    precision: str
    warnings: tuple[str, ...]
    model: Path


def save_stage(path: Path, model: JointModel, fact: str, value: Any) -> None:
    """Weights of a stage with one fact about them, whole or not at all."""
    from safetensors.torch import save_file

    state = {name: v.detach().cpu().contiguous() for name, v in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as temporary:
        save_file(state, temporary, metadata={fact: json.dumps(value)})


def stage_fact(path: Path, fact: str) -> Any:
    """What :func:`save_stage` wrote beside the weights; None where there is no such file."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        found = (file.metadata() or {}).get(fact)
    return None if found is None else json.loads(found)


def load_stage(path: Path, model: JointModel) -> Fitted | None:
    """Put a finished stage's weights into the model; what its training did."""
    from safetensors.torch import load_file

    model.load_state_dict(load_file(path))
    row = stage_fact(path, "fitted")
    return Fitted(**row) if row else None


def save_finished(path: Path, model: JointModel, fitted: Fitted) -> None:
    """The weights of a finished stage, which :func:`load_stage` reads."""
    save_stage(path, model, "fitted", asdict(fitted))


def open_work(work: Path, mark: Mapping[str, Any], *, resume: bool) -> None:
    """Keep the checkpoints of an equal run and drop others.

    Args:
        work: the folder; made if it is not there.
        mark: what an equal run has equal; ``labels`` and ``topics`` among it.
        resume: False drops everything.

    Raises:
        HanspanError: if there are checkpoints of other labels.
    """
    path = work / "run.json"
    old = json.loads(path.read_text("utf-8")) if path.is_file() else None
    if old is not None and resume:
        if (old["labels"], old["topics"]) != (mark["labels"], mark["topics"]):
            found, wanted = (", ".join((m["labels"] or m["topics"])[:6]) for m in (old, mark))
            raise HanspanError(
                f"{work}: checkpoints of other labels ({found}, ...) found, {wanted}, ... "
                f"expected; remove that folder or give another 'out'"
            )
        if old == json.loads(json.dumps(mark)):
            return
        _log.warning("%s: checkpoints of other settings or text; training anew", work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with whole(path) as temporary:
        temporary.write_text(json.dumps(mark, ensure_ascii=False), "utf-8")


def write_run(
    run_dir: Path,
    work: Path,
    model: JointModel,
    tokenizer: Any,
    meta: ModelMeta,
    row: Mapping[str, Any],
) -> None:
    """Write ``model/``, ``train.json`` and the logs, each whole or not at all; remove ``work``."""
    new, final = run_dir / ".model.part", run_dir / "model"
    shutil.rmtree(new, ignore_errors=True)
    try:
        save_model(model, tokenizer, new, meta)
        shutil.rmtree(final, ignore_errors=True)
        new.rename(final)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    with whole(run_dir / "train.json") as temporary:
        temporary.write_text(json.dumps(row, ensure_ascii=False, indent=1) + "\n", "utf-8")
    for log in work.glob("*/log.csv"):
        shutil.copyfile(log, run_dir / f"{log.parent.name}.log.csv")
    shutil.rmtree(work, ignore_errors=True)
