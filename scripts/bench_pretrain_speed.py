"""How fast one training step is: architecture, precision, attention and compilation.

    python scripts/bench_pretrain_speed.py [--quick] [--json FILE] [--hidden 256] [--rows 32]

Tokens per second of CPU time on one thread (per second of wall time on a GPU), forward and
backward with one in five characters predicted, no optimizer. The peer of each row is plain
fp32 with fused attention, as transformers sets it up. On a GPU also the share of the chip's bf16
peak (give it work: --hidden 384 --rows 1024). Needs no data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanspan.pretrain.network import NetworkSettings


def network_of(arch: str, hidden: int) -> NetworkSettings:
    """Six layers of this width, heads of 64."""
    from hanspan.pretrain.network import NetworkSettings

    wide = {"esm": 4 * hidden, "modernbert": 704 if hidden == 256 else 8 * hidden // 3}[arch]
    return NetworkSettings(arch=arch, hidden=hidden, heads=max(1, hidden // 64), intermediate=wide)


def tokens_per_second(
    arch: str, hidden: int, rows: int, bf16: bool, attention: str, compiled: bool, seconds: float
) -> float:
    """Speed of one setting on windows of 128 tokens."""
    import torch

    from hanspan.pretrain.network import SparseLoss, build_network

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network_of(arch, hidden)
    model = build_network(network, 0).to(device)
    model.set_attn_implementation(attention)
    loss: Any = SparseLoss(model)
    if compiled:
        torch.compiler.reset()
        loss = torch.compile(loss, dynamic=False)
    ids = torch.randint(21, network.vocab_size, (rows, 128), device=device)
    positions = torch.randperm(ids.numel(), device=device)[: ids.numel() // 5]
    targets = ids.reshape(-1)[positions]

    def step() -> None:
        cast = torch.autocast(device, dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()
        with cast:
            value = loss(ids, positions, targets)
        value.backward()
        model.zero_grad(set_to_none=True)

    def now() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    step()
    step()
    count, begin = 0, now()
    while now() - begin < seconds:
        step()
        count += 1
    return count * ids.numel() / (now() - begin)


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ESM only, two seconds a row")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--rows", type=int, default=32)
    args = parser.parse_args()

    import torch

    from hanspan.pretrain.masking import MaskSettings
    from hanspan.pretrain.sampling import Window
    from hanspan.pretrain.speed import peak_tflops, token_flops

    torch.set_num_threads(1)
    peak = peak_tflops(torch.device("cuda")) if torch.cuda.is_available() else None
    table = []
    print(f"{'setting':<44}{'tokens/s':>10}{'of plain fp32':>15}{'of peak':>9}")
    for arch in ("esm",) if args.quick else ("esm", "modernbert"):
        plain = 0.0
        for bf16, attention, compiled in (
            (False, "sdpa", False),
            (True, "sdpa", False),
            (True, "eager", False),
            (True, "sdpa", True),
            (True, "eager", True),
        ):
            if args.quick and compiled and attention == "sdpa":
                continue
            speed = tokens_per_second(
                arch, args.hidden, args.rows, bf16, attention, compiled, 2 if args.quick else 6
            )
            plain = plain or speed
            name = f"{arch} 6x{args.hidden} {'bf16' if bf16 else 'fp32'} {attention}" + (
                " compiled" if compiled else ""
            )
            flops = token_flops(
                network_of(arch, args.hidden), MaskSettings(rate=0.2), (Window(128, 1.0),)
            )
            share = f"{speed * flops / peak / 1e12:.1%}" if peak else "-"
            print(f"{name:<44}{speed:>10.0f}{speed / plain:>15.2f}{share:>9}", flush=True)
            table.append(
                {
                    "what": name,
                    "value": round(speed),
                    "unit": "tokens/s",
                    "peer": f"{arch} fp32 sdpa",
                    "peer_value": round(plain),
                    "target": None,
                }
            )
    if args.json:
        args.json.write_text(json.dumps(table, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
