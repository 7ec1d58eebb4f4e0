"""One JSON list of records, written one at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from hanspan.data import Document, open_text, whole


def write_list(
    path: str | os.PathLike[str],
    documents: Iterable[Document],
    record: Callable[[Document], Any],
) -> int:
    """Write ``record(document)`` of each document; returns how many."""
    count = 0
    with whole(path) as temporary, open_text(temporary, "w") as stream:
        stream.write("[")
        for document in documents:
            stream.write(",\n" if count else "\n")
            stream.write(json.dumps(record(document), ensure_ascii=False))
            count += 1
        stream.write("\n]\n")
    return count
