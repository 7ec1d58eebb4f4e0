"""Strings of which every match of a pattern contains one, and how to choose among them."""

from __future__ import annotations

from dataclasses import dataclass

MAX_STRINGS = 64  # a finite set of strings is multiplied out up to this size
UNBOUNDED = 1 << 20

_EVERYWHERE = frozenset("，。的、")
_FREQUENT = frozenset("一是在了和有国中人上大为年不发会业这地生以到新成个时行来0123456789“”\n ")
FULL_STOPS = frozenset("。！？；\n")
MARKS = FULL_STOPS | frozenset("，：、“”（）《》 \u3000…")
"""Marks at which text can be cut for patterns that match none of them."""


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
        return Atoms(self.strings, add(self.before, before), add(self.after, after))


@dataclass(frozen=True)
class Need:
    """What is known of a pattern.

    Attributes:
        exact: all strings that it can match, where they are few; else None.
        atoms: None where nothing is known.
        longest: most characters of a match.
        marks: those of :data:`MARKS` that a match may hold.
    """

    exact: frozenset[str] | None
    atoms: Atoms | None
    longest: int
    marks: frozenset[str] = frozenset()

    @property
    def best(self) -> Atoms | None:
        """Its atoms, or its exact strings as such, whichever are rarer."""
        return better(as_atoms(self.exact), self.atoms)


def add(one: int, two: int) -> int:
    """The sum, at most :data:`UNBOUNDED`."""
    return min(UNBOUNDED, one + two)


def as_atoms(exact: frozenset[str] | None) -> Atoms | None:
    """All strings that a part can match, as atoms; None where it can match nothing."""
    return None if not exact or "" in exact else Atoms(exact)


def better(one: Atoms | None, two: Atoms | None) -> Atoms | None:
    """The rarer of the two."""
    if one is None or two is None:
        return two if one is None else one
    return min(one, two, key=_price)


def _price(atoms: Atoms) -> float:
    """A pattern that begins with its atoms can be matched right there, which is cheap."""
    return cost(atoms.strings) * (0.4 if not atoms.before else 1.0)


def cost(atoms: frozenset[str]) -> float:
    """How often one of the strings is likely to occur in a thousand characters."""
    return sum(
        (40.0 if atom in _EVERYWHERE else 8.0 if atom in _FREQUENT else 1.0)
        if len(atom) == 1
        else 0.1 ** (len(atom) - 1)
        for atom in atoms
    )


def shortest(atoms: Atoms) -> Atoms:
    """Without those that contain another."""
    kept: set[str] = set()
    before = after = 0  # characters of an atom around the one that stands for it
    for atom in sorted(atoms.strings, key=len):
        size = len(atom)
        parts = ((i, j) for i in range(size) for j in range(i + 1, size + 1))
        inner = next((part for part in parts if atom[part[0] : part[1]] in kept), None)
        if inner is None:
            kept.add(atom)
        else:
            before, after = max(before, inner[0]), max(after, size - inner[1])
    return Atoms(frozenset(kept), add(atoms.before, before), add(atoms.after, after))


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
        atoms = as_atoms(self.strings)
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
