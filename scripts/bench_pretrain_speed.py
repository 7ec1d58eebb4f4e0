"""How fast one training step is: architecture, precision, attention and compilation.

    python scripts/bench_pretrain_speed.py [--quick] [--json FILE] [--hidden 256] [--rows 32]

Tokens per second of CPU time on one thread (per second of wall time on a GPU), forward and
backward with one in five characters predicted, no optimizer. The peer of each row is plain
fp32 with fused attention, as transformers sets it up. Needs no data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def tokens_per_second(
    arch: str, hidden: int, rows: int, bf16: bool, attention: str, compiled: bool, seconds: float
) -> float:
    """Speed of one setting on windows of 128 tokens."""
    import torch

    from hanspan.pretrain.network import NetworkSettings, SparseLoss, build_network

    device = "cuda" if torch.cuda.is_available() else "cpu"
    wide = {"esm": 4 * hidden, "modernbert": 704 if hidden == 256 else 8 * hidden // 3}[arch]
    network = NetworkSettings(
        arch=arch, hidden=hidden, heads=max(1, hidden // 64), intermediate=wide
    )
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

    torch.set_num_threads(1)
    table = []
    print(f"{'setting':<44}{'tokens/s':>10}{'of plain fp32':>15}")
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
            print(f"{name:<44}{speed:>10.0f}{speed / plain:>15.2f}", flush=True)
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
