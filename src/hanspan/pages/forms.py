"""What a line of a page is by its form alone: byline, caption, dateline, furniture, title.

Each function looks at one line of cleaned text. Nothing here knows the rest of the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hanspan.text import CLOSERS, ends_sentence

_HAN = "\u3400-\u9fff\U00020000-\U0003ffff"
_DOUBLE = (
    "(?:欧阳|上官|司马|司徒|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|夏侯|端木|南宫|轩辕|钟离|宇文|长孙|"
    "阿[力不依布卜]|买买|努尔|古丽|达瓦|次仁|扎西|格桑|多吉|旦增|卓玛|才让)"
)
_NAME = re.compile(
    rf"[{_HAN}]{{2,3}}|{_DOUBLE}[{_HAN}]{{1,2}}|[{_HAN}]{{1,6}}(?:[·•][{_HAN}]{{1,6}})+"
)
_HOUSE = (
    r"(?:本报|本社|本刊|本台|本网|总台央视|央视|新华社|中新社|中新网|新华网|人民网|光明网|"
    rf"[{_HAN}]{{2,6}}(?:日报|晚报|时报|早报|快报|青年报|导报|商报|社|网|融媒))?"
)
_ROLE = (
    rf"{_HOUSE}(?:全媒体|首席|特约|见习|实习|驻[{_HAN}]{{2,8}}?)?"
    r"(?:记者|通讯员|评论员|特派员|撰稿人|撰稿|实习生|报道员|报道组|摄影|作者|整理|采写|撰文|编译|文并图|文图|图文|口述)"
)
_ROLE_MARK = re.compile(rf"(?:{_ROLE}|(?:文|图)(?=\s*[/／:：])|(?<=[/／])(?:文|图))\s*[:：/／]?\s*")
_ROLE_SORT = {
    "通讯员": "correspondents",
    "报道员": "correspondents",
    "摄影": "photographers",
    "图": "photographers",
}
_CREDIT = re.compile(
    rf"(?:[{_HAN}·]{{1,8}}(?:[、\s][{_HAN}·]{{1,4}})*\s*(?:摄影报道|摄|绘|制图|供图|图)|"
    rf"(?:供图|图片来源|图片提供|摄影|图片|资料图片?)\s*[:：/／]?\s*[{_HAN}·\w]{{0,16}}|资料图片?|"
    rf"(?:新华社|中新社|本报|视觉中国)(?:记者|通讯员)?\s*[{_HAN}]{{0,4}}\s*[发摄])\s*[）)\]】]?$"
)
_CAPTION_START = re.compile(
    r"^(?:[▲△▼▽↑↓←→◀▶◆]|[（(]?(?:[上下左右大小主题头]图|图[为①②③④⑤一二三四五123456]|图片说明))"
)
INLINE_CAPTION = re.compile(
    r"[（(【\[]?(?:▲|△|▼|▽|(?:(?<=[。！？”])|^)?(?:[上下左右]图[为：:]|图为|图片说明[:：]))"
    rf"[^\n]{{4,120}}?[。\s]\s*[{_HAN}]{{2,4}}\s*(?:摄影报道|摄|供图)[）)】\]]?"
)
_DATELINE = re.compile(
    r"^(?:本报|新华社|中新社|中新网|人民网|光明网|据新华社|本台)?[^，。\n]{0,16}?"
    r"(?:\d{1,2}|[一二三四五六七八九十]{1,3})月(?:\d{1,2}|[一二三四五六七八九十]{1,3})日"
    r"\s*(?:电|讯|消息)\s*(?:[（(][^）)]{2,40}[）)])?"
)
_SHORT_DATELINE = re.compile(r"^(?:本报讯|本报电|新华社电|中新网讯)\s*(?:[（(][^）)]{2,40}[）)])?")
_EDITORS = re.compile(
    r"(?:责任?编辑?|主编|本版|版式|校对|美编|视觉|值班|组版|编辑|审核|制图|监制|统筹)"
    r"[^:：。，]{0,8}[:：/／]"
)
_CONTACT = re.compile(
    r"(?:https?://|www\.|[\w.]+@[\w.]+|邮箱[:：]|热线[:：]|电话[:：]|传真[:：]|邮编|国内统一连?续?出版物号|"
    r"CN\s?\d\d-|邮发代号|定价[:：]?|零售|社址|广告经营|版权所有|扫码|扫描二维码|ICP备)"
)
_DATE_LINE = re.compile(
    r"^(?:\W*(?:\d{4}|[二〇○零一二三四五六七八九]{4})年\s*[\d一二三四五六七八九十]{1,3}月\s*"
    r"[\d一二三四五六七八九十]{1,3}日|\W*星期[一二三四五六日天]|\W*农历\S{2,12}|\W*第?\s*[A-Z]?\d{1,4}\s*[版页期]|\W*[A-Z]\d{1,3}(?=\W|$)|"
    r"\W*(?:要闻|综合|国际|经济|文化|社会|时政|评论|体育|专题|广告|副刊|理论|教育|科技|法治|民生)(?:新闻|周刊|版|部)?)"
    r"+\W*$"
)
_FURNITURE = re.compile(
    r"^(?:[-—–·•\s]*(?:第?\s*[A-Z]?\d{1,4}\s*[版页]?|[A-Z]\d{1,3})[-—–·•\s]*|广告|公告|声明|更多.{0,6}|"
    r"(?:[^，。]{0,12})?(?:上接|下转|接第|转第|紧接|详见|见第)[^，。]{0,12}(?:版|页)[）)]?|[=\-_*—~·.•■□◆●\s]{2,})$"
)
_NUMBER = re.compile(
    r"(?:第?[一二三四五六七八九十百]{1,4}[、章节编条部]|之[一二三四五六七八九十]|"
    r"[一二三四五六七八九十]{1,3}[.．:： ]|"
    r"[（(](?:[一二三四五六七八九十]{1,3}|\d{1,2})[）)]|\d{1,2}(?:[、．]|\.(?!\d))|[①②③④⑤⑥⑦⑧⑨⑩])"
)
_TABLE = re.compile(r"(?:\S+(?:\t+|\s{2,}|[|｜])){2,}\S*")


@dataclass(frozen=True, slots=True)
class Byline:
    """The people that a byline names, by what they did."""

    text: str
    reporters: tuple[str, ...] = ()
    correspondents: tuple[str, ...] = ()
    photographers: tuple[str, ...] = ()


def byline(text: str) -> Byline | None:
    """Read a line that says who wrote: roles and names, nothing else."""
    if len(text) > 80 or ends_sentence(text):
        return None
    line = text.strip(" \u3000□■●○◎◇（）()【】[]")
    marks = list(_ROLE_MARK.finditer(line))
    if not marks:
        return None
    lead = line[: marks[0].start()].strip(" \u3000·:：/／、")
    if lead and not _names(lead):
        return None
    people: dict[str, list[str]] = {"reporters": [], "correspondents": [], "photographers": []}
    found = list(_names(lead) or ())
    people["reporters"] += found
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        rest = line[mark.end() : after.start() if after else len(line)].strip(" \u3000·:：/／、")
        rest = re.sub(r"(?:(?:摄影|综合)?报道|(?<=\s)[文摄电]|发自.{2,8})$", "", rest).strip()
        names = _names(rest)
        if rest and names is None:
            return None
        sort = next((s for word, s in _ROLE_SORT.items() if word in mark.group()), "reporters")
        people[sort] += names or ()
        found += names or ()
    if not found and not re.fullmatch(rf"{_HOUSE}(?:评论员|报道组|记者)", line):
        return None
    return Byline(
        text,
        tuple(people["reporters"]),
        tuple(people["correspondents"]),
        tuple(people["photographers"]),
    )


def _names(text: str) -> tuple[str, ...] | None:
    """Names set apart by blanks or 、; None where something is no name."""
    text = re.sub(r"[（(][^）)]{0,12}[）)]", "", text)
    parts = [part for part in re.split(r"[\s\u3000、/／]+", text) if part]
    merged: list[str] = []
    for part in parts:
        if len(part) == 1 and merged and len(merged[-1]) == 1:
            merged[-1] += part  # 刘 艳: a name of two characters is often spaced out
        else:
            merged.append(part)
    if len(merged) > 10 or not all(_NAME.fullmatch(part) for part in merged):
        return None
    return tuple(merged)


def is_caption(text: str) -> bool:
    """Whether the line describes a picture: 图为 at its start, or a photographer at its end."""
    if len(text) > 200:
        return False
    if _CAPTION_START.match(text):
        return True
    credit = _CREDIT.search(text)
    if credit is None:
        return False
    before = text[: credit.start()].rstrip(" \u3000（([【")
    return (
        not before
        or ends_sentence(before)
        or credit.group()[0] in "（([【"
        or (len(before) < len(text) and text[len(before) : credit.start()] != "")
    )


def dateline(text: str) -> str | None:
    """The 新华社…月…日电 or 本报讯 (with the reporters in brackets) that opens a news text."""
    match = _DATELINE.match(text) or _SHORT_DATELINE.match(text)
    return match.group().strip() if match and len(match.group()) > 3 else None


def furniture(text: str) -> str | None:
    """Name of the sort of page furniture that the line is, or None.

    Returns:
        ``editors``, ``contact``, ``date line``, ``page mark`` or ``table``.
    """
    if len(text) > 120:
        return None
    if _EDITORS.search(text) and not ends_sentence(text) and len(text) < 60:
        return "editors"
    if _FURNITURE.match(text):
        return "page mark"
    if _DATE_LINE.match(text):
        return "date line"
    if _CONTACT.search(text) and not ends_sentence(text):
        return "contact"
    if _TABLE.fullmatch(text) and sum(char.isdigit() for char in text) * 5 > len(text):
        return "table"
    return None


def is_deck(text: str) -> bool:
    """Whether the line is a subtitle by its dash."""
    return text.startswith(("——", "--", "──", "－－", "—")) and len(text) <= 60


def title_like(text: str) -> bool:
    """Whether a line could be a title: short, and not a sentence with its full stop."""
    body = text.rstrip(CLOSERS)
    if not 2 <= len(text) <= 48 or not body or body[-1] in "。，、；：:,;":
        return False
    return text.count("，") + text.count("。") * 3 + text.count("；") * 3 <= 2


def numbered(text: str) -> bool:
    """Whether the line begins with a number as heads of sections do: 一、 （二） 第三章 4."""
    return _NUMBER.match(text) is not None
