"""The training loop: one process or several, CPU or GPU, stopped and resumed at any step."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hanspan.errors import HanspanError
from hanspan.pretrain.checkpoint import load_checkpoint, save_checkpoint
from hanspan.pretrain.corpus import Shards
from hanspan.pretrain.heldout import heldout_scores
from hanspan.pretrain.masking import MaskSettings, choose_positions, hide
from hanspan.pretrain.network import NetworkSettings, SparseLoss, build_network
from hanspan.pretrain.optim import OptimSettings, Schedule, build_optimizers
from hanspan.pretrain.sampling import Sampler, Window, ahead
from hanspan.pretrain.speed import measured_tflops, token_flops
from hanspan.pretrain.tokenizer import SEP, CharTable, load_vocab


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set when SIGINT or SIGTERM comes, so that a step is finished and saved; a second one kills.

    Outside the main thread, where signals cannot be caught, it stays unset.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(*_: Any) -> None:
        asked.set()
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


@dataclass(frozen=True)
class RunSettings:
    """All settings of a run. Those in `exact` decide the numbers and must not change on resume."""

    weights: dict[str, float]
    network: NetworkSettings = field(default_factory=NetworkSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    schedule: Schedule = field(default_factory=Schedule)
    windows: tuple[Window, ...] = (Window(32, 0.1), Window(128, 0.65), Window(256, 0.25))
    micro_tokens: int = 8192
    ramp: tuple[tuple[int, int], ...] = ((0, 1), (4_000_000, 2))
    seed: int = 1
    max_tokens: int | None = None
    max_minutes: float | None = None
    checkpoint_minutes: float = 5.0
    eval_minutes: float = 10.0
    milestones: tuple[int, ...] = ()
    compile: bool = True
    device: str = "cpu"
    peak_tflops: float | None = None
    heldout_rows: int = 64
    log_every: int = 20

    def exact(self, shards: Shards) -> dict[str, Any]:
        """What a checkpoint must agree with; lengths, ramp, masks and rates ahead may."""
        names = ("weights", "network", "optim", "windows", "micro_tokens", "seed")
        return {n: v for n, v in asdict(self).items() if n in names} | {"vocab": shards.vocab}

    def accumulation(self, tokens: int) -> int:
        """Micro-batches of one step after `tokens`: the last row of the ramp that has begun."""
        return [count for begin, count in self.ramp if tokens >= begin][-1]


class Trainer:
    """Builds everything from settings, resumes if the folder holds a checkpoint, and runs."""

    def __init__(self, settings: RunSettings, shards: Shards, folder: Path) -> None:
        if settings.network.vocab_size != shards.vocab_size:
            raise HanspanError(
                f"pretrain: the network has {settings.network.vocab_size} rows, the shards' "
                f"vocabulary {shards.vocab_size}; set network.vocab_size to {shards.vocab_size}"
            )
        self.settings, self.shards, self.folder = settings, shards, folder
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = torch.device(settings.device)
        if self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if self.world > 1 and not torch.distributed.is_initialized():
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend)
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
        )
        self.drawn = self.sampler.state()
        self.batches = self._batches() if on_cpu else ahead(self._batches())
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "checkpoint.safetensors"
        if self.path.exists():
            self._resume()

    def _resume(self) -> None:
        exact = self.settings.exact(self.shards)
        progress = load_checkpoint(self.path, self.model, self.optimizers, exact)
        self.step, self.tokens = progress["step"], progress["tokens"]
        self.seconds = progress["seconds"]
        self.sampler.restore(progress["sampler"])
        self.drawn = progress["sampler"]
        log = self.folder / "log.jsonl"
        if self.rank == 0 and log.exists():  # what ran after the checkpoint will run again
            rows = [r for r in log.read_text().splitlines() if json.loads(r)["step"] <= self.step]
            log.write_text("".join(r + "\n" for r in rows))

    def save(self, path: Path | None = None) -> None:
        """Write a checkpoint (rank 0 only)."""
        if self.rank:
            return
        progress: dict[str, Any] = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
        }
        progress["sampler"] = self.drawn
        exact = self.settings.exact(self.shards)
        save_checkpoint(path or self.path, self.model, self.optimizers, progress, exact)

    def _batches(self) -> Iterator[tuple[list[Any], dict[str, int]]]:
        """This rank's micro-batches (hidden ids, positions, targets), each with the state after.

        Every rank draws the batches of all, so that their counts agree.
        """
        s = self.settings
        while True:
            mine: list[Any] = []
            for rank in range(self.world):
                ids, rng = self.sampler.next()
                if rank == self.rank:
                    positions = choose_positions(ids, s.masks, rng)
                    hidden = hide(ids, positions, s.masks, s.network.vocab_size, rng)
                    mine = [hidden, positions, ids.reshape(-1)[positions]]
            yield mine, self.sampler.state()

    def _autocast(self) -> Any:
        if self.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def train_step(self) -> float:
        """One optimizer step; returns the mean loss of this rank's micro-batches (nats)."""
        s = self.settings
        accumulate = s.accumulation(self.tokens)
        factor = s.schedule.factor(self.step, self.tokens)
        total = torch.zeros((), device=self.device)
        for _ in range(accumulate):
            arrays, self.drawn = next(self.batches)
            torch.manual_seed(s.seed + self.drawn[""])  # dropout, if any
            batch = [torch.from_numpy(a).to(self.device, non_blocking=True) for a in arrays]
            with self._autocast():
                loss = self.compiled(*batch) / accumulate
            loss.backward()
            total += loss.detach()
        self._average_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.optim.clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = s.optim.lr * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += s.micro_tokens * accumulate * self.world
        return float(total)

    def _average_gradients(self) -> None:
        if self.world == 1:
            return
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in grads])
        torch.distributed.all_reduce(flat)
        flat /= self.world
        for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))

    def heldout(self) -> dict[str, tuple[float, float]]:
        """Loss (nats) and accuracy by source on held-out text."""
        self.model.eval()
        with self._autocast():
            result = heldout_scores(self.model, self.shards, self.settings.heldout_rows)
        self.model.train()
        return result

    def _log(self, row: dict[str, Any]) -> None:
        if self.rank:
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
        """Train to the end of the settings; the last thing written is a checkpoint.

        Returns:
            Whether the end was reached; False where Ctrl-C or SIGTERM asked to stop before.
        """
        with _asked_to_stop() as stop:
            self._steps(stop)
        ended = not stop.is_set()
        if ended:
            self._log({"heldout": self.heldout()})
        self.save()
        if self.world > 1:
            torch.distributed.destroy_process_group()
        return ended

    def _steps(self, stop: threading.Event) -> None:
        s = self.settings
        began = saved = evaluated = logged = last = time.monotonic()
        milestones = [m for m in s.milestones if m > self.tokens]
        losses: list[float] = []
        mark = self.tokens
        flops = token_flops(s.network, s.masks, s.windows)
        peak = s.peak_tflops or measured_tflops(self.device)
        while not (self.done(began) or stop.is_set()):
            losses.append(self.train_step())
            now = time.monotonic()
            self.seconds += now - last
            last = now
            if self.step % s.log_every == 0:
                speed = (self.tokens - mark) / max(1e-9, now - logged)
                row = {"loss": round(sum(losses) / len(losses), 4), "tokens_per_s": round(speed)}
                row["share_of_peak"] = round(speed * flops / self.world / peak / 1e12, 4)
                self._log(row)
                losses, mark, logged = [], self.tokens, now
            if now - evaluated > 60 * s.eval_minutes:
                self._log({"heldout": self.heldout()})
                evaluated = time.monotonic()
            if now - saved > 60 * s.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
            if milestones and self.tokens >= milestones[0]:
                self.save(self.folder / f"checkpoint-{milestones.pop(0)}.safetensors")
