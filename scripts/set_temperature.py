"""python scripts/set_temperature.py MODEL TRAIN.jsonl [--held-out 0.1] [--dry-run]

Set the temperatures of a finished model anew, as the end of its training does: from the weak
labels (TRAIN.jsonl and what ``hanspan aggregate`` wrote beside it) of the documents that were held
out, which are the same ones in every run, as ``train.targets: winner`` reads them. No hand label
is read. MODEL is a bundle or a run's model; its spans stay as they are, their scores change.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from hanspan.agreement import temperatures
from hanspan.batches import row_logits
from hanspan.encode import TextEncoder
from hanspan.errors import HanspanError
from hanspan.fit import use_bf16
from hanspan.meta import ModelMeta
from hanspan.model import load_model
from hanspan.rows import build_rows
from hanspan.terminal import progress_bar
from hanspan.train_data import load_train_data
from hanspan.train_worker import settings_of


def measured(model: Path, train_path: Path, held_out: float) -> tuple[ModelMeta, ModelMeta]:
    """What the model says of itself, and the same with the temperatures of today.

    Raises:
        HanspanError: for files that are missing or of other labels, or nothing held out.
    """
    loaded, _, meta = load_model(model)
    data = load_train_data(train_path, settings_of([f"held_out={held_out}"]))
    if (data.labels, data.topics) != (meta.labels, meta.topics):
        raise HanspanError(
            f"{train_path}: its labels are {', '.join(data.labels + data.topics)}, expected those "
            f"of {model}, {', '.join(meta.labels + meta.topics)}"
        )
    if not data.held_documents:
        raise HanspanError(
            f"{train_path}: no document is held out; expected more documents, or --held-out above 0"
        )
    encoder = TextEncoder.from_folder(model)
    rows = build_rows(data.held_documents, data.held_soft, encoder, meta.max_length, winners=True)
    with progress_bar("temperature") as progress:
        tags, topics = row_logits(
            loaded, rows, encoder, budget=8192, bf16=use_bf16("auto", "cpu"),
            progress=progress, what="held-out text",
        )  # fmt: skip
    of_tags, of_topics = temperatures(rows, tags, topics)
    return meta, replace(meta, temperature=of_tags, topic_temperature=of_topics)


def main() -> int:
    """Measure, print, write; returns the exit status, 2 for a mistake of the user."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("train", type=Path, metavar="TRAIN.jsonl")
    parser.add_argument("--held-out", type=float, default=0.1)
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()
    try:
        before, now = measured(options.model, options.train, options.held_out)
    except HanspanError as err:
        print(f"set_temperature: {err}", file=sys.stderr)
        return 2
    for name in ("temperature", "topic_temperature"):
        print(f"{name} {getattr(before, name):g} -> {getattr(now, name):g}")
    if not options.dry_run:
        now.write(options.model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
