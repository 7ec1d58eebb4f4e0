"""Streams of texts in runs of bounded size, and very long texts in pieces."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from hanspan.data import Document
from hanspan.encode import Tagged

CHUNK_TEXTS = 512
CHUNK_CHARS = 100_000
PIECE_CHARS = 50_000
"""A longer text is read in pieces cut where a sentence ends, so that memory stays bounded."""
_ENDS = re.compile(r"\n+|[。！？!?…；;][”’」』】）)]*")


def chunks(texts: Iterable[str | Document]) -> Iterator[list[Document]]:
    """Documents in runs that are long enough to sort by length and bounded in characters."""
    chunk: list[Document] = []
    size = 0
    for number, item in enumerate(texts):
        document = Document(f"text-{number}", item) if isinstance(item, str) else item
        if chunk and (len(chunk) == CHUNK_TEXTS or size + len(document.text) > CHUNK_CHARS):
            yield chunk
            chunk, size = [], 0
        chunk.append(document)
        size += len(document.text)
    if chunk:
        yield chunk


def pieces(text: str, most: int = PIECE_CHARS) -> Iterator[str]:
    """The text in pieces of at most ``most`` characters that put together are the text.

    Each ends after a line break, else after a sentence, within its last half; where there is
    neither, it is cut at ``most``.
    """
    start = 0
    while len(text) - start > most:
        ends = [match.end() for match in _ENDS.finditer(text, start + most // 2, start + most)]
        lines = [end for end in ends if text[end - 1] == "\n"]
        end = max(lines or ends or [start + most])
        yield text[start:end]
        start = end
    yield text[start:]


def joined(parts: Sequence[Tagged], lengths: Sequence[int]) -> Tagged:
    """The answer for a text from those for its pieces; topics weigh by length."""
    if len(parts) == 1:
        return parts[0]
    spans, start = [], 0
    for part, length in zip(parts, lengths, strict=True):
        spans += [replace(s, start=s.start + start, end=s.end + start) for s in part.spans]
        start += length
    topics = np.average([part.topic_probs for part in parts], axis=0, weights=lengths)
    return Tagged(tuple(spans), topics)


def in_order(
    work: Callable[[list[Document]], list[Document]], jobs: Iterable[list[Document]], workers: int
) -> Iterator[list[Document]]:
    """Results of ``work`` in the order of ``jobs``, with a bounded number under way."""
    if workers <= 1:
        yield from map(work, jobs)
        return
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[list[Document]]] = deque()
        for job in jobs:
            under_way.append(pool.submit(work, job))
            if len(under_way) > workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
