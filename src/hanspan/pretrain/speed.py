"""Work of a training step, and what the chip could do at best."""

import time

import torch

from hanspan.pretrain.masking import MaskSettings
from hanspan.pretrain.network import NetworkSettings
from hanspan.pretrain.sampling import Window


def token_flops(
    network: NetworkSettings, masks: MaskSettings, windows: tuple[Window, ...]
) -> float:
    """Floating-point operations of one trained token: products forward and backward."""
    n = network
    gated = 1.5 if n.arch == "modernbert" else 1.0
    layer = 4 * n.hidden**2 + 2 * gated * n.hidden * n.intermediate
    shares = sum(w.share for w in windows)
    length = sum(w.length * w.share for w in windows) / shares
    attention = 12 * n.layers * length * n.hidden
    head = masks.rate * 6 * n.hidden * (n.hidden + n.vocab_size)
    return 6 * n.layers * layer + attention + head


def measured_tflops(device: torch.device, repeats: int = 8) -> float:
    """Best speed of a square bf16 product on this device with its present threads, TFLOP/s."""
    size = 1024 if device.type == "cpu" else 8192
    a = torch.randn(size, size, device=device).bfloat16()
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best / 1e12
