"""What a person sees: progress, tables, coloured spans. Imported by commands alone.

Colours are those of click, which leaves them out where no terminal reads.
"""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from hanspan.data import Document

if TYPE_CHECKING:
    from hanspan.evaluate import Report, Score
    from hanspan.run import Done, Progress

_EVERY = 10.0  # seconds between plain progress lines
_REDRAW = 0.1  # seconds between two states of the bar
_BAR = 24
_HUES = ("cyan", "magenta", "green", "yellow", "blue", "red", "white")
_COLOURS = (*_HUES, *(f"bright_{hue}" for hue in _HUES))
_LEAST_COLUMN = 8


def width_of(text: str) -> int:
    """Columns that a text takes in a terminal: a Chinese character two, a colour code none."""
    kinds = (unicodedata.east_asian_width(char) for char in click.unstyle(text)
             if not unicodedata.combining(char))  # fmt: skip
    return sum(2 if kind in "WF" else 1 for kind in kinds)


def cut(text: str, width: int) -> str:
    """The text, or as much as leaves room for an ellipsis within ``width`` columns."""
    if width_of(text) <= width:
        return text
    kept = click.unstyle(text)
    while kept and width_of(kept) >= width:
        kept = kept[:-1]
    return f"{kept}…"


@dataclass
class Table:
    """A plain table: ``columns`` by name, those in ``right`` set to the right."""

    columns: Sequence[str]
    right: frozenset[str] = frozenset()
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Append a row."""
        self.rows.append(cells)

    def lines(self, most: int | None = None) -> Iterator[str]:
        """The lines; where they take more than ``most`` columns the widest cells are cut."""
        table = [self.columns, *self.rows]
        widths = [max(width_of(row[at]) for row in table) for at in range(len(self.columns))]
        gaps = 2 * (len(widths) - 1)
        while most and sum(widths) + gaps > most and max(widths) > _LEAST_COLUMN:
            widths[widths.index(max(widths))] -= 1
        for number, row in enumerate(table):
            cells = []
            for name, cell, width in zip(self.columns, row, widths, strict=True):
                cell = cut(cell, width)
                space = " " * (width - width_of(cell))
                cell = click.style(cell, bold=True) if not number else cell
                cells.append(space + cell if name in self.right else cell + space)
            yield "  ".join(cells).rstrip()


def show(*things: Table | str) -> None:
    """Print texts and tables to standard output, tables no wider than the terminal."""
    most = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for thing in things:
        for line in thing.lines(most) if isinstance(thing, Table) else [thing]:
            click.echo(line)


@contextmanager
def progress_bar(name: str) -> Iterator[Progress]:
    """A bar on a terminal, a plain line every ten seconds elsewhere, both on standard error."""
    start = time.monotonic()
    live = sys.stderr.isatty()
    last = [0.0 if live else start]

    def tell(done: int, total: int | None, what: str) -> None:
        now = time.monotonic()
        if now - last[0] < (_REDRAW if live else _EVERY):
            return
        last[0] = now
        if live:
            line = cut(bar_line(name, done, total, what, now - start),
                       shutil.get_terminal_size().columns - 1)  # fmt: skip
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            of = f" of {total:,}" if total else ""
            print(f"{name}: {what} {done:,}{of}", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def bar_line(name: str, done: int, total: int | None, what: str, seconds: float) -> str:
    """One state of the bar: what is done, how long it took, how long it may still take."""
    if not total:
        return f"{name:<10} {done:,}  {_clock(seconds)}  {what}"
    share = min(1.0, done / total)
    full = round(_BAR * share)
    rest = f" -{_clock(seconds / share - seconds)}" if share else ""
    bar = "█" * full + "░" * (_BAR - full)
    return f"{name:<10} {bar} {done:,}/{total:,}  {_clock(seconds)}{rest}  {what}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def coloured(document: Document, labels: Sequence[str] = ()) -> str:
    """The text with each span in the colour of its label, and the label behind it."""
    order = list(labels) or sorted({s.label for s in document.spans})
    parts, position = [], 0
    for span in sorted(document.spans, key=lambda s: s.start):
        colour = (
            _COLOURS[order.index(span.label) % len(_COLOURS)] if span.label in order else "cyan"
        )
        parts += [
            document.text[position : span.start],
            click.style(document.surface(span), bold=True, fg=colour),
            click.style(f"[{span.label}]", dim=True, fg=colour),
        ]
        position = span.end
    return "".join([*parts, document.text[position:]])


def tell_stage(event: Done) -> None:
    """One line when a stage has ended, or was skipped."""
    if not event.ran:
        show(click.style(f"{event.stage:<10} unchanged, skipped", dim=True))
        return
    stage = click.style(f"{event.stage:<10}", bold=True)
    facts = short_facts(event.facts)
    show(f"{stage} {event.seconds:6.1f} s  {event.peak_mb:5.0f} MB  {facts}")


def short_facts(facts: Mapping[str, Any]) -> str:
    """Counts of a summary in one line; zeros, rates, tables and paths are left out."""
    return ", ".join(
        f"{key.replace('_', ' ')} {value:,}"
        for key, value in facts.items()
        if isinstance(value, int) and not isinstance(value, bool) and value
    )


_SCORES = ("precision", "recall", "F1", "95 % interval", "topic accuracy")


def score_table(scores: Mapping[str, Mapping[str, float | None]]) -> Table:
    """The systems side by side, in percent."""
    table = Table(("", *_SCORES), frozenset(_SCORES))

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f}"

    for name, row in scores.items():
        table.add(
            name,
            percent(row["precision"]),
            percent(row["recall"]),
            click.style(percent(row["f1"]), bold=True),
            f"{percent(row['low'])} to {percent(row['high'])}",
            percent(row["topic_accuracy"]),
        )
    return table


def report_tables(report: Report) -> list[Table | str]:
    """Scores by label, and by topic where there are topics, in percent."""
    heads = ("precision", "recall", "F1", "gold", "found")

    def table(first: str, rows: Mapping[str, Score]) -> Table:
        out = Table((first, *heads), frozenset(heads))
        for name, score in rows.items():
            rates = (f"{100 * v:.1f}" for v in (score.precision, score.recall, score.f1))
            out.add(name, *rates, f"{score.support:,}", f"{score.predicted:,}")
        return out

    low, high = (100 * side for side in report.interval)
    tables: list[Table | str] = [table("entity", {**report.by_label, "all": report.micro})]
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.mistakes.items())
    tables.append(
        f"F1 {100 * report.micro.f1:.1f} (95 % interval {low:.1f} to {high:.1f}), macro "
        f"{100 * report.macro_f1:.1f}, {report.documents:,} documents; mistakes: {kinds or 'none'}"
    )
    if report.scores is not None:
        tables.append(
            f"scores {100 * report.scores.mean:.1f} on average, {100 * report.micro.precision:.1f} "
            f"of 100 right; calibration error {100 * report.scores.error:.1f}"
        )
    if report.topics is not None:
        low, high = (100 * side for side in report.topics.interval)
        tables.append(table("topic", report.topics.by_class))
        tables.append(
            f"accuracy {100 * report.topics.accuracy:.1f} (95 % interval {low:.1f} to {high:.1f}), "
            f"macro F1 {100 * report.topics.macro_f1:.1f}, silent on {report.topics.silent:,}"
        )
    return tables
