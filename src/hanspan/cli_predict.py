"""``hanspan predict``: where the model meets the rules, which it does not know itself."""

from __future__ import annotations

from pathlib import Path

import click

from hanspan.errors import HanspanError
from hanspan.extractor import Rules
from hanspan.formats import FORMS, READABLE, form_of

NO_RULES = "none"
EMBEDDED_RULES = "news"
"""The rules that the embedded model learned from, beside it where no other are named."""


def rules_of(name: str | None, model: str | None) -> tuple[Rules | None, str]:
    """The answer of a shipped rule set or a YAML file, as the Extractor takes it; its version.

    The embedded model has the rules beside it that it learned from, unless ``name`` is "none".
    """
    name = name or (NO_RULES if model else EMBEDDED_RULES)
    if name == NO_RULES:
        return None, ""
    from hanspan.labelmodel.answering import answering
    from hanspan.rules import load_rules

    rules = load_rules(name)
    return answering(rules), rules.version


def thresholds_of(text: str | None) -> dict[str, float] | float | None:
    """``0.5``, or ``PER=0.6,ORG=0.4``.

    Raises:
        HanspanError: for a part that is no number.
    """
    if not text:
        return None
    try:
        if "=" not in text:
            return float(text)
        pairs = (part.partition("=") for part in text.split(","))
        return {label.strip(): float(value) for label, _, value in pairs}
    except ValueError:
        raise HanspanError(
            f"--threshold {text!r}: expected a number, or LABEL=NUMBER,LABEL=NUMBER"
        ) from None


RULES_HELP = (
    "Rules that go before the model where they are sure: a shipped set or a YAML file. The "
    "embedded model has the set news unless this is none."
)


@click.command()
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--model", help="A bundle folder or a Hub id; the embedded model when left out.")
@click.option("--revision", help="Branch, tag or commit on the Hub.")
@click.option(
    "--backend", type=click.Choice(["auto", "torch", "onnx"]), default="auto", show_default=True
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--labels", help="Only these types: PER,ORG.")
@click.option("--threshold", help="Least score: 0.5, or PER=0.6,ORG=0.4.")
@click.option("--rules", "rule_set", help=RULES_HELP)
@click.option("--rules-only", is_flag=True, help="Ask the rules alone.")
@click.option("--values", is_flag=True, help="Add values of times, amounts and counts to meta.")
@click.option("--form", type=click.Choice(["hanspan", *FORMS]), help="Form of OUT.")
@click.option(
    "--uncertain", type=click.IntRange(1), metavar="N", help="Write the N least sure texts alone."
)
def predict(
    source: str,
    output: Path,
    model: str | None,
    revision: str | None,
    backend: str,
    batch_size: int,
    labels: str | None,
    threshold: str | None,
    rule_set: str | None,
    rules_only: bool,
    values: bool,
    form: str | None,
    uncertain: int | None,
) -> None:
    """Find entities and topic in the texts of IN: a file, a folder, or - for standard input.

    IN: .jsonl, .csv, .txt. OUT by its name: .jsonl, .conll, .csv, .html, .spacy,
    .doccano.jsonl, .labelstudio.json, .argilla.json. The same command goes on where it was
    stopped.

    \b
    hanspan predict documents.jsonl predictions.jsonl --model runs/quickstart/bundle
    hanspan predict notes.txt notes.html --model owner/name --rules news --values
    hanspan predict corpus.jsonl todo.labelstudio.json --model DIR --uncertain 100
    """
    from hanspan.cli_run import say
    from hanspan.infer import predict as work
    from hanspan.terminal import progress_bar

    apply_rules, rules_version = rules_of(rule_set, model)
    if rules_only and apply_rules is None:
        raise HanspanError("--rules-only: found no rules; expected --rules NAME too")
    with progress_bar("predict") as progress:
        summary = work(
            source,
            output,
            model=model,
            backend=backend,
            revision=revision,
            batch_size=batch_size,
            labels=[name.strip() for name in labels.split(",")] if labels else None,
            thresholds=thresholds_of(threshold),
            rules="only" if rules_only else "on" if apply_rules else "off",
            apply_rules=apply_rules,
            rules_version=rules_version,
            values=values,
            form=form,
            uncertain=uncertain,
            progress=progress,
        )
    say(summary, output, _following(output, form, uncertain))


def _following(output: Path, form: str | None, uncertain: int | None) -> str:
    """What one does with the file: annotate in it, score it, or look at it."""
    kind = form_of(output, form)
    if kind in READABLE:
        return f"hanspan import {output} DONE.jsonl --form {kind}, once it is corrected"
    if kind == "hanspan" and not uncertain:
        return f"hanspan evaluate GOLD.jsonl {output}"
    return f"open {output}"
