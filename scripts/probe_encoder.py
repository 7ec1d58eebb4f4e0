"""What encoders give with 100, 1,000 and all hand labels, beside the same network untrained.

    HANSPAN_DATA=FOLDER python scripts/probe_encoder.py [--encoders A B ...] [--quick]
        [--tasks CLUENER,MSRA,THUCNews] [--labels 100,1000,all] [--seeds 1,2,3]
        [--rows runs/probe/rows.json] [--json FILE] [--plot PNG] [--fill-mask 8]

Encoders are folders or Hub names; without any the embedded one. Strict span F1 on the dev files
of CLUENER and MSRA, accuracy on THUCNews titles; mean over seeds, spread in brackets. Each row
(task, labels, seed, encoder) is kept in --rows as it finishes and skipped when it is there, and a
row that was killed goes on from its last checkpoint: the same command resumes. Several encoders
give the curve over the tokens that their cards name. Latency is fp32 on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from outputs import make_room

if TYPE_CHECKING:
    from hanspan.pretrain.probe import KeptRows, ProbeSet

TARGETS = {
    ("CLUENER", None): 74.0,
    ("CLUENER", 1000): 58.0,
    ("MSRA", None): 90.0,
    ("THUCNews", None): 93.0,
}
GAIN_AT_100 = 15.0  # points above the untrained network
UNTRAINED = "untrained"


def run_row(
    source: str,
    probe: ProbeSet,
    count: int | None,
    seed: int,
    fresh: bool,
    rows: KeptRows,
    args: argparse.Namespace,
) -> float:
    """Score of one row, kept or now run."""
    from hanspan.pretrain.corpus import data_folder
    from hanspan.pretrain.probe import FineTune, encoder_digest, epochs_of, probe_once

    epochs = 25 if args.quick else epochs_of(probe, count)
    settings = FineTune(lr=args.rate)
    digest = encoder_digest(source, fresh)
    what = f"{probe.name}-{count or 'all'}-{seed}-{UNTRAINED + '-' if fresh else ''}{digest}"
    what = what.replace("/", "_")
    batch = settings.few_tokens if count and count <= 1000 else settings.many_tokens
    key = f"{what}-{epochs}x{batch}" + (f"-{args.rate:g}" if args.rate else "")
    kept = rows.get(key)
    if kept is None:
        score = probe_once(
            source,
            data_folder(),
            probe,
            count,
            seed,
            args.rows.parent / key,
            fresh=fresh,
            epochs=epochs,
            settings=settings,
        )
        kept = {
            "task": probe.name,
            "labels": count or "all",
            "seed": seed,
            "encoder": UNTRAINED if fresh else name_of(source),
            "epochs": epochs,
            "score": score.score,
            "minutes": score.minutes,
            "tokens_per_s": score.tokens_per_s,
        }
        rows.add(key, kept)
        print(
            f"  {probe.name} {count or 'all'} seed {seed} {kept['encoder']}: {score.score:.1f} "
            f"({score.minutes:.1f} min, {score.tokens_per_s} tokens/s)",
            file=sys.stderr,
            flush=True,
        )
    return float(kept["score"])


def name_of(source: str) -> str:
    """A short name without this machine's paths."""
    return Path(source).name if Path(source).is_dir() else source


def card_tokens(source: str) -> float | None:
    """Million tokens that the card of a folder names, or None."""
    card = Path(source) / "README.md"
    found = re.search(r"([\d,]+) tokens in", card.read_text("utf-8")) if card.is_file() else None
    return int(found[1].replace(",", "")) / 1e6 if found else None


def cell(scores: list[float]) -> str:
    """Mean and spread."""
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return f"{statistics.mean(scores):.1f} ({spread:.1f})" if scores else "-"


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--encoders", nargs="+", metavar="ENCODER")
    parser.add_argument("--quick", action="store_true", help="100 labels, one seed, few epochs")
    parser.add_argument("--tasks", default="CLUENER,MSRA,THUCNews")
    parser.add_argument("--labels", default="100,1000,all")
    parser.add_argument("--seeds", default="1,2,3", help="'' and --untrained-seeds: that one alone")
    parser.add_argument("--untrained-seeds", metavar="SEEDS", help="'' for none; as --seeds")
    parser.add_argument("--rate", type=float, help="learning rate; the training's own choice")
    parser.add_argument("--rows", type=Path, default=Path("runs/probe/rows.json"), metavar="FILE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="scores over tokens")
    parser.add_argument("--fill-mask", type=int, metavar="N", help="N examples of a page, no more")
    args = parser.parse_args()
    make_room(parser, "--json", args.json)
    make_room(parser, "--plot", args.plot)
    if args.plot and find_spec("matplotlib") is None:
        parser.error("--plot: found no matplotlib; type pip install 'hanspan[report]'")

    import torch
    from transformers.utils import logging

    from hanspan.encoders import resolve_encoder
    from hanspan.errors import HanspanError

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    if args.quick:
        args.labels, args.seeds = "100", "1"
    try:
        encoders = [str(resolve_encoder(e)) for e in args.encoders or ["embedded"]]
        if args.fill_mask:
            for source in encoders:
                print_fill_mask(source, args.fill_mask)
            return 0
        table = run_table(encoders, args)
    except HanspanError as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        args.json.write_text(json.dumps(table, ensure_ascii=False, indent=1), encoding="utf-8")
    return 0


def print_fill_mask(source: str, count: int) -> None:
    """Guesses of the stock pipeline on the newspaper page."""
    from hanspan.errors import HanspanError
    from hanspan.pretrain.corpus import data_folder
    from hanspan.pretrain.fill import fill_examples

    page = data_folder() / "pages" / "newspaper_page.txt"
    if not page.is_file():
        raise HanspanError(f"probe: no page {page}; HANSPAN_DATA must name the folder above pages/")
    examples = fill_examples(source, page.read_text(encoding="utf-8"), count)
    print(f"{name_of(source)}: the middle character of {len(examples)} sentences, evenly spread")
    for example in examples:
        guesses = "  ".join(f"{text} {share:.2f}" for text, share in example.guesses)
        print(f"{example.before}[{example.truth}]{example.after}  ->  {guesses}")
    right = sum(e.guesses[0][0] == e.truth for e in examples)
    print(f"first guess right: {right} of {len(examples)}")


def parse_filters(
    args: argparse.Namespace,
) -> tuple[list[ProbeSet], list[int | None], list[int], list[int]]:
    """Tasks, label counts, seeds, and seeds of the untrained network."""
    from hanspan.errors import HanspanError
    from hanspan.pretrain.probe import SETS

    try:
        counts = [None if c == "all" else int(c) for c in args.labels.split(",")]
        seeds = [int(s) for s in args.seeds.split(",") if s]
        without = seeds
        if args.untrained_seeds is not None:
            without = [int(s) for s in args.untrained_seeds.split(",") if s]
    except ValueError as error:
        raise HanspanError(
            f"probe: {error}; expected such as --labels 100,all --seeds 1"
        ) from error
    tasks = args.tasks.split(",")
    if not seeds and not without:
        raise HanspanError("probe: no seeds; expected --seeds 1,2 or --untrained-seeds 1,2")
    unknown = set(tasks) - {s.name for s in SETS}
    if unknown:
        raise HanspanError(
            f"probe: no task {', '.join(sorted(unknown))}; expected of "
            f"{','.join(s.name for s in SETS)}"
        )
    return [s for s in SETS if s.name in tasks], counts, seeds, without


def run_table(encoders: list[str], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what is missing, print the table, and return its rows."""
    import torch

    from hanspan.pretrain.picture import draw_probes
    from hanspan.pretrain.probe import KeptRows, latency, parameters

    sets, counts, seeds, without = parse_filters(args)
    kept = KeptRows(args.rows)
    tokens = {e: card_tokens(e) for e in encoders}
    encoders = sorted(encoders, key=lambda e: tokens[e] or 0.0)
    heads = [
        f"{name_of(e)[:11]} {tokens[e]:.1f}M" if tokens[e] else name_of(e)[:18] for e in encoders
    ]
    print(f"{'probe':<16}{UNTRAINED:>14}" + "".join(f"{h:>20}" for h in heads) + f"{'target':>9}")
    table: list[dict[str, Any]] = []
    curves: dict[str, list[tuple[float, float, float]]] = {}
    for probe in sets:
        for count in counts:
            base = [run_row(encoders[-1], probe, count, s, True, kept, args) for s in without]
            ours = [
                [run_row(e, probe, count, s, False, kept, args) for s in seeds] for e in encoders
            ]
            target = TARGETS.get((probe.name, count))
            if count == 100 and probe.spans and base:
                target = statistics.mean(base) + GAIN_AT_100
            what = f"{probe.name} {count or 'all'}"
            print(
                f"{what:<16}{cell(base):>14}"
                + "".join(f"{cell(scores):>20}" for scores in ours)
                + f"{'-' if target is None else f'{target:.1f}':>9}",
                flush=True,
            )
            for source, scores in zip(encoders, ours, strict=True):
                if not scores:
                    continue
                mean = statistics.mean(scores)
                spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
                if tokens[source]:
                    curves.setdefault(what, []).append((tokens[source] or 0.0, mean, spread))
                unit = "F1 %" if probe.spans else "accuracy %"
                other = statistics.mean(base) if base else None
                table.append(row(what, name_of(source), mean, unit, other, target, spread))
    torch.set_num_threads(1)
    for source in encoders:
        for batch, length in ((1, 64), (1, 512), (32, 64)):
            value = latency(source, batch, length)
            print(
                f"{f'ms {batch}x{length}':<16}{'':>14}{value:>20.1f}  {name_of(source)}", flush=True
            )
            table.append(row(f"latency {batch}x{length}", name_of(source), value, "ms"))
        millions = parameters(source) / 1e6
        print(f"{'M parameters':<16}{'':>14}{millions:>20.2f}  {name_of(source)} (at most 15)")
        table.append(row("parameters", name_of(source), millions, "million", target=15.0))
    if args.plot:
        draw_probes(curves, "strict F1 or accuracy on dev, %", args.plot)
    return table


def row(
    what: str,
    encoder: str,
    value: float,
    unit: str,
    peer_value: float | None = None,
    target: float | None = None,
    spread: float | None = None,
) -> dict[str, Any]:
    """One row of the JSON table; the peer is the untrained network."""
    return {
        "what": what,
        "encoder": encoder,
        "value": round(value, 3),
        "spread": None if spread is None else round(spread, 3),
        "unit": unit,
        "peer": "" if peer_value is None else UNTRAINED,
        "peer_value": None if peer_value is None else round(peer_value, 3),
        "target": target,
    }


if __name__ == "__main__":
    raise SystemExit(main())
