"""What keeps a candidate from becoming a vote: its neighbours, its length, longer words."""

from __future__ import annotations

from collections.abc import Sequence

from hanspan.rules.spec import Matching


class Borders:
    """The ``unless_*``, ``if_*`` and length settings of one rule."""

    __slots__ = (
        "active", "after", "before", "contains", "ends", "if_after", "if_before",
        "inside", "longest", "same", "shortest", "starts",
    )  # fmt: skip

    def __init__(self, spec: Matching, *, inside: bool = False) -> None:
        self.before, self.after = spec.unless_before, spec.unless_after
        self.if_before, self.if_after = spec.if_before, spec.if_after
        self.contains, self.same = spec.unless_contains, frozenset(spec.unless_is)
        self.starts, self.ends = spec.unless_starts, spec.unless_ends
        self.shortest, self.longest = spec.min_length, spec.max_length or 1 << 30
        self.inside = inside
        self.active = bool(
            self.before or self.after or self.if_before or self.if_after or self.contains
            or self.same or self.starts or self.ends or self.shortest > 1 or spec.max_length
            or inside
        )  # fmt: skip

    def stop(
        self, text: str, start: int, end: int, longer: Sequence[tuple[int, int, object]]
    ) -> str:
        """Why a candidate is no vote; empty when it is one.

        Args:
            text: the folded text.
            start, end: the candidate.
            longer: matches of the rule's longer words.
        """
        if not self.shortest <= end - start <= self.longest:
            return f"length {end - start}"
        if self.before and text.endswith(self.before, 0, start):
            return f"unless_before: {_which(self.before, text[:start].endswith)}"
        if self.after and text.startswith(self.after, end):
            return f"unless_after: {_which(self.after, text[end:].startswith)}"
        if self.if_before and not text.endswith(self.if_before, 0, start):
            return "if_before: none of the words stands there"
        if self.if_after and not text.startswith(self.if_after, end):
            return "if_after: none of the words stands there"
        for a, b, _ in longer:
            if a <= start and end <= b:
                return f"inside of {text[a:b]}"
        if self.contains or self.same or self.starts or self.ends:
            surface = text[start:end]
            if surface in self.same:
                return f"unless_is: {surface}"
            if self.starts and surface.startswith(self.starts):
                return f"unless_starts: {_which(self.starts, surface.startswith)}"
            if self.ends and surface.endswith(self.ends):
                return f"unless_ends: {_which(self.ends, surface.endswith)}"
            for word in self.contains:
                if word in surface:
                    return f"unless_contains: {word}"
        return ""


def _which(words: Sequence[str], test: object) -> str:
    assert callable(test)
    return next(word for word in words if test(word))
