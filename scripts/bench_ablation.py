"""HANSPAN_DATA=../shared/data python scripts/bench_ablation.py [--quick] [--json FILE]

What each piece of training is worth: the full recipe, and one piece changed at a time, mean and
spread over seeds, span F1 on news, msra and cluener and topic accuracy on news.
``--pieces mask_missed,rounds`` takes some; ``--scale 0.2`` a share of the text; ``--seeds 3``;
``--work DIR`` keeps what is trained; ``key=value`` words are settings of all runs.

Its right baseline is ``with mention replacement`` for ``with names of lists replaced``, and
``with a round`` for ``with three seeds distilled``: seeds are averaged in a round, never without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from hanspan.errors import HanspanError
from hanspan.train_settings import TrainSettings
from hanspan.train_worker import settings_of

sys.path.insert(0, str(Path(__file__).resolve().parent))
import student_bench as bench
from outputs import make_room

LISTS = {
    "COM": "lexicons/listed_company_short.txt",
    "GOV": "lexicons/government_orgs_central.txt",
    "LOC": "lexicons/admin_areas.txt",
    "ORG": "lexicons/universities.txt",
}
"""Clean lists under the data folder; other types take the names of the text."""
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
    "with names of lists replaced": {"replace_mentions": 0.3, "replace_from": LISTS},
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


def with_lists(pieces: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pieces with the paths of their lists; one whose list is missing is left out, and said so."""
    found = {}
    data = bench.data_folder()
    for name, change in pieces.items():
        lists = {k: data / v for k, v in change.get("replace_from", {}).items()}
        if missing := [str(path) for path in lists.values() if not path.is_file()]:
            print(f"{name}: left out, no such file: {', '.join(missing)}", flush=True)
            continue
        more = {"replace_from": {k: str(v) for k, v in lists.items()}} if lists else {}
        found[name] = {**change, **more}
    return found


def scores_of(group: bench.Group, model: Path, topics: bool) -> dict[tuple[str, str], float]:
    """Scores of a model by set and unit; topics where the set has them and they were learned."""
    scores = {}
    for wanted in group.sets:
        report = bench.score(wanted, bench.predicted(model, bench.gold_of(wanted)))
        scores[wanted.name, "% F1"] = 100 * report.micro.f1
        if topics and report.topics and "coarse" not in wanted.name:  # the same texts once more
            scores[wanted.name, "% of topics"] = 100 * report.topics.accuracy
    return scores


def rows_of_piece(
    name: str, runs: list[dict[tuple[str, str], float]], full: dict[tuple[str, str], float]
) -> list[dict[str, Any]]:
    """Rows of a piece from its runs; the first piece fills ``full``, which others stand beside."""
    rows: list[dict[str, Any]] = []
    for key in runs[0]:
        values = [run[key] for run in runs]
        mean = statistics.mean(values)
        full.setdefault(key, mean)
        what, unit = f"{key[0]}: {name}", key[1]
        rows.append({
            "what": what if unit == "% F1" else f"{what}, topics",
            "value": round(mean, 2), "unit": unit,
            "peer": "full recipe", "peer_value": round(full[key], 2),
            "target": None,
            "spread": round(statistics.stdev(values), 2) if len(values) > 1 else None,
            "runs": [round(v, 2) for v in values],
        })  # fmt: skip
        last = rows[-1]
        print(f"{last['what']:44} {mean:6.2f}  {mean - full[key]:+6.2f}  "
              f"runs {last['runs']}", flush=True)  # fmt: skip
    return rows


def run(
    options: argparse.Namespace, pieces: dict[str, dict[str, Any]], settings: TrainSettings
) -> None:
    """Train and score all pieces; rows are written after each."""
    group = bench.GROUPS[0]
    rows: list[dict[str, Any]] = []
    full: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        path = bench.weak_labels(group, work, options.scale)
        for name, change in pieces.items():
            runs = []
            for seed in range(options.seeds):
                chosen = settings.model_copy(update={**change, "seed": 7 + 10 * seed})
                folder = work / f"{name.replace(' ', '-')}-{seed}"
                model = bench.student(path, folder, chosen)
                runs.append(scores_of(group, model, topics=chosen.topic_weight > 0))
            rows += rows_of_piece(name, runs, full)
            if options.json:
                text = json.dumps(rows, ensure_ascii=False, indent=1)
                options.json.write_text(text + "\n", "utf-8")


def main() -> int:
    """Run and print one table; returns the exit status, 2 for a mistake of the user."""
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
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: expected at least 1")
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
    make_room(parser, "--json", options.json)
    try:
        run(options, with_lists(pieces), settings_of(words))
    except HanspanError as err:
        print(f"bench_ablation: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
