"""The README card of a model, a pure function of plain facts.

Its first lines are the Hub's metadata with a ``model-index``; every figure comes from the report
file of ``hanspan evaluate``, none is typed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hanspan.meta import HAND_BEFORE

LABEL_WORDS = {
    "PER": "person", "TITLE": "post or role", "GOV": "party, state, court or army organ",
    "COM": "company", "ORG": "other organisation", "LOC": "place",
    "EVENT": "named meeting, fair or forum", "POLICY": "law, plan, named initiative",
    "WORK": "titled work", "IND": "industry or technology field", "TIME": "calendar time",
    "MONEY": "amount with currency", "PERCENT": "percentage",
    "QTY": "number with measure word",
}  # fmt: skip
"""What the types of the ``news`` label set mean; other types stand alone."""


def card(facts: Mapping[str, Any]) -> str:
    """The text of ``README.md``.

    Args:
        facts: ``name``, ``labels``, ``topics``, ``max_length``, ``folders``, ``onnx`` (file
            names), ``examples`` (texts), ``version`` of hanspan, and where known ``stock``
            (whether stock transformers can load it; yes if left out), ``report`` (the contents
            of ``report.json``), ``license``, ``base_model``, ``training`` (key -> value),
            ``sources`` (names), ``parity`` (key -> value).

    Returns:
        YAML between ``---`` lines, then Markdown; the same facts give the same text.
    """
    import yaml

    head = yaml.safe_dump(metadata(facts), allow_unicode=True, sort_keys=False, width=100)
    parts = [
        f"---\n{head}---",
        f"# {facts['name']}",
        _opening(facts),
        _usage(facts),
        _labels(facts),
        _figures(facts),
        _making(facts),
        _limits(facts),
        _files(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The Hub's metadata of a card, with ``model-index`` where a report is there."""
    row: dict[str, Any] = {
        "language": ["zh"],
        "license": facts.get("license", "apache-2.0"),
        "library_name": "transformers",
        "pipeline_tag": "token-classification" if facts["labels"] else "text-classification",
        "tags": ["hanspan", "ner", "chinese", "weak-supervision", "text-classification"],
    }
    if facts.get("onnx"):
        row["tags"].append("onnx")
    if facts.get("base_model"):
        row["base_model"] = facts["base_model"]
    if facts.get("examples"):
        row["widget"] = [{"text": text} for text in facts["examples"]]
    if results := _results(facts):
        row["model-index"] = [{"name": facts["name"], "results": results}]
    return row


def _student(facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    report = facts.get("report") or {}
    systems = report.get("systems") or {}
    return systems.get("student") or (report if "entities" in report else None)


def _results(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    student = _student(facts)
    if student is None:
        return []
    about = facts["report"].get("facts", {})
    name = str(about.get("gold", "gold"))
    dataset = {"type": "hanspan", "name": name, "split": name.rsplit("/", 1)[-1].split(".")[0]}
    results = []
    if entities := student.get("entities"):
        metrics = [
            {"type": kind, "value": _round(entities[kind]), "name": f"{kind} (strict)"}
            for kind in ("f1", "precision", "recall")
        ]
        metrics += [
            {"type": "f1", "value": _round(score["f1"]), "name": f"f1 {label} (strict)"}
            for label, score in sorted(entities["by_label"].items())
            if score["support"]
        ]
        results.append(_result("token-classification", "Named entities", dataset, metrics))
    if topics := student.get("topics"):
        metrics = [
            {"type": "accuracy", "value": _round(topics["accuracy"]), "name": "accuracy"},
            {"type": "f1", "value": _round(topics["macro_f1"]), "name": "macro f1"},
        ]
        results.append(_result("text-classification", "Topic", dataset, metrics))
    return results


def _result(task: str, name: str, dataset: Any, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    return {"task": {"type": task, "name": name}, "dataset": dict(dataset), "metrics": metrics}


def _round(value: Any) -> float:
    return round(float(value), 4)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; cells are escaped."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def _opening(facts: Mapping[str, Any]) -> str:
    what = []
    if facts["labels"]:
        what.append(f"finds {len(facts['labels'])} types of named entities")
    if facts["topics"]:
        what.append(f"names the topic ({len(facts['topics'])} classes)")
    training = facts.get("training") or {}
    weak = training.get("mode", "weak") == "weak"
    how = " It was trained without hand labels: rules voted on raw text, and a model learned from "
    how += "their weighted votes."
    if training.get(HAND_BEFORE):
        how = " Rules voted on raw text, and a model learned from their weighted votes. It began "
        how += "from a model that hand labels had a part in."
    if training.get("selection") == "gold":
        how += " Hand labels chose which epoch was kept."
    return f"A Chinese model that {' and '.join(what)} of a text.{how if weak else ''}"


def _usage(facts: Mapping[str, Any]) -> str:
    name = facts.get("repo_id") or "OWNER/NAME"
    text = (facts.get("examples") or ["…"])[0]
    out = f"""## Use

```python
from hanspan import Extractor

extract = Extractor.from_pretrained("{name}")
doc = extract("{text}")
print([(doc.surface(s), s.label, s.score) for s in doc.spans], doc.labels)
```

`pip install hanspan` is enough: it runs the ONNX graph and needs no torch. Texts of any length
are read in overlapping windows; offsets count code points of the text as given.
"""
    if not facts.get("stock", True):
        return f"""{out}
The weights lie in the int8 graph alone. `hanspan bundle THIS_FOLDER NEW_FOLDER` writes them out
as a model that stock transformers loads."""
    if facts["labels"]:
        out += f"""
With stock transformers, no remote code:

```python
from transformers import pipeline

ner = pipeline("token-classification", "{name}", aggregation_strategy="simple")
```

`hanspan` reads only valid tag paths; the pipeline takes each token alone, and so may differ
(last table). Of `aggregation_strategy` use only `simple` or `none`."""
    if facts["topics"]:
        where = ', model_kwargs={"subfolder": "topic"}' if facts["folders"] == "two" else ""
        out += f"""

```python
topic = pipeline("text-classification", "{name}"{where})
topic(text, truncation=True, max_length={facts["max_length"]})
```"""
    return out


def _labels(facts: Mapping[str, Any]) -> str:
    student = _student(facts)
    scores = (student or {}).get("entities", {}).get("by_label", {})
    parts = []
    if facts["labels"]:
        rows = []
        for label in facts["labels"]:
            row: list[Any] = [f"`{label}`", LABEL_WORDS.get(label, "")]
            if scores:
                score = scores.get(label)
                keys = ("precision", "recall", "f1")
                row += [f"{score[key]:.3f}" for key in keys] if score else ["", "", ""]
                row.append(score["support"] if score else 0)
            rows.append(row)
        head = ["type", "meaning"] + (["precision", "recall", "F1", "gold"] if scores else [])
        parts.append(f"## Types\n\n{table(head, rows)}")
    if facts["topics"]:
        parts.append("Topics: " + ", ".join(f"`{topic}`" for topic in facts["topics"]) + ".")
    return "\n\n".join(parts)


def _figures(facts: Mapping[str, Any]) -> str:
    report = facts.get("report") or {}
    systems = report.get("systems") or ({"student": report} if "entities" in report else {})
    if not systems:
        return "## Figures\n\nNot measured: no gold was named when the model was made."
    rows = []
    for name, system in systems.items():
        entities, topics = system["entities"], system.get("topics")
        low, high = entities["f1_interval_95"]
        rows.append(
            [name, *(f"{entities[key]:.3f}" for key in ("precision", "recall", "f1")),
             f"{low:.3f} to {high:.3f}", f"{topics['accuracy']:.3f}" if topics else ""]
        )  # fmt: skip
    about = report.get("facts", {})
    head = ["system", "precision", "recall", "F1", "95 % interval of F1", "topic accuracy"]
    notes = f"Strict spans (start, end and type) on `{about.get('gold', 'gold')}`"
    notes += f", {about['documents']} documents" if "documents" in about else ""
    notes += f", measured on {about['date']}" if "date" in about else ""
    notes += f" at commit {about['commit']}" if about.get("commit") else ""
    notes += ", by `hanspan evaluate`. The same figures are in `report.json`."
    return f"## Figures\n\n{table(head, rows)}\n\n{notes}"


def _making(facts: Mapping[str, Any]) -> str:
    rows = [[key, value] for key, value in (facts.get("training") or {}).items()]
    parity = [[key, value] for key, value in (facts.get("parity") or {}).items()]
    parts = []
    if rows:
        parts.append("## How it was made\n\n" + table(["setting", "value"], rows))
    if facts.get("sources"):
        parts.append("Texts read in training: " + "; ".join(facts["sources"]) + ".")
    if parity:
        parts.append("## Checked when it was packed\n\n" + table(["check", "result"], parity))
    return "\n\n".join(parts)


def _limits(facts: Mapping[str, Any]) -> str:
    return (
        "## Limits\n\nIt was made for written Chinese of the kind it was trained on; other kinds "
        "of text, and names of forms that no rule knew, are found less well. Spans are flat: one "
        "that lies inside another is not given. Scores are estimates; look at them before you "
        "act on a single answer, above all where people are named."
    )


def _files(facts: Mapping[str, Any]) -> str:
    rows = [
        ["`config.json`, `model.safetensors`", "stock transformers model"]
        if facts.get("stock", True)
        else ["`config.json`", "shape of the model"],
        ["`tokenizer.json`, `tokenizer_config.json`", "its tokenizer"],
        ["`hanspan.json`", "labels, topics, thresholds, temperature"],
    ]
    if facts["folders"] == "two" and facts.get("stock", True):
        rows.append(["`topic/`", "the topic model, as a stock folder of its own"])
    graphs = facts.get("onnx", ())
    for name in graphs:
        kind = "int8" if "int8" in name else "fp32"
        rows.append(
            [
                f"`{name}`",
                f"{'both heads in one graph' if name == graphs[0] else 'the same'}, {kind}",
            ]
        )
    if facts.get("report"):
        rows.append(["`report.json`", "the figures above"])
    made = f"Made with hanspan {facts['version']}."
    return f"## Files\n\n{table(['file', 'what'], rows)}\n\n{made}"
