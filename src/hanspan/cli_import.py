"""``hanspan import``: gold made in other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hanspan.errors import HanspanError
from hanspan.formats import READABLE


@click.command("import")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT.jsonl", type=click.Path(path_type=Path))
@click.option("--form", type=click.Choice(READABLE), help="Form of IN, if its name does not say.")
def import_(source: Path, output: Path, form: str | None) -> None:
    """Read annotations of Label Studio, doccano, Argilla, CoNLL or spaCy into documents.

    Offsets are held against the exported characters, and read as UTF-16 where only that fits.
    What cannot be read goes to OUT.jsonl.rejected.jsonl with its reason.

    \b
    hanspan import export.labelstudio.json gold.jsonl
    hanspan import project-1.jsonl gold.jsonl --form doccano
    """
    from hanspan.data import write_documents, write_rejected
    from hanspan.formats import read_form

    if source.resolve() == output.resolve():
        raise HanspanError(f"{output}: found the input under this name; expected another output")
    rejected: list[dict[str, Any]] = []
    documents = list(read_form(source, form, rejected))
    if not documents:
        why = f"; the first was rejected: {rejected[0]['reason']}" if rejected else ""
        raise HanspanError(f"{source}: found no annotated document{why}")
    count = write_documents(output, documents)
    spans = sum(len(document.spans) for document in documents)
    click.echo(f"{output}: {count} documents, {spans} spans")
    if path := write_rejected(output, rejected):
        click.echo(f"{len(rejected)} rejected, see {path}")
