"""PER: transliterated names, with a middle dot or beside a post or a verb of saying."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from hanspan.data import Document
from hanspan.rules import rule
from hanspan.rules.news_persons import BORDER
from hanspan.rules.news_sports import played
from hanspan.rules.news_words import endings, starts, words

_TRANS = (
    "阿埃艾爱安昂奥巴白班邦包保鲍贝本比彼毕宾波伯博布查茨达大丹德登邓迪蒂丁东杜顿多厄恩尔耳法凡范方菲费芬丰冯"
    "夫弗福富盖甘冈高戈哥格葛根贡古瓜圭哈海汉豪赫亨洪侯胡华怀惠霍基吉加贾杰金津卡凯坎康考柯科克肯库夸昆拉莱赖兰"
    "朗劳勒雷蕾里丽利连莲廉列林琳隆卢鲁路伦罗萝洛马玛迈麦曼芒毛梅门蒙米密明缪摩莫姆木穆拿内纳娜奈南尼妮涅宁纽努"
    "诺欧帕派潘佩彭皮平珀朴普齐奇契恰钱乔切琴丘让热日荣瑞若撒萨塞赛桑森沙莎尚绍舍什圣施史士舒斯思松苏索塔泰坦汤"
    "唐特滕提铁廷图托瓦万旺威韦维魏温文翁沃乌武西希锡夏先香肖谢辛休许雪雅亚延扬耶叶伊以因英尤于约泽扎詹珍朱兹卓佐"
    "敦烈别久罕丝垂戴卜润嘉珊翰逊堡喀露柳祖朵墨默奎芙芭薇碧佳玻弥黛曼楚莉略京采买提热孜江吐依汗娅沁其木"
)
_DOTS = ("·", "•", "・", "‧", "∙")
_ALL_DOTS = (*_DOTS, "．")
_TITLES, _WORDS, _PLACES = words("titles_strong"), words("not_person"), words("countries")
_ROLES = _TITLES | words("titles_weak") | words("person_before")
_ALL_PLACES = _PLACES | words("places_world") | words("cities") | words("provinces")
_GOES_ON = frozenset("和与及在对将则也同还已就访的为被向于以是有会曾率抵离等")
_LEFT = BORDER | frozenset("在对与和及向同由据以给为")
_DOTTED = re.compile(
    rf"[A-Z{_TRANS}](?:历山|雪山|[A-Za-z.{_TRANS}]){{0,9}}(?:\s?[·•・‧∙．]\s?[A-Za-z.{_TRANS}][A-Za-z.{_TRANS}\-]{{0,11}})+"
)
_RUN = re.compile(rf"[{_TRANS}]{{2,8}}")
_FOREIGN_AFTER = re.compile(
    "(?:在[^，。]{2,14}(?:表示|强调|指出|称|说))|(?:当地时间)?(?:[0-9]{1,2}日|[周][一二三四五六日])?(?:晚|上午|下午|当天)?"
    "(?:表示|强调|指出|说|称|认为|宣布|重申|会谈|会晤|通电话|举行|发表|先生|女士|总统|总理|首相|外长|国王|主席|国务卿)"
)


@lru_cache(maxsize=1)
def _runs(text: str) -> tuple[tuple[int, int], ...]:
    """Runs of transliteration characters, which several rules look at."""
    return tuple(match.span() for match in _RUN.finditer(text))


@rule("dotted_name", labels=["PER"], group="person_form",
      yes=["由[[威尔·史密斯]]主演", "青年[[保罗· 伯格]]。"], no=["第1·2条"])  # fmt: skip
def dotted_name(document: Document) -> Iterator[tuple[int, int]]:
    """Transliterated names with a middle dot."""
    text = document.text
    if not any(dot in text for dot in _ALL_DOTS):
        return
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


@rule(
    "foreign_name", labels=["PER"], group="person_form", weight=0.8,
    yes=["俄罗斯总统[[普京]]表示", "国务卿[[布林肯]]4日说", "[[佩雷洛]]总统"],
    no=["总统大选", "加拿大表示"],
)  # fmt: skip
def foreign_name(document: Document) -> Iterator[tuple[int, int]]:
    """Runs of transliteration characters beside a post or a verb of saying."""
    text = document.text
    for start, end in _runs(text):
        if text[end : end + 1] in _DOTS or (start and text[start - 1] in _DOTS):
            continue
        skip = starts(_PLACES, text, start, 8)
        if skip:
            start += skip
            if start < end and text[start : start + 1] in "总":
                continue
        before = endings(_ROLES, text, start)
        while end > start + 1 and text[end - 1] in "以于其先大因提平约西东方许让":
            if _FOREIGN_AFTER.match(text, end) or end == len(text) or text[end] in BORDER:
                break
            end -= 1
        size = end - start
        if (
            size < 2
            or text[start:end] == "高尔夫"
            or text[start:end] in _WORDS
            or text[start : start + 2] in _WORDS
        ):
            continue
        if text[end - 2 : end + 1] in _WORDS or text[start:end] in _ALL_PLACES:
            continue
        after = _FOREIGN_AFTER.match(text, end)
        clear = end == len(text) or text[end] in BORDER or text[end] in _GOES_ON
        if before and size == 2 and not endings(_TITLES, text, start):
            before *= any(char in _STRONG for char in text[start:end])
        if (before and (after or clear or size >= 3)) or (
            after and size >= 3 and (not start or text[start - 1] in _LEFT)
        ):
            yield start, end


_STRONG = frozenset(
    "阿埃艾奥贝彼伯茨迪蒂厄恩尔弗戈赫基杰卡凯柯科克肯库拉莱勒里琳隆卢洛玛迈米姆穆娜内尼涅努诺帕佩普奇乔切萨塞桑什史斯"
    "索塔坦特廷托瓦维韦沃西辛雅亚耶伊扎詹兹夫布巴罗森德达"
)
_SAYS, _ON = words("person_after_strong"), words("person_after") | {"、"}
_OFTEN = frozenset("以于其先大因提平约西东方许让等采内和金万日丰林江沁买")
_CLUB_AFTER = re.compile(
    "主场|客场|队|VS|vs|Vs|[0-9胜负平]|做客|坐镇|主帅|本赛季|上轮|近况|球员|的(?:主场|客场|比赛)|足球|俱乐部"
)
_CLUB_BEFORE = re.compile(
    "(?:VS|vs|Vs|做客|对阵|迎战|主场|客场|战平|战胜|击败|不敌|负于|输给|逼平|力克|淘汰|加盟|转会|和|与|对|、|[0-9])$"
)
_THINGS_AFTER = (
    "公司",
    "邦",
    "城",
    "博物馆",
    "现象",
    "集团",
    "大学",
    "病",
    "事件",
    "联队",
    "地区",
    "银行",
    "山脉",
    "人",
    "号",
)
_NO_NAME_AFTER = frozenset("省市县区州岛港湾河湖山海洋队杯奖级型号镇村国机式语族镑元币派教")


@rule(
    "foreign_run", labels=["PER", "ENTITY"], group="person_form", weight=0.5,
    yes=["[[阿内尔卡|PER]]表示", "围绕[[阿内尔卡|ENTITY]]两"], no=["阿塞拜疆边境", "马萨诸塞州"],
)  # fmt: skip
def foreign_run(document: Document) -> Iterator[tuple[int, int, str]]:
    """Long runs of characters that stand almost only in transliterations, without any cue."""
    text = document.text
    for start, end in _runs(text):
        if text[end : end + 1] in _DOTS or (start and text[start - 1] in _DOTS):
            continue
        while end > start and text[end - 1] in _OFTEN:
            end -= 1
        while start < end and text[start] in _OFTEN:
            start += 1
        name = text[start:end]
        if not 3 <= len(name) <= 7 or text[end : end + 1] in _NO_NAME_AFTER:
            continue
        if text.startswith(_THINGS_AFTER, end) or text[start - 1 : start] in ("在", "至", "于"):
            continue
        strong = sum(char in _STRONG for char in name)
        if strong < 0.7 * len(name) or name in _ALL_PLACES or _placed(name) or name == "高尔夫":
            continue
        free = not start or (text[start - 1] in BORDER and text[start - 1] not in '“"‘《(（')
        cue = starts(_SAYS, text, end) or (free and starts(_ON, text, end))
        if not cue and not _CLUB_AFTER.match(text, end):
            cue = not _CLUB_BEFORE.search(text, max(0, start - 2), start) and played(
                text, start, end, 2
            )
        yield start, end, "PER" if cue else "ENTITY"


def _placed(name: str) -> bool:
    return any(
        name[at : at + size] in _ALL_PLACES
        for size in range(2, len(name) + 1)
        for at in range(len(name) - size + 1)
    )


_AT = frozenset("生位处死葬产居")  # 生于…
_LAND = re.compile(
    rf"[{_TRANS}]{{2,7}}(?:市|州|省|县|镇|岛|群岛|海峡|港|山|河|湖|机场|广场|海|湾|半岛|大街|地区)(?![长民场委关])"
)


@rule("foreign_place", labels=["LOC"], group="places", weight=0.8,
      yes=["东部的[[伊克姆市]]。", "[[塔库布州]]北部", "生于[[塔库布州]]。"],
      no=["加大市场投入", "普通县城"])  # fmt: skip
def foreign_place(document: Document) -> Iterator[tuple[int, int]]:
    """A run of transliteration characters with a word for a place."""
    text = document.text
    for match in _LAND.finditer(text):
        start, end = match.span()
        if text[start] == "于" and text[start - 1 : start] in _AT:
            start += 1
        name = text[start : end - 1]
        strong = sum(char in _STRONG for char in name)
        if strong >= 2 and strong >= 0.6 * len(name):
            yield start, end


_LATIN = re.compile(r"[A-Z][a-z]{2,}(?:[ ·.-]{1,2}[A-Z][A-Za-z'.]*){0,3}")


@rule("latin_name", labels=["PER"], group="person_form", weight=0.8,
      yes=["医院院长[[Mouzinho]]表示", "参议员[[Jim Risch]]说"],
      no=["公司Facebook表示"])  # fmt: skip
def latin_name(document: Document) -> Iterator[tuple[int, int]]:
    """A name in Latin letters straight after a post."""
    text = document.text
    for match in _LATIN.finditer(text):
        start = match.start() - (text[match.start() - 1 : match.start()] == " ")
        if start > 0 and endings(_TITLES, text, start):
            yield match.span()
