"""Out of memory, said in the words of the settings."""

import contextlib
from collections.abc import Iterator

import torch

from hanspan.errors import HanspanError

_CPU = ("can't allocate memory", "not enough memory")


@contextlib.contextmanager
def named_memory_errors(micro_tokens: int) -> Iterator[None]:
    """Within, running out of memory on a GPU or a CPU is a HanspanError that says what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not any(
            sign in text for sign in _CPU
        ):
            raise
        first = text.split("\n")[0].rstrip(".") or "no memory left"
        raise HanspanError(
            f"pretrain: out of memory with run.micro_tokens={micro_tokens} ({first}); type "
            f"run.micro_tokens={micro_tokens // 2} with the counts of run.ramp doubled, in another "
            "folder: a run that has begun keeps its micro_tokens"
        ) from error
