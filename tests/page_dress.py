"""Stories for made pages, and what a newspaper puts around an article."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜"
GIVEN = "子涵宇轩嘉怡明远思齐文博雨桐志强建国海燕春梅立新晓东云帆若兰景行丹青"
SLOGANS = (
    ["牢记嘱托", "砥砺前行 谱写新篇章"],
    ["走进田间地头", "倾听百姓心声"],
    ["奋进新征程 建功新时代"],
    ["调查研究 在路上"],
    ["聚力同心 共谋发展", "书写崭新答卷"],
)
FURNITURE = (
    "2024年5月17日 星期五",
    "第6版",
    "责任编辑：{name} 版式：{name}",
    "本版责编：{name}　电话：010-61234567",
    "A03 要闻",
    "投稿邮箱：news@example.com",
)
NUMBERS = ("{}、", "（{}）", "第{}章 ", "第{}节　", "{}. ", "之{}：")
BYLINES = (
    "本报记者 {name}",
    "本报记者 {name} 通讯员 {name}",
    "通讯员 {name} 本报记者 {name}",
    "本报记者 {name} {name}",
    "□ 本报记者 {name}",
    "记者 {name} 通讯员 {name} {name}",
    "本报记者 {name} 见习记者 {name} 文/图",
    "{name}",
)
CREDITS = (
    " {name} 摄",
    " {name} 摄",
    "（{name} 摄）",
    " 本报记者 {name} 摄",
    "（资料图片）",
    " {name}供图",
)


@dataclass(frozen=True)
class Story:
    """An article to lay out."""

    title: str
    paragraphs: tuple[str, ...]
    deck: str = ""
    kicker: str = ""
    byline: str = ""
    sections: tuple[tuple[int, str], ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Style:
    """How likely each trouble is."""

    stories: tuple[int, int] = (2, 6)
    cut: float = 0.7
    twice: float = 0.08
    columns: tuple[int, int] = (1, 4)
    late_headline: float = 0.12
    byline: float = 0.7
    deck: float = 0.35
    kicker: float = 0.15
    sections: float = 0.3
    parallel: float = 0.9
    head_on_top: float = 0.25
    captions: float = 0.3
    banner: float = 0.4
    furniture: float = 0.4
    slips: float = 0.0008
    split_title: float = 0.1
    blank: float = 0.85
    banners: tuple[tuple[str, ...], ...] = tuple(map(tuple, SLOGANS))


def _name(dice: random.Random) -> str:
    return dice.choice(SURNAMES) + "".join(dice.sample(GIVEN, dice.choice((1, 2, 2))))


def fill(pattern: str, dice: random.Random) -> str:
    while "{name}" in pattern:
        pattern = pattern.replace("{name}", _name(dice), 1)
    return pattern


def _clause(text: str, dice: random.Random, low: int, high: int) -> str:
    """A short clause of a text without its marks: does for a deck or a section head."""
    for mark in "。！？；：“”‘’（）()《》、":
        text = text.replace(mark, "，")
    fit = [part for part in text.split("，") if low <= len(part) <= high and not part.isdigit()]
    return dice.choice(fit) if fit else ""


def _section_heads(
    texts: Sequence[str], places: Sequence[int], dice: random.Random, style: Style
) -> list[tuple[int, str]]:
    """Heads for some paragraphs, mostly alike in form.

    Counted in the corpus ``official_media_articles``: of 155 articles with two to six such lines
    140 have them all in the same number of pieces; those of two have first pieces of one length
    in 6 of 14; a head and the next differ in length by a factor of 1.12 (median).
    """
    found: list[tuple[int, str]] = []
    parallel = dice.random() < style.parallel
    numbered, number = dice.random() < 0.2, dice.choice(NUMBERS)
    two, leads = dice.random() < 0.3, dice.choice(((4, 4), (5, 5), (4, 8)))
    size = dice.randint(4, 12)
    for place in places:
        near = "，".join(texts[place : place + 3])
        for _, other in found:
            near = near.replace(other.split()[-1], "")
        if parallel:
            head = _clause(near, dice, size - 1, size + 2)
        else:
            two, leads = dice.random() < 0.3, (4, 12)
            head = _clause(texts[place], dice, 4, 14)
        if head and two:
            first = _clause(near, dice, *leads) or _clause("，".join(texts), dice, *leads)
            head = f"{first} {head}" if first and first != head else "" if parallel else head
        if head:
            if numbered:
                head = number.format("一二三四五六"[len(found)]) + head
            found.append((place, head))
    return found


def dress(
    title: str,
    paragraphs: Sequence[str],
    dice: random.Random,
    style: Style,
    bylines: float | None = None,
) -> Story:
    """Give an article what a newspaper puts around it; pages differ in their habit of bylines."""
    texts = list(paragraphs)
    captions = []
    if dice.random() < style.captions and len(texts) > 3:
        short = [i for i, text in enumerate(texts[1:], 1) if 15 <= len(text) <= 90]
        if short:
            text = texts.pop(dice.choice(short))
            start = dice.choice(("", "", "图为", "上图：", "▲"))
            captions.append(start + text + fill(dice.choice(CREDITS), dice))
    deck = kicker = byline = ""
    if dice.random() < style.deck:
        clause = _clause("".join(texts), dice, 8, 24)
        deck = ("——" if dice.random() < 0.8 else "") + clause if clause else ""
    if dice.random() < style.kicker:
        kicker = _clause("".join(texts), dice, 5, 16)
    if dice.random() < (style.byline if bylines is None else bylines):
        byline = fill(dice.choice(BYLINES[:-1]), dice)
    sections: list[tuple[int, str]] = []
    if dice.random() < style.sections and len(texts) >= 5:
        places = dice.sample(range(1, len(texts)), min(len(texts) - 1, dice.choice((1, 2, 3))))
        sections = _section_heads(texts, sorted(places), dice, style)
    return Story(title, tuple(texts), deck, kicker, byline, tuple(sections), tuple(captions))
