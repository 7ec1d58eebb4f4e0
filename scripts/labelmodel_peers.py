"""Runs the peers of bench_labelmodel.py in their own environment; reads and writes JSON.

    python -m venv peers && peers/bin/pip install torch==2.13.0 --extra-index-url \\
        https://download.pytorch.org/whl/cpu
    peers/bin/pip install skweak==0.3.3 spacy==3.8.18 snorkel==0.10.0 crowd-kit==1.4.2
    peers/bin/python scripts/labelmodel_peers.py IN.json OUT.json [PEER ...]

IN: {"labels", "topics", "docs": [[length, [[start, end, label, rule], ...]], ...],
"topic_votes": [[[topic, rule], ...], ...]}. OUT: {peer: {"fit": s, "apply": s, "answer": ...}}.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from typing import Any

import numpy as np

SPAN_PEERS = ("skweak MV", "skweak HMM", "snorkel tokens", "snorkel spans", "crowd-kit DS")
TOPIC_PEERS = ("snorkel", "crowd-kit DS", "crowd-kit MV")


def by_rule(votes: list[list[Any]]) -> dict[str, list[tuple[int, int, str]]]:
    """Votes of each rule without overlap within the rule: the longest first."""
    out: dict[str, list[tuple[int, int, str]]] = {}
    for start, end, label, rule in sorted(votes, key=lambda v: (v[0] - v[1], v[0])):
        mine = out.setdefault(rule, [])
        if all(end <= s or e <= start for s, e, _ in mine):
            mine.append((start, end, label))
    return out


def skweak_peer(data: dict[str, Any], name: str) -> dict[str, Any]:
    """skweak's sequential majority voter or its HMM, one token a character."""
    import skweak
    import spacy
    from spacy.tokens import Doc, Span

    vocab = spacy.blank("zh").vocab
    docs = []
    for length, votes in data["docs"]:
        doc = Doc(vocab, words=["x"] * length, spaces=[False] * length)
        for rule, spans in by_rule(votes).items():
            doc.spans[rule] = [Span(doc, s, e, label=y) for s, e, y in spans]
        docs.append(doc)
    used = sorted({v[2] for _, votes in data["docs"] for v in votes})
    started = time.process_time()
    if name == "skweak HMM":
        model = skweak.generative.HMM("out", used)
        model.fit(docs)
    else:
        model = skweak.voting.SequentialMajorityVoter("out", used)
    fitted = time.process_time()
    answer = []
    for doc in docs:
        doc = model(doc)
        answer.append([[s.start, s.end, s.label_] for s in doc.spans["out"]])
    return {"fit": fitted - started, "apply": time.process_time() - fitted, "answer": answer}


def token_table(
    data: dict[str, Any],
) -> tuple[list[str], list[str], np.ndarray, list[tuple[int, int]]]:
    """Rows: characters hit by a vote; columns: rules; values: BIO tag index or -1."""
    rules = sorted({v[3] for _, votes in data["docs"] for v in votes})
    used = sorted({v[2] for _, votes in data["docs"] for v in votes})
    tags = ["O", *(f"{part}-{label}" for label in used for part in "BI")]
    column, index = {r: i for i, r in enumerate(rules)}, {t: i for i, t in enumerate(tags)}
    rows, places = [], []
    for number, (length, votes) in enumerate(data["docs"]):
        table = np.full((length, len(rules)), -1, np.int16)
        for rule, spans in by_rule(votes).items():
            for s, e, y in spans:
                table[s:e, column[rule]] = index[f"I-{y}"]
                table[s, column[rule]] = index[f"B-{y}"]
        hit = np.flatnonzero((table >= 0).any(1))
        rows.append(table[hit])
        places += [(number, int(c)) for c in hit]
    return rules, tags, np.concatenate(rows), places


def from_tags(places: list[tuple[int, int]], tags: list[str], count: int) -> list[list[list[Any]]]:
    """Spans from BIO tags of scattered characters."""
    by_doc: list[dict[int, str]] = [{} for _ in range(count)]
    for (number, char), tag in zip(places, tags, strict=True):
        by_doc[number][char] = tag
    out = []
    for row in by_doc:
        spans: list[list[Any]] = []
        for char in sorted(row):
            tag = row[char]
            if tag == "O":
                continue
            label = tag[2:]
            if tag[0] == "I" and spans and spans[-1][1] == char and spans[-1][2] == label:
                spans[-1][1] = char + 1
            else:
                spans.append([char, char + 1, label])
        out.append(spans)
    return out


def snorkel_fit(table: np.ndarray, classes: int) -> np.ndarray:
    """Class probabilities of snorkel's label model, with its own default of 100 epochs."""
    import torch
    from snorkel.labeling.model import LabelModel

    torch.set_num_threads(1)
    model = LabelModel(cardinality=classes, verbose=False)
    model.fit(table.astype(int), seed=0, progress_bar=False)
    return model.predict_proba(table.astype(int))


def crowd(table: np.ndarray, kind: str) -> dict[int, Any]:
    """Answer of crowd-kit for each row of the table."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene, MajorityVote

    task, worker = np.nonzero(table >= 0)
    frame = pd.DataFrame({"task": task, "worker": worker, "label": table[task, worker]})
    model = DawidSkene(n_iter=50) if kind == "DS" else MajorityVote()
    return model.fit_predict(frame).to_dict()


def tokens_peer(data: dict[str, Any], name: str) -> dict[str, Any]:
    """snorkel or crowd-kit with a BIO tag a character as class."""
    _, tags, table, places = token_table(data)
    started = time.process_time()
    if name == "snorkel tokens":
        best = snorkel_fit(table, len(tags)).argmax(1)
    else:
        answer = crowd(table, "DS")
        best = np.array([answer.get(i, 0) for i in range(len(table))])
    fitted = time.process_time()
    spans = from_tags(places, [tags[i] for i in best], len(data["docs"]))
    return {"fit": fitted - started, "apply": time.process_time() - fitted, "answer": spans}


def spans_peer(data: dict[str, Any]) -> dict[str, Any]:
    """snorkel with a distinct span as item; then greedy choice without overlap."""
    rules = sorted({v[3] for _, votes in data["docs"] for v in votes})
    used = sorted({v[2] for _, votes in data["docs"] for v in votes})
    column = {r: i for i, r in enumerate(rules)}
    items: list[tuple[int, int, int]] = []
    rows = []
    for number, (_, votes) in enumerate(data["docs"]):
        places: dict[tuple[int, int], np.ndarray] = {}
        for s, e, y, rule in votes:
            row = places.setdefault((s, e), np.full(len(rules), -1, np.int16))
            row[column[rule]] = used.index(y)
        items += [(number, s, e) for s, e in places]
        rows += list(places.values())
    table = np.array(rows)
    started = time.process_time()
    prob = snorkel_fit(table, len(used))
    fitted = time.process_time()
    answer: list[list[list[Any]]] = [[] for _ in data["docs"]]
    support = (table >= 0).sum(1) * prob.max(1)
    for i in sorted(range(len(items)), key=lambda i: (-support[i], items[i][1] - items[i][2])):
        number, s, e = items[i]
        if all(e <= a or b <= s for a, b, _ in answer[number]):
            answer[number].append([s, e, used[int(prob[i].argmax())]])
    return {"fit": fitted - started, "apply": time.process_time() - fitted, "answer": answer}


def topics_peer(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Classes of documents."""
    votes = data["topic_votes"]
    rules = sorted({r for row in votes for _, r in row})
    classes = data["topics"]
    column, index = {r: i for i, r in enumerate(rules)}, {t: i for i, t in enumerate(classes)}
    table = np.full((len(votes), len(rules)), -1, np.int16)
    for i, row in enumerate(votes):
        for topic, rule in row:
            table[i, column[rule]] = index[topic]
    hit = np.flatnonzero((table >= 0).any(1))
    answer: list[Any] = [None] * len(votes)
    started = time.process_time()
    if name == "snorkel":
        best = dict(enumerate(snorkel_fit(table[hit], len(classes)).argmax(1)))
    else:
        best = crowd(table[hit], name.split()[-1])
    for i, row in enumerate(hit):
        if i in best:
            answer[int(row)] = classes[int(best[i])]
    return {"fit": time.process_time() - started, "apply": 0.0, "answer": answer}


def main() -> None:
    """Run the peers that are asked for."""
    if len(sys.argv) < 3 or "--help" in sys.argv:
        print(f"usage: {sys.argv[0]} IN.json OUT.json [PEER ...]\n\n{__doc__}")
        return
    with open(sys.argv[1], encoding="utf-8") as stream:
        data = json.load(stream)
    wanted = sys.argv[3:] or (TOPIC_PEERS if data.get("topic_votes") else SPAN_PEERS)
    out: dict[str, Any] = {}
    for name in wanted:
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                if data.get("topic_votes"):
                    out[name] = topics_peer(data, name)
                elif name.startswith("skweak"):
                    out[name] = skweak_peer(data, name)
                elif name == "snorkel spans":
                    out[name] = spans_peer(data)
                else:
                    out[name] = tokens_peer(data, name)
            except Exception as err:  # a peer that gives up is a row of the table
                out[name] = {"error": f"{type(err).__name__}: {err}"}
    with open(sys.argv[2], "w", encoding="utf-8") as stream:
        json.dump(out, stream)


if __name__ == "__main__":
    main()
