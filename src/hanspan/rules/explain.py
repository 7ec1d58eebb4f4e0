"""Why a text is labelled as it is: votes, vetoes, and what the vote makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        vetoes: candidates that a rule's own settings stopped.
        result: the document after the vote; None where no label model can be imported.
    """

    document: Document
    rules: RuleSet
    spans: tuple[Span, ...]
    topics: tuple[TopicVote, ...]
    vetoes: tuple[Veto, ...]
    result: Document | None

    def info(self, source: str) -> RuleInfo:
        """The rule of a source."""
        return next(info for info in self.rules.infos if info.source == source)


def explain(rules: RuleSet, document: Document) -> Explanation:
    """Apply rules to one document and keep everything that they said.

    Raises:
        RuleError: for a rule that fails.
    """
    vetoes: list[Veto] = []
    _, topics = rules.votes(document, vetoes=vetoes)
    voted = rules.apply(document)
    return Explanation(
        document, rules, voted.spans, tuple(topics), tuple(sorted(set(vetoes), key=_place)),
        _vote(rules, voted),
    )  # fmt: skip


def _place(veto: Veto) -> tuple[int, int, str]:
    return veto.start, veto.end, veto.rule


def _vote(rules: RuleSet, voted: Document) -> Document | None:
    try:
        from hanspan.labelmodel import vote
    except ImportError:
        return None
    from hanspan.weak import describe

    return next(iter(vote([voted], describe(rules))))


def render(what: Explanation, screen: Any) -> None:
    """Print an explanation with colours."""
    from rich.table import Table
    from rich.text import Text

    from hanspan.terminal import coloured

    kept = {(s.start, s.end, s.label) for s in what.result.spans} if what.result else set()
    table = Table(box=None, pad_edge=False)
    for head in ("at", "span", "label", "rule", "kind", "weight", "written in", "result"):
        table.add_column(head)
    for span in what.spans:
        info = what.info(span.source)
        fate = "wins" if (span.start, span.end, span.label) in kept else ""
        table.add_row(
            f"{span.start}:{span.end}",
            Text(what.document.surface(span), style="bold"),
            span.label,
            info.name,
            info.kind,
            f"{span.score:g}",
            f"{info.file.rsplit('/', 1)[-1]}:{info.line}",
            fate,
        )
    width = None if screen.is_terminal else 160
    screen.print(table if what.spans else "no rule fires", width=width)
    for veto in what.vetoes:
        surface = what.document.text[veto.start : veto.end]
        screen.print(
            Text(f"veto  {veto.start}:{veto.end} {surface} {veto.label} of {veto.rule}: {veto.why}")
        )
    for topic in what.topics:
        screen.print(Text(f"topic {topic.label} {topic.score:.2f} of {topic.source[5:]}"))
    if what.result is not None:
        screen.print("vote  ", coloured(what.result, what.rules.labels), sep="")
        if "topic" in what.result.labels:
            screen.print(Text(f"topic of the vote: {what.result.labels['topic']}"))
