"""What a person sees: progress, tables, coloured spans. Imported by commands alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hanspan.data import Document

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from hanspan.evaluate import Report, Score
    from hanspan.run import Done, Progress

_EVERY = 10.0  # seconds between plain progress lines
_HUES = ("cyan", "magenta", "green", "yellow", "blue", "red", "white")
_COLOURS = (*_HUES, *(f"bright_{hue}" for hue in _HUES))


def console() -> Console:
    """Standard output, as wide as the terminal; plain text into a file."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


@contextmanager
def progress_bar(name: str) -> Iterator[Progress]:
    """A bar on a terminal, a plain line every ten seconds elsewhere, both on standard error."""
    if not sys.stderr.isatty():
        last = [time.monotonic()]

        def line(done: int, total: int | None, what: str) -> None:
            if time.monotonic() - last[0] >= _EVERY:
                last[0] = time.monotonic()
                of = f" of {total:,}" if total else ""
                print(f"{name}: {what} {done:,}{of}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.fields[stage]:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, stage=name)

        def advance(done: int, total: int | None, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield advance


def coloured(document: Document, labels: Sequence[str] = ()) -> Text:
    """The text with each span in the colour of its label, and the label behind it."""
    from rich.text import Text

    order = list(labels) or sorted({s.label for s in document.spans})
    text, position = Text(), 0
    for span in sorted(document.spans, key=lambda s: s.start):
        colour = (
            _COLOURS[order.index(span.label) % len(_COLOURS)] if span.label in order else "cyan"
        )
        text.append(document.text[position : span.start])
        text.append(document.surface(span), style=f"bold {colour}")
        text.append(f"[{span.label}]", style=f"dim {colour}")
        position = span.end
    text.append(document.text[position:])
    return text


def tell_stage(event: Done, screen: Console) -> None:
    """One line when a stage has ended, or was skipped."""
    if not event.ran:
        screen.print(f"[dim]{event.stage:<10} unchanged, skipped[/dim]")
        return
    facts = short_facts(event.facts)
    screen.print(
        f"[bold]{event.stage:<10}[/bold] {event.seconds:6.1f} s  {event.peak_mb:5.0f} MB  {facts}"
    )


def short_facts(facts: Mapping[str, Any]) -> str:
    """Counts of a summary in one line; zeros, rates, tables and paths are left out."""
    return ", ".join(
        f"{key.replace('_', ' ')} {value:,}"
        for key, value in facts.items()
        if isinstance(value, int) and not isinstance(value, bool) and value
    )


def score_table(scores: Mapping[str, Mapping[str, float | None]]) -> Any:
    """The three systems side by side, in percent."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("precision", "recall", "F1", "95 % interval", "topic accuracy"):
        table.add_column(head, justify="right")

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f}"

    for name, row in scores.items():
        table.add_row(
            name,
            percent(row["precision"]),
            percent(row["recall"]),
            f"[bold]{percent(row['f1'])}[/bold]",
            f"{percent(row['low'])} to {percent(row['high'])}",
            percent(row["topic_accuracy"]),
        )
    return table


def report_tables(report: Report) -> list[Any]:
    """Scores by label, and by topic where there are topics, in percent."""
    from rich.table import Table

    def table(first: str, rows: Mapping[str, Score]) -> Any:
        out = Table(box=None, pad_edge=False)
        out.add_column(first)
        for head in ("precision", "recall", "F1", "gold", "found"):
            out.add_column(head, justify="right")
        for name, score in rows.items():
            rates = (f"{100 * v:.1f}" for v in (score.precision, score.recall, score.f1))
            out.add_row(name, *rates, f"{score.support:,}", f"{score.predicted:,}")
        return out

    low, high = (100 * side for side in report.interval)
    tables = [table("entity", {**report.by_label, "all": report.micro})]
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.mistakes.items())
    tables.append(
        f"F1 {100 * report.micro.f1:.1f} (95 % interval {low:.1f} to {high:.1f}), macro "
        f"{100 * report.macro_f1:.1f}, {report.documents:,} documents; mistakes: {kinds or 'none'}"
    )
    if report.topics is not None:
        low, high = (100 * side for side in report.topics.interval)
        tables.append(table("topic", report.topics.by_class))
        tables.append(
            f"accuracy {100 * report.topics.accuracy:.1f} (95 % interval {low:.1f} to {high:.1f}), "
            f"macro F1 {100 * report.topics.macro_f1:.1f}, silent on {report.topics.silent:,}"
        )
    return tables
