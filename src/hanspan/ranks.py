"""The processes of a torchrun: which one this is, meeting, and telling each other."""

from __future__ import annotations

import os


def is_main() -> bool:
    """Whether this process is the one that writes; true where there is one alone."""
    return int(os.environ.get("RANK", "0")) == 0


def _several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def wait_for_all(*, cpu: bool) -> None:
    """Let all processes meet."""
    if _several():
        from accelerate import PartialState

        PartialState(cpu=cpu).wait_for_everyone()


def said_by_main(value: int) -> int:
    """What the main process holds, in every process."""
    if not _several():
        return value
    from accelerate.utils import broadcast_object_list

    return int(broadcast_object_list([value])[0])
