"""Weak labels to a model: ``train.jsonl`` and ``train.soft.npz`` to ``run/model``.

In ``weak`` mode no hand label is read, so none can leak in. Several processes:
``torchrun --nproc-per-node=2 -m hanspan.train_worker TRAIN.jsonl RUN [key=value ...]``.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hanspan.agreement import agreement, of_hidden, temperatures
from hanspan.batches import row_logits
from hanspan.data import Document
from hanspan.decode import softmax
from hanspan.encode import TextEncoder
from hanspan.encoders import (
    RANDOM,
    check_length,
    had_hand_labels,
    open_encoder,
    resolve_encoder,
    shown_name,
    usual_rate,
)
from hanspan.fit import fit, use_bf16
from hanspan.joint import JointModel
from hanspan.meta import HAND_BEFORE, ModelMeta
from hanspan.ranks import is_main, said_by_main, wait_for_all
from hanspan.rows import Row, build_rows, prior_correction
from hanspan.run_files import (
    Fitted,
    TrainSummary,
    load_stage,
    open_work,
    save_finished,
    save_stage,
    stage_fact,
    write_run,
)
from hanspan.selftrain import draw_tokens, mean_probs, own_rows, teacher_rows
from hanspan.soft import SoftLabels
from hanspan.train_data import (
    TrainData,
    files_digest,
    load_gold,
    load_names,
    load_pool,
    load_train_data,
)
from hanspan.train_settings import TrainSettings

Progress = Callable[[int, int | None, str], None]

_TOKENS_WANTED = 1_000_000
_log = logging.getLogger("hanspan")
_CORRECTED = "prior-corrected"
"""A file beside the weights of a stage whose ``O`` was raised, for a run that goes on."""


def train(
    train_path: str | os.PathLike[str],
    run_dir: str | os.PathLike[str],
    settings: TrainSettings | None = None,
    *,
    resume: bool = True,
    progress: Progress | None = None,
) -> TrainSummary:
    """Train a student and write ``run_dir/model``.

    Args:
        train_path: documents with weak labels; their soft labels lie beside them.
        run_dir: gets ``model/``, ``train.json`` and logs; ``work/`` holds checkpoints meanwhile.
        settings: defaults when None.
        resume: go on from the checkpoints of a killed run with equal settings; False starts anew.
        progress: called as (step, steps, text).

    Raises:
        HanspanError: for missing files, labels that do not fit, a loss that is not finite, or
            checkpoints of other labels.
    """
    settings = settings or TrainSettings()
    data = load_train_data(train_path, settings)
    files = files_digest(train_path, settings)
    return _Run(data, files, Path(run_dir), settings, resume, progress).run()


class _Run:
    """The steps of one training, each kept in ``work/`` so that a killed run goes on."""

    def __init__(
        self,
        data: TrainData,
        files: str,
        run_dir: Path,
        settings: TrainSettings,
        resume: bool,
        progress: Progress | None,
    ) -> None:
        self.data, self.run_dir, self.settings = data, run_dir, settings
        self.resume, self.progress, self.files = resume, progress, files
        self.work = run_dir / "work"
        self.bf16 = use_bf16(settings.precision, settings.device)
        self.main_process = is_main()
        self.source = str(resolve_encoder(settings.encoder))
        self.random = self.source in RANDOM
        self.hand_before = had_hand_labels(self.source)
        self.fits: list[Fitted] = []
        self.prior_corrected = False
        self.judges: list[Row] = []

    def run(self) -> TrainSummary:
        """See :func:`train`."""
        settings, data = self.settings, self.data
        if self.main_process:
            open_work(self.work, self._mark(), resume=self.resume)
        self._wait()
        model, tokenizer = self._fresh(settings.seed)
        check_length(model.config, settings.max_length)
        encoder = TextEncoder(tokenizer.backend_tokenizer)
        rows = self._rows(data.documents, data.soft, encoder)
        held = self._rows(data.held_documents, data.held_soft, encoder)
        self.judges = held if settings.select == "agreement" else []
        if settings.select == "agreement" and not held:
            _log.warning("train.select=agreement: no document is held out; the last epoch is kept")
        if settings.select == "gold" and settings.select_gold:
            gold = load_gold(settings.select_gold, data.labels, data.topics)
            self.judges = self._rows(*gold, encoder)
        pool: list[Row] = []
        if more := settings.files_read().get("pool"):
            pool = self._rows(*load_pool(more, data.soft), encoder, len(data.documents))
        names = (settings.replace_from, data.labels, encoder, settings.hide_mentions)
        self.lexicon = load_names(*names)
        self.parameters = sum(p.numel() for p in model.parameters())
        tokens = sum(len(row) for row in rows)
        epochs = settings.epochs or int(np.clip(round(_TOKENS_WANTED / max(tokens, 1)), 3, 20))

        models = []
        for number in range(settings.seeds):
            student = model if not number else self._fresh(settings.seed + number)[0]
            self._stage(f"student-{number + 1}", student, rows, held, encoder, epochs, 1.0, number)
            models.append(student)
        student = models[0]
        passes = settings.rounds or (1 if settings.seeds > 1 else 0)
        for number in range(passes):
            name = f"round-{number + 1}"
            taught = self._teach(name, models, [*rows, *pool], encoder)
            share = max(1, round(epochs * settings.round_epochs))
            self._stage(name, student, taught, held, encoder, share, 0.5, 100 + number)
            models = [student]
        if settings.settle:
            self._settle(student, [*rows, *pool], held, encoder)
        return self._finish(student, tokenizer, encoder, held, epochs)

    def _mark(self) -> dict[str, Any]:
        """What checkpoints must agree on to be gone on from."""
        return {
            "labels": list(self.data.labels),
            "topics": list(self.data.topics),
            "settings": self._of_stage("student-1").model_dump(mode="json", exclude={"save_every"}),
            "data": self.data.digest,
            "files": self.files,
        }

    def _fresh(self, seed: int) -> tuple[JointModel, Any]:
        data = self.data
        texts = (document.text for document in data.documents)
        return open_encoder(
            self.settings.encoder,
            data.labels,
            data.topics,
            texts=texts,
            seed=seed,
            dropout=self.settings.dropout,
        )

    def _rows(
        self,
        documents: Sequence[Document],
        soft: SoftLabels,
        encoder: TextEncoder,
        first: int = 0,
    ) -> list[Row]:
        return build_rows(
            documents,
            soft,
            encoder,
            self.settings.max_length,
            winners=self.settings.targets == "winner",
            first=first,
        )

    def _of_stage(self, name: str, offset: int = 0) -> TrainSettings:
        return self.settings.of_stage(name, offset, topics_alone=not self.data.labels)

    def _stage(
        self,
        name: str,
        model: JointModel,
        rows: list[Row],
        held: list[Row],
        encoder: TextEncoder,
        epochs: int,
        rate: float,
        offset: int,
    ) -> None:
        """Fit the model, or load what an earlier run of the same stage left."""
        folder = self.work / name
        done = folder / "done.safetensors"
        if done.is_file():
            self.fits += [fitted] if (fitted := load_stage(done, model)) else []
            self.prior_corrected |= (folder / _CORRECTED).is_file()
            return
        settings = self._of_stage(name, offset)
        pair_weight = settings.pair_weight if name == "settle" else 0.0
        best = folder / "best.safetensors"

        def look(epoch: int) -> bool:
            gain = epoch  # the last epoch that was better than all before
            if self.main_process:
                score = self._agreed(model, encoder)
                before, gain = (stage_fact(best, "score") or (-1.0, epoch))[:2]
                gain = epoch if score > before else gain
                if score >= before:
                    save_stage(best, model, "score", [score, gain, epoch])
            return settings.patience is not None and said_by_main(epoch - gain) >= settings.patience

        # A round is to depart from the rules of topics, so these are no judges of it.
        fit_to_judge = name.startswith("student") or self.data.labels or settings.select == "gold"
        choose = bool(self.judges and name != "settle" and fit_to_judge)
        # Of several students the first round makes one, which none of them stands for.
        single = settings.seeds == 1 or name != "round-1"
        begun = name.startswith("round") and single
        if choose and begun and self.main_process and not best.is_file():
            save_stage(best, model, "score", [self._agreed(model, encoder), 0, 0])
        fitted = fit(
            model,
            rows,
            encoder,
            settings,
            folder,
            epochs=epochs,
            lr=(settings.lr or usual_rate(model.config, self.random)) * rate,
            head_factor=1.0 if self.random else settings.head_lr_factor,
            pair_weight=pair_weight,
            lexicon=self.lexicon,
            resume=self.resume,
            progress=self.progress,
            what=name,
            on_epoch=look if choose else None,
        )
        self.fits.append(fitted)
        if choose:
            self._wait()
            load_stage(best, model)
            if self.main_process and stage_fact(best, "score")[2:] == [0]:
                _log.info("%s: agrees less than what it began from, which is kept", name)
        if name.startswith("student"):
            amount = prior_correction(rows, settings.unknown_share)
            if self._correct_prior(model, amount, held, encoder):
                self.prior_corrected = True
                (folder / _CORRECTED).touch()
        if self.main_process:
            save_finished(done, model, fitted)
            for checkpoint in folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint, ignore_errors=True)
        self._wait()

    def _correct_prior(
        self, model: JointModel, amount: float, held: list[Row], encoder: TextEncoder
    ) -> bool:
        """Give ``O`` back what sampling took, if the settings or the held-out rows say so."""
        wanted = self.settings.correct_prior
        if wanted == "auto" and amount and held:
            tags, topics = self._answers(model, held, encoder)
            before = agreement(held, tags, topics).f1
            for logits in tags:
                logits[:, 0] += amount
            wanted = agreement(held, tags, topics).f1 > before
        if not amount or wanted is not True:
            return False
        model.raise_o(amount)
        return True

    def _wait(self) -> None:
        wait_for_all(cpu=self.settings.device == "cpu")

    def _answers(
        self, model: JointModel, rows: list[Row], encoder: TextEncoder, what: str = ""
    ) -> Any:
        told = self.progress if what else None
        return row_logits(
            model, rows, encoder, budget=8192, bf16=self.bf16, progress=told, what=what
        )

    def _agreed(self, model: JointModel, encoder: TextEncoder) -> float:
        """How well a model agrees with what epochs and rounds are chosen by."""
        return agreement(self.judges, *self._answers(model, self.judges, encoder)).score

    def _teach(
        self, name: str, models: list[JointModel], rows: list[Row], encoder: TextEncoder
    ) -> list[Row]:
        if (self.work / name / "done.safetensors").is_file():
            return rows  # not needed again
        settings, what = self.settings, f"{name} teacher reads"
        answers = [self._answers(model, rows, encoder, what) for model in models]
        topics = np.mean(
            [softmax(topic) if topic.shape[-1] else topic for _, topic in answers], axis=0
        )
        return teacher_rows(
            rows,
            mean_probs([tags for tags, _ in answers]),
            topics,
            confidence=settings.confidence,
            sure_o=settings.sure_o,
            power=settings.sharpen,
            topic_confidence=settings.topic_confidence,
            anchors=settings.anchors,
        )

    def _settle(
        self, model: JointModel, rows: list[Row], held: list[Row], encoder: TextEncoder
    ) -> None:
        """Train once over ``settings.settle`` tokens with the student's own whole spans."""
        chosen = draw_tokens(rows, self.settings.settle, self.settings.seed)
        if not (self.work / "settle" / "done.safetensors").is_file():
            tags, topics = self._answers(model, chosen, encoder, "settle student reads")
            chosen = own_rows(chosen, tags, topics, self.settings.sharpen)
        self._stage("settle", model, chosen, held, encoder, 1, 0.3, 200)

    def _finish(
        self, model: JointModel, tokenizer: Any, encoder: TextEncoder, held: list[Row], epochs: int
    ) -> TrainSummary:
        data, settings = self.data, self.settings
        found, temperature, topic_temperature = None, 1.0, 1.0
        if held:
            tags, topics = self._answers(model, held, encoder)
            found = agreement(held, tags, topics)
            temperature, topic_temperature = temperatures(held, tags, topics)
        meta = ModelMeta(
            data.labels,
            data.topics,
            max_length=settings.max_length,
            overlap=min(32, settings.max_length // 4),
            temperature=temperature,
            topic_temperature=topic_temperature,
            extra={
                "mode": settings.mode,
                "encoder": shown_name(settings.encoder, self.source),
                **({"selection": "gold"} if settings.select == "gold" else {}),
                **({HAND_BEFORE: True} if self.hand_before else {}),
            },
        )
        summary = TrainSummary(
            documents=len(data.documents),
            characters=sum(len(document.text) for document in data.documents),
            held_out=len(data.held_documents),
            encoder=meta.extra["encoder"],
            parameters=self.parameters,
            epochs=epochs,
            steps=sum(f.steps for f in self.fits),
            seconds=round(sum(f.seconds for f in self.fits), 1),
            tokens_per_second=int(
                sum(f.tokens for f in self.fits) / max(1e-9, sum(f.seconds for f in self.fits))
            ),
            loss=round(self.fits[-1].loss, 4) if self.fits else float("nan"),
            agreement=round(found.f1, 4) if found else None,
            **of_hidden(data, model, encoder, meta, self.bf16),
            topic_agreement=round(found.topic, 4) if found and data.topics else None,
            prior_corrected=self.prior_corrected,
            precision="bf16" if self.bf16 else "fp32",
            warnings=data.warnings,
            model=self.run_dir / "model",
        )
        if self.main_process:
            row = {**asdict(summary), "model": "model", "settings": settings.model_dump()}
            row["files"] = self.files
            row["mask_tokens"] = self._of_stage("student-1").mask_tokens
            write_run(self.run_dir, self.work, model, tokenizer, meta, row)
        self._wait()
        return summary
