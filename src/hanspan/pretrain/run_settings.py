"""Settings of a pretraining run, what a resume must agree on, and what cannot be."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hanspan.pretrain.corpus import Shards
from hanspan.pretrain.masking import MaskSettings
from hanspan.pretrain.network import ARCHITECTURES, NetworkSettings
from hanspan.pretrain.optim import OPTIMIZERS, OptimSettings, Schedule
from hanspan.pretrain.sampling import Window


@dataclass(frozen=True)
class RunSettings:
    """All settings of a run. Those in `exact` decide the numbers and must not change on resume."""

    weights: dict[str, float]
    temperature: float | None = None
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
        """What a checkpoint must agree with; how long, how many a step and the decay may change."""
        names = ("weights", "temperature", "network", "optim", "masks", "windows", "micro_tokens",
                 "seed")  # fmt: skip
        found = {n: v for n, v in asdict(self).items() if n in names}
        more = {"vocab": shards.vocab, "shards": shards.content}
        return found | {"warmup_steps": self.schedule.warmup_steps, **more}

    def accumulation(self, tokens: int) -> int:
        """Micro-batches of one step after `tokens`: the last row of the ramp that has begun."""
        return [count for begin, count in self.ramp if tokens >= begin][-1]

    def problems(self) -> list[str]:
        """Values that no run can work with, one line each."""
        n, longest = self.network, max((w.length for w in self.windows), default=0)
        begins = [begin for begin, _ in self.ramp]
        wrong = {
            f"network.arch: {n.arch!r} is none of {', '.join(ARCHITECTURES)}": (
                n.arch not in ARCHITECTURES
            ),
            f"network.heads: {n.heads} does not divide hidden {n.hidden} into even parts": (
                n.heads < 1 or n.hidden % (2 * n.heads) != 0
            ),
            f"optim.optimizer: {self.optim.optimizer!r} is none of {', '.join(OPTIMIZERS)}": (
                self.optim.optimizer not in OPTIMIZERS
            ),
            f"optim.lr: {self.optim.lr:g} is not above 0": not self.optim.lr > 0,
            f"masks.rate: {self.masks.rate:g} is not between 0 and 1": not 0 < self.masks.rate < 1,
            f"masks.mean_span: {self.masks.mean_span:g} is below 1": self.masks.mean_span < 1,
            "windows: none has a share above 0": not any(w.share > 0 for w in self.windows),
            "windows: lengths must be at least 3 and shares not below 0": any(
                w.length < 3 or w.share < 0 for w in self.windows
            ),
            f"windows: {longest} tokens are more than network.max_length {n.max_length}": (
                longest > n.max_length
            ),
            f"micro_tokens: {self.micro_tokens} hold no window of {longest}": (
                self.micro_tokens < longest
            ),
            "ramp: the first row must begin at 0, the others rise, the counts be 1 or more": (
                begins[:1] != [0] or begins != sorted(begins) or min(c for _, c in self.ramp) < 1
            ),
            "weights: all must be 0 or more, one above 0": (
                not any(self.weights.values()) or min(self.weights.values()) < 0
            ),
            f"temperature: {self.temperature or 0:g} is not above 0": (
                self.temperature is not None and not self.temperature > 0
            ),
            "log_every: must be 1 or more": self.log_every < 1,
            "heldout_rows: must be 1 or more": self.heldout_rows < 1,
            "schedule: warmup_steps and decay_tokens must be 0 or more": (
                min(self.schedule.warmup_steps, self.schedule.decay_tokens) < 0
            ),
        }
        return [text for text, found in wrong.items() if found]
