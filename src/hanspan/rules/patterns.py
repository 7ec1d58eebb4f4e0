"""Patterns: named fragments filled in, compiled by re2 in linear time, spans by named groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hanspan.rules.backtrack import for_re
from hanspan.rules.contract import RuleError
from hanspan.rules.engine import engine as engine_of
from hanspan.rules.fold import View, fold_width

_FRAGMENT = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_MAX_MEMORY = 256 << 20
_REACH = 600  # bytes of right-hand context that are matched again for the next span
_HINTS = (
    ("(?<=", "look-behind; capture the span in a named group or use unless_before/if_before"),
    ("(?<!", "look-behind; use unless_before"),
    ("(?=", "look-ahead; capture the span in a named group or use if_after"),
    ("(?!", "look-ahead; use unless_after"),
    ("(?P=", "a back-reference; write the alternatives out"),
    ("(?>", "an atomic group; write (?:...)"),
    ("\\u", r"write the character itself or \x{4e2d}"),
)


def alternation(words: Iterable[str]) -> str:
    """Literal words as a group, longest first."""
    ordered = sorted(dict.fromkeys(words), key=lambda word: (-len(word), word))
    return "(?:" + "|".join(re.escape(word) for word in ordered) + ")"


def fill(pattern: str, fragments: Callable[[str], str | tuple[str, ...] | None], where: str) -> str:
    """Replace every ``{{name}}``, also inside fragments.

    Args:
        pattern: a regular expression.
        fragments: gives a pattern, a list of literal words, or None.
        where: for messages.

    Raises:
        RuleError: for an unknown fragment or one that contains itself.
    """

    def expand(text: str, chain: tuple[str, ...]) -> str:
        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name in chain:
                raise RuleError(f"{where}: {{{{{name}}}}} contains itself; break the circle")
            value = fragments(name)
            if value is None:
                raise RuleError(
                    f"{where}: found {{{{{name}}}}}, expected a name of 'define:' or of a lexicon"
                )
            if isinstance(value, str):
                return "(?:" + expand(value, (*chain, name)) + ")"
            return alternation(value)

        return _FRAGMENT.sub(put, text)

    return expand(pattern, ())


def compile_re2(pattern: str, where: str, *, longest: bool = False) -> Any:
    """Compile for bytes.

    Raises:
        RuleError: for anything that re2 does not know (look-around, back-references, ...).
    """
    import re2

    options = re2.Options()
    options.log_errors = False  # otherwise a line on stderr from C++
    options.max_mem = _MAX_MEMORY
    options.longest_match = longest
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as err:
        why = err.args[0]
        why = why.decode() if isinstance(why, bytes) else str(why)
        hint = next((hint for part, hint in _HINTS if part in pattern), "")
        if not hint and re.search(r"\\[1-9]", pattern):
            hint = "a back-reference; write the alternatives out"
        raise RuleError(
            f"{where}: pattern {shorten(pattern)!r}: {why}; expected what re2 knows"
            + (f"; this looks like {hint}" if hint else "")
        ) from None


def shorten(text: str, limit: int = 120) -> str:
    """The text, cut in the middle where it is long."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"


class Matcher:
    """One pattern with what its groups mean.

    The context to the right of a span is not used up: the search goes on behind the span.

    Args:
        pattern: after :func:`fill`.
        label: for the whole match where no named group is a label.
        labels: what a named group may be called.
        where: for messages.
        engine: ``re2``, or ``re`` for patterns of shipped sets.
        longest: the longest match instead of the first alternative.
        width: the text will have full width folded, so the pattern must have, too.

    Raises:
        RuleError: for a pattern that does not compile, or a group that is no label.
    """

    def __init__(
        self,
        pattern: str,
        label: str,
        labels: Callable[[str], bool],
        where: str,
        *,
        engine: str = "re2",
        longest: bool = False,
        width: bool = True,
    ) -> None:
        self.pattern = fold_width(pattern) if width else pattern
        self.bytes = engine == "re2"
        if self.bytes:
            self.compiled = compile_re2(self.pattern, where, longest=longest)
        else:
            try:
                self.compiled = re.compile(for_re(self.pattern), re.ASCII)
            except re.error as err:
                raise RuleError(f"{where}: pattern {shorten(pattern)!r}: {err}") from None
        self._engine = engine_of(self.compiled)
        names = {_text(k): v for k, v in dict(self.compiled.groupindex).items()}
        self.groups: tuple[tuple[int, str], ...]
        if label and "span" in names:
            self.groups = ((names.pop("span"), label),)
        else:
            self.groups = tuple((i, n) for n, i in sorted(names.items(), key=lambda kv: kv[1]))
            names = {n: i for n, i in names.items() if not labels(n)}
        if names:
            raise RuleError(
                f"{where}: found the group (?P<{next(iter(names))}>…), expected one of the set's "
                f"labels (or (?P<span>…) beside 'label:'); write (?:…) for a group without a name"
            )
        if not self.groups:
            if not label:
                raise RuleError(
                    f"{where}: pattern {shorten(pattern)!r} has no named group; "
                    f"expected 'label:' or a group such as (?P<PER>…)"
                )
            self.groups = ((0, label),)

    @property
    def labels(self) -> tuple[str, ...]:
        """What it may find."""
        return tuple(label for _, label in self.groups)

    def find(self, view: View, windows: Sequence[int] | None = None) -> list[tuple[int, int, str]]:
        """Spans in code points.

        Args:
            view: the text.
            windows: low, high, low, high, ... outside of which nothing can match; see
                :class:`~hanspan.rules.gate.Gate`.
        """
        subject: Any = view.data if self.bytes else view.text
        char = view.char if self.bytes else int
        if windows is None:
            windows = (0, len(subject))
        if windows[0] < 0:
            return self._find_at(subject, char, windows)
        groups, every = self.groups, self._engine.every
        out: list[tuple[int, int, str]] = []
        for k in range(0, len(windows), 2):
            position, stop = windows[k], windows[k + 1]
            again = True
            while again:
                again = False
                for span in every(subject, position, stop):
                    last = -1
                    for index, label in groups:
                        start, end = span(index)
                        if start < end:
                            out.append((char(start), char(end), label))
                            last = max(last, end)
                    tail = span(0)[1]
                    if position < last < tail <= last + _REACH:
                        position, again = last, True
                        break
                    position = tail
        return out

    def _find_at(
        self, subject: Any, char: Callable[[int], int], windows: Sequence[int]
    ) -> list[tuple[int, int, str]]:
        """As :meth:`find`, where every match begins at the start of a window."""
        groups, match_at = self.groups, self._engine.at
        out: list[tuple[int, int, str]] = []
        position = 0
        for k in range(1, len(windows), 2):
            low = windows[k]
            if low < position:
                continue
            span = match_at(subject, low, windows[k + 1])
            if span is None:
                continue
            last = -1
            for index, label in groups:
                start, end = span(index)
                if start < end:
                    out.append((char(start), char(end), label))
                    last = max(last, end)
            tail = span(0)[1]
            position = last if low < last < tail <= last + _REACH else tail
        return out


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
