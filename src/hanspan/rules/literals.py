"""What a pattern must contain: strings of which every match holds one, and how long it can be.

A reader of the part of re2's syntax that rules use. Anything else is answered by "unknown",
which only means that the pattern is run on every text.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_STRINGS = 64  # a finite set of strings is multiplied out up to this size
MAX_ATOMS = 4000
MAX_CHARS = 64  # a class of more characters says nothing
UNBOUNDED = 1 << 20

_DIGITS = frozenset("0123456789")
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}


class _Unknown(Exception):
    """Syntax that is not understood."""


@dataclass(frozen=True)
class Need:
    """What is known of a pattern.

    Attributes:
        exact: all strings that it can match, where they are few; else None.
        atoms: every match contains one of these; None where nothing is known.
        longest: most characters of a match.
    """

    exact: frozenset[str] | None
    atoms: frozenset[str] | None
    longest: int


_EMPTY = Need(frozenset({""}), None, 0)
_ANY = Need(None, None, 1)


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
        return Need(None, None, UNBOUNDED)
    atoms = _better(_atoms(need.exact), need.atoms)
    return Need(need.exact, None if atoms is None else _shortest(atoms), need.longest)


def _atoms(exact: frozenset[str] | None) -> frozenset[str] | None:
    return None if not exact or "" in exact else exact


def _better(one: frozenset[str] | None, two: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or two is None:
        return two if one is None else one

    def rank(atoms: frozenset[str]) -> tuple[int, int]:
        return -min(3, min(map(len, atoms))), len(atoms)

    return min(one, two, key=rank)


def _shortest(atoms: frozenset[str]) -> frozenset[str]:
    """Without those that contain another."""
    kept: set[str] = set()
    for atom in sorted(atoms, key=len):
        parts = {atom[i:j] for i in range(len(atom)) for j in range(i + 1, len(atom) + 1)}
        if not parts & kept:
            kept.add(atom)
    return frozenset(kept)


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
        atoms: frozenset[str] | None = frozenset()
        for branch in branches:
            exact = None if exact is None or branch.exact is None else exact | branch.exact
            own = _better(_atoms(branch.exact), branch.atoms)
            atoms = None if atoms is None or own is None else atoms | own
        if atoms is not None and len(atoms) > MAX_ATOMS:
            atoms = None
        if exact is not None and len(exact) > MAX_ATOMS:
            exact = None
        return Need(exact, atoms, max(branch.longest for branch in branches))

    def row(self) -> Need:
        """Parts that follow each other."""
        run: frozenset[str] = frozenset({""})
        last: frozenset[str] = frozenset()  # the part before this one, where exact
        whole, best, longest = True, None, 0
        while self.position < len(self.pattern) and self.peek() not in "|)":
            part = self.repeated()
            longest = min(UNBOUNDED, longest + part.longest)
            if part.exact is not None and len(run) * len(part.exact) <= MAX_STRINGS:
                run = frozenset(a + b for a in run for b in part.exact)
                last = part.exact
                continue
            best = _better(best, _better(_atoms(run), part.atoms))
            if part.exact is None:
                whole, run, last = False, frozenset({""}), frozenset()
            elif run == {""}:  # one large part is still exact as long as nothing else follows
                run = last = part.exact
            else:
                best = _better(best, _atoms(part.exact))
                both = len(last) * len(part.exact)
                run = part.exact
                if 0 < both <= MAX_STRINGS:
                    run = frozenset(a + b for a in last for b in part.exact)
                whole, last = False, part.exact
        if whole:
            return Need(run, best, longest)
        return Need(None, _better(best, _atoms(run)), longest)

    def repeated(self) -> Need:
        """A part with its repeat."""
        part = self.part()
        while True:
            low, high = self.count()
            if low < 0:
                return part
            longest = min(UNBOUNDED, part.longest * high) if part.longest else 0
            if (low, high) == (0, 1) and part.exact is not None:
                part = Need(part.exact | {""}, None, longest)
            elif low == 0:
                part = Need(None, None, longest)
            elif (low, high) != (1, 1):
                part = Need(None, _better(_atoms(part.exact), part.atoms), longest)

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
            return _ANY
        if char in "^$":
            return _EMPTY
        if char == "\\":
            return self.escape()
        if char in "*+?)":
            raise _Unknown
        return Need(frozenset({char}), None, 1)

    def escape(self) -> Need:
        """What stands behind a backslash."""
        char = self.take()
        if char in "bBAz":
            return _EMPTY
        if char in "pP":
            self.property()
            return _ANY
        if char in "dDwWsS":
            return Need(_DIGITS, None, 1) if char == "d" else _ANY
        return Need(frozenset({self.literal(char)}), None, 1)

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

    def property(self) -> None:
        """Pass over ``{Han}`` or ``L``."""
        if self.take() == "{":
            self.position = self.pattern.index("}", self.position) + 1

    def char_class(self) -> Need:
        """``[...]``; exact where it holds few characters."""
        open_ended = self.skip("^")
        chars: set[str] = set()
        first, before = True, ""
        while True:
            char = self.take()
            if char == "]" and not first:
                break
            first = False
            if char == "[" and self.peek() == ":":
                raise _Unknown
            if char == "\\":
                char = self.take()
                if char in "pP":
                    self.property()
                    open_ended, before = True, ""
                    continue
                if char in "dDwWsS":
                    if char == "d":
                        chars |= _DIGITS
                    else:
                        open_ended = True
                    before = ""
                    continue
                char = self.literal(char)
            elif char == "-" and before and self.peek() != "]":
                high = self.take()
                if high == "\\":
                    high = self.literal(self.take())
                if ord(high) - ord(before) > MAX_CHARS:
                    open_ended = True
                else:
                    chars.update(map(chr, range(ord(before), ord(high) + 1)))
                before = ""
                continue
            chars.add(char)
            before = char
        if open_ended or len(chars) > MAX_CHARS:
            return _ANY
        return Need(frozenset(chars), None, 1)
