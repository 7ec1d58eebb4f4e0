"""What an encoder gives with 100, 1,000 and all hand labels, beside the same network untrained.

    HANSPAN_DATA=FOLDER python scripts/probe_encoder.py ENCODER [--quick] [--json FILE]
        [--sets CLUENER,MSRA,THUCNews] [--counts 100,1000,all] [--seeds 3] [--peer FOLDER]

ENCODER is a folder or a Hub name. Strict span F1 on the dev files of CLUENER and MSRA, accuracy
on THUCNews titles; mean over seeds, spread in brackets. `--peer` gives another encoder in place
of the untrained network. Latency is fp32 on one thread.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

TARGETS = {
    ("CLUENER", None): 74.0,
    ("CLUENER", 1000): 58.0,
    ("MSRA", None): 90.0,
    ("THUCNews", None): 93.0,
}
GAIN_AT_100 = 15.0  # points above the untrained network


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("encoder")
    parser.add_argument("--quick", action="store_true", help="100 labels, one seed, few epochs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--sets", default="CLUENER,MSRA,THUCNews")
    parser.add_argument("--counts", default="100,1000,all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer", help="encoder to compare with; without it the untrained network")
    parser.add_argument("--no-peer", action="store_true", help="ENCODER alone")
    parser.add_argument("--untrained", action="store_true", help="its untrained network alone")
    args = parser.parse_args()

    import torch
    from transformers.utils import logging

    from hanspan.errors import HanspanError
    from hanspan.pretrain.corpus import data_folder
    from hanspan.pretrain.probe import SETS, latency, probe_once

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    counts = [None if c == "all" else int(c) for c in args.counts.split(",")]
    seeds, epochs = args.seeds, None
    if args.quick:
        counts, seeds, epochs = [100], 1, 25
    rows: list[dict[str, object]] = []
    try:
        data = data_folder()
        print(f"{'probe':<18}{'encoder':>14}{'peer':>16}{'target':>9}", flush=True)
        for probe in (s for s in SETS if s.name in args.sets.split(",")):
            for count in counts:
                ours, theirs = [], []
                for seed in range(1, seeds + 1):
                    ours.append(
                        probe_once(
                            args.encoder,
                            data,
                            probe,
                            count,
                            seed,
                            fresh=args.untrained,
                            epochs=epochs,
                        )
                    )
                    if not (args.no_peer or args.untrained):
                        peer, fresh = args.peer or args.encoder, args.peer is None
                        theirs.append(
                            probe_once(peer, data, probe, count, seed, fresh=fresh, epochs=epochs)
                        )
                value = statistics.mean(ours)
                other = statistics.mean(theirs) if theirs else None
                target = TARGETS.get((probe.name, count))
                if count == 100 and probe.spans and other is not None:
                    target = other + GAIN_AT_100
                what = f"{probe.name} {count or 'all'}"
                peer_text = "-" if other is None else f"{other:.1f} ({spread(theirs):.1f})"
                print(
                    f"{what:<18}{f'{value:.1f} ({spread(ours):.1f})':>14}{peer_text:>16}"
                    f"{'-' if target is None else f'{target:.1f}':>9}",
                    flush=True,
                )
                unit = "F1 %" if probe.spans else "accuracy %"
                rows.append(row(what, value, unit, args.peer or "untrained", other, target))
        for batch, length in ((1, 64), (1, 512), (32, 64)):
            value = latency(args.encoder, batch, length)
            print(f"{f'ms {batch}x{length}':<18}{value:>14.1f}", flush=True)
            rows.append(row(f"latency {batch}x{length}", value, "ms", "", None, None))
        millions = parameters(args.encoder) / 1e6
        print(f"{'M parameters':<18}{millions:>14.2f}{'':>16}{15.0:>9.1f}")
        rows.append(row("parameters", millions, "million", "", None, 15.0))
    except HanspanError as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        args.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return 0


def spread(values: list[float]) -> float:
    """Standard deviation over seeds; 0 for one seed."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def parameters(source: str) -> int:
    """How many parameters the encoder has, the masked-language head aside."""
    import transformers

    return sum(p.numel() for p in transformers.AutoModel.from_pretrained(source).parameters())


def row(
    what: str,
    value: float,
    unit: str,
    peer: str,
    peer_value: float | None,
    target: float | None,
) -> dict[str, object]:
    """One row of the JSON table."""
    return {
        "what": what,
        "value": round(value, 3),
        "unit": unit,
        "peer": peer,
        "peer_value": None if peer_value is None else round(peer_value, 3),
        "target": target,
    }


if __name__ == "__main__":
    raise SystemExit(main())
