"""QTY: a number with its measure word, where the measure word needs a look ahead.

Each measure word carries the characters that may not follow it (家 but not 家庭). An article 一
(一个, 一批) is left, as the guideline says; lengths of time keep it (一年, 一天).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanspan.data import Document
from hanspan.rules import rule

_STOP = {
    "个": "人性体别股案中税",
    "名": "义称单字誉额牌家胜列城校著优气录下片茶酒副将菜古次目",
    "位": "于置列居数移元子面次",
    "家": "庭长具居乡园族里电畜禽中务门属国用校纺装暴境底书产谱委政访教常",
    "人": "民口类员士才权工物均间生事体选家气心行力们数造格文社称流道质大群",
    "户": "籍口型外主部县枢均",
    "条": "件例约款文理目形码幅纹",
    "项": "目链圈羽城",
    "件": "",
    "次": "日年级要贷生数元区品子席于",
    "场": "地所馆面上外景合内均边",
    "支": "持付出援撑部行书",
    "部": "门分长署委落属件级下位族将",
    "批": "评准复发判量次示",
    "辆": "", "艘": "", "枚": "", "颗": "", "粒": "", "株": "", "棵": "", "幢": "", "栋": "",
    "台": "湾风独海北上阶词商胞账式球前州资企生儿",
    "架": "构子设势空",
    "座": "谈位椅落右",
    "所": "有以在属长谓得需用说示述作",
    "处": "理于置罚长分以境级处",
    "例": "如行外会子证",
    "起": "来诉点草步源义飞码初火因伏到重于色",
    "宗": "教旨族祠法师",
    "只": "有要是能会需好不为见剩得顾差管身属想可在用占怕限争",
    "头": "部发条寸号痛目疼脑盔像衔晕领",
    "匹": "配敌兹",
    "根": "本据源治除基系植",
    "张": "家姓某氏力扬贴口望店",
    "幅": "度员",
    "页": "面岩",
    "本": "报次届人地月周国身科轮年色质土市省区县职着来应领",
    "册": "",
    "篇": "幅章",
    "首": "先都次家届批个席相脑长要创发府日映演播轮选部例付套",
    "集": "团中体合成聚群市会资装权训锦邮贸约",
    "期": "间货限望待权末刊中",
    "轮": "船胎候流渡椅换岗机廓",
    "步": "行入伐骤子兵枪履",
    "层": "面次级出",
    "套": "现利餐期路",
    "间": "接谍隔断距",
    "道": "路德理具歉教琼指",
    "门": "户槛口票诊店类派徒将外前",
    "片": "面段酬区刻场中子尾名头",
    "块": "钱链",
    "段": "落位",
    "组": "织成合建委图长员阁装团",
    "双": "方边重向语面打多休创碳",
    "把": "握关手控它这我他自人持",
    "份": "额子量外",
    "封": "闭锁面杀建控顶城",
    "笔": "记者下名试迹筒画尖墨误",
    "类": "似别型推比",
    "种": "植子类族粮业群养牛猪田苗地",
    "款": "项待式",
    "样": "本板式子品貌态的",
    "倍": "增受感加率思",
    "桶": "", "箱": "包子", "袋": "鼠", "瓶": "颈", "盒": "子", "碗": "", "顶": "级层部尖峰替",
    "尊": "重敬严贵称",
    "床": "",
    "趟": "", "遍": "布及地", "席": "卷位间",
    "班": "长级底车子主机轮次组",
    "列": "入车为出举支席宁",
    "车": "道间站型",
    "声": "",
    "艘次": "",
    "字": "体母符面画节典",
    "句": "号子型",
    "节": "目约能日点奏假省水气",
    "届": "", "任": "务命职期何意教",
    "米": "兰尔勒饭粉线格歇老缸",
    "天": "然空津气下文地安宫舟体山府河际线使猫涯性才生王堂主灾窗子台",
    "年": "代级轻度龄前底初末夜货薪费均检终青产会味少份",
    "周": "边围年期岁末转一二三四五六日全密报",
    "元": None,
}  # fmt: skip
_ARABIC_ONLY = {
    "克": "服里隆拉制强敌东什罗",
    "斤": "", "升": "级值至温高起幅学旗降空入",
    "度": "过假", "级": "别人", "分": "之钟别析公布子成配行店校院局部支手歧红享散母",
    "秒": "钟", "股": "份市权东票价民息本骨指线", "国": None, "兆": "瓦赫", "瓦": "",
}  # fmt: skip
_ORDINAL_WITH_ER = frozenset("期次级类代胎手套届层楼线把")
_DURATION = frozenset(["年", "天", "周", "个月", "个星期", "个小时", "个半月", "秒"])


def _alternatives(table: dict[str, str | None]) -> str:
    parts = []
    for word, stop in sorted(table.items(), key=lambda item: -len(item[0])):
        if stop is not None:
            parts.append(word + (f"(?![{stop}])" if stop else ""))
    return "|".join(parts)


_AR = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+|[０-９]+)(?:[.．][0-9０-９]+)?"
_CN = r"[零〇一二三四五六七八九十百千万亿两]+"
_AFTER = r"[多余来几]?[万亿]*"
_LONG = (
    "个多?月|个多?星期|个多?小时|个半月|个半小时|日(?=内|以内|之内)|支(?=队伍)|部分(?=组成)|"
    "年半|人份|余年"
)
_NUMERALS = re.compile("[0-9０-９零〇一二三四五六七八九十百千万亿两数几上]+")
_COUNT = re.compile(
    rf"(?P<num>(?:{_AR}[多余]?[十百千万亿]*|[数几上][十百千万亿]+|{_CN}几?)"
    rf"{_AFTER}(?:[-—–－~～至到](?:{_AR}|{_CN}){_AFTER})?)\s?"
    rf"(?P<word>{_LONG}|{_alternatives(_STOP)}|(?<=[0-9０-９万亿])(?:{_alternatives(_ARABIC_ONLY)}))"
)
_BIG = re.compile(
    "[两三四五六七八九十]大"
    "(?!家|量|学|型|楼|桥|道|会|事|使|臣|小|力|约|概|多|部|幅|批|米|豆|额|宗|众|海|陆|厅|奖(?!项)|赛"
    "|师|夫|爷|哥|姐|妈|叔|伯|年|队|街|关|精神|报告|以来|召开|代表|是)"
)
_HALF = re.compile("半(?:年|个月|小时|个小时|天|个世纪|个多月)(?!度|报)")
_NOT_BEFORE = frozenset("第.．初每某" + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NOT_BEFORE_BIG, _NOT_BEFORE_HALF = (
    frozenset("二三四五六七八九十第"),
    frozenset("上下一多两年个夜前后"),
)
_IDIOMS = ("十字路", "三位一体", "五位一体")


@rule("count", labels=["QTY"], group="quantity",
      yes=["培育企业[[20家]]", "抓好[[550个]]省重大项目", "[[几百米]]的街道",
           "连续[[5年]]获奖", "上[[3万人]]"],
      no=["第一家庭", "一个企业", "几个月来", "2023年", "第3次"])  # fmt: skip
def count(document: Document) -> Iterator[tuple[int, int]]:
    """Number and measure word; ordinals, articles and 几个 left out."""
    text = document.text
    done = 0
    for run in _NUMERALS.finditer(text):
        start = max(run.start(), done)
        if start >= run.end():
            continue  # a range has used it up (五至七家)
        match = _COUNT.match(text, start)
        if match is None and text[start] in "上数几" and run.end() - start > 1:
            start += 1  # 上 and 数 may belong to the word before
            match = _COUNT.match(text, start)
        if match is None:
            continue
        done = match.end()
        if _counted(text, start, match):
            yield match.span()


def _counted(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether it is a count, and no ordinal, article, calendar year or fixed phrase."""
    number, word = match["num"], match["word"]
    before = text[start - 1] if start else ""
    if before in _NOT_BEFORE or text[max(0, start - 2) : start] == "好几":
        return False
    if number[0] == "几" and (len(number) == 1 or before in ("好", "这", "那")):
        return False
    if (number == "一" and word not in _DURATION) or (number == "二" and word in _ORDINAL_WITH_ER):
        return False  # an article; 二期 is the second, 两期 are two
    if word == "期" and number in "三四五六七八九十":
        return False
    if (word == "届" and number[0] not in "两几0123456789") or (
        word == "级" and number[-1] in "万亿"
    ):
        return False
    if (before == "红" and number == "十") or text.startswith(_IDIOMS, start):
        return False
    if number in ("万", "亿") and word in ("条", "家", "人"):
        return False
    if (
        word == "年"
        and len(number) == 4
        and number[0] in "12１２一二"
        and number[1] not in "百千万"
    ):
        return False  # a calendar year
    return word != "周" or number[-1] in "0123456789一二三四五六七八九十两多余"


@rule("big_few", labels=["QTY"], group="quantity", yes=["是扬州[[三大]]产业之一"], no=["二十大"])
def big_few(document: Document) -> Iterator[tuple[int, int]]:
    """三大, 十大 before a noun, and half a length of time."""
    text = document.text
    for pattern, stop in ((_BIG, _NOT_BEFORE_BIG), (_HALF, _NOT_BEFORE_HALF)):
        for match in pattern.finditer(text):
            if not match.start() or text[match.start() - 1] not in stop:
                yield match.span()
