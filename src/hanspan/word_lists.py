"""Lists of words in files: one a line, blank lines and lines that begin with ``#`` left out."""

from __future__ import annotations

from pathlib import Path


def word_list(path: Path) -> list[tuple[int, str]]:
    """The entries of a list, each with the number of its line.

    Raises:
        OSError: for a file that cannot be read.
        UnicodeDecodeError: for another encoding than UTF-8.
    """
    lines = enumerate(path.read_text("utf-8-sig").split("\n"), 1)
    rows = ((number, line.strip()) for number, line in lines)
    return [(number, line) for number, line in rows if line and not line.startswith("#")]
