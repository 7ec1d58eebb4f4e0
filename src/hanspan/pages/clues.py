"""What is known of each block before the page is untangled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hanspan.pages import blocks as kinds
from hanspan.pages import ends, forms, ngrams
from hanspan.pages.blocks import Block
from hanspan.pages.words import Bag, Words, words_of
from hanspan.text import CLOSERS, ENDS

_PAIRS = {"“": "”", "‘": "’", "「": "」", "《": "》", "（": "）", "(": ")", "【": "】"}
FAR = 60
"""Blocks below a cut one among which its continuation is sought."""
_NEVER_FIRST = "，。、；：！？”’）》」】)%％…"


@dataclass(frozen=True, slots=True)
class Clue:
    """One block, seen alone.

    Attributes:
        index: of the block.
        kind: of the block.
        size: characters.
        pieces: lengths of what blanks part; a headline or section head often has two.
        words: its pairs of characters.
        ending: ``stop``, ``colon`` (or semicolon), ``comma``, or ``open``: cut in a clause.
        start: log odds that it begins a paragraph.
        title: log odds that it is a title.
        dateline: whether it opens like a news text.
        misfit: whether it begins with what never begins a paragraph.
        opened: marks left open at its end.
        closed: marks closed that it never opened.
        tail: its last characters.
        head: its first characters.
        anchored: whether a byline or deck is the next block.
        anchored_later: whether one follows after more titles.
        signed: whether the block before it is a byline.
        text: index of the next block of running text, or -1.
        blank: whether a blank line stands before it.
        comma: whether a comma stands in it.
        numbered: whether it begins with a number as section heads do.
        anchors: titles on the page that have a byline or deck.
        loose: titles on the page that have none.
        goes_on: log odds that the next running text continues it, and is no beginning.
        later: for a block that was cut: the same for the best of all texts after a given one;
            pairs of index and odds, the odds falling.
        title_follows: log odds that the next block, a possible title, is one; or None.
        alone: a bag of its words.
        doubled: the same, counted twice, as for a title.
        more: what others add to the log odds that a later block, by its index, continues it.
        memo: features worked out once.
    """

    index: int
    kind: str
    size: int
    pieces: tuple[int, ...]
    words: Words
    ending: str
    start: float
    title: float
    dateline: bool
    misfit: bool
    opened: str
    closed: str
    tail: str
    head: str
    anchored: bool
    anchored_later: bool
    signed: bool
    text: int
    blank: bool
    comma: bool
    numbered: bool
    anchors: int
    loose: int
    goes_on: float
    later: tuple[tuple[int, float], ...]
    title_follows: float | None
    alone: Bag
    doubled: Bag
    more: Mapping[int, float]
    memo: dict[str, dict[str, float]] = field(default_factory=dict, compare=False)

    @property
    def open(self) -> bool:
        """Whether the block stops where no sentence does."""
        return self.ending in ("open", "comma")

    def forget(self) -> None:
        """Let go of what was worked out from its bags: the reading is far beyond it."""
        for bag in (self.alone, self.doubled):
            bag.more.clear()
            bag.fits.clear()

    def odds(self, other: Clue) -> float:
        """Log odds that a later block goes on where this one stops, against any other middle."""
        return ends.join_odds(self.tail, other.head) + self.more.get(other.index, 0.0)

    def best_after(self, index: int) -> float:
        """Log odds that the best text after block ``index`` continues it; -9 where none does."""
        return next((odds for place, odds in reversed(self.later) if place > index), -9.0)

    @property
    def like_a_cut(self) -> bool:
        """Whether it is less like a title than like the first half of the text that follows."""
        return self.open and self.title < 0.5 and self.goes_on > 1.0


def _marks(text: str) -> tuple[str, str]:
    """Marks left open, and marks closed without being opened."""
    waiting: list[str] = []
    closed: list[str] = []
    for char in text:
        if char in _PAIRS:
            waiting.append(_PAIRS[char])
        elif char in "”’」》）)】":
            if char in waiting:
                while waiting.pop() != char:
                    pass
            else:
                closed.append(char)
    return "".join(waiting), "".join(closed)


def _ending(text: str) -> str:
    last = text[-1]
    body = text.rstrip(CLOSERS)
    if body and (body[-1] in ENDS or (body[-1] == "." and not body[-2:-1].isdigit())):
        return "stop"
    if last in "：:；;":
        return "colon"
    return "comma" if last in "，、,——" else "open"


def _later(
    block: Block, heads: Sequence[tuple[int, str, float]], more: Mapping[int, float]
) -> tuple[tuple[int, float], ...]:
    """Texts after the block that could continue it, each better than all after it."""
    if block.kind not in (kinds.BODY, kinds.TITLE) or _ending(block.text) not in ("open", "comma"):
        return ()
    found: list[tuple[int, float]] = []
    tail, best = block.text[-ends.WINDOW :], -99.0
    near = [head for head in heads[-FAR:] if head[0] - block.index <= FAR]
    for index, head, start in near:  # from the far end of the page
        odds = ends.join_odds(tail, head) - start + more.get(index, 0.0)
        if odds > best:
            best = odds
            found.append((index, odds))
    return tuple(found)


def _habit(blocks: Sequence[Block]) -> tuple[int, int]:
    """How many titles have a byline or deck right below, and how many have not."""
    anchors = loose = 0
    for block, after in pairwise(blocks):
        if block.kind == kinds.TITLE:
            anchored = after.kind in (kinds.BYLINE, kinds.DECK)
            anchors += anchored
            loose += not anchored
    return anchors, loose


def gather(
    blocks: Sequence[Block], more: Mapping[int, Mapping[int, float]] | None = None
) -> list[Clue]:
    """The clues of all blocks of a page.

    Args:
        blocks: in reading order.
        more: index of a block -> of a later one -> what others add to the log odds of a join.
    """
    more = more or {}
    clues: list[Clue] = []
    anchored, text_after = False, -1
    anchors, loose = _habit(blocks)
    heads: list[tuple[int, str, float]] = []
    follows: float | None = None
    for block in reversed(blocks):
        text = block.text
        after = blocks[block.index + 1].kind if block.index + 1 < len(blocks) else ""
        if block.kind in (kinds.BYLINE, kinds.DECK):
            anchored = True
        elif block.kind == kinds.BODY:
            anchored, text_after = False, block.index
        start = ngrams.start_odds(text[:4])
        title = ngrams.title_odds(text) if block.kind == kinds.TITLE else -9.0
        opened, closed = _marks(text)
        words, nothing = words_of(text, block.index), Bag()
        goes_on = 0.0
        if text_after >= 0 and block.kind == kinds.TITLE:
            following = blocks[text_after].text
            goes_on = ends.join_odds(text[-ends.WINDOW :], following[: ends.WINDOW])
            goes_on -= ngrams.start_odds(following[:4])
            goes_on += more.get(block.index, {}).get(text_after, 0.0)
        clues.append(
            Clue(
                block.index,
                block.kind,
                len(text),
                tuple(map(len, text.split())) if block.kind == kinds.TITLE else (),
                words,
                _ending(text),
                start,
                title,
                forms.dateline(text) is not None,
                text[0] in _NEVER_FIRST,
                opened,
                closed,
                text[-ends.WINDOW :],
                text[: ends.WINDOW],
                after in (kinds.BYLINE, kinds.DECK),
                anchored and after == kinds.TITLE and block.kind == kinds.TITLE,
                block.index > 0 and blocks[block.index - 1].kind == kinds.BYLINE,
                text_after if block.kind != kinds.BODY else -1,
                block.gap,
                "，" in text,
                forms.numbered(text),
                anchors,
                loose,
                goes_on,
                _later(block, heads, more.get(block.index, {})),
                follows if after == kinds.TITLE else None,
                nothing.plus(words),
                nothing.plus(words, 2),
                more.get(block.index, {}),
            )
        )
        if block.kind in (kinds.BODY, kinds.TITLE):
            if start < 1:
                heads.append((block.index, text[: ends.WINDOW], start))
            follows = title if block.kind == kinds.TITLE else None
    clues.reverse()
    return clues
