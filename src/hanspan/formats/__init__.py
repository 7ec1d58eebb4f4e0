"""Forms of annotated text that other tools read and write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from hanspan.data import SUFFIXES, Document, write_documents
from hanspan.errors import HanspanError

Writer = Callable[[str | os.PathLike[str], Iterable[Document]], int]


def writer_for(path: str | os.PathLike[str], form: str | None = None) -> Writer:
    """The function that writes documents in the form that a file's name or ``form`` says.

    Raises:
        HanspanError: for an unknown one.
    """
    name = os.fspath(path)
    if form in (None, "hanspan") and name.endswith(SUFFIXES):
        return write_documents
    raise HanspanError(f"{name}: unknown kind of output; expected one of {', '.join(SUFFIXES)}")
