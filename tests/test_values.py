"""Values of TIME, MONEY, PERCENT and QTY."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanspan.data import Document, Span
from hanspan.numerals import fold, plain, read_number
from hanspan.values import normalise, with_values

DAY = date(2023, 10, 15)  # a Sunday


def chinese(number: int) -> str:
    """The formal numeral, written another way round than the reader reads it."""
    if number == 0:
        return "零"
    digits, out, gap = "零一二三四五六七八九", "", False
    for power, unit in ((10**8, "亿"), (10**4, "万"), (1, "")):
        part = number // power % 10**4
        if not part:
            gap = gap or bool(out)
            continue
        if out and (gap or part < 1000):
            out += "零"
        gap = False
        inner, hole = "", False
        for step, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
            digit = part // step % 10
            if digit:
                inner += ("零" if hole and inner else "") + digits[digit] + name
                hole = False
            else:
                hole = True
        out += inner + unit
    return out


def ten(number: int) -> str:
    """As people write it: 十二, not 一十二."""
    return chinese(number).removeprefix("一") if 10 <= number < 20 else chinese(number)


@given(st.integers(0, 10**12 - 1))
def test_chinese_numerals_read_back(number: int) -> None:
    text = chinese(number)
    found = read_number(text)
    assert found is not None
    assert (found.value, found.end) == (number, len(text))


@given(st.integers(0, 10**9), st.sampled_from(["", "万", "亿", "万亿"]))
def test_arabic_numbers_are_exact(hundredths: int, unit: str) -> None:
    size = {"": 1, "万": 10**4, "亿": 10**8, "万亿": 10**12}[unit]
    for text in (f"{hundredths / 100:.2f}{unit}", f"{hundredths / 100:,.2f}{unit}"):
        found = read_number(text)
        assert found is not None
        assert found.value == Decimal(hundredths) * size / 100
        assert found.end == len(text)


ODD = st.text(alphabet="0159一二十百万亿零点半数余.,元年月日至-第季度世纪前去今五周上", max_size=40)


@given(ODD, st.sampled_from(["TIME", "MONEY", "PERCENT", "QTY", "PER"]))
def test_nothing_breaks_it(text: str, label: str) -> None:
    for day in (None, DAY):
        value = normalise(text, label, day)
        assert value is None or ("value" in value) != ("low" in value)


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_dates_of_every_form(day: date) -> None:
    iso = day.isoformat()
    digits = str.maketrans("0123456789", "〇一二三四五六七八九")
    forms = [
        f"{day.year}年{day.month}月{day.day}日", f"{day.year}年{day.month:02}月{day.day:02}号",
        f"{str(day.year).translate(digits)}年{ten(day.month)}月"
        f"{ten(day.day)}日",
        iso, f"{day.year}.{day.month}.{day.day}", f"{day.year}/{day.month:02}/{day.day:02}",
    ]  # fmt: skip
    for form in forms:
        assert normalise(form, "TIME") == {"value": iso, "resolved": True}
    assert normalise("今天", "TIME", day) == {"value": iso, "resolved": True}
    yesterday = (day - timedelta(days=1)).isoformat()
    assert normalise("昨天", "TIME", day) == {"value": yesterday, "resolved": True}


TIMES = {
    "二〇二三年十二月三十一日": "2023-12-31",
    "2023年10月10日—12日": "2023-10-10/2023-10-12",
    "9月2日-6日": "2023-09-02/2023-09-06",
    "1至6月": "2023-01/2023-06",
    "2012-2026年": "2012/2026",
    "2022年12月至次年": None,
    "今年6月21日": "2023-06-21",
    "去年": "2022",
    "去年底": "2022-10-01/2022-12-31",
    "明年上半年": "2024-01-01/2024-06-30",
    "2024年第一季度": "2024-01-01/2024-03-31",
    "上个月": "2023-09",
    "周三": "2023-10-11",
    "上周五": "2023-10-06",
    "十年前": "2013",
    "三天后": "2023-10-18",
    "“十四五”时期": "2021-01-01/2025-12-31",
    "20世纪90年代": "1990-01-01/1999-12-31",
    "12月下旬": "2023-12-21/2023-12-31",
    "3月31日下午三时": "2023-03-31T15:00",
    "8日9时30分": "2023-10-08T09:30",
    "2020年同期": "2020",
    "98年": "1998",
    "公元前221年": "-0220",
    "国庆节": "2023-10-01",
    "今夏": "2023-06-01/2023-08-31",
    "2月30日": None,
    "13月": None,
    "近日": None,
}


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    value = normalise(text, "TIME", DAY)
    assert (value and value["value"]) == TIMES[text]


def test_times_without_a_day_of_writing_stay_open() -> None:
    assert normalise("3月2日", "TIME") == {"value": "--03-02", "resolved": False}
    assert normalise("26日", "TIME") == {"value": "---26", "resolved": False}
    assert normalise("去年", "TIME") is None
    assert normalise("2022财年", "TIME") == {"value": "2022", "resolved": True, "fiscal": True}


@pytest.mark.parametrize(
    ("text", "day", "value"),
    [
        ("12月30日", date(2024, 1, 3), "2023-12-30"),
        ("1月5日", date(2023, 12, 20), "2024-01-05"),
        ("30日", date(2024, 5, 2), "2024-04-30"),
        ("3月份", DAY, "2023-03"),
    ],
)
def test_what_news_leave_out(text: str, day: date, value: str) -> None:
    assert normalise(text, "TIME", day) == {"value": value, "resolved": True}


OTHERS = [
    ("666.7亿元", "MONEY", {"value": 66670000000, "currency": "CNY"}),
    ("5.57亿港元", "MONEY", {"value": 557000000, "currency": "HKD"}),
    ("三至五亿元", "MONEY", {"low": 300000000, "high": 500000000, "currency": "CNY"}),
    ("数千万美元", "MONEY", {"value": 10000000, "about": True, "currency": "USD"}),
    ("12元5角", "MONEY", {"value": 12.5, "currency": "CNY"}),
    ("10万亿元人民币", "MONEY", {"value": 10**13, "currency": "CNY"}),
    ("US$５亿", "MONEY", {"value": 500000000, "currency": "USD"}),
    ("万亿元", "MONEY", {"value": 10**12, "currency": "CNY"}),
    ("二百五元", "MONEY", {"value": 250, "currency": "CNY"}),
    ("14.3%", "PERCENT", {"value": 14.3}),
    ("３成", "PERCENT", {"value": 30}),
    ("百分之三十五点五", "PERCENT", {"value": 35.5}),
    ("三分之二", "PERCENT", {"value": 66.6667}),
    ("3%-5%", "PERCENT", {"low": 3, "high": 5}),
    ("-0.3%", "PERCENT", {"value": -0.3}),
    ("1.2个百分点", "PERCENT", {"value": 1.2}),
    ("5‰", "PERCENT", {"value": 0.5}),
    ("16条", "QTY", {"value": 16, "unit": "条"}),
    ("20余家", "QTY", {"value": 20, "about": True, "unit": "家"}),
    ("30余万人次", "QTY", {"value": 300000, "about": True, "unit": "人次"}),
    ("3-5年", "QTY", {"low": 3, "high": 5, "unit": "年"}),
    ("一年半", "QTY", {"value": 1.5, "unit": "年"}),
    ("3个多月", "QTY", {"value": 3, "about": True, "unit": "个月"}),
    ("数十件", "QTY", {"value": 10, "about": True, "unit": "件"}),
    ("三万五千公里", "QTY", {"value": 35000, "unit": "公里"}),
    ("合肥市", "QTY", None),
    ("100", "MONEY", None),
    ("1" * 30 + "元", "MONEY", None),
    ("韩冰", "PER", None),
]


@pytest.mark.parametrize(("text", "label", "value"), OTHERS)
def test_amounts(text: str, label: str, value: object) -> None:
    assert normalise(text, label) == value


def test_documents_carry_values_beside_their_spans() -> None:
    text = "韩冰今年捐5亿元"
    spans = (Span(0, 2, "PER"), Span(2, 4, "TIME"), Span(5, 8, "MONEY"))
    doc = with_values(Document("a", text, spans, {}, {"date": "2021-05-06 08:00"}))
    assert doc.meta["values"] == [
        {"start": 2, "end": 4, "value": "2021", "resolved": True},
        {"start": 5, "end": 8, "value": 500000000, "currency": "CNY"},
    ]
    plain_doc = Document("a", "韩冰", (Span(0, 2, "PER"),))
    assert with_values(plain_doc) == plain_doc


def test_folding_keeps_offsets() -> None:
    assert fold("３．５％") == "3.5%"
    assert plain(Decimal("3.0")) == 3
    assert isinstance(plain(Decimal("3.0")), int)
