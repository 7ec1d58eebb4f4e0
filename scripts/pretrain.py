"""Pretrain the embedded encoder: corpus -> shards -> masked language model -> folder.

    HANSPAN_DATA=FOLDER python scripts/pretrain.py configs/pretrain.yaml [key.path=value ...]

The same command resumes where it was stopped, step for step; several GPUs or processes:
`torchrun --nproc_per_node N scripts/pretrain.py ...`. `--only shards` checks the shards, makes
them if they are not whole or of other texts or settings than now, and stops;
`--branch RUN --decay-tokens N` copies the run's state into RUN and decays the rate there;
`--score RUN` prints masked accuracy by source; `--export RUN OUT` writes the stock model folder
(fp16 safetensors, tokenizer, card); `--picture RUN PNG` draws loss and masked accuracy over
tokens.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hanspan.pretrain.corpus import Shards
    from hanspan.pretrain.settings import PretrainSettings

DECAY_TOKENS = 10_000_000
LENGTH = "decay_tokens"
"""A file of a branch: how long its decay is, for a call that goes on."""


def make_shards(settings: PretrainSettings) -> None:
    """Read the corpus, write the shards, and say what each source gave."""
    from hanspan.pretrain.corpus import build_shards, data_folder

    corpus = settings.corpus
    counts = build_shards(
        corpus.sources,
        data_folder(corpus.data),
        Path(corpus.shards),
        vocab_size=corpus.vocab_size,
        heldout_one_in=corpus.heldout_one_in,
        heldout_limit=corpus.heldout_limit,
    )
    print(
        f"{'source':<12}{'documents':>10}{'characters':>12}{'held out':>10}{'twice':>8}"
        f"{'nearly':>8}{'dev':>6}"
    )
    for name, c in counts.items():
        print(
            f"{name:<12}{c.documents:>10}{c.characters:>12}{c.heldout_characters:>10}"
            f"{c.duplicates:>8}{c.near:>8}{c.excluded:>6}"
        )


def changed_since(settings: PretrainSettings) -> list[str]:
    """In what the shards differ from what would be made now; nothing where no data is at hand."""
    from hanspan.errors import HanspanError
    from hanspan.pretrain.corpus import data_folder, made_of, recorded

    corpus = settings.corpus
    try:
        now = made_of(
            corpus.sources,
            data_folder(corpus.data),
            vocab_size=corpus.vocab_size,
            heldout_one_in=corpus.heldout_one_in,
            heldout_limit=corpus.heldout_limit,
        )
    except (HanspanError, FileNotFoundError):
        return []
    before = recorded(Path(corpus.shards)) or {}
    return [key for key in now if now[key] != before.get(key)]


def check_shards(settings: PretrainSettings) -> None:
    """Keep shards that are whole and of the config's files and settings, make others anew."""
    from hanspan.errors import HanspanError
    from hanspan.pretrain.corpus import open_shards

    folder = Path(settings.corpus.shards)
    try:
        same = set(open_shards(folder).train) == set(settings.corpus.weights())
        if not (changed := changed_since(settings) if same else ["sources"]):
            print(f"{folder}: whole")
            return
        print(f"{folder}: made of other {', '.join(changed)} than now; made anew")
    except HanspanError as error:
        if (folder / "shards.json").is_file():
            print(f"{str(error).partition('; make')[0]}; made anew")
    make_shards(settings)


def branch(settings: PretrainSettings, target: Path, decay_tokens: int | None) -> None:
    """Begin a decayed branch in `target`, or check that the one there is the same.

    Raises:
        HanspanError: without a checkpoint, where the branch would go into the run itself, or
            for another length of decay than the branch began with.
    """
    from hanspan.errors import HanspanError
    from hanspan.pretrain.checkpoint import read_header

    if target.resolve() == Path(settings.folder).resolve():
        raise HanspanError(f"pretrain: --branch {target} is the run itself; give another folder")
    if decay_tokens is not None and decay_tokens < 1:
        raise HanspanError(f"pretrain: --decay-tokens {decay_tokens} is below 1")
    begun = target / "checkpoint-start.safetensors"
    if not begun.exists():
        source = Path(settings.folder) / "checkpoint.safetensors"
        wanted = read_header(source)  # a broken checkpoint is an error here, not later
        begun_at = wanted[0].get("run", {}).get("schedule", {}).get("decay_from")
        if begun_at is not None and begun_at < wanted[0]["tokens"]:
            raise HanspanError(
                f"pretrain: the rate of {settings.folder} has been falling since {begun_at:,} "
                f"tokens; branch from a checkpoint-TOKENS.safetensors of before: copy it into a "
                f"new folder as {source.name} and give folder=THAT"
            )
        other = target / "checkpoint.safetensors"
        if other.exists() and read_header(other) != wanted:  # else a copy that was cut off
            raise HanspanError(
                f"pretrain: --branch {target} holds another run, whose checkpoint would be lost; "
                "give a folder that is new"
            )
        target.mkdir(parents=True, exist_ok=True)
        (target / LENGTH).write_text(str(decay_tokens or DECAY_TOKENS), encoding="utf-8")
        for name in ("checkpoint.safetensors", begun.name):  # the last says that it is done
            shutil.copyfile(source, target / "copy.part")
            (target / "copy.part").replace(target / name)
    before = _decay_length(target)
    if decay_tokens not in (None, before):
        raise HanspanError(
            f"pretrain: --branch {target} began with --decay-tokens {before}, found "
            f"{decay_tokens}; give the same or none, or another folder"
        )


def _decay_length(target: Path) -> int:
    return int((target / LENGTH).read_text(encoding="utf-8"))


def decayed(settings: PretrainSettings, target: Path) -> PretrainSettings:
    """The settings with `target` as folder and the decay beginning at its first checkpoint."""
    from hanspan.pretrain.checkpoint import read_header

    decay_tokens = _decay_length(target)
    tokens = read_header(target / "checkpoint-start.safetensors")[0]["tokens"]
    schedule = replace(settings.run.schedule, decay_from=tokens, decay_tokens=decay_tokens)
    run = replace(settings.run, schedule=schedule, max_tokens=None)  # the decay is its end
    return replace(settings, folder=str(target), run=run)


def score(settings: PretrainSettings, shards: Shards, run: Path) -> None:
    """Print masked accuracy by source beside the floor of counting neighbours."""
    from hanspan.pretrain.export import load_network
    from hanspan.pretrain.heldout import cached_floor, heldout_scores, score_table

    model, progress = load_network(settings, shards, run / "checkpoint.safetensors")
    rows = settings.run.heldout_rows
    print(f"{progress['tokens']:,} tokens, 15 % single characters hidden")
    print(f"{'source':<12}{'characters':>12}{'loss':>8}{'accuracy':>10}{'floor':>8}")
    scores = heldout_scores(model, shards, rows)
    for name, size, loss, accuracy, floor in score_table(
        scores, cached_floor(shards, rows), shards
    ):
        print(f"{name:<12}{size:>12}{loss:>8.3f}{accuracy:>10.1%}{floor:>8.1%}")


def train(settings: PretrainSettings, target: Path | None, decay_tokens: int | None) -> bool:
    """Train, alone or as one process of torchrun; process 0 alone makes shards and branches."""
    import torch

    from hanspan.pretrain.corpus import open_shards, recorded
    from hanspan.pretrain.loop import Trainer
    from hanspan.pretrain.processes import join_processes

    if settings.threads:
        torch.set_num_threads(settings.threads)
    processes = join_processes(settings.run.device)
    folder = Path(settings.corpus.shards)
    if processes.rank == 0:
        if not (folder / "shards.json").is_file():
            make_shards(settings)
        elif recorded(folder) and (changed := changed_since(settings)):
            print(
                f"warning: {folder} was made of other {', '.join(changed)} than now and is taken "
                "as it is; for others type --only shards with a new folder=RUN",
                file=sys.stderr,
            )
        if target:
            branch(settings, target, decay_tokens)
    processes.wait()
    if target:
        settings = decayed(settings, target)
    shards = open_shards(folder)
    return Trainer(settings.run, shards, Path(settings.folder), processes).run()


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument("--only", choices=["shards"])
    parser.add_argument("--branch", type=Path, metavar="RUN")
    parser.add_argument(
        "--decay-tokens", type=int, metavar="N", help=f"of a new branch; {DECAY_TOKENS:,}"
    )
    parser.add_argument("--export", type=Path, nargs=2, metavar=("RUN", "OUT"))
    parser.add_argument("--score", type=Path, metavar="RUN")
    parser.add_argument("--picture", type=Path, nargs=2, metavar=("RUN", "PNG"))
    args = parser.parse_intermixed_args()  # overrides may follow options

    from hanspan.errors import HanspanError
    from hanspan.pretrain.corpus import open_shards
    from hanspan.pretrain.export import export_encoder
    from hanspan.pretrain.heldout import known_floor
    from hanspan.pretrain.picture import draw_log
    from hanspan.pretrain.settings import load_settings

    try:
        settings = load_settings(args.config, args.overrides)
        folder = Path(settings.corpus.shards)
        if args.picture:
            run, picture = args.picture
            draw_log(run, picture, known_floor(folder, settings.run.heldout_rows))
            print(f"{picture}: losses and masked accuracy of {run} over tokens")
        elif args.only:
            check_shards(settings)
        elif args.export:
            export_encoder(settings, open_shards(folder), *args.export)
        elif args.score:
            score(settings, open_shards(folder), args.score)
        elif not train(settings, args.branch, args.decay_tokens):
            print("stopped and saved; the same command goes on")
    except (HanspanError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    status = main()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # The threads of a process group that is closed may still end; the interpreter's own end
        # now and then meets one of them and aborts, and torchrun takes a finished run for failed.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)
