"""PER: Chinese names from surname, given-name characters and context; transliterated names.

A name of two or three characters (four with a compound surname) is scored in log-odds steps:
how common the surname is, how typical each given-name character, what stands before (a post,
a family word, a border) and after (a verb of saying, a form of address, a border), and whether
its first two characters are an everyday word. It is taken from ``_ENOUGH`` on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanspan.data import Document
from hanspan.rules import rule
from hanspan.rules.news_words import endings, starts, tiers, words

_ENOUGH = 3.0
_HAN = re.compile("[\u4e00-\u9fff]")
_BORDER = frozenset(" 　\n\t，。、；：？！,.;:?!（）()【】[]“”‘’\"'《》〈〉「」『』—-–/|#@·…<>&*")
_JOIN = frozenset("和与及、跟暨")
_LINK = frozenset("由以对向同让被给把请据如是为像叫派因而当于随")


def _surnames() -> tuple[dict[str, float], str]:
    table: dict[str, float] = {}
    rows = tiers("surnames")
    for score, key in ((1.2, "+2"), (-0.2, "+1")):
        for char in rows[key][0]:
            table.setdefault(char, score)
    for word in rows["="]:
        table[word] = 1.2
    compounds = "|".join(rows["="])
    singles = "".join(char for char in table if len(char) == 1)
    return table, rf"{compounds}|[{singles}]"


_SURNAME, _SURNAME_PATTERN = _surnames()
_START = re.compile(_SURNAME_PATTERN)
_GIVEN = {
    char: float(score)
    for tier, score in (("+2", "1.4"), ("+1", "0.8"), ("-1", "-0.7"), ("-3", "-9"))
    for char in tiers("given_names")[tier][0]
}
_GIVEN.update({"某": 1.5, "岚": 1.4})
_UNKNOWN = 0.5  # a character too rare for everyday words


def _before(text: str, start: int) -> float:
    if not start:
        return 1.0
    if endings(words("titles_strong") | words("titles_weak") | words("person_before"), text, start):
        return 3.0
    char = text[start - 1]
    if char in _BORDER:
        inner = start - 1
        while inner and text[inner - 1] in " 　：:":
            inner -= 1
        if char in " 　：:" and endings(words("person_before"), text, inner):
            return 3.0
        return 0.9
    if char in _JOIN:
        return 0.6
    return 0.3 if char in _LINK else -1.0


def _after(text: str, end: int) -> float:
    if end >= len(text):
        return 1.0
    if starts(words("person_after_strong"), text, end):
        return 2.4
    if starts(words("titles_strong"), text, end, 8):
        return 1.6
    char = text[end]
    if char in _BORDER:
        return 0.9
    if char in _JOIN:
        return 0.6
    if starts(words("person_after"), text, end):
        return 0.8
    return -1.0


def _score(text: str, start: int, surname: str, size: int) -> tuple[float, float]:
    """Score of the name and of its surroundings."""
    first = start + len(surname)
    end = first + size
    name = text[start:end]
    if end > len(text) or not all("\u4e00" <= c <= "\u9fff" for c in name):
        return -9.0, 0.0
    value = _SURNAME[surname] + sum(_GIVEN.get(c, _UNKNOWN) for c in name[len(surname) :])
    if value < -1.5:
        return -9.0, 0.0
    if size == 1:
        value += 0.3
    if len(surname) == 1:
        if name[:2] in words("not_person"):
            value -= 3.0
        if size == 2 and (name[1:] in words("not_given") or name in words("not_person")):
            value -= 3.0
    return value, 0.0


def names(text: str) -> Iterator[tuple[int, int, float]]:
    """Chinese names with their score, from left to right, without overlap."""
    position = 0
    while True:
        match = _START.search(text, position)
        if match is None:
            return
        start, surname = match.start(), match[0]
        position = start + 1
        left: float | None = None
        best = (0.0, 0)
        for size in (2, 1):
            value, _ = _score(text, start, surname, size)
            if value < -3:
                continue
            if left is None:
                left = _before(text, start)
            end = start + len(surname) + size
            total = value + left + _after(text, end)
            if total > best[0] + (0.4 if size == 1 and best[1] else 0.0):
                best = (total, end)
        if best[0] >= _ENOUGH:
            yield start, best[1], best[0]
            position = best[1]


@rule("chinese_name", labels=["PER"], group="person_model", weight=0.8,
      yes=["[[虞爱华]]表示", "记者[[胡方玉]]报道"], no=["高新区建设", "全国人民"])  # fmt: skip
def chinese_name(document: Document) -> Iterator[tuple[int, int]]:
    """Names from the character model."""
    text = document.text
    found = [*names(text)]
    for start, end, _ in found:
        yield start, end
        # A list of names with 、 needs less evidence for each next one.
        while end < len(text) and text[end] in "、 　" and text[end : end + 2] != "  ":
            begin = end + 1
            match = _START.match(text, begin)
            if match is None:
                break
            for size in (2, 1):
                value, _ = _score(text, begin, match[0], size)
                stop = begin + len(match[0]) + size
                if value >= 0.8 and (
                    stop >= len(text) or text[stop] in _BORDER or text[stop] in "等和与及摄"
                ):
                    yield begin, stop
                    end = stop
                    break
            else:
                break


_TRANS = (
    "阿埃艾爱安昂奥巴白班邦包保鲍贝本比彼毕宾波伯博布查茨达大丹德登邓迪蒂丁东杜顿多厄恩尔耳法凡范方菲费芬丰冯"
    "夫弗福富盖甘冈高戈哥格葛根贡古瓜圭哈海汉豪赫亨洪侯胡华怀惠霍基吉加贾杰金津卡凯坎康考柯科克肯库夸昆拉莱赖兰"
    "朗劳勒雷蕾里丽利连莲廉列林琳隆卢鲁路伦罗萝洛马玛迈麦曼芒毛梅门蒙米密明缪摩莫姆木穆拿内纳娜奈南尼妮涅宁纽努"
    "诺欧帕派潘佩彭皮平珀朴普齐奇契恰钱乔切琴丘让热日荣瑞若撒萨塞赛桑森沙莎尚绍舍什圣施史士舒斯思松苏索塔泰坦汤"
    "唐特滕提铁廷图托瓦万旺威韦维魏温文翁沃乌武西希锡夏先香肖谢辛休许雪雅亚延扬耶叶伊以因英尤于约泽扎詹珍朱兹卓佐"
    "买提热孜江吐依汗娅沁其木"
)
_DOTTED = re.compile(
    rf"[A-Z{_TRANS}][A-Za-z.{_TRANS}]{{0,9}}(?:\s?[·•・‧]\s?[A-Za-z.{_TRANS}][A-Za-z.{_TRANS}\-]{{0,11}})+"
)
_RUN = re.compile(rf"[{_TRANS}]{{2,8}}")
_NOT_RUN = re.compile("^(?:的|在|是|和)|(?:以|于|其|先|大)$")
_FOREIGN_AFTER = re.compile(
    "(?:在[^，。]{2,14}(?:表示|强调|指出|称|说))|(?:当地时间)?(?:[0-9]{1,2}日|[周][一二三四五六日])?(?:晚|上午|下午|当天)?"
    "(?:表示|强调|指出|说|称|认为|宣布|重申|会谈|会晤|通电话|举行|发表|先生|女士|总统|总理|首相|外长|国王|主席|国务卿)"
)


@rule("dotted_name", labels=["PER"], group="person_form",
      yes=["由[[威尔·史密斯]]主演", "青年[[特雷文· 马丁]]。"], no=["第1·2条"])  # fmt: skip
def dotted_name(document: Document) -> Iterator[tuple[int, int]]:
    """Transliterated names with a middle dot."""
    text = document.text
    for match in _DOTTED.finditer(text):
        start, end = match.span()
        head = starts(words("countries"), text, start)
        while head and head < end - start and text[start + head] not in "·•・‧ ":
            start += head
            head = starts(words("countries"), text, start)
        title = next(
            (n for n in range(5, 1, -1) if text[start : start + n] in words("titles_strong")), 0
        )
        start += title
        for tail in ("先生", "以及", "以", "于", "其", "和", "因", "让", "大使", "提", "先"):
            if text[start:end].endswith(tail) and end - start > 4:
                end -= len(tail)
                break
        if end - start > 2 and text[start] not in "·•・‧":
            yield start, end


@rule("foreign_name", labels=["PER"], group="person_form", weight=0.8,
      yes=["俄罗斯总统[[普京]]表示", "国务卿[[布林肯]]4日说"], no=["总统大选", "加拿大表示"])  # fmt: skip
def foreign_name(document: Document) -> Iterator[tuple[int, int]]:
    """Runs of transliteration characters beside a post or a verb of saying."""
    text = document.text
    places, taken = words("countries"), words("titles_strong")
    for match in _RUN.finditer(text):
        start, end = match.span()
        if end < len(text) and text[end] in "·•・‧" or start and text[start - 1] in "·•・‧":
            continue
        before = endings(taken, text, start) if start else 0
        skip = starts(places, text, start)
        if skip:
            start += skip
            continue
        while end > start + 1 and text[end - 1] in "以于其先大因提平多约西东方":
            if _FOREIGN_AFTER.match(text, end) or end == len(text) or text[end] in _BORDER:
                break
            end -= 1
        name = text[start:end]
        if end - start < 2 or name in words("not_person") or name[:2] in words("not_person"):
            continue
        after = bool(_FOREIGN_AFTER.match(text, end))
        border = end == len(text) or text[end] in _BORDER or text[end] in "和与及在对将则也同还已就"
        if before and (after or border) and end - start >= 2:
            yield start, end
        elif after and end - start >= 3 and (not start or text[start - 1] in _BORDER):
            yield start, end
