"""The ``hanspan`` command: parse, call, print. Work is done elsewhere."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from hanspan.errors import HanspanError

_ELSEWHERE = {
    "rules": "hanspan.cli_rules",
    "predict": "hanspan.cli_predict",
    "serve": "hanspan.cli_serve",
    "import": "hanspan.cli_import",
    "pull": "hanspan.cli_hub",
    "push": "hanspan.cli_hub",
    "push-dataset": "hanspan.cli_hub",
}


class _Commands(click.Group):
    """The commands of this module, and those of other modules, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_ELSEWHERE})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in _ELSEWHERE:
            from importlib import import_module

            module = import_module(_ELSEWHERE[name])
            return getattr(module, name.replace("-", "_").replace("import", "import_"))
        return super().get_command(ctx, name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HanspanError as err:
            for line in str(err).splitlines():
                click.echo(f"hanspan: {line}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("hanspan: stopped; the same command goes on from here", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


def _show_warnings() -> None:
    """Warnings go to standard error as plain lines, and never twice through the root logger."""
    log = logging.getLogger("hanspan")
    log.propagate = False
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(logging.Formatter("warning: %(message)s"))
        log.addHandler(handler)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hanspan")
def main() -> None:
    """From raw Chinese text and a handful of rules to a measured, published NER model.

    \b
    hanspan run configs/quickstart.yaml            all stages, on the sample inside the package
    hanspan pages page.txt documents.jsonl         raw page -> articles
    hanspan label documents.jsonl weak.jsonl       rules -> votes
    hanspan aggregate weak.jsonl train.jsonl       votes -> soft labels
    hanspan predict documents.jsonl out.jsonl --model runs/quickstart/bundle
    """
    _show_warnings()


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, metavar="[KEY.PATH=VALUE]...")
@click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
@click.option("--from", "start", metavar="STAGE", help="Run this stage and all after it.")
@click.option("--only", metavar="STAGE", help="Run this one stage.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that the run did not make.")
def run(
    config: Path,
    settings: tuple[str, ...],
    dry_run: bool,
    start: str | None,
    only: str | None,
    overwrite: bool,
) -> None:
    """Run all stages of CONFIG; skip what is unchanged, go on where it was stopped.

    \b
    hanspan run configs/quickstart.yaml
    hanspan run configs/news.yaml train.epochs=4 out=runs/longer
    hanspan run configs/news.yaml --dry-run
    hanspan run configs/news.yaml --from aggregate
    """
    from hanspan.cli_run import run_config

    run_config(config, settings, dry_run=dry_run, start=start, only=only, overwrite=overwrite)


@main.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), help="Documents taken from each corpus file.")
@click.option("--seed", default=7, show_default=True)
@click.option("--encoding", help="Of text and HTML files; found out when not given.")
@click.option(
    "--explain",
    type=click.Path(path_type=Path),
    metavar="OUT.html",
    help="Write a picture of the pages (the first 20 at most) as HTML.",
)
@click.option(
    "--encoder",
    is_flag=True,
    help="Ask the embedded encoder about cut sentences too: fewer errors, some 14 times as slow.",
)
def pages(
    inputs: Sequence[str],
    output: Path,
    limit: int | None,
    seed: int,
    encoding: str | None,
    explain: Path | None,
    encoder: bool,
) -> None:
    """Turn raw pages into documents, one an article.

    IN is text, HTML, DOCX, PDF, JSON lines, Parquet, a folder of them, or - for standard input.
    Beside the output stands OUTPUT.dropped.jsonl: all that no article has, and why.

    \b
    hanspan pages page.txt documents.jsonl
    hanspan pages scans/*.pdf notes.docx documents.jsonl --explain page.html
    curl -s URL | hanspan pages - documents.jsonl
    """
    from hanspan.cli_run import say
    from hanspan.pages import pages as work
    from hanspan.terminal import progress_bar

    gains = None
    if encoder:
        from hanspan.masked import MaskedGains

        gains = MaskedGains()
    with progress_bar("pages") as progress:
        summary = work(
            list(inputs),
            output,
            limit=limit,
            seed=seed,
            encoding=encoding,
            explain=explain,
            gains=gains,
            progress=progress,
        )
    for _, reason in summary.failed:
        click.echo(f"not read: {reason}", err=True)
    say(summary, output, f"hanspan label {output} weak.jsonl --rules news")


@main.command()
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT.jsonl", type=click.Path(path_type=Path))
@click.option("--rules", default="news", show_default=True, help="A shipped set or a YAML file.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True)
@click.option("--fresh", is_flag=True, help="Apply every rule again, changed or not.")
def label(
    source: Path,
    output: Path,
    rules: str,
    workers: int,
    on_error: Literal["stop", "skip"],
    fresh: bool,
) -> None:
    """Apply rules; write every vote.

    \b
    hanspan label documents.jsonl weak.jsonl --rules news
    hanspan label documents.jsonl weak.jsonl --rules my_rules.yaml --workers 2
    """
    from hanspan.cli_run import say
    from hanspan.terminal import progress_bar
    from hanspan.weak import label as work

    with progress_bar("label") as progress:
        summary = work(
            source,
            output,
            rules,
            workers=workers,
            on_error=on_error,
            fresh=fresh,
            progress=progress,
        )
    say(summary, output, f"hanspan aggregate {output} train.jsonl")


@main.command()
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path))
@click.argument("output", metavar="[OUT.jsonl]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--method",
    type=click.Choice(["vote", "dawid-skene", "hmm", "auto"]),
    default="vote",
    show_default=True,
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Apply a saved label model as it is."
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit the probabilities to what hidden rules say; auto always does. Slower.",
)
@click.option("--explain", metavar="ID", help="Show votes, weights and result of one document.")
def aggregate(
    source: Path,
    output: Path | None,
    method: str,
    model: Path | None,
    calibrate: bool,
    explain: str | None,
) -> None:
    """Turn the votes of rules into soft labels.

    Beside OUT.jsonl stand OUT.soft.npz, what training reads, and OUT.labelmodel.json (.npz), the
    fitted model with the reliability of each rule. With --model nothing is fitted.

    \b
    hanspan aggregate weak.jsonl train.jsonl --method auto
    hanspan aggregate more-weak.jsonl more.jsonl --model train.labelmodel.json
    hanspan aggregate weak.jsonl --explain page-3
    """
    from hanspan.labelmodel import aggregate as work
    from hanspan.labelmodel.fitted import ASKED

    if calibrate and (explain is not None or model is not None):
        raise HanspanError(
            "--calibrate: found --explain or --model beside it; expected a model to fit and write"
        )
    if explain is not None:
        from hanspan.labelmodel import explain as tell

        click.echo(tell(source, explain, method=method, model=model))
        if output is None:
            return
    if output is None:
        raise click.UsageError("OUT.jsonl is missing; type: hanspan aggregate IN.jsonl OUT.jsonl")
    from hanspan.cli_run import say
    from hanspan.terminal import progress_bar

    with progress_bar("aggregate") as progress:
        summary = work(
            source, output, method=method, model=model, calibrate=calibrate, progress=progress
        )
    if summary.reason != ASKED:
        click.echo(f"{summary.method}: {summary.reason}")
    if summary.topic_reason:
        click.echo(f"topics, {summary.topic_reason}")
    say(summary, output, "hanspan train CONFIG")


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, metavar="[KEY.PATH=VALUE]...")
def train(config: Path, settings: tuple[str, ...]) -> None:
    """Train the student of CONFIG on its out/train.jsonl; goes on from a checkpoint.

    \b
    hanspan train configs/news.yaml
    hanspan train configs/news.yaml train.epochs=4 seed=8
    """
    from hanspan.cli_run import run_config

    run_config(config, settings, only="train")


@main.command()
@click.argument("gold", metavar="GOLD.jsonl", type=click.Path(path_type=Path))
@click.argument("predicted", metavar="PREDICTED.jsonl", type=click.Path(path_type=Path))
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the report.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write a page to read.")
@click.option("--map", "mapping", default="", help="LABEL=LABEL,…; an empty name drops a label.")
def evaluate(
    gold: Path, predicted: Path, output: Path | None, page: Path | None, mapping: str
) -> None:
    """Score PREDICTED against GOLD: a span counts when start, end and label all agree.

    \b
    hanspan evaluate gold.jsonl predictions.jsonl --json report.json --html report.html
    hanspan evaluate gold.jsonl predictions.jsonl --map GOV=ORG,COM=ORG,TIME=
    """
    from hanspan.data import read_documents, whole
    from hanspan.evaluate import evaluate as work
    from hanspan.evaluate import parse_mapping
    from hanspan.terminal import report_tables, show

    wanted, found = list(read_documents(gold)), list(read_documents(predicted))
    report = work(wanted, found, mapping=parse_mapping(mapping))
    show(*report_tables(report))
    if output is not None:
        with whole(output) as temporary:
            text = json.dumps(report.as_dict(), ensure_ascii=False, indent=1)
            temporary.write_text(text, "utf-8")
    if page is not None:
        from hanspan.report import report_page

        by_id = {document.id: document for document in found}
        pairs = [(document, by_id[document.id]) for document in wanted[:12]]
        facts = {"gold": str(gold), "predicted": str(predicted), "map": mapping or "none"}
        with whole(page) as temporary:
            systems = {"predicted": report.as_dict()}
            temporary.write_text(report_page("hanspan evaluate", systems, facts, pairs), "utf-8")


@main.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT_DIR", type=click.Path(path_type=Path))
@click.option("--onnx/--no-onnx", default=True, show_default=True)
@click.option("--small", is_flag=True, help="Half-precision weights; of the graphs int8 alone.")
@click.option("--graph-only", is_flag=True, help="The int8 graph without weights for torch.")
@click.option("--name", help="Heading of the card; else the name of OUT_DIR.")
def bundle(
    run_dir: Path, output: Path, onnx: bool, small: bool, graph_only: bool, name: str | None
) -> None:
    """Package a trained RUN as a folder that is a Hub repository.

    \b
    hanspan bundle runs/news/run my-model
    hanspan bundle runs/news/run my-model --small
    """
    from hanspan.bundle import bundle as work
    from hanspan.cli_run import say

    summary = work(run_dir, output, onnx=onnx, small=small, graph_only=graph_only, name=name)
    say(summary, output, f"hanspan push {output} OWNER/NAME")


if __name__ == "__main__":
    main()
