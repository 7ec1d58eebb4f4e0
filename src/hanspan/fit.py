"""One training of a model on rows: transformers' Trainer with our loss and our batches."""

from __future__ import annotations

import csv
import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from hanspan.batches import Collator, RowDataset, label_rates
from hanspan.data import whole
from hanspan.encode import TextEncoder
from hanspan.errors import HanspanError
from hanspan.joint import JointModel
from hanspan.losses import (
    allowance,
    broken_pairs,
    soft_cross_entropy,
    tag_loss,
    weighted_mean,
)
from hanspan.rows import Row, TokenBudget
from hanspan.run_files import Fitted
from hanspan.shapes import compiled_encoder, fixed_lengths
from hanspan.train_settings import TrainSettings

Progress = Callable[[int, int | None, str], None]
_ENOUGH = "enough.json"
"""In a stage's folder: that no more epochs are wanted."""
LOG_FIELDS = (
    "step",
    "epoch",
    "loss",
    "tag_loss",
    "topic_loss",
    "dropped",
    "learning_rate",
    "grad_norm",
)


def use_bf16(precision: str, device: str) -> bool:
    """Whether to train under bf16 autocast.

    ``auto`` says yes on a GPU that has it and on a CPU that multiplies bf16, by AMX tiles or by
    AVX-512 (there one step costs about 0.6 of its fp32 time; elsewhere it costs 1.3 to 1.4).
    """
    if precision != "auto":
        return precision == "bf16"
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(check() for name in checks if (check := getattr(torch.cpu, name, None)))


class StudentTrainer(Trainer):
    """Trainer with token-budget batches and the noise-aware loss."""

    loss_is_scaled_for_ga = False  # our loss is a mean per batch

    def __init__(
        self,
        *,
        sampler: TokenBudget,
        settings: TrainSettings,
        rates: Any,
        mask_from: int,
        pair_weight: float,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.sampler, self.settings, self.rates, self.mask_from = (
            sampler,
            settings,
            rates,
            mask_from,
        )
        self.pair_weight = pair_weight
        self.parts: dict[str, list[torch.Tensor]] = {
            "tag_loss": [],
            "topic_loss": [],
            "dropped": [],
        }
        self.tokens_seen = 0

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of the sampler, spread over processes by accelerate."""
        loader: DataLoader[Any] = DataLoader(
            cast(RowDataset, self.train_dataset),
            batch_sampler=cast(Any, self.sampler),
            collate_fn=self.data_collator,
        )
        return self.accelerator.prepare(loader)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Tag loss, with that of pairs where it counts, plus weighted topic loss.

        Raises:
            HanspanError: naming the step at which the loss stopped being a number.
        """
        settings = self.settings
        tags, topics = model(inputs["input_ids"], inputs["attention_mask"])
        masking = settings.mask_missed and self.state.global_step >= self.mask_from
        tokens = int(inputs["attention_mask"].sum())
        loss, dropped = tag_loss(
            tags,
            inputs["tag_targets"],
            inputs["tag_weights"],
            inputs["droppable"].bool(),
            threshold=settings.mask_threshold if masking else None,
            allowance=allowance(
                self.rates * tokens * settings.mask_guard, (settings.seed, self.state.global_step)
            ),
        )
        if self.pair_weight:
            pairs = broken_pairs(tags, (inputs["tag_weights"] > 0).float())
            loss = loss + self.pair_weight * pairs
        topic_loss = loss.new_zeros(())
        if topics.shape[-1]:
            target = inputs["topic_targets"]
            target = target / target.sum(-1, keepdim=True).clamp(min=1e-6)
            wrong = soft_cross_entropy(topics, target)
            topic_loss = weighted_mean(wrong, inputs["topic_weights"])
        total = loss + settings.topic_weight * topic_loss
        if not bool(torch.isfinite(total)):
            raise HanspanError(
                f"loss is {total.item()} at step {self.state.global_step} (tags {loss.item():.3g}, "
                f"topics {topic_loss.item():.3g}); expected a finite number: lower train.lr "
                f"(now {self.args.learning_rate:g}) or set train.precision=fp32"
            )
        self.tokens_seen += tokens
        self._note(tag_loss=loss, topic_loss=topic_loss, dropped=dropped)
        return (total, (tags, topics)) if return_outputs else total

    def _note(self, **values: torch.Tensor) -> None:
        for name, value in values.items():
            self.parts[name].append(value.detach().float())

    def log(self, logs: dict[str, float], *args: Any, **rest: Any) -> None:
        """Add the parts of the loss since the last line."""
        for name, values in self.parts.items():
            if values and "loss" in logs:
                logs[name] = round(float(torch.stack(values).mean()), 5)
                values.clear()
        super().log(logs, *args, **rest)


def _logged_before(row: Mapping[str, str | None], step: int) -> bool:
    """Whether a line of the log is whole and not of a step that will run again."""
    try:
        return int(row["step"] or "") <= step and None not in row.values()
    except ValueError:  # the kill came amid the line
        return False


class _Watch(TrainerCallback):
    """Progress, the CSV log, and a call at the end of each epoch."""

    def __init__(
        self,
        path: Path,
        progress: Progress | None,
        what: str,
        on_epoch: Callable[[int], bool] | None,
        per_epoch: int,
    ) -> None:
        self.path, self.progress, self.what, self.on_epoch = path, progress, what, on_epoch
        self.per_epoch, self.last, self.enough = per_epoch, float("nan"), False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the log; look at an epoch whose last step wrote the checkpoint, then was killed."""
        if state.is_world_process_zero:
            self._open_log(state.global_step)
        if self.on_epoch and state.global_step and state.global_step % self.per_epoch == 0:
            self._look(state, control)

    def _open_log(self, step: int) -> None:
        """Start the log, or keep of an older one what precedes the checkpoint."""
        kept: list[dict[str, str]] = []
        if self.path.is_file() and step:
            with self.path.open(newline="", encoding="utf-8") as stream:
                kept = [r for r in csv.DictReader(stream) if _logged_before(r, step)]
        if kept:
            self.last = float(kept[-1]["loss"])
        with self.path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, LOG_FIELDS)
            writer.writeheader()
            writer.writerows(kept)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Append one line."""
        if "loss" not in (logs or {}):
            return
        self.last = float(logs["loss"])
        if state.is_world_process_zero:
            row = {"step": state.global_step, **logs}
            with self.path.open("a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, LOG_FIELDS, extrasaction="ignore").writerow(row)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell how far it is."""
        if self.progress and state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps, self._text())

    def _text(self) -> str:
        return f"{self.what} loss {self.last:.3f}" if self.last == self.last else self.what

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Let the caller look at the model, and say whether that is enough."""
        if self.on_epoch and not self.enough:  # a step that was under way may follow on enough
            self._look(state, control)

    def _look(self, state: Any, control: Any) -> None:
        assert self.on_epoch is not None
        if not self.on_epoch(state.global_step // self.per_epoch):
            return
        self.enough = control.should_training_stop = True
        if state.is_world_process_zero:
            row = {"steps": state.global_step, "loss": self.last}
            with whole(self.path.with_name(_ENOUGH)) as temporary:
                temporary.write_text(json.dumps(row), "utf-8")


def _groups(model: JointModel, lr: float, factor: float, decay: float) -> list[dict[str, Any]]:
    heads = {id(p) for p in model.head_parameters()}
    groups: dict[tuple[float, float], list[Any]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = (
                lr * (factor if id(parameter) in heads else 1.0),
                decay if parameter.ndim > 1 else 0.0,
            )
            groups.setdefault(key, []).append(parameter)
    return [{"params": p, "lr": key[0], "weight_decay": key[1]} for key, p in groups.items()]


def _last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that is whole: a kill while one is written leaves it without state."""
    ready = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    newest = max(ready, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return str(newest) if newest else None


def fit(
    model: JointModel,
    rows: Sequence[Row],
    encoder: TextEncoder,
    settings: TrainSettings,
    folder: Path,
    *,
    epochs: int,
    lr: float,
    head_factor: float = 1.0,
    pair_weight: float = 0.0,
    lexicon: Mapping[int, Sequence[NDArray[np.int64]]] = MappingProxyType({}),
    resume: bool = True,
    progress: Progress | None = None,
    what: str = "train",
    on_epoch: Callable[[int], bool] | None = None,
) -> Fitted:
    """Train ``model`` in place.

    Args:
        model: heads in the order of the rows' tags and topics.
        rows: see :func:`hanspan.rows.build_rows`.
        encoder: tokenizer of the model.
        settings: everything not given by the other arguments.
        folder: of checkpoints and ``log.csv``.
        epochs: passes over the rows.
        lr: peak learning rate of the encoder.
        head_factor: the heads' learning rate is so many times that.
        pair_weight: of :func:`hanspan.losses.broken_pairs`.
        lexicon: token ids of names by label, which mentions are replaced by beside the rows' own.
        resume: go on from the last checkpoint in ``folder`` if there is one.
        progress: called as (step, steps, text).
        what: first word of that text.
        on_epoch: called with the number of finished epochs; True ends the training.

    Raises:
        HanspanError: if there is nothing to train on, or loss or weights stop being finite.
    """
    if not rows:
        raise HanspanError("no text to train on; expected at least one document with characters")
    if settings.mask_tokens and encoder.mask is None:
        raise HanspanError(
            f"train.mask_tokens={settings.mask_tokens:g}: found no [MASK] and no [UNK] among the "
            f"encoder's tokens; expected one to hide others behind: set train.mask_tokens=0"
        )
    folder.mkdir(parents=True, exist_ok=True)
    lengths = [len(r) + encoder.special for r in rows]
    fixed = fixed_lengths(settings.max_length) if settings.compile else ()
    sampler = TokenBudget(lengths, settings.batch_tokens, settings.seed, fixed)
    args = TrainingArguments(
        output_dir=str(folder),
        seed=settings.seed,
        learning_rate=lr,
        num_train_epochs=epochs,
        gradient_accumulation_steps=settings.accumulate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        max_grad_norm=1.0,
        bf16=use_bf16(settings.precision, settings.device),
        use_cpu=settings.device == "cpu" or not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        label_names=["tag_targets"],
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=1,
        logging_strategy="steps",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        ddp_find_unused_parameters=True,
    )
    # Each process takes its share of the batches; the last step of an epoch may be short.
    per_epoch = math.ceil(math.ceil(len(sampler) / max(1, args.world_size)) / settings.accumulate)
    steps = per_epoch * epochs
    args.max_steps = steps
    args.warmup_steps = math.ceil(steps * settings.warmup)
    args.logging_steps = max(1, min(50, steps // 40))
    room = max(len(row) for row in rows)
    watch = _Watch(folder / "log.csv", progress, what, on_epoch, per_epoch)
    optimizer = torch.optim.AdamW(
        _groups(model, lr, head_factor, settings.weight_decay),
        lr=lr,
        betas=(0.9, 0.98),
        eps=1e-6,
        fused=True,
    )
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    trainer = StudentTrainer(
        model=model,
        args=args,
        train_dataset=RowDataset(rows, model.n_tags, settings, room, encoder.mask, lexicon),
        data_collator=Collator(encoder, fixed),
        optimizers=(optimizer, None),
        callbacks=[watch],
        sampler=sampler,
        settings=settings,
        rates=label_rates(rows, model.n_tags),
        mask_from=math.ceil(steps * settings.mask_after),
        pair_weight=pair_weight,
    )
    trainer.remove_callback(PrinterCallback)
    if resume and (folder / _ENOUGH).is_file():
        row = json.loads((folder / _ENOUGH).read_text("utf-8"))
        return Fitted(row["steps"], epochs, 0, 0.0, row["loss"], row["steps"])
    last = _last_checkpoint(folder) if resume else None
    resumed_at = int(last.rpartition("-")[2]) if last else 0
    # In several processes, what skips the batches seen before hides the sampler from the Trainer.
    sampler.set_epoch(resumed_at // per_epoch)
    started = perf_counter()
    shapes = {(max(1, settings.batch_tokens // length), length) for length in fixed}
    with compiled_encoder(model, shapes) if fixed else nullcontext():
        trainer.train(resume_from_checkpoint=last)
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
        raise HanspanError(  # no loss follows on the last step to show it
            f"weights are no longer finite after step {trainer.state.global_step}; expected finite "
            f"numbers: lower train.lr (now {lr:g}) or set train.precision=fp32"
        )
    return Fitted(
        steps=trainer.state.global_step,
        epochs=epochs,
        tokens=trainer.tokens_seen,
        seconds=perf_counter() - started,
        loss=watch.last,
        resumed_at=resumed_at,
    )
