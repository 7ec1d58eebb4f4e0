"""Label models side by side on the same votes: quality without gold in the fit, and time.

    HANSPAN_DATA=DATA python scripts/bench_labelmodel.py [--peers PYTHON] [--quick] [--json FILE]
        [--plot FILE] [--only WORD] [--documents N]

The peers (skweak, snorkel, crowd-kit) live in an environment of their own; name its Python:

    python -m venv /tmp/peers
    /tmp/peers/bin/pip install torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
    /tmp/peers/bin/pip install skweak==0.3.3 "spacy>=3.8,<3.9" snorkel==0.10.0 crowd-kit==1.4.2
    python scripts/bench_labelmodel.py --peers /tmp/peers/bin/python

Every model sees the same votes and is scored by strict F1 of spans (accuracy of classes, silent
documents wrong); gold only scores. The peers get no ENTITY and NONE votes, which they cannot
read. Times are CPU seconds of the fit. Without HANSPAN_DATA only generated votes are used.
--plot draws the reliability diagram of the final probabilities against gold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hanspan.data import ENTITY, NONE, Document, write_documents
from hanspan.labelmodel.assemble import answers
from hanspan.labelmodel.fitted import Fitted, fit
from hanspan.labelmodel.votes import names_from_meta
from labelmodel_sets import BenchSet, all_sets

OURS = ("vote", "dawid-skene", "hmm", "auto")
Spans = list[list[tuple[int, int, str]]]
PEERS = Path(__file__).with_name("labelmodel_peers.py")
SCALE = """
import resource, sys, time
from hanspan.labelmodel import aggregate
summary = aggregate(sys.argv[1], sys.argv[2], method=sys.argv[3])
print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def f1(predicted: Spans, bench: BenchSet) -> float:
    """Strict micro F1 in points, over the labels that the gold has."""
    kinds = {s.label for d in bench.gold for s in d.spans}
    both = found = wanted = 0
    for spans, gold in zip(predicted, bench.gold, strict=True):
        mine = {(s, e, bench.mapping.get(y, y)) for s, e, y in spans}
        mine = {item for item in mine if item[2] in kinds}
        truth = {(s.start, s.end, s.label) for s in gold.spans}
        both, found, wanted = both + len(mine & truth), found + len(mine), wanted + len(truth)
    return 200 * both / max(found + wanted, 1)


def accuracy(predicted: Sequence[str | None], bench: BenchSet) -> float:
    """Share of documents with the right class, in points."""
    right = sum(p == g.labels["topic"] for p, g in zip(predicted, bench.gold, strict=True))
    return 100 * right / max(len(bench.gold), 1)


def token_majority(bench: BenchSet) -> Spans:
    """Majority of BIO tags at each character among the rules that vote there."""
    out: Spans = []
    for document in bench.documents:
        tags: list[Counter[str]] = [Counter() for _ in document.text]
        taken: dict[str, list[tuple[int, int]]] = {}
        for s in sorted(document.spans, key=lambda s: (s.start - s.end, s.start, s.label)):
            mine = taken.setdefault(s.source, [])
            if s.label in (ENTITY, NONE) or any(s.start < e and b < s.end for b, e in mine):
                continue
            mine.append((s.start, s.end))
            for at in range(s.start, s.end):
                tags[at][("B-" if at == s.start else "I-") + s.label] += 1
        spans: list[tuple[int, int, str]] = []
        for at, count in enumerate(tags):
            if not count:
                continue
            tag = max(sorted(count), key=count.__getitem__)
            if tag[0] == "I" and spans and spans[-1][1:] == (at, tag[2:]):
                spans[-1] = (spans[-1][0], at + 1, tag[2:])
            else:
                spans.append((at, at + 1, tag[2:]))
        out.append(spans)
    return out


def topic_majority(bench: BenchSet) -> list[str | None]:
    """The class that most rules vote for."""
    out: list[str | None] = []
    for document in bench.documents:
        count = Counter(v["label"] for v in document.meta.get("topic_votes") or ())
        out.append(max(sorted(count), key=count.__getitem__) if count else None)
    return out


def ours(bench: BenchSet, method: str) -> tuple[Fitted, list[Document], float]:
    """Fitted model, answers, CPU seconds of the fit."""
    names = names_from_meta(bench.meta)
    started = time.process_time()
    fitted = fit(bench.documents, names, method)
    seconds = time.process_time() - started
    found = list(answers(bench.documents, fitted.model, fitted.topics, names))
    return fitted, found, seconds


def peers(bench: BenchSet, python: str) -> dict[str, Any]:
    """Answers and times of the peers, from their own environment."""
    topics = bench.task == "topics"
    data = {
        "labels": bench.meta["labels"],
        "topics": bench.meta["topics"],
        "docs": [
            [
                len(d.text),
                [
                    [s.start, s.end, s.label, s.source]
                    for s in d.spans
                    if s.label not in (ENTITY, NONE)
                ],
            ]
            for d in bench.documents
        ],
        "topic_votes": [
            [[v["label"], v["source"]] for v in d.meta.get("topic_votes") or ()]
            for d in bench.documents
        ]
        if topics
        else [],
    }
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.json", Path(folder) / "out.json"
        source.write_text(json.dumps(data), "utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [python, str(PEERS), str(source), str(target)],
            check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return dict(json.loads(target.read_text("utf-8")))


def measure(bench: BenchSet, python: str | None) -> dict[str, tuple[float, float | None, str]]:
    """(score, CPU seconds of the fit, remark) of each model."""
    topics = bench.task == "topics"
    out: dict[str, tuple[float, float | None, str]] = {}
    base = accuracy(topic_majority(bench), bench) if topics else f1(token_majority(bench), bench)
    out["majority"] = (base, None, "")
    for method in OURS:
        if topics and method == "hmm":
            continue
        fitted, found, seconds = ours(bench, method)
        if topics:
            score = accuracy([d.labels.get("topic") for d in found], bench)
            remark = fitted.about["topic_reason"] if method == "auto" else ""
        else:
            score = f1([[(s.start, s.end, s.label) for s in d.spans] for d in found], bench)
            remark = f"{fitted.method}: {fitted.reason}" if method == "auto" else ""
        out[method] = (score, seconds, remark)
    if python:
        for name, result in peers(bench, python).items():
            if "error" in result:
                out[name] = (0.0, None, result["error"])
            elif topics:
                out[name] = (accuracy(result["answer"], bench), result["fit"], "")
            else:
                spans = [[(s, e, y) for s, e, y in row] for row in result["answer"]]
                out[name] = (f1(spans, bench), result["fit"], "")
    return out


def reliability(benches: Sequence[BenchSet], path: Path) -> None:
    """Draw how often spans of a probability are right, before and after calibration."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    for axis, method in zip(axes, ("vote", "dawid-skene", "hmm"), strict=True):
        for calibrate in (False, True):
            points: list[tuple[float, bool]] = []
            for bench in benches:
                names = names_from_meta(bench.meta)
                fitted = fit(bench.documents, names, method, calibrate=calibrate)
                found = answers(bench.documents, fitted.model, fitted.topics, names)
                kinds = {s.label for d in bench.gold for s in d.spans}
                for document, gold in zip(found, bench.gold, strict=True):
                    truth = {(s.start, s.end, s.label) for s in gold.spans}
                    for s in document.spans:
                        label = bench.mapping.get(s.label, s.label)
                        if label in kinds:
                            points.append((s.score, (s.start, s.end, label) in truth))
            rows = _bins(points)
            error = sum(n * abs(p - r) for p, r, n in rows) / max(len(points), 1)
            name = "calibrated on hidden rules" if calibrate else "as it comes"
            axis.plot(
                [p for p, _, _ in rows], [r for _, r, _ in rows], marker="o",
                label=f"{name} (error {error:.2f})",
            )  # fmt: skip
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axis.set(title=method, xlabel="probability", xlim=(0, 1), ylim=(0, 1))
        axis.legend(fontsize=8)
    axes[0].set_ylabel("share that is right")
    figure.tight_layout()
    figure.savefig(path)
    print(f"reliability diagram: {path}")


def _bins(points: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    out = []
    for low in range(10):
        mine = [(p, r) for p, r in points if low <= min(p * 10, 9.999) < low + 1]
        if mine:
            n = len(mine)
            out.append((sum(p for p, _ in mine) / n, sum(r for _, r in mine) / n, n))
    return out


def long_documents(bench: BenchSet, count: int) -> Iterator[Document]:
    """Documents of 500 characters made of those of a set, each with a tenth of its votes lost."""
    from dataclasses import replace

    rng = random.Random(0)
    for number in range(count):
        text, spans = "", []
        while len(text) < 500:
            d = rng.choice(bench.documents)
            shift = len(text)
            spans += [
                replace(s, start=s.start + shift, end=s.end + shift)
                for s in d.spans
                if s.end + shift <= 500 and rng.random() < 0.9
            ]
            text += d.text or "。"
        yield Document(str(number), text[:500], tuple(spans))


def scale(bench: BenchSet, count: int, method: str) -> tuple[float, float]:
    """CPU seconds and MB of the aggregate stage on that many documents of 500 characters."""
    with tempfile.TemporaryDirectory() as folder:
        weak = Path(folder) / "weak.jsonl"
        write_documents(weak, long_documents(bench, count))
        weak.with_name("weak.rules.json").write_text(json.dumps(bench.meta), "utf-8")
        done = subprocess.run(
            [sys.executable, "-c", SCALE, str(weak), str(Path(folder) / "out.jsonl"), method],
            check=True, capture_output=True, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


def rows_of(name: str, found: dict[str, tuple[float, float | None, str]]) -> list[dict[str, Any]]:
    """JSON rows of one set: each of our methods beside the best peer."""
    rivals = {k: v for k, v in found.items() if k not in OURS and k != "majority" and not v[2]}
    best = max(rivals, key=lambda k: rivals[k][0], default=None)
    out = []
    for method in OURS:
        if method in found:
            out.append(
                {
                    "what": f"{name}: {method}",
                    "value": round(found[method][0], 2),
                    "unit": "points",
                    "peer": best or "token majority",
                    "peer_value": round(found[best or "majority"][0], 2),
                    "target": round(found[best or "majority"][0], 2),
                }
            )
    slow = found.get("skweak HMM", (0.0, None, ""))[1]
    for method in ("dawid-skene", "hmm"):
        mine = found.get(method, (0.0, None, ""))[1]
        if slow and mine:
            out.append(
                {
                    "what": f"{name}: fit of {method}",
                    "value": round(mine, 3),
                    "unit": "CPU s",
                    "peer": "skweak HMM",
                    "peer_value": round(slow, 3),
                    "target": round(slow / 20, 3),
                }
            )
    return out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", help="Python of the environment with the peers")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="sets whose name holds this word")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="reliability diagram, needs matplotlib")
    parser.add_argument("--documents", type=int, help="for the measure of scale")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    gains: dict[str, list[float]] = {method: [] for method in OURS}
    kept: list[BenchSet] = []
    for bench in all_sets(options.quick):
        if options.only not in bench.name:
            continue
        kept.append(bench)
        found = measure(bench, options.peers)
        print(f"\n{bench.name}: {len(bench.documents)} documents", flush=True)
        for name, (score, seconds, remark) in found.items():
            spent = "" if seconds is None else f"{seconds:8.2f} s"
            print(f"  {name:16} {score:6.1f} {spent:10} {remark}", flush=True)
        rows += rows_of(bench.name, found)
        for method in OURS:
            if method in found:
                gains[method].append(found[method][0] - found["majority"][0])
    for method, mine in gains.items():
        if mine:
            mean = sum(mine) / len(mine)
            print(f"mean gain of {method} over token majority: {mean:+.1f} on {len(mine)} sets")
            rows.append(
                {
                    "what": f"mean gain of {method}", "value": round(mean, 2), "unit": "points",
                    "peer": "token majority", "peer_value": 0.0, "target": 2.0,
                }
            )  # fmt: skip
    real = next((b for b in kept if b.task == "spans" and "shipped" in b.name), None)
    count = options.documents or (5_000 if options.quick else 100_000)
    spans = [b for b in kept if b.task == "spans"]
    if spans:
        for method in ("vote",) if options.quick else ("vote", "dawid-skene", "hmm"):
            seconds, megabytes = scale(real or spans[0], count, method)
            print(
                f"{count} documents of 500 characters, {method}: "
                f"{seconds:.0f} CPU s, {megabytes:.0f} MB"
            )
            for what, value, unit, target in (
                ("time", seconds, "CPU s", 120 * count / 100_000),
                ("memory", megabytes, "MB", 2000),
            ):
                rows.append(
                    {
                        "what": f"{what} for {count} documents, {method}", "value": round(value, 1),
                        "unit": unit, "peer": None, "peer_value": None, "target": target,
                    }
                )  # fmt: skip
    if options.plot:
        reliability(spans, options.plot)
    if options.json:
        options.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process: {peak:.0f} MB")


if __name__ == "__main__":
    main()
