"""``hanspan serve``."""

from __future__ import annotations

from pathlib import Path

import click

from hanspan.cli_predict import RULES_HELP, rules_of


@click.command()
@click.option("--model", help="A bundle folder or a Hub id; the embedded model when left out.")
@click.option(
    "--backend", type=click.Choice(["auto", "torch", "onnx"]), default="auto", show_default=True
)
@click.option("--rules", "rule_set", help=RULES_HELP)
@click.option("--host", default="127.0.0.1", show_default=True, help="Anything else is public.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True)
def serve(model: str | None, backend: str, rule_set: str | None, host: str, port: int) -> None:
    """Open a page to try a model on; works without a network.

    \b
    hanspan serve --model runs/quickstart/bundle
    hanspan serve --model owner/name --rules news
    """
    from hanspan.extractor import Extractor
    from hanspan.serve import LOOPBACK
    from hanspan.serve import serve as work

    extract = Extractor.from_pretrained(model, backend, rules=rules_of(rule_set, model)[0])
    if host not in LOOPBACK:
        click.echo(f"hanspan: {host} can be reached from the network by anybody", err=True)
    folder = Path(model) if model else None  # the page shows a name, not where files lie
    name = folder.resolve().name if folder is not None and folder.is_dir() else model
    work(extract, name=name or "embedded", host=host, port=port)
