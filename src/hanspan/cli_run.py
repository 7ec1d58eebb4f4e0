"""What ``hanspan run`` prints: the plan, a line a stage, and the summary at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from hanspan.config import Config, dump_config, load_config
from hanspan.data import Document, Span, read_documents, whole
from hanspan.run import Done, log_to, plan, run
from hanspan.stages import stages_of
from hanspan.terminal import coloured, progress_bar, score_table, short_facts, show, tell_stage


def run_config(
    path: Path,
    settings: Iterable[str] = (),
    *,
    dry_run: bool = False,
    start: str | None = None,
    only: str | None = None,
    overwrite: bool = False,
) -> list[Done]:
    """Load a config, run its stages, print what a person wants to know."""
    settings = list(settings)
    config = load_config(path, settings)
    stages = stages_of(config)
    out = Path(config.out)
    if dry_run:
        show(f"{path} -> {out}")
        for stage, why in plan(stages, out, start=start, only=only):
            show(f"{stage.name:<10} {'runs: ' + why if why else 'skipped, unchanged'}")
        return []
    with log_to(out / "run.log", config=str(path), settings=settings, seed=config.seed):
        with whole(out / "config.yaml") as temporary:
            temporary.write_text(dump_config(config), "utf-8")
        results = run(
            stages,
            out,
            start=start,
            only=only,
            overwrite=overwrite,
            show=progress_bar,
            tell=tell_stage,
        )
    _summary(config, out, results)
    return results


def _summary(config: Config, out: Path, results: Sequence[Done]) -> None:
    facts = {done.stage: done.facts for done in results}
    show("")
    if "pages" in facts:
        show(f"text        {short_facts(facts['pages'])}")
    if "scores" in facts.get("evaluate", {}):
        show(score_table(facts["evaluate"]["scores"]))
    places = (("report", "report.html"), ("bundle", "bundle"), ("predictions", "predictions.jsonl"))
    for name, file in places:
        if (out / file).exists():
            show(f"{name:<11} {out / file}")
    predictions = out / "predictions.jsonl"
    example = best_example(predictions) if predictions.exists() else None
    if example is not None:
        show(f"example     {coloured(example, config.task.entity_labels())}")
    if (out / "bundle").exists():
        show(f"next        hanspan predict YOUR.txt found.jsonl --model {out / 'bundle'}")
        show(f"            hanspan push {out / 'bundle'} OWNER/NAME")


def best_example(path: Path, longest: int = 90) -> Document | None:
    """A sentence of the predictions with many kinds of spans, to show at the end."""
    best: Document | None = None
    best_value = 0.0
    for number, document in enumerate(read_documents(path)):
        if number == 200:
            break
        start = 0
        for piece in document.text.replace("\n", "。").split("。"):
            end = start + len(piece)
            inside = [s for s in document.spans if start <= s.start and s.end <= end]
            value = len({s.label for s in inside}) + 0.1 * len(inside)
            if 15 <= len(piece) <= longest and value > best_value:
                moved = tuple(
                    Span(s.start - start, s.end - start, s.label, s.score) for s in inside
                )
                best = Document(document.id, document.text[start:end], moved, document.labels)
                best_value = value
            start = end + 1
    return best


def say(summary: Any, output: Path, following: str) -> None:
    """What one stage did, where it wrote, and the next command."""
    facts = dataclasses.asdict(summary)
    show(f"{short_facts(facts) or 'no documents'} -> {output}")
    if facts.get("rejected"):
        show(f"{facts['rejected']} rejected, see {output}.rejected.jsonl")
    show(click.style(f"next: {following}", dim=True))
