"""HANSPAN_DATA=../shared/data python scripts/bench_ablation.py [--quick] [--json FILE]

What each piece of training is worth: the full recipe, and one piece changed at a time, mean and
spread over seeds, on news, msra and cluener. ``--pieces mask_missed,rounds`` takes some;
``--scale 0.2`` a share of the text; ``--seeds 3``; ``--work DIR`` keeps what is trained;
``key=value`` words are settings of all runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from hanspan.train_worker import settings_of

sys.path.insert(0, str(Path(__file__).resolve().parent))
import student_bench as bench

PIECES: dict[str, dict[str, Any]] = {
    "full recipe": {},
    "every unknown is O": {"unknown_share": 1.0, "mask_missed": False},
    "trusted negatives alone": {"unknown_share": 0.0},
    "no missed-mention mask": {"mask_missed": False},
    "no guard of rare types": {"mask_guard": 1e9},
    "with prior correction": {"correct_prior": True},
    "soft targets": {"targets": "soft"},
    "no weight by confidence": {"confidence_weight": False},
    "no topic head": {"topic_weight": 0.0},
    "with mention replacement": {"replace_mentions": 0.3},
    "with two rounds": {"rounds": 2},
    "with a round": {"rounds": 1},
    "with a round without anchors": {"rounds": 1, "anchors": False},
    "with a random encoder": {"encoder": "random:small"},
    "best epoch by agreement": {"select": "agreement"},
    "with three seeds distilled": {"seeds": 3, "rounds": 1},
    "with a last settling": {"settle": 200_000},
    "with tokens hidden": {"mask_tokens": 0.15},
    "with topics balanced": {"topic_balance": 1.0},
}


def main() -> int:
    """Run and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two pieces, one seed, little text")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--pieces",
        default="",
        help="words that the chosen pieces, or the settings they change, hold",
    )
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path)
    parser.add_argument("settings", nargs="*", metavar="key=value")
    options = parser.parse_args()
    words = list(options.settings)
    pieces = dict(PIECES)
    if options.quick:
        options.scale, options.seeds, words = 0.005, 1, ["epochs=2", *words]
        pieces = dict(list(pieces.items())[:2])
    if options.pieces:
        wanted = options.pieces.split(",")
        held = {name: f"{name} {' '.join(change)}" for name, change in pieces.items()}
        for word in wanted:
            if not any(word in text for text in held.values()):
                parser.error(f"--pieces {word}: no piece holds it; there are {', '.join(pieces)}")
        pieces = {
            name: change
            for name, change in pieces.items()
            if name == "full recipe" or any(word in held[name] for word in wanted)
        }
    group = bench.GROUPS[0]
    rows: list[dict[str, Any]] = []
    full: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        path = bench.weak_labels(group, work, options.scale)
        for name, change in pieces.items():
            found: dict[str, list[float]] = {}
            for seed in range(options.seeds):
                settings = settings_of(words).model_copy(update={**change, "seed": 7 + 10 * seed})
                folder = work / f"{name.replace(' ', '-')}-{seed}"
                model = bench.student(path, folder, settings)
                for wanted_set in group.sets:
                    answer = bench.predicted(model, bench.gold_of(wanted_set))
                    f1 = 100 * bench.score(wanted_set, answer).micro.f1
                    found.setdefault(wanted_set.name, []).append(f1)
            for set_name, values in found.items():
                mean = statistics.mean(values)
                full.setdefault(set_name, mean)
                rows.append({
                    "what": f"{set_name}: {name}", "value": round(mean, 2), "unit": "% F1",
                    "peer": "full recipe", "peer_value": round(full[set_name], 2),
                    "target": None,
                    "spread": round(statistics.stdev(values), 2) if len(values) > 1 else None,
                    "runs": [round(v, 2) for v in values],
                })  # fmt: skip
                last = rows[-1]
                print(f"{last['what']:44} {mean:6.2f}  {mean - full[set_name]:+6.2f}  "
                      f"runs {last['runs']}", flush=True)  # fmt: skip
            if options.json:
                text = json.dumps(rows, ensure_ascii=False, indent=1)
                options.json.write_text(text + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
