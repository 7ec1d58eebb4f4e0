"""Makes newspaper pages out of articles, and knows the truth about every line.

Articles are cut into columns; the columns of two to six articles are laid one after the other in
an order that keeps each article's own. A column may end inside a sentence, a word, a number or a
quotation. Around them stand banners, kickers, bylines, captions, section heads, furniture.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from page_dress import FURNITURE, Story, Style, dress, fill

__all__ = ["NOBODY", "Line", "MadePage", "Score", "Story", "Style", "dress", "make_page"]

NOBODY = -1


@dataclass(frozen=True)
class Line:
    """One line of a page: its place, whose it is and what."""

    start: int
    end: int
    story: int
    role: str
    paragraph: int = -1
    part: int = 0


@dataclass(frozen=True)
class MadePage:
    """A page and the truth about it."""

    text: str
    lines: tuple[Line, ...]
    stories: tuple[Story, ...]

    def cuts(self) -> set[tuple[int, int]]:
        """End of the first and start of the second half of each paragraph that was cut."""
        places = {
            (line.story, line.paragraph, line.part): line
            for line in self.lines
            if line.role == "paragraph"
        }
        return {
            (places[story, paragraph, part - 1].end, line.start)
            for (story, paragraph, part), line in places.items()
            if part
        }


def _slip(text: str, dice: random.Random, rate: float) -> str:
    """Slips of recognition: a character lost or doubled, a blank put in, a quote lost."""
    out = []
    for place, char in enumerate(text):
        if 0 < place < len(text) - 1 and dice.random() < rate:
            out.append(dice.choice(("", char * 2, char + " ", "口")))
        elif char in "”’）" and dice.random() < rate * 10:
            continue
        else:
            out.append(char)
    return "".join(out)


def _cut(text: str, dice: random.Random) -> int:
    """A place to cut: seldom after a comma, never at a sentence's end."""
    edge = 8 if dice.random() < 0.7 and len(text) > 24 else 2
    for _ in range(50):
        place = dice.randrange(edge, len(text) - edge)
        if (
            text[place - 1] in "。！？…”"
            or text[place] in "。，、；：！？”’）》…"
            or " " in text[place - 1 : place + 1]
        ):
            continue
        return place
    return 0


def _columns(
    story: Story, number: int, dice: random.Random, style: Style
) -> list[list[tuple[str, Line]]]:
    """Columns of (text, truth with places still to come)."""
    texts = [_slip(text, dice, style.slips) for text in story.paragraphs]
    heads: dict[int, list[str]] = {}
    for place, head in story.sections:
        heads.setdefault(place, []).append(head)
    rows: list[list[tuple[str, Line]]] = []
    for index, text in enumerate(texts):
        group = [(head, Line(0, 0, number, "section")) for head in heads.get(index, ())]
        group.append((text, Line(0, 0, number, "paragraph", index)))
        rows.append(group)
    wanted = dice.randint(*style.columns)
    borders = set(dice.sample(range(len(rows)), min(len(rows), wanted - 1)))
    tops = {place for place in heads if borders and dice.random() < style.head_on_top}
    borders |= tops  # columns like to begin with a section head
    columns: list[list[tuple[str, Line]]] = [[]]
    for index, group in enumerate(rows):
        if index not in borders:
            columns[-1].extend(group)
            continue
        text, line = group[-1]
        cut = index not in tops and len(text) >= 12 and dice.random() < style.cut
        place = _cut(text, dice) if cut else 0
        if not place:
            if columns[-1]:
                columns.append([])
            columns[-1].extend(group)
            continue
        columns[-1].extend([*group[:-1], (text[:place], line)])
        rest, part = text[place:], 1
        if len(rest) > 60 and dice.random() < style.twice and (again := _cut(rest, dice)):
            columns.append([(rest[:again], Line(0, 0, number, "paragraph", line.paragraph, 1))])
            rest, part = rest[again:], 2
        columns.append([(rest, Line(0, 0, number, "paragraph", line.paragraph, part))])
    return columns


def _headlines(
    story: Story, number: int, dice: random.Random, style: Style
) -> list[tuple[str, Line]]:
    lines = []
    if story.kicker:
        lines.append((story.kicker, Line(0, 0, number, "kicker")))
    title = story.title
    if " " in title.strip() and dice.random() < style.split_title:
        first, second = title.strip().split(" ", 1)
        lines += [(first, Line(0, 0, number, "headline")), (second, Line(0, 0, number, "headline"))]
    else:
        lines.append((title, Line(0, 0, number, "headline")))
    if story.deck:
        lines.append((story.deck, Line(0, 0, number, "subtitle")))
    if story.byline:
        lines.append((story.byline, Line(0, 0, number, "byline")))
    return lines


def make_page(stories: Sequence[Story], seed: int, style: Style | None = None) -> MadePage:
    """Lay the stories out on one page."""
    style = style or Style()
    dice = random.Random(seed)
    waiting: list[list[list[tuple[str, Line]]]] = []
    for number, story in enumerate(stories):
        columns = _columns(story, number, dice, style)
        place = 0
        if len(columns) > 1 and dice.random() < style.late_headline:
            place = dice.randrange(1, len(columns))
        columns[place] = [*_headlines(story, number, dice, style), *columns[place]]
        for caption in story.captions:
            column = dice.choice(columns)
            spots = [i for i, (_, line) in enumerate(column) if line.role == "paragraph"]
            if spots:
                spot = dice.choice([*spots, len(column)])
                column.insert(spot, (caption, Line(0, 0, number, "caption")))
        waiting.append(columns)
    stay = dice.choice((0.2, 0.5, 0.8))
    order = list(range(len(waiting)))
    laid: list[tuple[str, Line]] = []
    last = NOBODY
    while any(waiting):
        started = [n for n in order if waiting[n] and len(waiting[n]) > 0]
        if last in started and dice.random() < stay:
            number = last
        else:
            # layouts keep to a neighbourhood: mostly one of the first articles not yet done
            number = started[min(len(started) - 1, int(dice.expovariate(1.0)))]
        laid.extend(waiting[number].pop(0))
        last = number
    front: list[tuple[str, Line]] = []
    if dice.random() < style.furniture:
        front.append((fill(dice.choice(FURNITURE), dice), Line(0, 0, NOBODY, "furniture")))
    if dice.random() < style.banner:
        front += [(text, Line(0, 0, NOBODY, "banner")) for text in dice.choice(style.banners)]
    if dice.random() < style.furniture:
        laid.append((fill(dice.choice(FURNITURE), dice), Line(0, 0, NOBODY, "furniture")))
    return _write([*front, *laid], stories, dice, style)


def _write(
    rows: list[tuple[str, Line]], stories: Sequence[Story], dice: random.Random, style: Style
) -> MadePage:
    text, lines = "", []
    spaced = dice.random() < style.blank
    tight = dice.random() < 0.3
    for place, (line, truth) in enumerate(rows):
        start = len(text)
        text += line
        lines.append(Line(start, len(text), truth.story, truth.role, truth.paragraph, truth.part))
        after = rows[place + 1][1].role if place + 1 < len(rows) else ""
        together = (truth.role, after) in {
            ("banner", "banner"),
            ("headline", "byline"),
            ("headline", "headline"),
            ("kicker", "headline"),
        }
        text += (
            "\n"
            if not spaced or (together and tight) or (truth.role == after == "banner")
            else "\n\n"
        )
    return MadePage(text, tuple(lines), tuple(stories))


@dataclass
class Score:
    """Counts over pages; the properties are shares."""

    characters: int = 0
    right: int = 0
    cuts: int = 0
    rejoined: int = 0
    joins: int = 0
    false: int = 0
    paragraphs: int = 0
    whole: int = 0
    articles: int = 0
    found: int = 0
    roles: dict[str, list[int]] = field(default_factory=dict)

    def add(
        self,
        made: MadePage,
        groups: Sequence[Sequence[Sequence[tuple[int, int]]]],
        roles: Sequence[tuple[int, int, str]] = (),
    ) -> None:
        """Count one page.

        Args:
            made: the truth.
            groups: for each article found, its parts (paragraphs first or last, no matter), each
                a list of ranges of the page's text.
            roles: start, end and role of whatever was found.
        """
        owner: dict[int, int] = {}
        for number, parts in enumerate(groups):
            for part in parts:
                for start, end in part:
                    owner.update(dict.fromkeys(range(start, end), number))
        shared: dict[tuple[int, int], int] = {}
        for line in made.lines:
            if line.story == NOBODY:
                continue
            self.characters += line.end - line.start
            for place in range(line.start, line.end):
                if place in owner:
                    key = owner[place], line.story
                    shared[key] = shared.get(key, 0) + 1
        taken: set[int] = set()
        matched: set[int] = set()
        for (number, story), size in sorted(shared.items(), key=lambda item: -item[1]):
            if number not in matched and story not in taken:
                self.right += size
                matched.add(number)
                taken.add(story)
        self.articles += len(made.stories)
        self.found += len(groups)
        truth = made.cuts()
        joins = set()
        have = set()
        for parts in groups:
            for part in parts:
                have.add(tuple(part))
                joins |= {(a[1], b[0]) for a, b in pairwise(part)}
        self.cuts += len(truth)
        self.rejoined += len(truth & joins)
        self.joins += len(joins)
        self.false += len(joins - truth)
        pieces: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for line in made.lines:
            if line.role == "paragraph":
                pieces.setdefault((line.story, line.paragraph), []).append((line.start, line.end))
        self.paragraphs += len(pieces)
        self.whole += sum(tuple(parts) in have for parts in pieces.values())
        named = {(start, end): role for start, end, role in roles}
        for line in made.lines:
            if roles:
                tally = self.roles.setdefault(line.role, [0, 0])
                tally[0] += named.get((line.start, line.end)) == line.role
                tally[1] += 1
