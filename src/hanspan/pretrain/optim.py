"""Muon for the hidden matrices, AdamW for everything else, and the learning-rate schedule."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch

OPTIMIZERS = ("muon", "adamw")

# Quintic iteration that drives all singular values to about one (K. Jordan, "Muon", 2024).
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalize(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearest (semi-)orthogonal matrices, roughly; shape (N, R, C) in and out, in bf16."""
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; equal shapes go through one batched product.

    The update is scaled to the root mean square that AdamW's has (0.2 · sqrt of the longer
    side), so that both optimizers share one learning rate.
    """

    def __init__(
        self,
        params: list[torch.nn.Parameter],
        lr: float = 3e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of all matrices that have a gradient; `closure` is not used."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:  # the contact head of ESM is never used
                    by_shape[p.shape].append(p)
            for shape, params in by_shape.items():
                grads = [p.grad for p in params if p.grad is not None]
                for p in params:
                    if not self.state[p]:
                        self.state[p]["momentum"] = torch.zeros_like(p)
                momenta = [self.state[p]["momentum"] for p in params]
                # One launch for a whole list: on a GPU a step would else spend its time on these.
                torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
                updates = torch._foreach_lerp(grads, momenta, group["momentum"])
                turned = orthogonalize(torch.stack(tuple(updates))).to(params[0].dtype)
                scale = 0.2 * max(shape) ** 0.5
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(turned.unbind()), alpha=-group["lr"] * scale)


@dataclass(frozen=True)
class OptimSettings:
    """Rates and decays; `optimizer` is "muon" (Muon + AdamW) or "adamw" (AdamW alone)."""

    optimizer: str = "muon"
    lr: float = 3e-3
    weight_decay: float = 0.01
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.98
    clip: float = 1.0


def build_optimizers(
    model: torch.nn.Module, settings: OptimSettings
) -> list[torch.optim.Optimizer]:
    """Optimizers over the parameters of `model`, in a fixed order."""
    matrices, decayed, plain = [], [], []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if p.ndim == 2 and "embedding" not in name and "decoder" not in name:
            matrices.append(p)
        elif p.ndim == 2:
            decayed.append(p)
        else:
            plain.append(p)
    if settings.optimizer == "adamw":
        decayed, matrices = matrices + decayed, []
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    betas = (settings.beta1, settings.beta2)
    built: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=settings.lr, betas=betas, fused=True)
    ]
    if matrices:
        built.append(Muon(matrices, settings.lr, settings.momentum, settings.weight_decay))
    return built


@dataclass(frozen=True)
class Schedule:
    """Warm-up over `warmup_steps`, constant, then linear decay of `decay_tokens` to `floor`.

    `decay_from` (tokens seen) is None while the run may still be lengthened.
    """

    warmup_steps: int = 150
    decay_from: int | None = None
    decay_tokens: int = 0
    floor: float = 0.02

    def factor(self, step: int, tokens: int) -> float:
        """Share of the peak rate at this step, `tokens` seen before it."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.decay_from is None or tokens <= self.decay_from:
            return warm
        left = 1.0 - (tokens - self.decay_from) / max(1, self.decay_tokens)
        return warm * max(self.floor, left)

    def finished(self, tokens: int) -> bool:
        """Whether the decay has come to its end."""
        return self.decay_from is not None and tokens >= self.decay_from + self.decay_tokens
