"""spaCy's DocBin (needs spaCy): one token a character, so that every border is a token's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hanspan.data import Document, Span, whole
from hanspan.errors import HanspanError
from hanspan.formats import Rejected


def _spacy() -> Any:
    try:
        import spacy.tokens
    except ImportError:
        raise HanspanError(
            "form docbin: found no spaCy, which is needed for .spacy files; type: pip install spacy"
        ) from None
    return spacy


def write(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write flat spans as ``ents`` and the topic under ``cats``; returns how many."""
    spacy = _spacy()
    vocab = spacy.blank("zh").vocab
    store = spacy.tokens.DocBin(store_user_data=True)
    count = 0
    for document in documents:
        chars = list(document.text)
        doc = spacy.tokens.Doc(vocab, words=chars, spaces=[False] * len(chars))
        doc.set_ents(
            [spacy.tokens.Span(doc, s.start, s.end, label=s.label) for s in document.spans]
        )
        if "topic" in document.labels:
            doc.cats = {document.labels["topic"]: 1.0}
        doc.user_data["id"] = document.id
        store.add(doc)
        count += 1
    with whole(path) as temporary:
        temporary.write_bytes(store.to_bytes())
    return count


def read(path: str | os.PathLike[str], rejected: Rejected) -> Iterator[Document]:
    """Read ``ents`` and the best of ``cats``; the text is that of the Doc."""
    spacy = _spacy()
    vocab = spacy.blank("zh").vocab
    try:
        store = spacy.tokens.DocBin(store_user_data=True).from_bytes(Path(path).read_bytes())
        docs = list(store.get_docs(vocab))
    except Exception as err:  # zlib, msgpack and spaCy each raise their own
        raise HanspanError(f"{path}: cannot be read as a DocBin ({err})") from None
    for number, doc in enumerate(docs, 1):
        spans = tuple(Span(e.start_char, e.end_char, e.label_) for e in doc.ents)
        labels = {"topic": max(doc.cats, key=lambda name: doc.cats[name])} if doc.cats else {}
        name = doc.user_data.get("id", f"{Path(path).name}:{number}")
        yield Document(str(name), doc.text, spans, labels)
