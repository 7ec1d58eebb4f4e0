"""Why a text is labelled as it is: votes, vetoes, and what the vote makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hanspan.data import Document, Span
from hanspan.rules.contract import RuleInfo, TopicVote
from hanspan.rules.ruleset import RuleSet, Veto


@dataclass(frozen=True)
class Explanation:
    """What rules said of one document.

    Attributes:
        document: as given.
        rules: the set.
        spans: all votes.
        topics: all topic votes.
        counted: by source of a topic rule, the words it counted and their weights in all.
        vetoes: candidates that a rule's own settings stopped.
        result: the document after the vote; None where none was given.
    """

    document: Document
    rules: RuleSet
    spans: tuple[Span, ...]
    topics: tuple[TopicVote, ...]
    counted: Mapping[str, Mapping[str, float]]
    vetoes: tuple[Veto, ...]
    result: Document | None

    def info(self, source: str) -> RuleInfo:
        """The rule of a source."""
        return next(info for info in self.rules.infos if info.source == source)


def explain(
    rules: RuleSet, document: Document, vote: Callable[[Document], Document] | None = None
) -> Explanation:
    """Apply rules to one document and keep everything that they said.

    Args:
        rules: the set.
        document: its own spans are not seen.
        vote: what makes flat spans of votes.

    Raises:
        RuleError: for a rule that fails.
    """
    vetoes: list[Veto] = []
    _, topics = rules.votes(document, vetoes=vetoes)
    voted = rules.apply(document)
    return Explanation(
        document, rules, voted.spans, tuple(topics), rules.counted(document),
        tuple(sorted(set(vetoes), key=_place)), vote(voted) if vote else None,
    )  # fmt: skip


def _place(veto: Veto) -> tuple[int, int, str]:
    return veto.start, veto.end, veto.rule
