"""What each rule is worth: coverage, overlap, conflict, agreement, and precision with gold."""

from __future__ import annotations

import csv
import html
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hanspan.data import ENTITY, NONE, Document


@dataclass
class Row:
    """One rule, or one surface that a rule found.

    Attributes:
        rule: name.
        kind: of the rule.
        labels: that it may give, joined by a blank.
        entry: the surface, or empty.
        votes: how many spans (or topics) it gave.
        documents: in how many documents.
        coverage: their share of all documents.
        overlap: share of its votes that touch a vote of another rule.
        agreement: share of its votes that another rule gives exactly so.
        conflict: share of its votes that another rule contradicts: another label on the same
            span, the same label with other borders, crossing borders, or NONE against an
            entity. A span that lies whole inside one of another label, or inside one of a
            rule of the same group, is no conflict.
        precision: share of its votes that gold confirms; None without gold. NONE is confirmed
            where no gold span touches it, ENTITY by the borders alone.
        recall: share of the gold spans of its labels that it finds; None for NONE and ENTITY.
        conflicts: number of votes in conflict.
    """

    rule: str
    kind: str = ""
    labels: str = ""
    entry: str = ""
    votes: int = 0
    documents: int = 0
    coverage: float = 0.0
    overlap: float = 0.0
    agreement: float = 0.0
    conflict: float = 0.0
    precision: float | None = None
    recall: float | None = None
    conflicts: int = 0


COLUMNS = tuple(f.name for f in fields(Row))


class _Count:
    __slots__ = ("agree", "conflict", "documents", "judged", "last", "overlap", "right", "votes")

    def __init__(self) -> None:
        self.votes = self.documents = self.overlap = self.agree = self.conflict = 0
        self.right = self.judged = 0
        self.last = -1


Place = tuple[int, int]
Voices = dict[tuple[Place, str], set[str]]


def _contradicts(one: Place, label: str, other: Place, other_label: str) -> bool:
    if NONE in (label, other_label):
        return label != other_label
    loose = ENTITY in (label, other_label) or label == other_label
    if one == other:
        return not loose
    return loose or not _nested(one, other)


def _nested(one: Place, other: Place) -> bool:
    return (one[0] <= other[0] and other[1] <= one[1]) or (
        other[0] <= one[0] and one[1] <= other[1]
    )


def _judge(
    voices: Voices, groups: Mapping[str, str]
) -> Iterator[tuple[Place, str, str, bool, bool, bool]]:
    """For each vote: place, label, source, overlap, agreement, conflict."""
    ordered = sorted(voices)
    active: list[int] = []
    touching: list[list[int]] = [[] for _ in ordered]
    for i, (place, _) in enumerate(ordered):
        active = [j for j in active if ordered[j][0][1] > place[0]]
        for j in active:
            touching[i].append(j)
            touching[j].append(i)
        active.append(i)
    for i, (place, label) in enumerate(ordered):
        sources = voices[place, label]
        others = [(ordered[j], voices[ordered[j]]) for j in touching[i]]
        for source in sources:
            agree = len(sources) > 1
            strangers = [(key, who - {source}) for key, who in others if who != {source}]
            group = groups.get(source) or source
            conflict = any(
                _contradicts(place, label, key[0], key[1])
                for key, who in strangers
                if not _nested(place, key[0]) or any(groups.get(w) != group for w in who)
            )
            yield place, label, source, agree or bool(strangers), agree, conflict


def tabulate(
    documents: Iterable[Document],
    rules: Mapping[str, Mapping[str, Any]],
    *,
    gold: Mapping[str, Document] | None = None,
    entries: bool = False,
) -> list[Row]:
    """Count over documents whose spans are votes.

    Args:
        documents: as ``hanspan label`` writes them.
        rules: ``rules`` of ``weak.rules.json``: source -> kind, labels, topical.
        gold: id or text -> Document with hand labels.
        entries: one row for each surface of each rule, instead of one for each rule.

    Returns:
        Rows by number of votes, most first; rules that never spoke stand last.
    """
    counts: dict[tuple[str, str], _Count] = defaultdict(_Count)
    wanted: dict[str, int] = defaultdict(int)
    groups = {source: str(about.get("group") or "") for source, about in rules.items()}
    total = 0
    for total, document in enumerate(documents, 1):
        truth = None if gold is None else gold.get(document.id) or gold.get(document.text)
        spans = None if truth is None else {(s.start, s.end): s.label for s in truth.spans}
        voices: Voices = defaultdict(set)
        for span in document.spans:
            voices[(span.start, span.end), span.label].add(span.source)
        for place, label, source, overlap, agree, conflict in _judge(voices, groups):
            surface = document.text[place[0] : place[1]] if entries else ""
            count = _seen(counts[source, surface], total, overlap, agree, conflict)
            if spans is not None:
                count.judged += 1
                count.right += _right(place, label, spans)
        topic = None if truth is None else truth.labels.get("topic")
        votes = document.meta.get("topic_votes", ())
        for vote in votes:
            others = [v["label"] for v in votes if v["source"] != vote["source"]]
            agree = vote["label"] in others
            conflict = any(other != vote["label"] for other in others)
            key = (vote["source"], vote["label"] if entries else "")
            count = _seen(counts[key], total, bool(others), agree, conflict)
            if topic is not None:
                count.judged += 1
                count.right += vote["label"] == topic
        for label in (spans or {}).values():
            wanted[label] += 1
        if topic is not None:
            wanted[topic] += 1
    if entries:
        keys = list(counts)
    else:
        keys = [(source, "") for source in dict.fromkeys([*rules, *(k[0] for k in counts)])]
    rows = [_row(k, counts[k], rules.get(k[0], {}), wanted, total, gold is not None) for k in keys]
    return sorted(rows, key=lambda row: (-row.votes, row.rule, row.entry))


def _seen(count: _Count, number: int, overlap: bool, agree: bool, conflict: bool) -> _Count:
    count.votes += 1
    count.documents += count.last != number
    count.last = number
    count.overlap += overlap
    count.agree += agree
    count.conflict += conflict
    return count


def _right(place: Place, label: str, spans: Mapping[Place, str]) -> bool:
    if label == NONE:
        return not any(s < place[1] and place[0] < e for s, e in spans)
    return place in spans if label == ENTITY else spans.get(place) == label


def _row(
    key: tuple[str, str],
    count: _Count,
    about: Mapping[str, Any],
    wanted: Mapping[str, int],
    total: int,
    gold: bool,
) -> Row:
    votes = max(count.votes, 1)
    labels = tuple(about.get("labels", ()))
    there = sum(wanted[label] for label in labels if label not in (ENTITY, NONE))
    return Row(
        key[0].removeprefix("rule:"),
        str(about.get("kind", "")),
        " ".join(labels),
        key[1],
        count.votes,
        count.documents,
        count.documents / max(total, 1),
        count.overlap / votes,
        count.agree / votes,
        count.conflict / votes,
        count.right / count.judged if gold and count.judged else None,
        count.right / there if gold and there and not key[1] else None,
        count.conflict,
    )


def to_csv(rows: Sequence[Row]) -> str:
    """The table as CSV with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = (getattr(row, name) for name in COLUMNS)
        writer.writerow([f"{v:.4f}" if isinstance(v, float) else v for v in values])
    return out.getvalue()


def show(value: Any) -> str:
    """A cell for people: shares in percent."""
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if isinstance(value, float) else str(value)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body{{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#222}}
table{{border-collapse:collapse}} th,td{{padding:.25em .7em;text-align:right}}
th{{cursor:pointer;border-bottom:2px solid #888;position:sticky;top:0;background:#fff}}
td:nth-child(-n+4),th:nth-child(-n+4){{text-align:left}} tr:nth-child(even){{background:#f4f4f4}}
</style></head><body><h1>{title}</h1><p>{note}</p><table><thead><tr>{head}</tr></thead>
<tbody>{body}</tbody></table><script>
document.querySelectorAll("th").forEach((th,i)=>th.onclick=()=>{{
 const b=document.querySelector("tbody"),d=th.dataset.d=th.dataset.d==="1"?"-1":"1";
 const v=r=>{{const t=r.cells[i].textContent,n=parseFloat(t);return isNaN(n)?t:n}};
 [...b.rows].sort((x,y)=>{{const a=v(x),c=v(y);
 return (typeof a==typeof c?(a<c?1:a>c?-1:0):typeof a=="number"?-1:1)*d}})
 .forEach(r=>b.append(r))}});
</script></body></html>
"""


def to_html(rows: Sequence[Row], title: str) -> str:
    """The table as one page without outside parts; a click on a column sorts by it."""
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    body = "\n".join(
        "<tr>"
        + "".join(f"<td>{html.escape(show(getattr(row, name)))}</td>" for name in COLUMNS)
        + "</tr>"
        for row in rows
    )
    note = "Shares in percent. Click a column to sort by it."
    return _PAGE.format(title=html.escape(title), note=note, head=head, body=body)
