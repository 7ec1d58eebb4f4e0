"""Where benchmarks write: checked before their hours of work, not after."""

from __future__ import annotations

import argparse
from pathlib import Path


def make_room(parser: argparse.ArgumentParser, option: str, path: Path | None) -> None:
    """Make the folder of a file that is written at the end, or end the program."""
    if path is None:
        return
    if path.is_dir():
        parser.error(f"{option} {path}: found a folder; expected a file in it, to be written")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        parser.error(f"{option} {path}: its folder cannot be made: {err}; expected another place")
