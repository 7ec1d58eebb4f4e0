"""Second pass: what the votes of the first pass make likely elsewhere in the document.

Posts that need company (记者, 委员), longer organisations (复旦大学 + 国际问题研究院), and strings
that were found once and stand again without their context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanspan.data import Document
from hanspan.rules import rule
from hanspan.rules.news_words import tiers, words

_WEAK = sorted(words("titles_weak"), key=len, reverse=True)
_WEAK_TITLE = re.compile("|".join(map(re.escape, _WEAK)))
_DOTS = ("·", "•", "・", "‧")
_BODIES = frozenset(["GOV", "COM", "ORG"])
_TAIL = re.compile(
    "[\u4e00-\u9fff]{0,8}?(?:研究院|学院|研究所|研究生院|研究中心|附属[\u4e00-\u9fff]{0,4}医院|附属中学|分行|支行|营业部|"
    "分公司|研究室|学部|办公厅|书记处|党组|党委|委员会|分局|总队|支队|派出所|司(?<!公司)(?<!上司)(?<!官司)(?![长法机令空局打马])|编办|队(?![员长伍友]))"
)
_ACTS = re.compile(
    "授予|看望|联合|组成|派出|组建|局长|支持|批准|主管|委托|直属|下属|支持|发布|公布|要求|指导|设立|成立|组织|任命|通知|举办|主办|监督|批复|任|召开"
)
_COMPANY = ("公司", "集团", "分行", "支行")
_LOOSE = frozenset("各的了在是和与及、由向对把被将为以等有会从到，。；：“”（）()省市县区")


@rule("post_beside", labels=["TITLE"], group="titles", after="votes", weight=0.9,
      yes=["扬州市政协[[委员]]周文彬说", "本报[[记者]] 赵明远", "新华社[[记者]]获悉"],
      no=["委员们说", "记者看到"])  # fmt: skip
def post_beside(document: Document) -> Iterator[tuple[int, int]]:
    """Posts that count only beside an organisation or a person."""
    text = document.text
    body_ends = {s.end for s in document.spans if s.label in _BODIES}
    person_ends = {s.end for s in document.spans if s.label == "PER"}
    person_starts = {s.start for s in document.spans if s.label == "PER"}
    for match in _WEAK_TITLE.finditer(text):
        start, end = match.span()
        if text[end : end + 1] in ("们", "会") or text.startswith("事务所", end):
            continue
        person = end in person_starts or (
            text[end : end + 1] in " 　：" and end + 1 in person_starts
        )
        if person and match[0] in _NO_POST:
            continue
        own = text[max(0, start - 2) : start] in ("本报", "本台", "本社", "本刊", "见习")
        of_body = start in body_ends and match[0] not in ("编辑", "助理")
        if match[0] == "代表":
            of_body = of_body and text.endswith("人大", 0, start)
        called = start in person_ends and match[0] in _ADDRESS_WORDS
        if person or own or of_body or called:
            yield start, end


_ADDRESS_WORDS = frozenset(["博士", "律师", "医生", "大夫", "法官"])
_NO_POST = frozenset(["村民", "队员", "会员", "球员", "社员", "翻译", "负责人"])


_FAMILY = tiers("surnames")["+2"][0].translate({ord("任"): None, ord("黎"): None}) + "习江温金高"
_ADDRESS = re.compile(
    rf"[{_FAMILY}](?:(?<=^.)|(?<=[^一-鿿].)|(?<=[和与在向对由被请据的了是说].))"
    "(?:总书记|主席|总理|总统|书记|部长|省长|市长|县长|区长|镇长|局长|处长|科长|院长|校长|所长|"
    "会长|主任|教授|院士|大使|将军|司令|政委|队长|经理|董事长|委员长|律师|法官|医生)"
)


@rule("family_name_and_post", labels=["TITLE"], group="titles",
      yes=["全军指战员牢记[[习主席]]嘱托", "，[[李主任]]说"],
      no=["主席说", "梁晓岚主任"])  # fmt: skip
def family_name_and_post(document: Document) -> Iterator[tuple[int, int]]:
    """A family name with a post is one TITLE (习主席)."""
    text = document.text
    for match in _ADDRESS.finditer(text):
        yield match.span()
    at = text.find("习主席")
    while at >= 0:
        yield at, at + 3
        at = text.find("习主席", at + 3)


@rule("longer_body", labels=["GOV", "COM", "ORG", "WORK"], group="names", after="votes",
      yes=["[[浙江大学海洋研究院|ORG]]院长"], no=["复旦大学的研究院"])  # fmt: skip
def longer_body(document: Document) -> Iterator[tuple[int, int, str]]:
    """An organisation with the department that follows it."""
    text = document.text
    starts = {s.start: s.end for s in document.spans if s.label == "COM"}
    for span in document.spans:
        if span.label not in _BODIES:
            continue
        if span.label == "COM" and text.endswith(_COMPANY, 0, starts.get(span.end, 0)):
            yield span.start, starts[span.end], span.label  # 国网 + 四川省电力公司
        if span.label == "COM" and text.startswith(("App", "APP", "app"), span.end):
            yield span.start, span.end + 3, "WORK"
        match = _TAIL.match(text, span.end)
        if match is None or any(char in _LOOSE for char in match[0]) or _ACTS.search(match[0]):
            continue
        if match[0] == "队" and span.label != "ORG":
            continue
        if span.label == "COM" and not match[0].endswith(
            ("分行", "支行", "分公司", "营业部", "研究院")
        ):
            continue
        yield span.start, match.end(), span.label


_LATIN = re.compile(r"[（(]\s?(?P<name>[A-Z][a-z]+(?:[\s·.-]+[A-Z][A-Za-z'.]+){1,3})\s?[）)]")
_LETTERS = re.compile(r"[（(](?P<name>[A-Z][A-Za-z&+-]{1,7})(?<!SH)(?<!SZ)[）)]")
_DIVISION = ("区", "县", "市", "镇", "乡", "州")
_PART = re.compile("[·•・‧]\\s?([一-鿿]{2,8})$")
_EVERYDAY = words("not_person") | words("not_given") | words("word_ends")


@rule("part_again", labels=["PER", "LOC", "GOV", "COM", "ORG"], group="again",
      after="votes", weight=0.8,
      yes=["鲁道夫·哈默尔离职，[[哈默尔|PER]]没有回应",
           "在柳江县采访，[[柳江|LOC]]人说", "由约翰·伯格（[[John Berg|PER]]）写",
           "国际货币基金组织（[[IMF|ORG]]）称"],
      no=["在柳江县采访，柳江县人说"])  # fmt: skip
def part_again(document: Document) -> Iterator[tuple[int, int, str]]:
    """Parts of names: after a dot, without 区 or 县, or in Latin letters in brackets."""
    text = document.text
    parts: dict[str, str] = {}
    ends: dict[int, str] = {}
    for span in document.spans:
        surface = text[span.start : span.end]
        if span.label == "PER":
            ends[span.end] = "PER"
            found = _PART.search(surface)
            if found:
                parts[found[1]] = "PER"
        elif span.label in _BODIES:
            ends[span.end] = span.label
        elif (
            span.label == "LOC"
            and len(surface) == 3
            and surface.endswith(_DIVISION)
            and surface[:2] not in _EVERYDAY
        ):
            parts.setdefault(surface[:2], "LOC")
    for name, label in parts.items():
        at = text.find(name)
        while at >= 0:
            after = text[at + len(name) : at + len(name) + 1]
            alone = text[at - 1 : at] not in _DOTS and after not in _DOTS
            if alone and (label == "PER" or after not in _DIVISION):
                yield at, at + len(name), label
            at = text.find(name, at + len(name))
    if ends:
        for match in _LATIN.finditer(text):
            if ends.get(match.start()) == "PER":
                yield *match.span("name"), "PER"
        for match in _LETTERS.finditer(text):
            label = ends.get(match.start(), "PER")
            if label != "PER":
                yield *match.span("name"), label
