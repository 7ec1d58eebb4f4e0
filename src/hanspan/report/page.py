"""One self-contained HTML page of a report: no script, no outside address."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from hanspan.data import Document
from hanspan.report.plot import f1_plot
from hanspan.report.text import highlight_html

_STYLE = """
body{font:15px/1.6 system-ui,"Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;
  max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.5rem;margin-bottom:.2rem} h2{font-size:1.1rem;margin-top:2rem}
.facts{color:#666} table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.2rem .7rem;border-bottom:1px solid #e4e4e4;text-align:right}
td:first-child,th:first-child{text-align:left} th{font-weight:600;background:#f7f7f7}
.text td,.text th{text-align:left} mark{padding:.05rem .15rem;border-radius:.2rem}
mark sub{font-size:.62rem;margin-left:.15rem;color:#555} .best{font-weight:700}
.example{border-left:3px solid #ddd;padding-left:.8rem;margin:.8rem 0}
svg{max-width:100%;height:auto}
"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{top}</tr>{body}</table>'


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _systems(systems: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    best = max(report["entities"]["f1"] for report in systems.values())
    for name, report in systems.items():
        e, t = report["entities"], report.get("topics")
        low, high = e["f1_interval_95"]
        mark = ' class="best"' if e["f1"] == best else ""
        rows.append(
            [
                html.escape(name),
                _percent(e["precision"]),
                _percent(e["recall"]),
                f"<span{mark}>{_percent(e['f1'])}</span>",
                f"{_percent(low)} to {_percent(high)}",
                _percent(e["macro_f1"]),
                _percent(t["accuracy"]) if t else "",
                _percent(t["macro_f1"]) if t else "",
            ]
        )
    head = ("", "precision", "recall", "F1", "95 % interval", "macro F1",
            "topic accuracy", "topic macro F1")  # fmt: skip
    return _table(head, rows)


def _by_label(systems: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(systems)
    tables = [systems[name]["entities"]["by_label"] for name in names]
    labels = sorted({label for table in tables for label in table})
    rows = []
    for label in labels:
        support = max(table.get(label, {}).get("support", 0) for table in tables)
        cells = []
        for table in tables:
            score = table.get(label, {"precision": 0.0, "recall": 0.0, "f1": 0.0})
            cells.append(" / ".join(_percent(score[k]) for k in ("precision", "recall", "f1")))
        rows.append([html.escape(label), str(support), *cells])
    return _table(["label", "gold spans", *(f"{n}: P / R / F1" for n in names)], rows)


def _confusion(topics: Mapping[str, Any]) -> str:
    matrix = topics["confusion"]
    names = sorted({*matrix, *(name for row in matrix.values() for name in row)})
    rows = [
        [html.escape(gold), *(str(matrix.get(gold, {}).get(name, "")) for name in names)]
        for gold in sorted(matrix)
    ]
    return _table(["gold \\ predicted", *names], rows)


def report_page(
    title: str,
    systems: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, str],
    examples: Iterable[tuple[Document, Document]] = (),
    n_mistakes: int = 60,
) -> str:
    """The page as text.

    Args:
        title: heading.
        systems: name to ``Report.as_dict()``; the last one's mistakes and topics are shown.
        facts: lines under the heading, such as gold file, command and date.
        examples: pairs of gold and predicted document to show in colour.
        n_mistakes: how many mistakes of the last system are listed.
    """
    name, last = list(systems.items())[-1]
    labels = list(last["entities"]["by_label"])
    parts = [f"<h1>{html.escape(title)}</h1>"]
    lines = (f"{html.escape(key)}: {html.escape(str(value))}" for key, value in facts.items())
    parts.append('<p class="facts">' + "<br>".join(lines) + "</p>")
    parts.append("<h2>Scores, in percent</h2>" + _systems(systems))
    parts.append(f1_plot(systems) or "")
    parts.append("<h2>By label</h2>" + _by_label(systems))
    if last.get("topics"):
        parts.append(f"<h2>Topics: {html.escape(name)}</h2>" + _confusion(last["topics"]))
    kinds = ", ".join(f"{k} {v}" for k, v in last["entities"]["mistakes"].items())
    parts.append(f"<h2>Mistakes: {html.escape(name)}</h2><p>{html.escape(kinds or 'none')}</p>")
    rows = (
        [html.escape(m[k]) for k in ("kind", "context", "gold", "predicted", "document")]
        for m in last["examples"][:n_mistakes]
    )
    parts.append(_table(("kind", "where", "gold", "predicted", "document"), rows, "text"))
    shown = [
        f'<div class="example"><b>gold</b> {highlight_html(gold, gold.spans, labels)}<br>'
        f"<b>predicted</b> {highlight_html(found, found.spans, labels)}</div>"
        for gold, found in examples
    ]
    if shown:
        parts.append(f"<h2>Examples: {html.escape(name)}</h2>" + "".join(shown))
    return (
        f'<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
