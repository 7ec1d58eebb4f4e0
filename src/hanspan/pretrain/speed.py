"""Work of a training step, and what the chip could do at best."""

import re
import time

import torch

from hanspan.pretrain.masking import MaskSettings
from hanspan.pretrain.network import NetworkSettings
from hanspan.pretrain.sampling import Window

# Dense bf16 TFLOP/s with fp32 sums, by the makers' data sheets; the first name found counts.
_PEAKS = (
    ("B200", 2250.0),
    ("H200", 989.0),
    ("GH200", 989.0),
    ("H100 PCIe", 756.0),
    ("H100 NVL", 835.0),
    ("H100", 989.0),
    ("H800", 989.0),
    ("A100", 312.0),
    ("A800", 312.0),
    ("L40S", 362.0),
    ("RTX 6000 Ada", 364.0),
    ("RTX 5090", 209.5),
    ("RTX 4090", 165.2),
    ("RTX 3090", 71.0),
    ("L4", 121.0),
    ("A10", 125.0),
)


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


def sheet_tflops(name: str) -> float | None:
    """The data sheet's bf16 peak of a GPU by its name, or None for one not in the table."""
    return next((peak for part, peak in _PEAKS if re.search(rf"\b{part}\b", name)), None)


def peak_tflops(device: torch.device) -> float:
    """What the chip could do: the data sheet of a known GPU, else a measured square product."""
    known = sheet_tflops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return known or measured_tflops(device)


def measured_tflops(device: torch.device, repeats: int = 8) -> float:
    """Best speed of a square bf16 product on this device with its present threads, TFLOP/s."""
    size = 1024 if device.type == "cpu" else 8192
    a = torch.randn(size, size, device=device).bfloat16()
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best / 1e12
