"""ORG: clubs whose names are also places or everyday words (罗马, 火箭), where a match is told."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ahocorasick_rs import AhoCorasick, MatchKind

from hanspan.data import Document
from hanspan.rules import rule
from hanspan.rules.news_words import tiers

_TIERS = tiers("clubs_in_play")
_PLACE, _WORD = frozenset(_TIERS["place"]), frozenset(_TIERS["word"])
_NAMES = sorted(_PLACE | _WORD)
_FIND = AhoCorasick(_NAMES, matchkind=MatchKind.LeftmostLongest)
_NEAR = 60
"""How far from a name, in characters, words of sport count for it."""
_CUE = re.compile(
    "主场|客场|联赛|季后赛|常规赛|总决赛|赛季|首回合|次回合|欧冠|联盟杯|足总杯|英超|西甲|意甲|德甲|法甲|荷甲|中超|"
    "NBA|nba|CBA|cba|足彩|让球|盘口|赔率|欧赔|主胜|客胜|进球|破门|射门|助攻|篮板|三分球|抢断|盖帽|球队|球员|球迷|主帅|"
    "主教练|门将|后卫|前锋|中场|后防|锋线|替补|首发|连胜|连败|战平|击败|不敌|战胜|逆转|晋级|淘汰|积分榜|夺冠|转会|签约|"
    "德比|战绩|湖人|皇马|曼联|巴萨|姚明|科比|詹姆斯|麦迪|得分|比赛|[0-9]{1,3}[-—－比:：][0-9]{1,3}"
)
_AFTER = re.compile(
    "队|主场|客场|坐镇|做客|VS|vs|Vs|[0-9]{1,3}[-—－比:：][0-9]|[0-9]胜|[0-9]平|主帅|球迷|球员|中场|前锋|后卫|门将|队长|"
    "输球|赢球|取胜|获胜|战平|战胜|击败|负于|不敌|力克|横扫|逼平|打平|全取|憾负|惨败|完胜|险胜|大胜|小胜|连胜|连败|有望|"
    "德比|联手|在主|在客|本赛季|上轮|此役|本轮|近况|状态|高层|老板|名宿|官方|俱乐部|阵容|后防|防线|锋线|进球|"
    "首发|加时|逆转|签下|裁掉|交易|[胜负平](?=[^利责均])|[、，。：:]?$"
)
_BEFORE = re.compile(
    "(?:击败|战胜|不敌|负于|战平|逼平|力克|横扫|逆转|淘汰|迎战|对阵|做客|主场迎|挑战|加盟|转会|VS|vs|Vs|[0-9][-—－比:：][0-9]{1,3}|"
    "[0-9][-—－比:：][0-9](?:胜|负|平)|[胜负平克擒斩屠轰灭送]|大胜|小胜|险胜|取胜|当胜|可胜|输给|赢|效力|离开|告别|留守|前|"
    "[【】、.．]|^|对手|和|与|对|击溃|逼退|双杀|血洗|狂胜|惜败|主队|客队)$"
)
_NOT_AFTER = re.compile(
    "发射|神|升空|运载|推进|军|弹|筒|炮|能|系|光|照|岛|伞|镜|黑子|杯|师|表演|乐|舞|鼓|精神|们|般|之|式|市|省|机场|银行|大学|大街|路|街|"
    "地区|当地|郊|城|人(?!气)|时装|电影节|奥运|帝国|教|假日|集团|地产|股份|公司|汽车|实业|钢铁|社区|小学|中学|年华|座|团|官员|警方|法院|政府|车展"
)


def played(text: str, start: int, end: int, need: int) -> bool:
    """Whether words of sport stand around a name."""
    around = text[max(0, start - _NEAR) : start] + "\n" + text[end : end + _NEAR]
    return len(set(_CUE.findall(around))) >= need


@rule("club_in_play", labels=["ORG"], group="names", priority=2,
      yes=["欧冠：[[米兰]]主场2-1击败[[罗马]]", "NBA常规赛[[火箭]]99-89逼退[[开拓者]]"],
      no=["米兰时装周开幕", "火箭发射成功，主场观众欢呼", "他去罗马旅游"])  # fmt: skip
def club_in_play(document: Document) -> Iterator[tuple[int, int]]:
    """Clubs named like places or things, beside words of a match."""
    text = document.text
    for number, start, end in _FIND.find_matches_as_indexes(text):
        if _NOT_AFTER.match(text, end) or text[start - 1 : start] in ("“", "《", "大", "小"):
            continue
        after = bool(_AFTER.match(text, end))
        before = bool(_BEFORE.search(text[max(0, start - 6) : start]))
        if _NAMES[number] in _PLACE and not after and not before:
            continue
        if played(text, start, end, 2 if after or before else 3):
            for longer in ("AC", "ac", "国际"):
                if text.endswith(longer, 0, start):
                    start -= 2
            yield start, end + (text[end : end + 1] == "队")
