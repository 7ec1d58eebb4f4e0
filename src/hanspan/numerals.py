"""Chinese and Arabic numbers in running text, read exactly.

A small grammar of its own: ``1,234.5``, ``3.5万``, ``2亿5000万``, ``一百零五``, ``二〇二三``,
``20余万``, ``数十``, ``百``. No floats on the way: 5.57亿 is 557000000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

DIGITS = {char: number for number, chars in enumerate(
    ("〇零", "一壹", "二贰两俩", "三叁仨", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for char in chars}  # fmt: skip
SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "兆": 10**12}
_MAGNITUDE = {**SMALL, **LARGE}
_WIDE, _NARROW = "０１２３４５６７８９．，％－～＋", "0123456789.,%-~+"
_FOLD = {ord(wide): narrow for wide, narrow in zip(_WIDE, _NARROW, strict=True)}
_ARABIC = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_MOST_DIGITS = 24

ABOUT_BEFORE = ("数", "几", "上", "近", "约", "逾", "超", "好几")
ABOUT_AFTER = ("余", "多", "来", "几")


@dataclass(frozen=True, slots=True)
class Number:
    """A number at the start of a text.

    Attributes:
        value: exact.
        end: characters it takes.
        about: whether the text says that it is no exact count (数十, 20余, 几百).
    """

    value: Decimal
    end: int
    about: bool = False


def fold(text: str) -> str:
    """Full-width digits and signs as ASCII, one for one, so that offsets stay."""
    return text.translate(_FOLD)


def plain(value: Decimal) -> int | float:
    """A JSON number: int where it is whole."""
    return int(value) if value == value.to_integral_value() else float(value)


def read_number(text: str) -> Number | None:
    """The number that ``text`` begins with, or None.

    ``text`` must be folded (:func:`fold`). 数 and 几 stand for a digit that is not told and count
    as 1 with ``about`` set: 数十 is about 10, 几百 about 100.
    """
    at, about = 0, False
    while text.startswith(ABOUT_BEFORE, at) and at < 3:
        at, about = at + 1, True
    if text[at : at + 1] == "半":
        return Number(Decimal("0.5"), at + 1, about)
    total, last, found = Decimal(0), None, False
    while True:
        # 五万零一: the zero only says that a place is empty
        skip = last is not None and text[at : at + 1] in ("零", "〇")
        part = _part(text, at + skip)
        if part is None or (last is not None and part[1] >= last):
            break
        value, magnitude, end, part_about = part
        if last is not None and last > 10 and magnitude == 1 and end == at + 1:
            value = value * last / 10  # 三万五 is 35000
        at = end
        total, last, found = total + value, magnitude, True
        about = about or part_about
        if magnitude == 1:
            break
    if not found:
        return None
    if text.startswith(ABOUT_AFTER, at):
        at, about = at + 1, True
    return Number(total, at, about)


def _part(text: str, at: int) -> tuple[Decimal, int, int, bool] | None:
    """One core with its magnitudes: value, lowest magnitude, end, about."""
    about = False
    if match := _ARABIC.match(text, at):
        core = match.group().replace(",", "")
        if len(core) > _MOST_DIGITS:
            return None
        value, end = Decimal(core), match.end()
    else:
        chinese = _chinese(text, at)
        if chinese is None:
            return None
        whole, end = chinese
        value = Decimal(whole)
        if text[end : end + 1] == "点" and text[end + 1 : end + 2] in DIGITS:
            stop = end + 1
            while stop < len(text) and text[stop] in DIGITS and stop - end < _MOST_DIGITS:
                stop += 1
            decimals = "".join(str(DIGITS[char]) for char in text[end + 1 : stop])
            value, end = Decimal(f"{whole}.{decimals}"), stop
    magnitude = 1
    after = end
    if text.startswith(ABOUT_AFTER, after) and text[after + 1 : after + 2] in _MAGNITUDE:
        after, about = after + 1, True
    steps = 0
    while after < len(text) and text[after] in _MAGNITUDE and steps < 3:
        magnitude *= _MAGNITUDE[text[after]]
        after, steps = after + 1, steps + 1
    end = after if steps else end
    lowest = magnitude if steps else _lowest(text, at, end)
    return value * magnitude, lowest, end, about and steps > 0


def _lowest(text: str, at: int, end: int) -> int:
    """Magnitude of the last character of a Chinese numeral: nothing smaller may follow units."""
    return _MAGNITUDE.get(text[end - 1], 1) if end > at else 1


def _chinese(text: str, at: int) -> tuple[int, int] | None:
    """Value and end of a Chinese numeral below 万 (or of bare digits, as in 二〇二三)."""
    end = at
    while end < len(text) and text[end] in DIGITS and end - at < _MOST_DIGITS:
        end += 1
    if end - at > 1 and text[at] not in "零" and not _units_follow(text, at, end):
        return int("".join(str(DIGITS[char]) for char in text[at:end])), end
    total, digit, pos, unit = 0, -1, at, 10**9
    while pos < len(text):
        char = text[pos]
        if char in "零〇" and pos > at:
            digit, pos = -1, pos + 1
        elif char in DIGITS and digit < 0:
            digit, pos = DIGITS[char], pos + 1
        elif char in SMALL and SMALL[char] < unit:
            unit = SMALL[char]
            total, digit, pos = total + (1 if digit < 0 else digit) * unit, -1, pos + 1
        else:
            break
    if pos == at:
        # 万 and 亿 alone: 万亿元, 亿元
        return (1, at) if text[at : at + 1] in LARGE and at < len(text) else None
    if pos > at + 1 and text[pos - 1] in "零〇":
        pos -= 1
    if digit >= 0:
        # 二百五 is 250, but 二百零五 is 205.
        shortened = unit if unit < 10**9 and unit > 10 and text[pos - 2] in SMALL else 10
        total += digit * shortened // 10
    return total, pos


def _units_follow(text: str, at: int, end: int) -> bool:
    """Whether digits are part of a numeral with units (一百零五) and not a bare row."""
    return end < len(text) and text[end] in SMALL and end - at <= 2
