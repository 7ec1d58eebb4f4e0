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
_EVERYWHERE = frozenset("，。的、")
_FREQUENT = frozenset("一是在了和有国中人上大为年不发会业这地生以到新成个时行来0123456789“”\n ")
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}


class _Unknown(Exception):
    """Syntax that is not understood."""


@dataclass(frozen=True)
class Atoms:
    """Strings of which every match contains one.

    Attributes:
        strings: never empty, none of them empty.
        before: most characters of a match that can stand before the string.
        after: ... behind it.
    """

    strings: frozenset[str]
    before: int = 0
    after: int = 0

    def inside(self, before: int, after: int) -> Atoms:
        """The same, seen from a larger pattern."""
        return Atoms(self.strings, _add(self.before, before), _add(self.after, after))


@dataclass(frozen=True)
class Need:
    """What is known of a pattern.

    Attributes:
        exact: all strings that it can match, where they are few; else None.
        atoms: None where nothing is known.
        longest: most characters of a match.
    """

    exact: frozenset[str] | None
    atoms: Atoms | None
    longest: int

    @property
    def best(self) -> Atoms | None:
        """Its atoms, or its exact strings as such, whichever are rarer."""
        return _better(_atoms(self.exact), self.atoms)


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
    best = need.best
    return Need(need.exact, None if best is None else _shortest(best), need.longest)


def _add(one: int, two: int) -> int:
    return min(UNBOUNDED, one + two)


def _atoms(exact: frozenset[str] | None) -> Atoms | None:
    return None if not exact or "" in exact else Atoms(exact)


def _better(one: Atoms | None, two: Atoms | None) -> Atoms | None:
    if one is None or two is None:
        return two if one is None else one
    return min(one, two, key=lambda atoms: cost(atoms.strings))


def cost(atoms: frozenset[str]) -> float:
    """How often one of the strings is likely to occur in a thousand characters."""
    return sum(
        (40.0 if atom in _EVERYWHERE else 8.0 if atom in _FREQUENT else 1.0)
        if len(atom) == 1
        else 0.1 ** (len(atom) - 1)
        for atom in atoms
    )


def _shortest(atoms: Atoms) -> Atoms:
    """Without those that contain another."""
    kept: set[str] = set()
    lengths = [len(atom) for atom in atoms.strings]
    slack = max(lengths) - min(lengths)
    for atom in sorted(atoms.strings, key=len):
        parts = {atom[i:j] for i in range(len(atom)) for j in range(i + 1, len(atom) + 1)}
        if not parts & kept:
            kept.add(atom)
    return Atoms(frozenset(kept), _add(atoms.before, slack), _add(atoms.after, slack))


class Run:
    """All strings that the last few parts of a row can make, multiplied out.

    Attributes:
        strings: which.
        begin: most characters of the row before them.
    """

    def __init__(self, begin: int = 0) -> None:
        self.strings: frozenset[str] = frozenset({""})
        self.begin = begin
        self._last: frozenset[str] = frozenset()
        self._last_begin = begin

    def grow(self, part: Need, begin: int) -> bool:
        """Join a part to it; False where it is not exact or the strings would be too many."""
        if part.exact is None or len(self.strings) * len(part.exact) > MAX_STRINGS:
            return False
        self.strings = frozenset(a + b for a in self.strings for b in part.exact)
        self._last, self._last_begin = part.exact, begin
        return True

    def needs(self, end: int) -> list[tuple[Atoms, int]]:
        """What it says of the row."""
        atoms = _atoms(self.strings)
        return [] if atoms is None else [(atoms.inside(self.begin, 0), end)]

    def restart(self, exact: frozenset[str], begin: int) -> Run:
        """A run of the last part and one more, or of that one alone."""
        run = Run(begin)
        run.strings = exact
        if 0 < len(self._last) * len(exact) <= MAX_STRINGS:
            run.begin = self._last_begin
            run.strings = frozenset(a + b for a in self._last for b in exact)
        run._last, run._last_begin = exact, begin
        return run


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
        if atoms is not None and len(atoms.strings) > MAX_ATOMS:
            atoms = None
        if exact is not None and len(exact) > MAX_ATOMS:
            exact = None
        return Need(exact, atoms, max(branch.longest for branch in branches))

    def row(self) -> Need:
        """Parts that follow each other."""
        run = Run()
        seen: list[tuple[Atoms, int]] = []  # what is needed, and characters up to its end
        whole, longest = True, 0
        while self.position < len(self.pattern) and self.peek() not in "|)":
            part = self.repeated()
            begin, longest = longest, _add(longest, part.longest)
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
            best = _better(best, atoms.inside(0, longest - end if longest < UNBOUNDED else longest))
        return Need(run.strings if whole else None, best, longest)

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
                other = _add(longest, -part.longest)
                best = part.best
                part = Need(None, best and best.inside(other, other), longest)

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
