"""Reads a pattern for what every match must contain, how long it can be, where text can be cut.

A reader of the part of re2's syntax that rules use. Anything else is answered by "unknown",
which only means that the pattern is run on every text.
"""

from __future__ import annotations

import re

from hanspan.rules.atoms import (
    MARKS,
    UNBOUNDED,
    Atoms,
    Need,
    Run,
    add,
    better,
    shortest,
)

_MAX_ATOMS = 4000
_MAX_CHARS = 64  # a class of more characters says nothing

_DIGITS = frozenset("0123456789")
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_PERL: dict[str, frozenset[str]] = {
    "w": frozenset(),
    "s": frozenset("\n "),
    "D": MARKS,
    "W": MARKS,
    "S": MARKS - {"\n", " "},
}


_WORD_LIST = re.compile(r"\?:([^\\()\[\]{}|?*+.^$]+(?:\|[^\\()\[\]{}|?*+.^$]+)*)\)")
_PLAIN = re.compile(r"[^\\()\[\]{}|?*+.^$]+(?![?*+{])")


class _Unknown(Exception):
    """Syntax that is not understood."""


_EMPTY = Need(frozenset({""}), None, 0)
_WORDLIKE = ("Han", "L", "N", "Lu", "Ll", "Lo", "Nd", "Latin", "Greek", "Cyrillic")


def _any(marks: frozenset[str] | set[str]) -> Need:
    return Need(None, None, 1, frozenset(marks))


def _words(words: list[str]) -> Need:
    strings = frozenset(words)
    if len(strings) > _MAX_ATOMS:
        return Need(None, None, max(map(len, words)), MARKS)
    marks = frozenset().union(*map(frozenset, words)) & MARKS
    return Need(strings, None, max(map(len, words)), marks)


def _one(strings: frozenset[str]) -> Need:
    return Need(strings, None, 1, frozenset(strings & MARKS))


def needs(pattern: str) -> Need:
    """What every match of a pattern contains.

    Args:
        pattern: a regular expression for re2.

    Returns:
        Atoms (None where unknown) and the most characters that a match can have
        (:data:`UNBOUNDED` where there is no limit or it is unknown).
    """
    try:
        reader = _Reader(pattern)
        need = reader.either()
        if reader.position < len(pattern):
            raise _Unknown
    except (_Unknown, IndexError, ValueError, RecursionError):
        return Need(None, None, UNBOUNDED, MARKS)
    best = need.best
    atoms = None if best is None else shortest(best)
    return Need(need.exact, atoms, need.longest, need.marks)


class _Reader:
    """Recursive descent over the pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.position, self.depth = pattern, 0, 0

    def peek(self) -> str:
        return self.pattern[self.position : self.position + 1]

    def take(self) -> str:
        char = self.pattern[self.position]
        self.position += 1
        return char

    def skip(self, text: str) -> bool:
        if self.pattern.startswith(text, self.position):
            self.position += len(text)
            return True
        return False

    def either(self) -> Need:
        """Alternatives."""
        branches = [self.row()]
        while self.skip("|"):
            branches.append(self.row())
        if len(branches) == 1:
            return branches[0]
        exact: frozenset[str] | None = frozenset()
        atoms = branches[0].best
        for branch in branches:
            exact = None if exact is None or branch.exact is None else exact | branch.exact
            own = branch.best
            if atoms is None or own is None:
                atoms = None
            else:
                atoms = Atoms(
                    atoms.strings | own.strings,
                    max(atoms.before, own.before),
                    max(atoms.after, own.after),
                )
        if atoms is not None and len(atoms.strings) > _MAX_ATOMS:
            atoms = None
        if exact is not None and len(exact) > _MAX_ATOMS:
            exact = None
        marks = frozenset().union(*(branch.marks for branch in branches))
        longest = max(branch.longest for branch in branches)
        return Need(exact, atoms, longest, marks)

    def row(self) -> Need:
        """Parts that follow each other."""
        run = Run()
        seen: list[tuple[Atoms, int]] = []  # what is needed, and characters up to its end
        whole, longest, marks = True, 0, frozenset[str]()
        while self.position < len(self.pattern) and self.peek() not in "|)":
            part = self.repeated()
            begin, longest = longest, add(longest, part.longest)
            marks |= part.marks
            if run.grow(part, begin):
                continue
            seen += run.needs(begin)
            if part.exact is None:
                whole = False
                if part.atoms is not None:
                    seen.append((part.atoms.inside(begin, 0), longest))
                run = Run(longest)
            else:
                whole = whole and run.strings == {""}
                run = run.restart(part.exact, begin)
        seen += run.needs(longest)
        best: Atoms | None = None
        for atoms, end in seen:
            best = better(best, atoms.inside(0, longest - end if longest < UNBOUNDED else longest))
        return Need(run.strings if whole else None, best, longest, marks)

    def repeated(self) -> Need:
        """A part with its repeat."""
        part = self.part()
        while True:
            low, high = self.count()
            if low < 0:
                return part
            longest = min(UNBOUNDED, part.longest * high) if part.longest else 0
            if (low, high) == (0, 1) and part.exact is not None:
                part = Need(part.exact | {""}, None, longest, part.marks)
            elif low == 0:
                part = Need(None, None, longest, part.marks)
            elif (low, high) != (1, 1):
                other = add(longest, -part.longest)
                best = part.best
                part = Need(None, best and best.inside(other, other), longest, part.marks)

    def count(self) -> tuple[int, int]:
        """The repeat at this place; (-1, -1) when there is none."""
        char = self.peek()
        if char and char in "?*+":
            self.position += 1
            bounds = {"?": (0, 1), "*": (0, UNBOUNDED), "+": (1, UNBOUNDED)}[char]
        elif char == "{" and self.peek_count():
            end = self.pattern.index("}", self.position)
            low, comma, high = self.pattern[self.position + 1 : end].partition(",")
            self.position = end + 1
            bounds = (int(low), int(high) if high else UNBOUNDED if comma else int(low))
        else:
            return -1, -1
        self.skip("?")
        return bounds

    def peek_count(self) -> bool:
        """Whether a ``{`` begins a repeat."""
        end = self.pattern.find("}", self.position)
        body = self.pattern[self.position + 1 : end].split(",")
        return end > 0 and len(body) <= 2 and body[0].isdigit() and body[-1:] != ["x"]

    def part(self) -> Need:
        """One character, class or group."""
        char = self.take()
        if char == "(":
            words = _WORD_LIST.match(self.pattern, self.position)
            if words is not None:  # a list of plain words: the whole of it at once
                self.position = words.end()
                return _words(words[1].split("|"))
            if self.skip("?"):
                if self.skip("P<") or self.skip("<"):
                    self.position = self.pattern.index(">", self.position) + 1
                elif not self.skip(":"):
                    raise _Unknown
            self.depth += 1
            if self.depth > 60:
                raise _Unknown
            need = self.either()
            self.depth -= 1
            if not self.skip(")"):
                raise _Unknown
            return need
        if char == "[":
            return self.char_class()
        if char == ".":
            return _any(MARKS - {"\n"})
        if char in "^$":  # a window's border is none of the text's
            raise _Unknown
        if char == "\\":
            return self.escape()
        if char in "*+?)":
            raise _Unknown
        run = _PLAIN.match(self.pattern, self.position)
        if run is not None:  # up to the last character, to which a repeat may belong
            self.position = run.end()
            return _words([char + run[0]])
        return _one(frozenset({char}))

    def escape(self) -> Need:
        """What stands behind a backslash."""
        char = self.take()
        if char in "bBAz":
            raise _Unknown
        if char in "pP":
            return _any(self.property(char))
        if char in "dDwWsS":
            return _one(_DIGITS) if char == "d" else _any(_PERL[char])
        return _one(frozenset({self.literal(char)}))

    def literal(self, char: str) -> str:
        """The character of an escape."""
        if char == "x":
            if self.skip("{"):
                end = self.pattern.index("}", self.position)
                code = self.pattern[self.position : end]
                self.position = end + 1
            else:
                code = self.take() + self.take()
            return chr(int(code, 16))
        if char in _SIMPLE:
            return _SIMPLE[char]
        if char.isalnum():
            raise _Unknown
        return char

    def property(self, sign: str) -> frozenset[str]:
        """The marks that ``{Han}`` or ``L`` behind a ``p`` or ``P`` may hold."""
        name = self.take()
        if name == "{":
            end = self.pattern.index("}", self.position)
            name, self.position = self.pattern[self.position : end], end + 1
        return frozenset() if sign == "p" and name in _WORDLIKE else MARKS

    def char_class(self) -> Need:
        """``[...]``; exact where it holds few characters."""
        negated = self.skip("^")
        chars: set[str] = set()
        marks: set[str] = set()  # of what is named other than by a character
        no_marks = False  # [^\P{Han}...] holds no mark
        wide, first, before = negated, True, ""
        while True:
            char = self.take()
            if char == "]" and not first:
                break
            first = False
            if char == "[" and self.peek() == ":":
                raise _Unknown
            if char == "\\":
                char = self.take()
                if char in "pPDwWsS":
                    if char in "pP":
                        begin = self.position
                        marks |= self.property(char)
                        name = self.pattern[begin : self.position].strip("{}")
                        no_marks = no_marks or (char == "P" and name in _WORDLIKE)
                    else:
                        marks |= _PERL[char]
                        no_marks = no_marks or char in "DW"
                    wide, before = True, ""
                    continue
                if char == "d":
                    chars |= _DIGITS
                    before = ""
                    continue
                char = self.literal(char)
            elif char == "-" and before and self.peek() != "]":
                high = self.take()
                if high == "\\":
                    high = self.literal(self.take())
                marks |= {mark for mark in MARKS if before <= mark <= high}
                if ord(high) - ord(before) > _MAX_CHARS:
                    wide = True
                else:
                    chars.update(map(chr, range(ord(before), ord(high) + 1)))
                before = ""
                continue
            chars.add(char)
            before = char
        if negated:
            # Only what is surely excluded counts: plain characters, and all where \P{Han} is.
            return _any(set() if no_marks else MARKS - chars)
        if wide or len(chars) > _MAX_CHARS:
            return _any(marks | (chars & MARKS))
        return _one(frozenset(chars))
