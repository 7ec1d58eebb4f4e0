"""Whether a bundle answers alike in torch, in both ONNX graphs and in the stock pipelines.

    python scripts/bench_parity.py BUNDLE [GOLD.jsonl] [--most N] [--quick] [--json FILE]

GOLD: documents, with spans where F1 is to be shown; without it the sample inside the package.
"Agreement" is F1 of the spans against torch's. Points are F1 points, strict. The stock pipeline
takes each token's best tag alone; ours is the best valid path, so it is the stricter one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("gold", type=Path, nargs="?")
    parser.add_argument("--most", type=int, help="so many documents, from the first on")
    parser.add_argument("--quick", action="store_true", help="the first 30 documents")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()

    import tempfile
    from importlib import resources
    from itertools import islice

    from hanspan.data import read_documents
    from hanspan.errors import HanspanError
    from hanspan.evaluate import evaluate
    from hanspan.parity import agreement

    gold_path = args.gold or Path(str(resources.files("hanspan") / "assets/sample/dev.jsonl"))
    try:
        gold = list(islice(read_documents(gold_path), 30 if args.quick else args.most))
        with tempfile.TemporaryDirectory() as folder:
            answers = ask(args.bundle, whole(args.bundle, Path(folder)), gold)
    except HanspanError as err:
        print(f"bench_parity: {err}", file=sys.stderr)
        return 2
    truth, rows = answers["torch"], []
    base = 100 * evaluate(gold, truth).micro.f1
    for name, found in answers.items():
        same = 100 * agreement(spans(truth), spans(found))
        topics = 100 * sum(
            a.labels.get("topic") == b.labels.get("topic")
            for a, b in zip(truth, found, strict=True)
        ) / len(truth)  # fmt: skip
        f1 = 100 * evaluate(gold, found).micro.f1
        floor = {"onnx fp32": 100.0, "stock pipeline": 99.0}.get(name)
        rows.append(row(f"{name}: spans that agree", same, "%", floor))
        rows.append(row(f"{name}: topics that agree", topics, "%", floor))
        rows.append(row(f"{name}: F1", f1, "points", None, base if name != "torch" else None))
        if name == "onnx int8":
            rows.append(row("onnx int8: points lost", base - f1, "points", 0.5))
    print(
        f"{len(gold)} documents of {gold_path.name}, {sum(map(len, spans(truth)))} spans by torch"
    )
    for item in rows:
        target = "" if item["target"] is None else f"target {item['target']:g}"
        print(f"{item['what']:<38}{item['value']:>9.2f} {item['unit']:<8}{target}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return 0


def row(what: str, value: float, unit: str, target: float | None, peer: float | None = None,
        ) -> dict[str, Any]:  # fmt: skip
    """A row of the table."""
    return {"what": what, "value": value, "unit": unit, "target": target,
            "peer": "" if peer is None else "torch", "peer_value": peer}  # fmt: skip


def spans(documents: Sequence[Any]) -> list[set[tuple[int, int, str]]]:
    """Borders and types of each document."""
    return [{(s.start, s.end, s.label) for s in document.spans} for document in documents]


def whole(bundle: Path, folder: Path) -> Path:
    """The model as a folder that stock transformers loads, where its weights lie in a graph."""
    if (bundle / "model.safetensors").is_file():
        return bundle
    from hanspan.model import load_model, save_model

    model, tokenizer, meta = load_model(bundle)
    save_model(model, tokenizer, folder, meta)
    return folder


def ask(bundle: Path, loadable: Path, gold: Sequence[Any]) -> dict[str, list[Any]]:
    """Answers of each way to run the model, for the bare texts; ``loadable`` by stock classes."""
    from hanspan.data import Document
    from hanspan.extractor import Extractor
    from hanspan.graphs import onnx_file

    texts = [Document(document.id, document.text) for document in gold]
    answers = {"torch": list(Extractor.from_pretrained(bundle, "torch").pipe(texts))}
    for precision in ("fp32", "int8"):
        if onnx_file(bundle, precision):
            extract = Extractor.from_pretrained(bundle, "onnx", precision=precision)
            answers[f"onnx {precision}"] = list(extract.pipe(texts))
    answers["stock pipeline"] = list(stock(loadable, texts))
    return answers


def stock(bundle: Path, texts: Sequence[Any]) -> Any:
    """Answers of transformers' own pipelines."""
    from transformers import pipeline
    from transformers.utils import logging

    from hanspan.data import Document, Span
    from hanspan.meta import ModelMeta

    logging.set_verbosity_error()
    meta = ModelMeta.read(bundle)
    ner = pipeline("token-classification", str(bundle), aggregation_strategy="simple",
                   stride=meta.overlap, device="cpu")  # fmt: skip
    where: dict[str, Any] = (
        {"model_kwargs": {"subfolder": "topic"}} if meta.folders == "two" else {}
    )
    topic = pipeline("text-classification", str(bundle), device="cpu", **where)
    for document in texts:
        found = [Span(g["start"], g["end"], g["entity_group"]) for g in ner(document.text)]
        label = topic(document.text, truncation=True, max_length=meta.max_length)[0]["label"]
        yield Document(document.id, document.text, tuple(found), {"topic": label})


if __name__ == "__main__":
    sys.exit(main())
