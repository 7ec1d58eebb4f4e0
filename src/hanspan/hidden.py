"""Hide what some rules found, or a share of all mentions, and see whether the student finds it.

A student that only copies its rules finds nothing of what is hidden; one that has learned what
the type looks like does. So settings, rounds and label models are chosen without gold: the same
training with each group of rules hidden in turn, and the share of its spans that comes back; or
with a share of the mentions hidden, as rules miss mentions of types that they know.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hanspan.data import NONE, Document, Span
from hanspan.soft import UNKNOWN, SoftLabels


def is_hidden(span: Span, hidden: Iterable[str]) -> bool:
    """Whether every rule behind a span is among ``hidden`` (names with or without ``rule:``)."""
    names = {name.removeprefix("rule:") for name in hidden}
    sources = [part.removeprefix("rule:") for part in span.source.split("+") if part]
    return bool(sources) and all(source in names for source in sources)


def is_drawn(mention: str, share: float) -> bool:
    """Whether a mention is among the ``share`` of all that is hidden: by its text alone."""
    return zlib.crc32(mention.encode("utf-8", "surrogatepass")) < share * 2**32


def hide(
    documents: Sequence[Document], soft: SoftLabels, rules: Sequence[str], mentions: float = 0.0
) -> tuple[list[Document], SoftLabels, list[tuple[Span, ...]]]:
    """Make the characters of hidden spans unknown.

    Args:
        documents: with the spans of the label model.
        soft: their soft labels.
        rules: spans that these alone found are hidden.
        mentions: so is this share of all mentions, each wherever it stands.

    Returns:
        The documents without those spans, their soft labels, and the hidden spans of each.
    """
    state = soft.state.copy()
    gone = np.zeros(len(state), bool)
    kept, taken = [], []
    for number, document in enumerate(documents):
        first = int(soft.offsets[number])
        out = tuple(
            span
            for span in document.spans
            if is_hidden(span, rules) or is_drawn(document.surface(span), mentions)
        )
        for span in out:
            gone[first + span.start : first + span.end] = True
        taken.append(out)
        kept.append(document.with_spans(s for s in document.spans if s not in out))
    state[gone] = UNKNOWN
    entries = ~gone[soft.char] if len(soft.char) else np.zeros(0, bool)
    shown = replace(
        soft, state=state, char=soft.char[entries], tag=soft.tag[entries], prob=soft.prob[entries]
    )
    return kept, shown, taken


def recovered(hidden: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> tuple[int, int]:
    """How many hidden spans came back with equal borders and label, and how many there are."""
    back = total = 0
    for wanted, given in zip(hidden, found, strict=True):
        keys = {(s.start, s.end, s.label) for s in given}
        total += len(wanted)
        back += sum((s.start, s.end, s.label) in keys for s in wanted)
    return back, total


def groups_of(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Rules that find spans by group, from the ``rules`` of ``weak.rules.json``.

    A rule without a group is alone.
    """
    found: dict[str, list[str]] = {}
    for name, rule in rules.items():
        if rule.get("topical") or set(rule.get("labels", ())) == {NONE}:
            continue
        found.setdefault(str(rule.get("group") or name), []).append(name)
    return found
