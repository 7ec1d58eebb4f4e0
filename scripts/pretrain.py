"""Pretrain the embedded encoder: corpus -> shards -> masked language model -> folder.

    HANSPAN_DATA=FOLDER python scripts/pretrain.py configs/pretrain.yaml [key.path=value ...]

The same command resumes where it was stopped, step for step. `--only shards` stops after the
corpus; `--branch RUN --decay-tokens N` copies the run's state into RUN and decays the rate
there; `--score RUN` prints masked accuracy by source; `--export RUN OUT` writes the stock model
folder (fp16 safetensors, tokenizer, card); `--picture RUN PNG` draws the loss curve.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hanspan.pretrain.corpus import Shards
    from hanspan.pretrain.settings import PretrainSettings


def shards_ready(settings: PretrainSettings) -> None:
    """Make the shards unless finished ones are there, and say what each source gave."""
    from hanspan.pretrain.corpus import build_shards, data_folder

    corpus = settings.corpus
    folder = Path(corpus.shards)
    if (folder / "shards.json").is_file():
        return
    counts = build_shards(
        corpus.sources,
        data_folder(corpus.data),
        folder,
        vocab_size=corpus.vocab_size,
        heldout_one_in=corpus.heldout_one_in,
        heldout_limit=corpus.heldout_limit,
    )
    print(
        f"{'source':<12}{'documents':>10}{'characters':>12}{'held out':>10}{'twice':>8}{'dev':>6}"
    )
    for name, c in counts.items():
        print(
            f"{name:<12}{c.documents:>10}{c.characters:>12}{c.heldout_characters:>10}"
            f"{c.duplicates:>8}{c.excluded:>6}"
        )


def branch(settings: PretrainSettings, target: Path, decay_tokens: int) -> PretrainSettings:
    """Settings of a decayed branch; the first call copies the checkpoint into `target`."""
    from hanspan.pretrain.checkpoint import read_header

    source = Path(settings.folder) / "checkpoint.safetensors"
    begun = target / "checkpoint-start.safetensors"
    if not begun.exists():
        read_header(source)  # a broken checkpoint is an error here, not later
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / "start.part")
        (target / "start.part").replace(begun)
        shutil.copyfile(begun, target / "checkpoint.safetensors")
    tokens = read_header(begun)[0]["tokens"]
    schedule = replace(settings.run.schedule, decay_from=tokens, decay_tokens=decay_tokens)
    return replace(settings, folder=str(target), run=replace(settings.run, schedule=schedule))


def score(settings: PretrainSettings, shards: Shards, run: Path) -> None:
    """Print masked accuracy by source beside the floor of counting neighbours."""
    from hanspan.pretrain.export import load_network
    from hanspan.pretrain.heldout import cached_floor, heldout_scores, score_table

    model, progress = load_network(settings, run / "checkpoint.safetensors")
    rows = settings.run.heldout_rows
    print(f"{progress['tokens']:,} tokens, 15 % single characters hidden")
    print(f"{'source':<12}{'characters':>12}{'loss':>8}{'accuracy':>10}{'floor':>8}")
    scores = heldout_scores(model, shards, rows)
    for name, size, loss, accuracy, floor in score_table(
        scores, cached_floor(shards, rows), shards
    ):
        print(f"{name:<12}{size:>12}{loss:>8.3f}{accuracy:>10.1%}{floor:>8.1%}")


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument("--only", choices=["shards"])
    parser.add_argument("--branch", type=Path, metavar="RUN")
    parser.add_argument("--decay-tokens", type=int, default=10_000_000)
    parser.add_argument("--export", type=Path, nargs=2, metavar=("RUN", "OUT"))
    parser.add_argument("--score", type=Path, metavar="RUN")
    parser.add_argument("--picture", type=Path, nargs=2, metavar=("RUN", "PNG"))
    args = parser.parse_intermixed_args()  # overrides may follow options

    import torch

    from hanspan.errors import HanspanError
    from hanspan.pretrain.corpus import open_shards
    from hanspan.pretrain.export import export_encoder
    from hanspan.pretrain.loop import Trainer
    from hanspan.pretrain.picture import draw_log
    from hanspan.pretrain.settings import load_settings

    try:
        settings = load_settings(args.config, args.overrides)
        if args.picture:
            draw_log(*args.picture)
            return 0
        shards_ready(settings)
        if args.only:
            return 0
        shards = open_shards(Path(settings.corpus.shards))
        if args.export:
            export_encoder(settings, shards, *args.export)
            return 0
        if args.score:
            score(settings, shards, args.score)
            return 0
        if settings.threads:
            torch.set_num_threads(settings.threads)
        if args.branch:
            settings = branch(settings, args.branch, args.decay_tokens)
        if not Trainer(settings.run, shards, Path(settings.folder)).run():
            print("stopped and saved; the same command goes on")
    except HanspanError as error:
        print(error, file=sys.stderr)
        return 2
    except torch.OutOfMemoryError as error:
        print(
            f"pretrain: out of memory with micro_tokens={settings.run.micro_tokens} ({error}); "
            "type run.micro_tokens=HALF and double the counts in run.ramp",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
