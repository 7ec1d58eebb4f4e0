"""``hanspan rules``: list, test, explain, table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hanspan.data import Document, read_documents, whole
from hanspan.errors import HanspanError

if TYPE_CHECKING:
    from hanspan.rules.explain import Explanation


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def rules() -> None:
    """See what rules there are, try them, and see what each is worth.

    \b
    hanspan rules list news
    hanspan rules test my_rules.yaml
    hanspan rules explain "合肥市政协主席韩冰表示" --rules news
    hanspan rules table weak.jsonl --gold dev.jsonl
    """


@rules.command("list")
@click.argument("name", required=False)
def list_rules(name: str | None) -> None:
    """List the rules of a set; without NAME, the sets that ship."""
    from hanspan.rules import load_rules, shipped
    from hanspan.terminal import Table, show

    if name is None:
        for each in shipped():
            loaded = load_rules(each)
            labels = " ".join((*loaded.labels, *loaded.topics))
            bold, dim = click.style(each, bold=True), click.style(labels, dim=True)
            show(f"{bold}  {len(loaded)} rules  {dim}")
        return
    loaded = load_rules(name)
    heads = ("rule", "kind", "labels", "group", "weight", "examples", "written in")
    table = Table(heads, frozenset({"weight", "examples"}))
    for info in loaded.infos:
        kind = f"{info.kind}, second pass" if info.after else info.kind
        table.add(
            info.name,
            kind,
            " ".join(info.labels),
            info.group,
            f"{info.weight:g}",
            str(len(info.yes) + len(info.no)),
            f"{Path(info.file).name}:{info.line}",
        )
    show(table)
    for notice in loaded.notices:
        show(click.style(notice, fg="yellow"))


@rules.command("test")
@click.argument("name", default="news")
@click.argument("only", nargs=-1, metavar="[RULE]...")
@click.option("--strict", is_flag=True, help="A rule without any example fails, too.")
@click.pass_context
def test_rules(ctx: click.Context, name: str, only: tuple[str, ...], strict: bool) -> None:
    """Try every rule of a set on the examples beside it; exit status 1 if one fails."""
    from hanspan.rules import load_rules
    from hanspan.rules.examples import Failure, check_examples

    loaded = load_rules(name)
    known = {info.name for info in loaded.infos}
    for rule in only:
        if rule not in known:
            raise HanspanError(f"no rule {rule!r} in {name}; type: hanspan rules list {name}")
    failures, bare = 0, []
    for item in check_examples(loaded, only):
        if isinstance(item, Failure):
            failures += 1
            click.echo(str(item))
        else:
            bare.append(item)
    for info in bare:
        click.echo(f"{info.where}: has no example; expected 'yes:' and 'no:'")
    infos = [info for info in loaded.infos if not only or info.name in only]
    examples = sum(len(info.yes) + len(info.no) for info in infos)
    click.echo(
        f"{len(infos)} rules, {examples} examples, {failures} failed, {len(bare)} rules without"
    )
    if failures or (strict and bare):
        ctx.exit(1)


@rules.command("explain")
@click.argument("text")
@click.option("--rules", "name", default="news", show_default=True)
@click.option("--title", default="", help="Title of the text, for topic rules.")
def explain_text(text: str, name: str, title: str) -> None:
    """Show every rule that fires in TEXT, every veto, and what the vote makes of it.

    TEXT is a sentence, or the path of a text file.
    """
    from hanspan.labelmodel import vote
    from hanspan.rules import load_rules
    from hanspan.rules.describe import describe
    from hanspan.rules.explain import explain

    if len(text) < 200 and "\n" not in text and Path(text).is_file():
        text = Path(text).read_text("utf-8")
    meta = {"title": title} if title else {}
    loaded = load_rules(name)
    about = describe(loaded)
    document = Document("text", text, meta=meta)
    _render(explain(loaded, document, lambda voted: next(vote([voted], about))))


def _render(what: Explanation) -> None:
    """Print an explanation with colours."""
    from hanspan.terminal import Table, coloured, show

    kept = {(s.start, s.end, s.label) for s in what.result.spans} if what.result else set()
    table = Table(("at", "span", "label", "rule", "kind", "weight", "written in", "result"))
    for span in what.spans:
        info = what.info(span.source)
        fate = "wins" if (span.start, span.end, span.label) in kept else ""
        table.add(
            f"{span.start}:{span.end}",
            click.style(what.document.surface(span), bold=True),
            span.label,
            info.name,
            info.kind,
            f"{span.score:g}",
            f"{info.file.rsplit('/', 1)[-1]}:{info.line}",
            fate,
        )
    show(table if what.spans else "no rule fires")
    for veto in what.vetoes:
        surface = what.document.text[veto.start : veto.end]
        place = f"{veto.start}:{veto.end}"
        show(f"veto  {place} {surface} {veto.label} of {veto.rule}: {veto.why}")
    for topic in what.topics:
        told = sorted(what.counted.get(topic.source, {}).items(), key=lambda item: -item[1])
        words = ", ".join(f"{word} {weight:g}" for word, weight in told)
        show(f"topic {topic.label} {topic.score:.2f} of {topic.source[5:]}: {words}".rstrip(": "))
    if what.result is not None:
        show(f"vote  {coloured(what.result, what.rules.labels)}")
        if "topic" in what.result.labels:
            show(f"topic of the vote: {what.result.labels['topic']}")


@rules.command("table")
@click.argument("source", metavar="DOCUMENTS", type=click.Path(path_type=Path))
@click.option("--rules", "name", help="Apply these rules first; else DOCUMENTS hold votes.")
@click.option("--gold", type=click.Path(path_type=Path), help="Documents with hand labels.")
@click.option("--entries", is_flag=True, help="One row for each surface of each rule.")
@click.option("--blame", is_flag=True, help="The entries in most conflicts.")
@click.option("--rule", "only", multiple=True, help="Only this rule (may be repeated).")
@click.option("--sort", default="votes", show_default=True, help="A column; most first.")
@click.option("--top", type=click.IntRange(1), help="So many rows on the screen.")
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), help="Write all rows as CSV.")
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="... as a page.")
def table_of_rules(
    source: Path,
    name: str | None,
    gold: Path | None,
    entries: bool,
    blame: bool,
    only: tuple[str, ...],
    sort: str,
    top: int | None,
    csv_path: Path | None,
    html_path: Path | None,
) -> None:
    """Coverage, overlap, conflict and agreement of every rule; with --gold, precision and recall.

    \b
    hanspan rules table weak.jsonl --top 20
    hanspan rules table dev.jsonl --rules news --gold dev.jsonl --html rules.html
    hanspan rules table weak.jsonl --entries --rule province --sort conflicts
    hanspan rules table weak.jsonl --blame
    """
    from hanspan.rules.table import COLUMNS, tabulate, to_csv, to_html

    if sort not in COLUMNS:
        raise HanspanError(f"no column {sort!r}; expected one of {', '.join(COLUMNS)}")
    documents, about = _votes(source, name)
    truth = None if gold is None else _by_key(read_documents(gold))
    rows = tabulate(documents, about, gold=truth, entries=entries or blame)
    rows = [row for row in rows if not only or row.rule in only]
    sort = "conflicts" if blame and sort == "votes" else sort
    rows.sort(key=lambda row: _order(getattr(row, sort)))
    title = f"Rules of {name or source.name}"
    for path, content in ((csv_path, to_csv), (html_path, lambda r: to_html(r, title))):
        if path is not None:
            with whole(path) as temporary:
                temporary.write_text(content(rows), "utf-8")
    _print(rows[: top or (20 if blame or entries else None)], truth is not None, entries or blame)


def _order(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return -1.0 * value if value is not None else 1.0


def _votes(source: Path, name: str | None) -> tuple[Iterable[Document], dict[str, Any]]:
    import json

    from hanspan.rules.describe import describe
    from hanspan.weak import rules_path

    if name is not None:
        from hanspan.rules import load_rules

        loaded = load_rules(name)
        return map(loaded.apply, read_documents(source)), describe(loaded)["rules"]
    path = rules_path(source)
    try:
        return read_documents(source), json.loads(path.read_text("utf-8"))["rules"]
    except (OSError, ValueError, KeyError):
        raise HanspanError(
            f"{path}: no such file; expected what 'hanspan label' writes beside its output, "
            f"or give --rules NAME to apply rules to {source.name}"
        ) from None


def _by_key(documents: Iterator[Document]) -> dict[str, Document]:
    out: dict[str, Document] = {}
    for document in documents:
        out[document.text] = out[document.id] = document
    return out


def _print(rows: Iterable[Any], gold: bool, entries: bool) -> None:
    from hanspan.rules.table import show as shown
    from hanspan.terminal import Table, show

    left = ["rule", *(["entry"] if entries else ["kind", "labels"])]
    right = ["votes", "documents", "coverage", "overlap", "agreement", "conflict"]
    right += ["precision", "recall"] if gold else []
    table = Table((*left, *right), frozenset(right))
    for row in rows:
        table.add(*(shown(getattr(row, name)) for name in table.columns))
    show(table)
