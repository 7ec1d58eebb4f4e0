"""Training as a program of its own, for torchrun and for machines without a config.

    python -m hanspan.train_worker TRAIN.jsonl RUN [key=value ...]
    torchrun --nproc-per-node=2 -m hanspan.train_worker TRAIN.jsonl RUN encoder=random:small

Keys are those of :class:`hanspan.train_settings.TrainSettings`. Set ``OMP_NUM_THREADS=1`` a process
on a CPU. Every process takes its share of the batches; the first one writes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import yaml
from pydantic import ValidationError

from hanspan.errors import ConfigError, HanspanError
from hanspan.ranks import is_main
from hanspan.train_settings import TrainSettings


def settings_of(words: Sequence[str]) -> TrainSettings:
    """Settings from ``key=value`` words, values read as YAML.

    Raises:
        ConfigError: naming each key that is unknown or has a wrong value, or the word that is no
            such pair.
    """
    values = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise ConfigError(f"{word!r}: expected key=value, such as epochs=3")
        try:
            values[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as err:  # ValueError: a date that does not exist
            problem = getattr(err, "problem", None) or str(err).splitlines()[0]
            raise ConfigError(
                f"{word!r}: found a value that is not YAML ({problem}); expected key=value, the "
                f"value as YAML, such as epochs=3 or hide_rules=[date,year]"
            ) from None
    try:
        return TrainSettings(**values)
    except ValidationError as err:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors()]
        raise ConfigError("\n".join(lines)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit status, 2 for a mistake of the user."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) < 2 or words[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if words else 2
    first = is_main()

    def show(step: int, steps: int | None, what: str) -> None:
        if first and steps and (step == steps or step % max(1, steps // 10) == 0):
            print(f"{what} {step} of {steps}", flush=True)

    try:
        from hanspan.train import train

        summary = train(words[0], words[1], settings_of(words[2:]), progress=show)
    except HanspanError as err:
        print(f"hanspan: train: {err}", file=sys.stderr)
        return 2
    if first:
        print(
            f"{summary.model}: {summary.steps} steps, loss {summary.loss}, "
            f"{summary.tokens_per_second} tokens a second a process"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
