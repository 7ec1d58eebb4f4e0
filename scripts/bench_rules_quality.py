"""What the shipped rules are worth without any training: rules, span vote, strict scores.

    HANSPAN_DATA=/path/to/data python scripts/bench_rules_quality.py [--json FILE]
        [--set news] [--gold news,msra,cluener] [--topics thucnews,tnews] [--errors 20 --type IND]

Spans count only with exact borders and label. MSRA is scored on PER, LOC and ORG with GOV, COM
and ORG joined; CLUENER on its ten types mapped to ours. Topics count as wrong where no rule
speaks. The dev files are what rule writers may look at; other text is the judge in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hanspan.data import Document, Span, read_documents
from hanspan.labelmodel import vote
from hanspan.rules import RuleSet, load_rules

MSRA = {"GOV": "ORG", "COM": "ORG", "ORG": "ORG", "PER": "PER", "LOC": "LOC"}
CLUENER_GOLD = {
    "name": "PER", "position": "TITLE", "government": "GOV", "company": "COM",
    "organization": "ORG", "address": "LOC", "scene": "LOC", "book": "WORK", "movie": "WORK",
    "game": "WORK",
}  # fmt: skip
SAME = {name: name for name in ("PER", "TITLE", "GOV", "COM", "ORG", "LOC", "WORK")}
MAPS: dict[str, tuple[dict[str, str] | None, dict[str, str]]] = {
    "news": (None, {}),
    "msra": (MSRA, {}),
    "cluener": (SAME, CLUENER_GOLD),
}
TARGETS = {"news": 66.0, "msra": 66.0, "cluener": 46.0}
TOPIC_TARGETS = {"news": 65.0, "thucnews": 74.0, "tnews": 40.0}
TOPIC_FILES = {"news": "news", "thucnews": "thucnews_title", "tnews": "tnews"}


@dataclass
class Score:
    """Counts of strict matches by type."""

    hit: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    errors: list[tuple[str, str, str]] = field(default_factory=list)

    def figures(self, label: str = "") -> tuple[float, float, float]:
        """Precision, recall and F1 in per cent; of one type, or of all."""
        hit, extra, missed = (
            (c[label] if label else sum(c.values())) for c in (self.hit, self.extra, self.missed)
        )
        precision = 100 * hit / (hit + extra) if hit + extra else 0.0
        recall = 100 * hit / (hit + missed) if hit + missed else 0.0
        both = precision + recall
        return precision, recall, 2 * precision * recall / both if both else 0.0


def labelled(rules: RuleSet, documents: list[Document]) -> Iterator[Document]:
    """The documents with what rules and span vote say."""
    meta = {
        "labels": list(rules.labels),
        "topics": list(rules.topics),
        "rules": {i.source: {"group": i.group, "priority": i.priority} for i in rules.infos},
    }
    weak = (rules.apply(Document(d.id, d.text, (), {}, d.meta)) for d in documents)
    return iter(vote(weak, meta))


def compare(gold: list[Document], said: list[Document], name: str) -> Score:
    """Strict comparison after the set's mapping."""
    ours, theirs = MAPS[name]
    score = Score()
    for document, answer in zip(gold, said, strict=True):
        true = {(s.start, s.end, theirs.get(s.label, s.label)) for s in document.spans}
        found: dict[tuple[int, int, str], Span] = {}
        for span in answer.spans:
            label = span.label if ours is None else ours.get(span.label, "")
            if label:
                found[span.start, span.end, label] = span
        for key in true | set(found):
            kind = "hit" if key in true and key in found else "extra" if key in found else "missed"
            getattr(score, kind)[key[2]] += 1
            if kind != "hit":
                start, end, label = key
                around = (
                    f"{document.text[max(0, start - 12) : start]}【{document.text[start:end]}】"
                    f"{document.text[end : end + 12]}"
                )
                source = found[key].source if key in found else ""
                score.errors.append((kind, label, f"{around}  {source}".replace("\n", "/")))
    return score


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=os.environ.get("HANSPAN_DATA", ""))
    parser.add_argument("--set", default="news")
    parser.add_argument("--gold", default="news,msra,cluener")
    parser.add_argument("--topics", default="thucnews,tnews")
    parser.add_argument("--errors", type=int, default=0)
    parser.add_argument("--type", default="")
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    if not Path(args.data, "gold").is_dir():
        sys.exit("found no folder gold/ in HANSPAN_DATA; expected the data folder (--data DIR)")
    rows: list[dict[str, object]] = []

    def row(what: str, value: float, target: float | None) -> None:
        rows.append(
            {"what": what, "value": round(value, 1), "unit": "%", "peer": None,
             "peer_value": None, "target": target}
        )  # fmt: skip

    print(f"$ python scripts/bench_rules_quality.py --set {args.set}")
    rules = load_rules(args.set)
    print(f"{len(rules)} rules of {rules.name!r}")
    for name in filter(None, args.gold.split(",")):
        gold = [*read_documents(Path(args.data, "gold", name, "dev.jsonl"))]
        said = [*labelled(rules, gold)]
        score = compare(gold, said, name)
        print(f"\n{name:9} {'P':>6} {'R':>6} {'F1':>6} {'gold':>6}  strict spans, dev")
        for label in ["", *rules.labels]:
            count = score.hit[label] + score.missed[label]
            if label and not count + score.extra[label]:
                continue
            figures = score.figures(label)
            total = count if label else sum((score.hit + score.missed).values())
            print(f"{label or 'all':9} " + " ".join(f"{f:6.1f}" for f in figures) + f" {total:6}")
            if not label:
                row(f"{name} F1, rules only", figures[2], TARGETS.get(name))
                row(f"{name} precision, rules only", figures[0], 80.0 if name == "news" else None)
                row(f"{name} recall, rules only", figures[1], None)
            else:
                row(f"{name} {label} F1, rules only", figures[2], None)
        for kind in ("extra", "missed") if args.errors else ():
            wanted = args.type.split(",") if args.type else None
            shown = sorted(e for e in score.errors if e[0] == kind)
            shown = [e for e in shown if wanted is None or e[1] in wanted]
            for item in shown[: args.errors]:
                print("  ", *item)
        if name == "news" and rules.topics:
            topic_line(row, "news", gold, said)
    for name in filter(None, args.topics.split(",")):
        gold = [*read_documents(Path(args.data, "gold", TOPIC_FILES[name], "dev.jsonl"))]
        said = [*labelled(load_rules(name), gold)]
        topic_line(row, name, gold, said, args.errors if args.type == "topic" else 0)
    if args.json:
        Path(args.json).write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")


def topic_line(
    row: object, name: str, gold: list[Document], said: list[Document], errors: int = 0
) -> None:
    """Accuracy over documents with a gold topic, and the share on which any rule spoke."""
    pairs = [(g, s) for g, s in zip(gold, said, strict=True) if g.labels.get("topic")]
    right = sum(g.labels["topic"] == s.labels.get("topic") for g, s in pairs)
    spoke = sum(bool(s.labels.get("topic")) for _, s in pairs)
    value = 100 * right / len(pairs)
    print(f"\n{name} topics: accuracy {value:.1f} % of {len(pairs)}; decided {spoke}")
    row(f"{name} topics, rules only", value, TOPIC_TARGETS.get(name))  # type: ignore[operator]
    recall = Counter(g.labels["topic"] for g, s in pairs if s.labels == g.labels)
    total = Counter(g.labels["topic"] for g, _ in pairs)
    print("  " + "  ".join(f"{k} {recall[k]}/{n}" for k, n in sorted(total.items())))
    wrong = [(g, s) for g, s in pairs if s.labels.get("topic") != g.labels["topic"]]
    for g, s in wrong[:errors]:
        print(f"   {g.labels['topic']} <- {s.labels.get('topic')}: {g.text[:60]}")


if __name__ == "__main__":
    main()
