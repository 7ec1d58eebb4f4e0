"""OMP_NUM_THREADS=1 HANSPAN_DATA=DATA python scripts/bench_train.py [--quick] [--json FILE]

Speed of training against the way of transformers' own token-classification example (run_ner.py:
Trainer with its default sampler, 8 rows a batch, padding to the longest, fp32), on the same
encoder, text, labels and machine, in CPU time of one thread so that other work on the machine
counts for little. Both see the same examples equally often; the loss is then taken on the same
held-out text. ``--encoder NAME`` takes another encoder than ``auto``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hanspan.batches import row_logits
from hanspan.data import Document
from hanspan.decode import log_softmax
from hanspan.encode import TextEncoder
from hanspan.encoders import open_encoder
from hanspan.errors import HanspanError
from hanspan.fit import fit, use_bf16
from hanspan.rows import Row, build_rows
from hanspan.soft import NEGATIVE, SoftLabels
from hanspan.train_settings import TrainSettings

sys.path.insert(0, str(Path(__file__).resolve().parent))
from outputs import make_room

SOURCES = {"xwlb_2012_2026": 300, "finance_news": 500, "news_titles": 500, "chinanews_2020_03": 150}


def weak_documents(folder: Path, scale: float) -> tuple[list[Document], SoftLabels]:
    """Documents of several lengths, labelled by the news rules."""
    from hanspan.data import read_documents
    from hanspan.labelmodel import aggregate
    from hanspan.pages import pages
    from hanspan.soft import soft_path
    from hanspan.weak import label

    data = Path(os.environ["HANSPAN_DATA"]) / "unlabelled"
    parts = []
    for name, limit in SOURCES.items():
        part = folder / f"{name}.jsonl"
        pages([data / f"{name}.jsonl.xz"], part, limit=max(10, int(limit * scale)), seed=1)
        parts += list(read_documents(part))
    from hanspan.data import write_documents

    write_documents(folder / "documents.jsonl", parts)
    label(folder / "documents.jsonl", folder / "weak.jsonl", "news")
    aggregate(folder / "weak.jsonl", folder / "train.jsonl")
    path = folder / "train.jsonl"
    return list(read_documents(path)), SoftLabels.load(soft_path(path))


def hard(row: Row, tags: int) -> Row:
    """The likeliest tag of each token; ``O`` where no rule spoke, as the example has it."""
    dense = np.zeros((len(row), tags), np.float32)
    dense[:, 0] = 1e-3
    dense[row.where, row.tag] = row.prob
    best = dense.argmax(-1)
    found = np.flatnonzero(best)
    state = np.where(best > 0, row.state, NEGATIVE).astype(np.uint8)
    ones = np.ones(len(found), np.float32)
    return replace(row, state=state, where=found, tag=best[found], prob=ones)


def loss_on(model: Any, rows: Sequence[Row], encoder: TextEncoder) -> float:
    """Mean cross-entropy of the hard tags."""
    logits, _ = row_logits(model, rows, encoder, budget=8192, bf16=False)
    total = count = 0.0
    for row, of_row in zip(rows, logits, strict=True):
        tags = np.zeros(len(row), np.int64)
        tags[row.where] = row.tag
        total -= log_softmax(of_row)[np.arange(len(row)), tags].sum()
        count += len(row)
    return float(total / count)


def example_way(
    model: Any, rows: Sequence[Row], encoder: TextEncoder, epochs: int, lr: float, seed: int
) -> float:
    """CPU seconds of transformers' example: its collator and its Trainer, hard labels."""
    from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    class Tagger(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: Any, attention_mask: Any, labels: Any) -> dict[str, Any]:
            output = self.inner.encoder(input_ids=input_ids, attention_mask=attention_mask)
            logits = self.inner._head(self.inner.token_head, output, input_ids, attention_mask)
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=-100
            )
            return {"loss": loss, "logits": logits}

    items = []
    for row in rows:
        tags = np.zeros(len(row), np.int64)
        tags[row.where] = row.tag
        ids = [*encoder.prefix, *row.ids.tolist(), *encoder.suffix]
        labels = [-100] * len(encoder.prefix) + tags.tolist() + [-100] * len(encoder.suffix)
        items.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder, per_device_train_batch_size=8, num_train_epochs=epochs, learning_rate=lr,
            use_cpu=True, save_strategy="no", report_to="none", disable_tqdm=True, seed=seed,
            dataloader_pin_memory=False, warmup_steps=0.1, log_level="error",
        )  # fmt: skip
        trainer = Trainer(
            Tagger(model), args, train_dataset=items,
            data_collator=DataCollatorForTokenClassification(_tokenizer_of(encoder)),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        started = time.process_time()
        trainer.train()
        return time.process_time() - started


def _tokenizer_of(encoder: TextEncoder) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=encoder.tokenizer, pad_token="[PAD]")


def our_way(
    model: Any, rows: Sequence[Row], encoder: TextEncoder, epochs: int, lr: float, seed: int,
    precision: str,
) -> float:  # fmt: skip
    """CPU seconds of ``hanspan.fit`` with the naive target, so that the losses compare."""
    settings = TrainSettings(unknown_share=1.0, mask_missed=False, save_every=10**6, seed=seed)
    settings = settings.model_copy(update={"precision": precision})
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        fit(model, rows, encoder, settings, Path(folder), epochs=epochs, lr=lr)
        return time.process_time() - started


def measure(encoder_name: str, quick: bool) -> list[dict[str, Any]]:
    """Train both ways; the rows of the table.

    Raises:
        HanspanError: if the encoder cannot be loaded.
    """
    torch.set_num_threads(1)
    scale, epochs = (0.1, 1) if quick else (1.0, 2)
    with tempfile.TemporaryDirectory() as folder:
        documents, soft = weak_documents(Path(folder), scale)
    texts = [document.text for document in documents]

    def fresh() -> tuple[Any, TextEncoder]:
        model, tokenizer = open_encoder(
            encoder_name, soft.labels, (), texts=texts, seed=1, dropout=0.1
        )
        return model, TextEncoder(tokenizer.backend_tokenizer)

    model, encoder = fresh()
    bare = replace(soft, topics=(), topic_prob=np.zeros((len(soft), 0), np.float32))
    rows = [hard(r, 1 + 4 * len(soft.labels)) for r in build_rows(documents, bare, encoder, 256)]
    held, train = rows[::10], [row for i, row in enumerate(rows) if i % 10]
    tokens = sum(len(row) for row in train) * epochs
    print(f"{len(train)} rows, {tokens // epochs:,} tokens, {epochs} passes, bf16: "
          f"{use_bf16('auto', 'cpu')}")  # fmt: skip
    peer_seconds = example_way(model, train, encoder, epochs, 5e-4, 1)
    peer_loss = loss_on(model, held, encoder)
    table: list[dict[str, Any]] = []
    for precision in ("auto", "fp32") if use_bf16("auto", "cpu") else ("fp32",):
        model, _ = fresh()
        seconds = our_way(model, train, encoder, epochs, 1e-3, 1, precision)
        name = "bf16" if precision == "auto" else "fp32"
        table.append(
            {"what": f"training, {name}", "value": round(tokens / seconds), "unit": "tokens/s",
             "peer": "transformers' token-classification example, fp32",
             "peer_value": round(tokens / peer_seconds),
             "target": round(1.5 * tokens / peer_seconds)}
        )  # fmt: skip
        table.append(
            {"what": f"held-out loss, {name}", "value": round(loss_on(model, held, encoder), 4),
             "unit": "nats", "peer": "transformers' token-classification example, fp32",
             "peer_value": round(peer_loss, 4), "target": round(peer_loss, 4)}
        )  # fmt: skip
    return table


def main() -> int:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the text, one pass")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--encoder", default="auto")
    options = parser.parse_args()
    make_room(parser, "--json", options.json)
    if "HANSPAN_DATA" not in os.environ:
        print("bench_train: HANSPAN_DATA is not set; expected the folder of the data")
        return 2
    try:
        table = measure(options.encoder, options.quick)
    except HanspanError as err:
        print(f"bench_train: {err}", file=sys.stderr)
        return 2
    for row in table:
        print(f"{row['what']:24} {row['value']:>9} {row['unit']:9} peer {row['peer_value']:>9} "
              f"target {row['target']}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
