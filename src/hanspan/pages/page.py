"""The value types of a page that has been read: who owns which block, and its articles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hanspan.data import Document
from hanspan.pages import forms
from hanspan.pages.blocks import Block

PARAGRAPH, HEADLINE, KICKER, SUBTITLE, BYLINE, SECTION, CAPTION, BANNER, FURNITURE = (
    "paragraph",
    "headline",
    "kicker",
    "subtitle",
    "byline",
    "section",
    "caption",
    "banner",
    "furniture",
)
NOBODY = -1

Pieces = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Join:
    """Two blocks that are one paragraph: the first was cut, the second goes on.

    Attributes:
        first: index of the block that was cut.
        second: index of the block that continues it.
        score: probability that they belong together.
    """

    first: int
    second: int
    score: float


@dataclass(frozen=True, slots=True)
class Layout:
    """What each block is and whose it is.

    Attributes:
        roles: one a block.
        owners: number of the article, or :data:`NOBODY` for what belongs to the page.
        joins: cut paragraphs that were put together.
        doubts: for each block the probability that its owner is wrong.
    """

    roles: tuple[str, ...]
    owners: tuple[int, ...]
    joins: tuple[Join, ...] = ()
    doubts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an article's text, or of its furniture, and where it stands in the source.

    Attributes:
        text: the characters, those of all ``pieces`` put together.
        pieces: ranges of the source text.
        blocks: indices of the blocks it was made from.
    """

    text: str
    pieces: Pieces
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A range of the source text that no article has, and why."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Article:
    """One article of a page."""

    paragraphs: tuple[Part, ...]
    title: tuple[Part, ...] = ()
    kicker: tuple[Part, ...] = ()
    subtitle: tuple[Part, ...] = ()
    byline: tuple[Part, ...] = ()
    captions: tuple[Part, ...] = ()
    sections: tuple[tuple[int, Part], ...] = ()
    confidence: float = 1.0

    def parts(self) -> Iterator[Part]:
        """Everything that the article owns."""
        yield from (*self.kicker, *self.title, *self.subtitle, *self.byline)
        yield from (*self.paragraphs, *self.captions, *(part for _, part in self.sections))

    @property
    def text(self) -> str:
        """The paragraphs, one a line."""
        return "\n".join(part.text for part in self.paragraphs)


@dataclass(frozen=True, slots=True)
class Page:
    """A source text, taken apart.

    Attributes:
        source: the decoded text that all ranges count in.
        blocks: its blocks in reading order.
        layout: their roles and owners.
        articles: the articles in the order of their first block.
        dropped: every range that no article has; with the articles it covers the source.
    """

    source: str
    blocks: tuple[Block, ...]
    layout: Layout
    articles: tuple[Article, ...]
    dropped: tuple[Dropped, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def characters(self) -> Counter[str]:
        """How many characters of the source went where; the sum is its length."""
        count: Counter[str] = Counter()
        for article in self.articles:
            for part in article.parts():
                count["articles"] += sum(end - start for start, end in part.pieces)
        for drop in self.dropped:
            count[drop.reason] += drop.end - drop.start
        return count


def documents(page: Page, name: str, before: int = 0, offset: int = 0) -> Iterator[Document]:
    """One document an article.

    Args:
        page: taken apart.
        name: of the source; begins their ids.
        before: articles of the source that came before this page.
        offset: where the page begins in the source; raw ranges count in the source.
    """
    banner = "\n".join(
        block.text
        for block, role in zip(page.blocks, page.layout.roles, strict=True)
        if role == BANNER
    )
    for number, article in enumerate(page.articles, before + 1):
        meta: dict[str, Any] = {"source": name, **page.meta}
        for key in ("kicker", "title", "subtitle", "byline"):
            if parts := getattr(article, key):
                meta[key] = " ".join(part.text for part in parts)
        for key in ("reporters", "correspondents", "photographers"):
            people = [
                person
                for part in article.byline
                if (line := forms.byline(part.text))
                for person in getattr(line, key)
            ]
            if people:
                meta[key] = people
        if article.paragraphs and (opening := forms.dateline(article.paragraphs[0].text)):
            meta["dateline"] = opening
        if article.sections:
            meta["sections"] = [
                {"before": place, "text": part.text, "raw": _lists(part.pieces, offset)}
                for place, part in article.sections
            ]
        if article.captions:
            meta["captions"] = [
                {"text": part.text, "raw": _lists(part.pieces, offset)} for part in article.captions
            ]
        if banner:
            meta["banner"] = banner
        meta["confidence"] = round(article.confidence, 3)
        place, paragraphs = 0, []
        for part in article.paragraphs:
            end = place + len(part.text)
            paragraphs.append({"start": place, "end": end, "raw": _lists(part.pieces, offset)})
            place = end + 1
        meta["paragraphs"] = paragraphs
        yield Document(f"{name}-a{number}", article.text, meta=meta)


def _lists(pieces: Pieces, offset: int) -> list[list[int]]:
    return [[offset + start, offset + end] for start, end in pieces]


def assemble(source: str, blocks: tuple[Block, ...], layout: Layout) -> Page:
    """Put the articles together from blocks and their owners, and list what is left over."""
    before = {join.second: join.first for join in layout.joins}
    names = sorted({owner for owner in layout.owners if owner != NOBODY})
    articles = []
    loose: list[Dropped] = []
    for name in names:
        mine = [block for block in blocks if layout.owners[block.index] == name]
        article = _article(mine, layout, before)
        if article.paragraphs:
            articles.append((mine[0].index, article))
        else:
            for block in mine:
                reason = f"{layout.roles[block.index]} without text"
                loose.extend(Dropped(start, end, reason) for start, end in block.pieces)
    for block in blocks:
        if layout.owners[block.index] == NOBODY:
            reason = block.reason or layout.roles[block.index]
            loose.extend(Dropped(start, end, reason) for start, end in block.pieces)
    ordered = tuple(article for _, article in sorted(articles, key=lambda pair: pair[0]))
    used = [piece for article in ordered for part in article.parts() for piece in part.pieces]
    gaps = _rest(source, sorted([*used, *((drop.start, drop.end) for drop in loose)]))
    dropped = sorted([*loose, *gaps], key=lambda drop: drop.start)
    return Page(source, blocks, layout, ordered, tuple(dropped))


def _article(mine: list[Block], layout: Layout, before: Mapping[int, int]) -> Article:
    by_role: dict[str, list[Part]] = {}
    chains: list[list[Block]] = []
    tails: dict[int, list[Block]] = {}
    sections: list[tuple[int, Part]] = []
    for block in mine:
        role = layout.roles[block.index]
        if role == PARAGRAPH:
            chain = tails.get(before.get(block.index, NOBODY))
            if chain is None:
                chain = []
                chains.append(chain)
            chain.append(block)
            tails[block.index] = chain
        elif role == SECTION:
            sections.append((len(chains), _part([block])))
        else:
            by_role.setdefault(role, []).append(_part([block]))
    body = [block.index for block in mine if layout.roles[block.index] == PARAGRAPH]
    doubt = 0.0
    if layout.doubts and body:
        doubt = sum(layout.doubts[index] for index in body) / len(body)
    return Article(
        tuple(_part(chain) for chain in chains),
        tuple(by_role.get(HEADLINE, ())),
        tuple(by_role.get(KICKER, ())),
        tuple(by_role.get(SUBTITLE, ())),
        tuple(by_role.get(BYLINE, ())),
        tuple(by_role.get(CAPTION, ())),
        tuple(sections),
        1.0 - doubt,
    )


def _part(chain: list[Block]) -> Part:
    return Part(
        "".join(block.text for block in chain),
        tuple(piece for block in chain for piece in block.pieces),
        tuple(block.index for block in chain),
    )


def _rest(source: str, used: list[tuple[int, int]]) -> Iterator[Dropped]:
    """What lies between the used ranges: white space, and characters that cannot be seen."""
    place = 0
    for start, end in [*used, (len(source), len(source))]:
        while place < start:
            reason = "white space" if source[place].isspace() else "invisible characters"
            stop = place + 1
            while stop < start and source[stop].isspace() == source[place].isspace():
                stop += 1
            yield Dropped(place, stop, reason)
            place = stop
        place = max(place, end)
