"""Forms of annotated text that other tools read and write.

Each form is a module with ``write(path, documents) -> count`` and, where people annotate in it,
``read(path, rejected) -> documents``. All read and write one document at a time, but Label
Studio and Argilla, whose files are one JSON list, are read whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from hanspan.data import SUFFIXES, Document, write_documents
from hanspan.errors import HanspanError

Writer = Callable[[str | os.PathLike[str], Iterable[Document]], int]
Rejected = list[dict[str, Any]]
Reader = Callable[[str | os.PathLike[str], Rejected], Iterator[Document]]

FORMS = {
    "labelstudio": (".labelstudio.json",),
    "argilla": (".argilla.json",),
    "doccano": (".doccano.jsonl",),
    "conll": (".conll", ".bio", ".bioes"),
    "docbin": (".spacy",),
    "html": (".html",),
    "csv": (".csv",),
}
"""Name of each form, and the ends of file names that stand for it."""
READABLE = ("labelstudio", "argilla", "doccano", "conll", "docbin")


def form_of(path: str | os.PathLike[str], form: str | None = None) -> str:
    """Name of a form: the one given, or that of the file's name; ``hanspan`` is our own.

    Raises:
        HanspanError: for an unknown one.
    """
    if form is not None:
        if form not in FORMS and form != "hanspan":
            raise HanspanError(f"form {form!r}: expected one of hanspan, {', '.join(FORMS)}")
        return form
    name = os.fspath(path)
    for known, suffixes in FORMS.items():
        if name.endswith(suffixes):
            return known
    if name.endswith(SUFFIXES):
        return "hanspan"
    ends = [suffix for suffixes in FORMS.values() for suffix in suffixes]
    raise HanspanError(
        f"{name}: unknown kind of file; expected a name that ends in one of "
        f"{', '.join((*SUFFIXES, *ends))}, or --form"
    )


def writer_for(path: str | os.PathLike[str], form: str | None = None) -> Writer:
    """The function that writes documents in a form (:func:`form_of`)."""
    name = form_of(path, form)
    if name == "hanspan":
        return write_documents
    writer: Writer = import_module(f"hanspan.formats.{name}").write
    return writer


def read_form(
    path: str | os.PathLike[str], form: str | None, rejected: Rejected
) -> Iterator[Document]:
    """Documents of a file that another tool wrote; bad rows are added to ``rejected``.

    Raises:
        HanspanError: for a missing file, an unknown form, or one that holds no annotations.
    """
    name = form_of(path, form)
    if not os.path.isfile(path):
        raise HanspanError(f"{os.fspath(path)}: no such file; expected a file to read")
    if name not in READABLE:
        raise HanspanError(f"form {name!r} cannot be read; expected one of {', '.join(READABLE)}")
    reader: Reader = import_module(f"hanspan.formats.{name}").read
    return reader(path, rejected)
