"""The training loop: one process or several, CPU or GPU, stopped and resumed at any step."""

import contextlib
import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hanspan.data import whole
from hanspan.errors import HanspanError
from hanspan.pretrain.checkpoint import load_checkpoint, save_checkpoint
from hanspan.pretrain.corpus import Shards
from hanspan.pretrain.heldout import cached_floor, heldout_scores
from hanspan.pretrain.masking import choose_positions, hide
from hanspan.pretrain.memory import named_memory_errors
from hanspan.pretrain.network import SparseLoss, build_network
from hanspan.pretrain.optim import build_optimizers
from hanspan.pretrain.processes import Processes, join_processes
from hanspan.pretrain.run_settings import RunSettings
from hanspan.pretrain.sampling import Sampler, ahead
from hanspan.pretrain.speed import peak_tflops, token_flops
from hanspan.pretrain.tokenizer import SEP, CharTable, load_vocab


@contextlib.contextmanager
def _asked_to_stop(patient: bool = False) -> Iterator[threading.Event]:
    """Set when SIGINT or SIGTERM comes, so that a step is finished and saved; a second one kills.

    `patient` takes the second like the first: at Ctrl-C torchrun's processes get one from the
    terminal and one from torchrun, which kills by itself what does not end. Outside the main
    thread, where signals cannot be caught, it stays unset.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(*_: Any) -> None:
        asked.set()
        if not patient:
            restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()


class Trainer:
    """Builds everything from settings, resumes if the folder holds a checkpoint, and runs."""

    def __init__(
        self,
        settings: RunSettings,
        shards: Shards,
        folder: Path,
        processes: Processes | None = None,
    ) -> None:
        """`processes` are joined by the settings' device unless they are given."""
        if settings.network.vocab_size != shards.vocab_size:
            raise HanspanError(
                f"pretrain: the network has {settings.network.vocab_size} rows, the shards' "
                f"vocabulary {shards.vocab_size}; set network.vocab_size to {shards.vocab_size}"
            )
        self.settings, self.shards, self.folder = settings, shards, folder
        self.processes = processes or join_processes(settings.device)
        self.device = self.processes.device
        with named_memory_errors(settings.micro_tokens):
            self.model = build_network(settings.network, settings.seed).to(self.device)
        # Measured: with AMX plain products beat the CPU's fused attention, whose backward is slow.
        on_cpu = self.device.type == "cpu"
        self.model.set_attn_implementation("eager" if on_cpu else "sdpa")
        self.model.train()
        self.loss = SparseLoss(self.model)
        self.compiled = torch.compile(self.loss, dynamic=False) if settings.compile else self.loss
        self.optimizers = build_optimizers(self.model, settings.optim)
        table = CharTable(load_vocab(shards.folder))
        self.sampler = Sampler(
            shards.train,
            settings.weights,
            settings.windows,
            settings.micro_tokens,
            settings.seed,
            np.array([*table.encode("\n。！？；"), SEP], dtype=np.uint16),
            settings.temperature,
        )
        self.drawn = self.sampler.state()
        self.batches = self._batches() if on_cpu else ahead(self._batches())
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self.losses: list[torch.Tensor] = []  # of the steps since the last line of the log
        self.floor: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "checkpoint.safetensors"
        if self.path.exists():
            self._resume()
        else:
            self._check_fresh()
        self.processes.agree(self.step, "step")

    def _check_fresh(self) -> None:
        """A run that had begun and lost its checkpoint is not begun again over its remains."""
        kept = sorted(self.folder.glob("checkpoint-*.safetensors"))
        log = self.folder / "log.jsonl"
        if kept or (log.exists() and log.stat().st_size):
            found = kept[-1].name if kept else log.name
            raise HanspanError(
                f"pretrain: {self.folder} holds {found} but no {self.path.name}; copy a "
                f"checkpoint-TOKENS.safetensors there under that name, or remove the folder to "
                "begin again"
            )

    def _resume(self) -> None:
        exact = self.settings.exact(self.shards)
        progress = load_checkpoint(self.path, self.model, self.optimizers, exact)
        self._check_decay(progress)
        self.step, self.tokens = progress["step"], progress["tokens"]
        self.seconds = progress["seconds"]
        self.losses = [
            torch.tensor(loss, device=self.device) for loss in progress.get("losses", ())
        ]
        self.sampler.restore(progress["sampler"])
        self.drawn = progress["sampler"]
        log = self.folder / "log.jsonl"
        if self.processes.rank == 0 and log.exists():
            rows = log.read_text(encoding="utf-8").splitlines()
            with whole(log) as temporary:
                text = "".join(r + "\n" for r in rows if _logged_before(r, self.step))
                temporary.write_text(text, encoding="utf-8")

    def _check_decay(self, progress: Mapping[str, Any]) -> None:
        """A rate cannot have fallen in tokens that were trained without its falling."""
        before = progress.get("run", {}).get("schedule", {}).get("decay_from")
        now, tokens = self.settings.schedule.decay_from, progress["tokens"]
        if now is not None and now < tokens and now != before:
            raise HanspanError(
                f"pretrain: {self.path} has {tokens:,} tokens, and its rate was to fall from "
                f"{before or 'none'} on; found run.schedule.decay_from={now}, expected the same, "
                f"or {tokens} or more"
            )

    def save(self, path: Path | None = None) -> None:
        """Write a checkpoint (rank 0 only)."""
        if self.processes.rank:
            return
        progress: dict[str, Any] = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
        }
        progress["sampler"] = self.drawn
        progress["world"] = self.processes.world
        progress["losses"] = [float(loss) for loss in self.losses]
        progress["run"] = asdict(self.settings)  # for the card
        exact = self.settings.exact(self.shards)
        save_checkpoint(path or self.path, self.model, self.optimizers, progress, exact)

    def _batches(self) -> Iterator[tuple[list[torch.Tensor], int, dict[str, int]]]:
        """This process's micro-batches: (hidden ids, positions, targets), number, state after.

        Every process counts the batches of all, so that N processes see what one sees with N
        times the micro-batches a step.
        """
        s, here = self.settings, self.processes
        on_gpu = here.device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(here.device)  # of the thread that works ahead
        while True:
            mine: list[torch.Tensor] = []
            number = 0
            for rank in range(here.world):
                if rank != here.rank:
                    self.sampler.skip()
                    continue
                number = self.sampler.number
                ids, rng = self.sampler.next()
                positions = choose_positions(ids, s.masks, rng)
                hidden = hide(ids, positions, s.masks, s.network.vocab_size, rng)
                arrays = (hidden, positions, ids.reshape(-1)[positions])
                mine = [torch.from_numpy(a) for a in arrays]
                if on_gpu:
                    mine = [t.pin_memory() for t in mine]
            yield mine, number, self.sampler.state()

    def _autocast(self) -> Any:
        if self.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def train_step(self) -> torch.Tensor:
        """One optimizer step; the mean loss (nats) over the processes, still on the device."""
        s = self.settings
        accumulate = s.accumulation(self.tokens)
        factor = s.schedule.factor(self.step, self.tokens)
        total = torch.zeros((), device=self.device)
        for _ in range(accumulate):
            batch, number, self.drawn = next(self.batches)
            if s.network.dropout:
                torch.manual_seed(s.seed + number + 1)
            batch = [t.to(self.device, non_blocking=True) for t in batch]
            with self._autocast():
                loss = self.compiled(*batch) / accumulate
            loss.backward()
            total += loss.detach()
        total = self.processes.average(self.model.parameters(), total)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.optim.clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = s.optim.lr * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += s.micro_tokens * accumulate * self.processes.world
        return total

    def heldout(self) -> dict[str, Any]:
        """Loss (nats) and accuracy by source on held-out text, and what neighbours guess there."""
        rows = self.settings.heldout_rows
        self.model.eval()
        with self._autocast():
            scores = heldout_scores(self.model, self.shards, rows)
        self.model.train()
        self.floor = self.floor or cached_floor(self.shards, rows)
        return {"heldout": scores, "floor": self.floor}

    def _log(self, row: dict[str, Any]) -> None:
        if self.processes.rank:
            return
        place = {"step": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 1)}
        line = json.dumps(place | row, ensure_ascii=False)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        print(line, flush=True)

    def done(self, began: float) -> bool:
        """Whether tokens, minutes or the decay have come to their end."""
        s = self.settings
        minutes = (time.monotonic() - began) / 60
        return (
            (s.max_tokens is not None and self.tokens >= s.max_tokens)
            or (s.max_minutes is not None and minutes >= s.max_minutes)
            or s.schedule.finished(self.tokens)
        )

    def run(self) -> bool:
        """Train to the end of the settings, save, and measure what came out.

        Returns:
            Whether the end was reached; False where Ctrl-C or SIGTERM asked to stop before.
        """
        here = self.processes
        with (
            _asked_to_stop(here.world > 1) as stop,
            named_memory_errors(self.settings.micro_tokens),
        ):
            self._steps(stop)
            ended = not here.any(stop.is_set())
            self.save()
            if ended and here.rank == 0:
                self._log(self.heldout())
        here.wait()
        here.leave()
        return ended

    def _steps(self, stop: threading.Event) -> None:
        s, here = self.settings, self.processes
        began = saved = evaluated = logged = last = time.monotonic()
        milestones = [m for m in s.milestones if m > self.tokens]
        mark = self.tokens
        flops = token_flops(s.network, s.masks, s.windows)
        peak = s.peak_tflops or peak_tflops(self.device)
        while not here.any(self.done(began) or stop.is_set()):
            self.losses.append(self.train_step())
            now = time.monotonic()
            self.seconds += now - last
            last = now
            to_save = now - saved > 60 * s.checkpoint_minutes
            if self.step % s.log_every == 0:
                loss = self._mean_loss()
                self.losses = []
                if not self.path.exists():  # where a log lies, a checkpoint lies
                    self.save()
                now = time.monotonic()  # the loss has waited for the GPU
                speed = (self.tokens - mark) / max(1e-9, now - logged)
                row = {"loss": round(loss, 4), "tokens_per_s": round(speed)}
                row["share_of_peak"] = round(speed * flops / here.world / peak / 1e12, 4)
                self._log(row)
                mark, logged = self.tokens, now
            if now - evaluated > 60 * s.eval_minutes:
                if here.rank == 0:
                    self._log(self.heldout())
                evaluated = time.monotonic()
            if to_save or (milestones and self.tokens >= milestones[0]):
                self._mean_loss()
            if to_save:
                self.save()
                saved = time.monotonic()
            if milestones and self.tokens >= milestones[0]:
                self.save(self.folder / f"checkpoint-{milestones.pop(0)}.safetensors")
        self._mean_loss()

    def _mean_loss(self) -> float:
        """Mean since the last line; a loss that is no number stops the run before it is saved."""
        mean = float(torch.stack(self.losses).double().mean()) if self.losses else 0.0
        if not math.isfinite(mean):
            raise HanspanError(
                f"pretrain: the loss is {mean} near step {self.step}; the last checkpoint in "
                f"{self.folder} is from before: go on from an earlier one, or lower run.optim.lr "
                f"(now {self.settings.optim.lr:g}) in another folder"
            )
        return mean


def _logged_before(line: str, step: int) -> bool:
    """Whether a line of the log is whole and not of a step that will run again."""
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):  # the kill came amid the line
        return False
