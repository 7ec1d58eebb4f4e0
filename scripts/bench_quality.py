"""HANSPAN_DATA=../shared/data python scripts/bench_quality.py [--quick] [--json FILE]

Quality on every development set, step by step: rules and vote, label model, student,
self-training, three seeds distilled, and the supervised reference with the same encoder.
Hand labels serve the reference rows and ``hand + distant`` of dsner alone; choices are made
without them.

``--steps student`` leaves out the longer ones (student, self-training, distilled, supervised; a
student is trained in any case);
``--groups news,thucnews`` takes some groups; ``--scale 0.2`` a share of the text; ``--curve`` adds
supervised runs on 100, 300, 1,000 and 3,000 sentences; ``--work DIR`` keeps what is trained, and a
second call goes on from there; ``key=value`` words are settings of training.
``--model FOLDER`` trains no student: it scores a finished model (a run's ``run/model``, a bundle)
on the sets of one group beside rules and label model; ``--weak TRAIN.jsonl`` tells which mentions
its weak labels held; ``--steps supervised [--curve]`` adds the reference rows with its encoder
(``encoder=FOLDER``). ``--unread`` scores it instead on rows of the training parts of MSRA and
CLUENER that are not in TRAIN.jsonl and that no writer of rules has looked at; the reference rows
then learn from other rows.
``--plot FILE.png`` draws the curve against the student.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hanspan.errors import HanspanError
from hanspan.train_settings import TrainSettings
from hanspan.train_worker import settings_of

sys.path.insert(0, str(Path(__file__).resolve().parent))
import student_bench as bench
from outputs import make_room

CURVE = (100, 300, 1000, 3000)
STEPS = ("student", "self-training", "distilled", "supervised")


def rows_of_group(
    group: bench.Group,
    work: Path,
    scale: float,
    settings: TrainSettings,
    curve: bool,
    quick: bool,
    only: set[str],
) -> list[dict[str, Any]]:
    """All rows of one group of sets."""
    rows: list[dict[str, Any]] = []
    path = bench.weak_labels(group, work, scale)
    known = bench.known_mentions(path)

    def add(what: str, wanted: bench.GoldSet, answer: list[Any]) -> float:
        report = bench.score(wanted, answer, known)
        rows.extend(bench.shown(bench.row(what, wanted, report)))
        return bench.main_score(report)

    teachers: dict[str, float] = {}
    for wanted in group.sets if group.rules else ():
        add("rules + vote", wanted, bench.by_rules(group, wanted, work / "rules", "vote"))
        if not quick:
            voted = bench.by_rules(group, wanted, work / "rules", "auto")
            teachers[wanted.name] = add("label model", wanted, voted)
    steps = {"student": settings}
    if "self-training" in only:
        steps["+ self-training"] = settings.model_copy(update={"rounds": 2})
    if "distilled" in only:
        steps["+ distilled"] = settings.model_copy(update={"rounds": 2, "seeds": 3})
    if group.hand:
        hand = bench.data_folder() / "gold" / group.hand
        mixed = {"mode": "mixed", "hand": str(hand)}
        steps |= {f"{k}, hand + distant": v.model_copy(update=mixed) for k, v in steps.items()}
    weak: dict[str, float] = {}
    for what, chosen in steps.items():
        name = what.replace(" ", "").replace(",", "-")
        model = bench.student(path, work / name, chosen)
        for wanted in group.sets:
            found = bench.predicted(model, bench.gold_of(wanted))
            alone = group.hand and "hand" not in what
            aim = replace(wanted, target=wanted.dictionary) if alone else wanted
            f1 = add(what, aim, found)
            if group.rules:
                add(f"{what} with rules", wanted, bench.with_rules(group, found))
            if what == "student" and wanted.name in teachers:
                both = {"student": f1, "label model": teachers[wanted.name]}
                rows += bench.shown(bench.gain_rows(wanted, both))
            weak[wanted.name] = f1 if "hand" not in what else weak.get(wanted.name, f1)
    if "supervised" in only:
        counts = [*(CURVE if curve else ()), *([300] if quick else [None])]
        rows += reference_rows(group.sets, work, settings, counts, weak, known)
    return rows


def reference_rows(
    sets: Sequence[bench.GoldSet],
    work: Path,
    settings: TrainSettings,
    counts: Sequence[int | None],
    weak: dict[str, float],
    known: set[str] | None,
) -> list[dict[str, Any]]:
    """Supervised runs on so many hand-labelled rows (None: all), and what ``weak`` is of all."""
    rows: list[dict[str, Any]] = []
    last = {"select": "last", "patience": None}  # nothing is held out to choose an epoch by
    for wanted in sets:
        if not wanted.supervised:
            print(f"{wanted.name}: no supervised row, for the data holds no hand-labelled training "
                  f"part of it", flush=True)  # fmt: skip
        for count in counts if wanted.supervised else ():
            hand = bench.hand_file(wanted, work, count)
            if count is not None and sum(1 for _ in bench.read_documents(hand)) < count:
                continue  # there are not so many: the row of all says it
            chosen = settings.model_copy(update={"mode": "supervised", "held_out": 0.0, **last})
            model = bench.student(hand, work / hand.stem, chosen)
            report = bench.score(wanted, bench.predicted(model, bench.gold_of(wanted)), known)
            new = bench.row(f"supervised, {count or 'all'} rows", wanted, report)
            full = bench.main_score(report)
            if count is None and full:
                new.append({
                    "what": f"{wanted.name}: recovered fraction",
                    "value": round(100 * weak[wanted.name] / full, 1), "unit": "%",
                    "peer": "supervised, same encoder", "peer_value": round(100 * full, 2),
                    "target": 85.0,
                })  # fmt: skip
            rows += bench.shown(new)
    return rows


def draw_curve(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Supervised score by number of hand-labelled rows, and the student without any as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found: dict[str, dict[str, float]] = {}
    for r in rows:
        name, _, what = r["what"].partition(": ")
        if what.startswith(("supervised", "student,", "rules")):
            found.setdefault(name, {})[what.rsplit(", ", 1)[0]] = r["value"]
    found = {k: v for k, v in found.items() if any(w.startswith("supervised") for w in v)}
    if not found:
        raise SystemExit("--plot: no supervised row to draw; expected --steps with supervised")
    figure, axes = pyplot.subplots(1, len(found), figsize=(5 * len(found), 4), squeeze=False)
    for axis, (name, values) in zip(axes[0], found.items(), strict=True):
        points = sorted(
            (int(word), value)
            for what, value in values.items()
            if what.startswith("supervised") and (word := what.split()[1]).isdigit()
        )
        axis.plot(*zip(*points, strict=True), marker="o", label="supervised, same encoder")
        if "supervised, all rows" in values:
            axis.axhline(values["supervised, all rows"], color="C0", ls=":", label="all rows")
        if "student" in values:
            axis.axhline(values["student"], color="C1", label="student, no hand label")
        if "rules + vote" in values:
            axis.axhline(values["rules + vote"], color="C2", ls="--", label="rules")
        axis.set(xscale="log", xlabel="hand-labelled rows", ylabel="F1 or accuracy, %", title=name)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def rows_of_model(
    group: bench.Group,
    sets: Sequence[bench.GoldSet],
    model: Path,
    weak: Path | None,
    work: Path,
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Rules, label model and a finished model on sets of a group; and the model's scores."""
    known = bench.known_mentions(weak) if weak else None
    rows: list[dict[str, Any]] = []
    scores: dict[str, float] = {}
    for wanted in sets:
        found = bench.predicted(model, bench.gold_of(wanted))
        answers = {
            "rules + vote": bench.by_rules(group, wanted, work, "vote"),
            "label model": bench.by_rules(group, wanted, work, "auto"),
            "student": found,
            "student with rules": bench.with_rules(group, found),
        }
        by_system = {}
        for what, answer in answers.items():
            report = bench.score(wanted, answer, known)
            rows += bench.shown(bench.row(what, wanted, report))
            by_system[what] = bench.main_score(report)
        rows += bench.shown(bench.gain_rows(wanted, by_system))
        scores[wanted.name] = by_system["student"]
    return rows, scores


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Rows so far, for ``--json``."""
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")


def check_options(
    parser: argparse.ArgumentParser, options: argparse.Namespace, groups: set[str], steps: set[str]
) -> None:
    """End the program where options are wrong or do not fit together."""
    if unknown := groups - {g.name for g in bench.GROUPS}:
        parser.error(f"groups {sorted(unknown)}: expected some of "
                     f"{', '.join(g.name for g in bench.GROUPS)}")  # fmt: skip
    if steps - set(STEPS) or not (steps or options.model):
        parser.error(
            f"--steps {options.steps!r}: expected some of {','.join(STEPS)}, or '' with --model"
        )
    if options.model and len(groups) != 1:
        parser.error("--model: expected one group, such as --groups news")
    if options.unread and not (options.model and options.weak):
        parser.error("--unread: expected --model FOLDER and --weak TRAIN.jsonl beside it")
    if options.plot:
        if "supervised" not in steps:
            parser.error(
                f"--plot: found --steps {options.steps!r}, which leaves no supervised row to "
                f"draw; expected supervised among them"
            )
        sets = [s for g in bench.GROUPS if g.name in groups for s in g.sets]
        if not any(s.supervised and (s.unread or not options.unread) for s in sets):
            parser.error(
                f"--plot: found no set with hand labels to learn from in {', '.join(groups)}; "
                f"expected another group too"
            )
        if find_spec("matplotlib") is None:
            parser.error("--plot: found no matplotlib; type pip install 'hanspan[report]'")
    make_room(parser, "--json", options.json)
    make_room(parser, "--plot", options.plot)


def run(
    options: argparse.Namespace, settings: TrainSettings, groups: set[str], steps: set[str]
) -> list[dict[str, Any]]:
    """Rows of all chosen groups, written after each."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        for group in bench.GROUPS:
            if group.name not in groups:
                continue
            folder = work / group.name
            if options.model:
                sets = bench.unread_sets(group, options.weak) if options.unread else group.sets
                new, scores = rows_of_model(group, sets, options.model, options.weak, folder)
                rows += new
                if "supervised" in steps:
                    counts = [*(CURVE if options.curve else ()), None]
                    rows += reference_rows(sets, folder, settings, counts, scores, None)
            else:
                scale = options.scale or 1.0
                rows += rows_of_group(
                    group, folder, scale, settings, options.curve, options.quick, steps
                )
            if options.json:
                write_rows(rows, options.json)
    return rows


def main() -> int:
    """Run and print one table; returns the exit status, 2 for a mistake of the user."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small student, two minutes")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--groups", default="")
    parser.add_argument("--scale", type=float)
    parser.add_argument("--steps")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--model", type=Path, metavar="FOLDER")
    parser.add_argument("--weak", type=Path, metavar="TRAIN.jsonl")
    parser.add_argument("--unread", action="store_true", help="with --model: text nobody looked at")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    options = parser.parse_args()
    words = list(options.settings)
    if options.quick:
        options.steps, words = "student,supervised", ["epochs=2", *words]
        options.scale = options.scale or 0.01
        options.groups = options.groups or "dsner_ec"
    if options.steps is None:
        options.steps = "" if options.model else "student,self-training,distilled,supervised"
    groups = set(filter(None, options.groups.split(","))) or {g.name for g in bench.GROUPS}
    steps = set(filter(None, options.steps.split(",")))
    check_options(parser, options, groups, steps)
    try:
        rows = run(options, settings_of(words), groups, steps)
    except HanspanError as err:
        print(f"bench_quality: {err}", file=sys.stderr)
        return 2
    print()
    bench.show(rows)
    if options.plot:
        draw_curve(rows, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
