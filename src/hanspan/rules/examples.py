"""The examples beside every rule: marked spans must be found, other sentences must not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hanspan.data import Document
from hanspan.errors import HanspanError
from hanspan.rules.contract import RuleInfo
from hanspan.rules.marks import marked
from hanspan.rules.ruleset import RuleSet


@dataclass(frozen=True)
class Failure:
    """An example that a rule does not keep.

    Attributes:
        info: the rule.
        example: as written.
        found: what the rule found, ``surface|LABEL``.
        expected: what it should have found.
    """

    info: RuleInfo
    example: str
    found: tuple[str, ...]
    expected: tuple[str, ...]

    def __str__(self) -> str:
        found = "、".join(self.found) or "nothing"
        expected = "、".join(self.expected) or "nothing"
        return f"{self.info.where}: {self.example}: found {found}, expected {expected}"


def check_examples(rules: RuleSet, names: Iterable[str] = ()) -> Iterator[Failure | RuleInfo]:
    """Try every rule on its own examples.

    Args:
        rules: the set; a rule of the second pass sees the votes of all rules.
        names: only these rules; all when empty.

    Yields:
        A Failure for each example that is not kept, and the RuleInfo of a rule that has no
        example at all.
    """
    wanted = set(names)
    for number, info in enumerate(rules.infos):
        if wanted and info.name not in wanted:
            continue
        if not info.yes and not info.no:
            yield info
            continue
        # Alone it is quicker, and another rule's failure is not taken for its own.
        alone = rules if info.after else rules.subset({info.name})
        number = number if info.after else 0
        for example in (*info.yes, *info.no):
            failure = _check(alone, number, info, example, example in info.yes)
            if failure is not None:
                yield failure


def _check(
    rules: RuleSet, number: int, info: RuleInfo, example: str, positive: bool
) -> Failure | None:
    text, spans = marked(example)
    try:
        votes, topics = rules.votes(Document("example", text))
    except HanspanError as err:
        return Failure(info, example, (str(err),), ())
    if info.topical:
        found = {t.label for t in topics if t.source == info.source}
        if bool(found) == positive:
            return None
        return Failure(info, example, tuple(found), info.labels if positive else ())
    mine = sorted({(s, e, label) for s, e, label, n, _ in votes if n == number})
    seen = tuple(f"{text[s:e]}|{label}" for s, e, label in mine)
    if not positive:
        return Failure(info, example, seen, ()) if mine else None
    if not spans:
        return Failure(info, example, ("no [[mark]] in the example",), ("[[…]]",))
    labelled = [(s, e, label or _at(mine, s, e)) for s, e, label in spans]
    if labelled == mine:
        return None
    expected = tuple(f"{text[s:e]}|{label or '/'.join(info.labels)}" for s, e, label in spans)
    return Failure(info, example, seen, expected)


def _at(mine: list[tuple[int, int, str]], start: int, end: int) -> str:
    return next((label for s, e, label in mine if (s, e) == (start, end)), "")
