"""The shipped rule sets: invented sentences by type, and the closed classes by hypothesis."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document
from hanspan.labelmodel import vote
from hanspan.labels import LABEL_SETS
from hanspan.rules import RuleSet, load_rules


@cache
def rules(name: str) -> RuleSet:
    return load_rules(name)


def answer(text: str, name: str = "news") -> Document:
    chosen = rules(name)
    meta = {
        "labels": list(chosen.labels),
        "topics": list(chosen.topics),
        "rules": {i.source: {"group": i.group, "priority": i.priority} for i in chosen.infos},
    }
    return next(iter(vote([chosen.apply(Document("x", text))], meta)))


def marked(text: str) -> str:
    """The text with its spans written as in the annotation guideline."""
    out, done = "", 0
    for span in sorted(answer(text).spans, key=lambda s: s.start):
        out += text[done : span.start] + f"[[{text[span.start : span.end]}|{span.label}]]"
        done = span.end
    return out + text[done:]


SENTENCES = [
    "本报讯[[河南江远制药有限公司|COM]]积极安排下岗职工。",
    "[[AC米兰|ORG]]主场2-1击败[[罗马|ORG]]，[[欧冠|EVENT]]晋级在望。",
    "他去了[[米兰|LOC]]和[[罗马|LOC]]旅游。",
    "对于[[日本队|ORG]]和[[中国队|ORG]]来说都一样。",
    "[[武汉市国土房产局|GOV]]有关人士说。",
    "他在玩[[魔兽世界|WORK]]。",
    "[[松江市政协|GOV]][[主席|TITLE]][[梁晓岚|PER]]表示，要落实[[“十四五”规划|POLICY]]。",
    "[[国家主席|TITLE]][[习近平|PER]][[5日下午|TIME]]在[[人民大会堂|LOC]]会见[[法国|LOC]][[总统|TITLE]][[马克龙|PER]]。",
    "本报[[记者|TITLE]] [[赵明远|PER]]",
    "[[省委|GOV]]、[[省政府|GOV]]召开会议。",
    "[[俄罗斯国防部|GOV]]称，[[俄军|GOV]]已撤出。",
    "[[俄外交部|GOV]]对此没有回应。",
    "[[外交部|GOV]][[发言人|TITLE]][[林剑|PER]]说，[[中|LOC]][[俄|LOC]]关系稳定。",
    "[[江州博远生物科技有限公司|COM]]成立于[[2015年|TIME]]。",
    "[[腾讯|COM]]、[[百度|COM]]和[[京东|COM]]都参加了。",
    "[[中国钢结构协会|ORG]]发布报告。",
    "[[河海大学|ORG]][[教授|TITLE]][[周文彬|PER]]认为，可以再等。",
    "[[新华社|ORG]][[北京|LOC]][[6月3日|TIME]]电",
    "代表们来自[[浙江宁波|LOC]]、[[四川省|LOC]]和[[河北省|LOC]]。",
    "游客从[[美国纽约|LOC]]出发。",
    "[[党的二十大|EVENT]]以来，成绩很大。",
    "[[第六届中国绿色食品博览会|EVENT]]在[[成都|LOC]]开幕。",
    "会议讨论了[[《江州市湿地保护条例》|POLICY]]和电影[[《春江花月》|WORK]]。",
    "共建“[[一带一路|POLICY]]”十分重要。",
    "深入实施“[[清水绿岸|POLICY]]”行动。",
    "大力发展[[集成电路|IND]]、[[生物医药|IND]]和[[新能源汽车|IND]]产业。",
    "[[嫦娥六号|WORK]]成功着陆。",
    "增长[[3.2%|PERCENT]]，占[[三分之二|PERCENT]]，近[[七成|PERCENT]]来自外地。",
    "投资[[12.5亿元|MONEY]]，另有[[300万美元|MONEY]]。",
    "每县选[[五至七家|QTY]]试点。",
    "共有[[20余家|QTY]]企业、[[3.5万人|QTY]]参加，历时[[7年|QTY]]。",
    "[[去年同期|TIME]]只有[[两个|QTY]]。",
    "[[1至6月|TIME]]，全市用电量上升。",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_are_marked_as_the_guideline_says(sentence: str) -> None:
    plain = sentence
    for label in LABEL_SETS["news"].entities:
        plain = plain.replace(f"|{label}]]", "")
    plain = plain.replace("[[", "")
    assert marked(plain) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "近年来，有关部门和当地政府高度重视。",
        "中方愿同各方一道努力，双方关系良好。",
        "与会者和负责人都同意这个方案。",
        "要坚持高质量发展，培育新质生产力。",
        "第一家庭和第二产业都是常用的说法。",
        "委员们说，一个企业、一批项目正在建设。",
        "经济全球化的方向没有改变，高度重视安全。",
    ],
)
def test_generic_words_are_left(text: str) -> None:
    assert marked(text) == text


def test_short_form_is_found_again() -> None:
    text = "江州博远科技有限公司（以下简称“博远科创”）成立。随后，博远科创扩大了规模。"
    found = [text[s.start : s.end] for s in answer(text).spans if s.label == "COM"]
    assert found.count("博远科创") == 2


def test_name_is_found_again_without_context() -> None:
    text = "记者采访了村支书周文彬。第二天的雨里周文彬还是去了地里。"
    people = [s for s in answer(text).spans if s.label == "PER"]
    assert [text[s.start : s.end] for s in people] == ["周文彬", "周文彬"]


_AMOUNT = st.one_of(
    st.integers(2, 99999).map(str),
    st.decimals("1.1", "9999.9", places=1).map(str),
    st.sampled_from(["三十", "五百", "一千二百", "十几", "数百", "上千"]),
)
_SCALE = st.sampled_from(["", "万", "亿", "万亿"])


def only(text: str, inner: str, label: str) -> bool:
    start = text.index(inner)
    return any(
        s.start == start and s.end == start + len(inner) and s.label == label
        for s in answer(text).spans
    )


@settings(max_examples=60, deadline=None)
@given(_AMOUNT, _SCALE, st.sampled_from(["元", "美元", "欧元", "港元", "日元"]))
def test_money(number: str, scale: str, currency: str) -> None:
    inner = f"{number}{scale}{currency}"
    assert only(f"总额为{inner}，", inner, "MONEY")


@settings(max_examples=60, deadline=None)
@given(st.decimals("0.1", "199.9", places=1), st.sampled_from(["%", "％", "个百分点"]))
def test_percent(number: object, sign: str) -> None:
    assert only(f"同比增长{number}{sign}。", f"{number}{sign}", "PERCENT")


@settings(max_examples=60, deadline=None)
@given(
    _AMOUNT,
    st.sampled_from(["家", "名", "个", "项", "公里", "万吨", "人次", "小时", "平方米", "台"]),
)
def test_quantity(number: str, unit: str) -> None:
    assert only(f"共有{number}{unit}，", f"{number}{unit}", "QTY")


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1950, 2049),
    st.integers(1, 12),
    st.integers(1, 28),
    st.sampled_from(["", "上午", "下午", "凌晨", "晚"]),
    st.booleans(),
)
def test_date(year: int, month: int, day: int, part: str, wide: bool) -> None:
    inner = f"{year}年{month}月{day}日{part}"
    if wide:
        inner = inner.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789"})
    assert only(f"会议于{inner}在京召开。", inner, "TIME")
    assert only(f"{inner}，", inner, "TIME")


_WORDS = """第 一 二 十 3 15 2023 ． . 年 月 日 时 万 亿 元 美元 % 家 个 届 期 大 半 上 数 几 多
    至 - — 、 ， 。 “ ” 《 》 （ ） · 习 主席 王 李 林 达 斯 尔 克 普京 总统 记者 表示 说
    中 美 日 韩 访 华 抵 京 北京 市 县 区 省 委 政府 公安 局 厅 法院 公司 有限公司 集团
    大学 学院 协会 银行 股份 队 中心 (600000) 产业 金融 发展 实施 行动 计划 会议 论坛
    峰会 以下简称 号 航母"""
_PIECES = st.sampled_from(_WORDS.split())


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECES, max_size=40))
def test_pieces_of_news_in_any_order_give_valid_spans(pieces: list[str]) -> None:
    text = "".join(pieces)
    last = 0
    for span in sorted(answer(text).spans, key=lambda s: s.start):
        assert last <= span.start < span.end <= len(text)
        last = span.end


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_spans_within_it_and_without_overlap(text: str) -> None:
    last = 0
    for span in sorted(answer(text).spans, key=lambda s: s.start):
        assert last <= span.start < span.end <= len(text)
        last = span.end


@pytest.mark.parametrize(
    ("name", "text", "topic"),
    [
        ("news", "中央政治局召开会议，强调坚持全面从严治党，推进党风廉政建设。", "politics"),
        ("news", "央行宣布下调贷款利率，A股收盘上涨，企业融资成本下降。", "economy"),
        ("news", "气象台发布暴雨预警，多地防汛形势严峻。", "environment"),
        ("thucnews", "火箭客场逆转湖人 姚明砍下30分", "sports"),
        ("thucnews", "2011年考研英语大纲解析：完形填空复习要点", "education"),
        ("tnews", "王者荣耀新赛季上分英雄推荐，打野这样玩", "news_game"),
        ("tnews", "大蒜价格上涨，农民种植面积扩大", "news_agriculture"),
    ],
)
def test_topics(name: str, text: str, topic: str) -> None:
    assert answer(text, name).labels["topic"] == topic
