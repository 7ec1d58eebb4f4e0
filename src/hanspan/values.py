"""Normalised values of TIME, MONEY, PERCENT and QTY spans.

Pure functions of a span's characters (and, for times, of a reference date); what they cannot
read they leave alone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from hanspan.data import Document
from hanspan.numerals import Number, fold, plain, read_number
from hanspan.times import normalise_time

CURRENCIES = {
    "美元": "USD", "美金": "USD", "港元": "HKD", "港币": "HKD", "欧元": "EUR", "英镑": "GBP",
    "日元": "JPY", "日圆": "JPY", "韩元": "KRW", "卢布": "RUB", "澳元": "AUD", "澳大利亚元": "AUD",
    "加元": "CAD", "加拿大元": "CAD", "新台币": "TWD", "台币": "TWD", "澳门元": "MOP",
    "澳门币": "MOP", "瑞士法郎": "CHF", "瑞郎": "CHF", "新加坡元": "SGD", "新元": "SGD",
    "泰铢": "THB", "印度卢比": "INR", "卢比": "INR", "越南盾": "VND", "林吉特": "MYR",
    "雷亚尔": "BRL", "里拉": "TRY", "兰特": "ZAR", "比索": "MXN", "人民币": "CNY", "元": "CNY",
    "块钱": "CNY", "块": "CNY", "圆": "CNY",
}  # fmt: skip
"""What a currency is called, and its ISO 4217 code."""

_SIGNS = {"￥": "CNY", "¥": "CNY", "$": "USD", "US$": "USD", "HK$": "HKD", "€": "EUR", "£": "GBP",
          "RMB": "CNY", "CNY": "CNY", "USD": "USD", "HKD": "HKD", "EUR": "EUR"}  # fmt: skip
_SMALL_CHANGE = re.compile(
    r"(?:(\d|[一二两三四五六七八九])[角毛])?(?:(\d|[一二两三四五六七八九])分)?(?:钱)?"
)
_RANGE = re.compile(r"[至到~—–-]+")
_FRACTION = re.compile(r"(.{1,12})分之(.{1,12})")
_LONGEST = 60


def normalise(text: str, label: str, reference: date | None = None) -> dict[str, Any] | None:
    """The value of a span.

    Args:
        text: its characters.
        label: TIME, MONEY, PERCENT or QTY; anything else has no value.
        reference: day of writing, for TIME.

    Returns:
        TIME: see :func:`hanspan.times.normalise_time`. The others: ``value``, or ``low`` and
        ``high`` of a range; ``about: True`` where the text gives no exact figure; ``currency``
        (ISO 4217) of MONEY; ``unit`` of QTY; PERCENT counts in hundredths. None if not known.
    """
    if len(text) > _LONGEST:
        return None
    if label == "TIME":
        return normalise_time(text, reference)
    reader = {"MONEY": _money, "PERCENT": _percent, "QTY": _quantity}.get(label)
    return reader(re.sub(r"\s", "", fold(text))) if reader else None


def with_values(document: Document, reference: date | None = None) -> Document:
    """The document with ``meta["values"]``: start, end and value of each span that has one.

    Args:
        document: with spans.
        reference: day of writing; else ``meta["date"]`` where that is an ISO date.
    """
    reference = reference or _date(document.meta.get("date"))
    rows = []
    for span in document.spans:
        value = normalise(document.surface(span), span.label, reference)
        if value is not None:
            rows.append({"start": span.start, "end": span.end, **value})
    return replace(document, meta={**document.meta, "values": rows}) if rows else document


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _range(text: str) -> tuple[dict[str, Any], str] | None:
    """Number or range that ``text`` begins with, as a row, and what follows."""
    first = read_number(text)
    if first is None:
        return None
    rest = text[first.end :]
    second: Number | None = None
    match = _RANGE.match(rest)
    # 3%-5%, 3元至5元: the unit may stand after each of the two
    unit = re.match(r"[%元]", rest)
    if match is None and unit is not None:
        match = _RANGE.match(rest, unit.end())
    if match is not None:
        second = read_number(rest[match.end() :])
    if second is None or match is None:
        row: dict[str, Any] = {"value": plain(first.value)}
        if first.about:
            row["about"] = True
        return row, rest
    rest = rest[match.end() + second.end :]
    low = first.value
    if low < second.value and low * 1000 < second.value:
        low = _lift(low, second.value)
    if low > second.value:
        return None
    row = {"low": plain(low), "high": plain(second.value)}
    if first.about or second.about:
        row["about"] = True
    return row, rest


def _lift(low: Decimal, high: Decimal) -> Decimal:
    """3至5亿: the first number takes the magnitude of the second."""
    for step in (10**8, 10**4):
        if high >= step and low * step <= high:
            return low * step
    return low


def _money(text: str) -> dict[str, Any] | None:
    currency = None
    for sign in sorted((*_SIGNS, "人民币", "约", "合"), key=len, reverse=True):
        if text.startswith(sign):
            currency, text = (
                _SIGNS.get(sign, "CNY" if sign == "人民币" else None),
                text[len(sign) :],
            )
    found = _range(text)
    if found is None:
        return None
    row, rest = found
    named = next((n for n in sorted(CURRENCIES, key=len, reverse=True) if rest.startswith(n)), None)
    if named is not None:
        code, rest = CURRENCIES[named], rest[len(named) :]
        currency = currency if code == "CNY" and currency else code
    if currency is None and not _SMALL_CHANGE.fullmatch(rest or "x"):
        return None
    if rest in ("人民币", "（人民币）", "(人民币)"):
        rest = ""
    change = _SMALL_CHANGE.fullmatch(rest)
    if change is None:
        return None
    if change[1] or change[2]:
        if "value" not in row:
            return None
        tenths = [read_number(part).value if part else 0 for part in change.groups()]  # type: ignore[union-attr]
        row["value"] = plain(Decimal(str(row["value"])) + Decimal(tenths[0]) / 10
                             + Decimal(tenths[1]) / 100)  # fmt: skip
    return {**row, "currency": currency or "CNY"}


def _percent(text: str) -> dict[str, Any] | None:
    if match := _FRACTION.fullmatch(text):
        base = {"百": Decimal(100), "千": Decimal(1000), "万": Decimal(10000)}.get(match[1])
        if base is None:
            lower = read_number(match[1])
            base = lower.value if lower and lower.end == len(match[1]) else None
        found = _range(match[2])
        if not base or found is None or found[1]:
            return None
        return {key: value if key == "about" else _hundredths(Decimal(str(value)) / base)
                for key, value in found[0].items()}  # fmt: skip
    sign = -1 if text[:1] in ("-", "负") else 1
    found = _range(text[1:] if sign < 0 else text)
    if found is None:
        return None
    row, rest = found
    scales = {"%": 1, "个百分点": 1, "百分点": 1, "成": 10, "成半": 10}
    scale = Decimal("0.1") if rest == "‰" else Decimal(scales.get(rest, 0))
    if not scale:
        if rest not in ("成余", "成多", "成以上"):
            return None
        row, scale = {**row, "about": True}, Decimal(10)
    extra = 5 if rest == "成半" else 0
    return {key: value if key == "about" else plain(Decimal(str(value)) * scale * sign + extra)
            for key, value in row.items()}  # fmt: skip


def _hundredths(share: Decimal) -> int | float:
    return plain(round(share * 100, 4))


def _quantity(text: str) -> dict[str, Any] | None:
    found = _range(text)
    if found is None:
        return None
    row, unit = found
    if unit[:1] in ("余", "多", "来") and len(unit) > 1:  # 3年多, 5个多月 keep it inside
        row, unit = {**row, "about": True}, unit[1:]
    if match := re.fullmatch("(个)[多来余](.+)", unit):
        row, unit = {**row, "about": True}, match[1] + match[2]
    for mark in ("多", "余"):
        if len(unit) > 1 and unit.endswith(mark):
            row, unit = {**row, "about": True}, unit[:-1]
    if unit == "半" or (unit.endswith("半") and len(unit) > 1 and "value" in row):
        row["value"] = plain(Decimal(str(row["value"])) + Decimal("0.5"))
        unit = unit[:-1]
    if not unit or len(unit) > 8 or any(char.isdigit() for char in unit):
        return None
    return {**row, "unit": unit}
