"""Calendar times in ISO 8601, with a reference date for those that lean on one.

``2023年10月10日—12日`` is ``2023-10-10/2023-10-12``; ``今年6月21日`` needs the day of writing.
What stays open is written short, as in ``--03-02`` (the second of March of some year).
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from hanspan.numerals import DIGITS, fold, plain, read_number

_N = r"(?:\d{1,4}|[〇零一二两三四五六七八九十]{1,5})"
_YEAR = re.compile(rf"(公元前|公元|前)?({_N})年(?![前后来代])(?:度)?")
_YEAR_WORD = re.compile(r"(今|去|前|明|后|上|本|当)(?:一)?年(?:度)?|今(?=[春夏秋冬])|(?:来)年")
_AGO = re.compile(rf"({_N})(年|个?月|天|日|周)(前|后)")
_MONTH = re.compile(rf"({_N})月(?:份)?")
_MONTH_WORD = re.compile(r"(本|当|上|下)(?:个)?月(?:份)?")
_DAY = re.compile(rf"({_N})[日号]")
_DAY_WORD = re.compile(
    r"(大前|前|昨|今|当|明|后|大后)[天日]|今(?=[早晚])|昨(?=[早晚])|明(?=[早晚])"
)
_WEEK = re.compile(r"(上上|上|下|本|这)?(?:个)?(?:周|星期|礼拜)([一二三四五六日天末])?")
_QUARTER = re.compile(r"第?([一二三四1-4])季度?|[qQ]([1-4])")
_HALF = re.compile(r"(上|下)半年")
_PLAN = re.compile(
    r"[“\"'「]?(?:第?)([一二三四五六七八九十]{1,3})五(?:[”\"'」]|规划)?(?:时期|期间)?$"
)
_DECADE = re.compile(rf"(?:(?:上|本)?({_N})?世纪)?({_N})年代(初|中期|中|末|后期)?")
_CENTURY = re.compile(rf"(?:第?({_N})|(上|本))(?:个)?世纪(初|中叶|末)?")
_FISCAL = re.compile(r"(?:(\d{4})年?|(当前|本|新|下一?|上一?)(?:个)?)财年")
_CLOCK = re.compile(
    rf"(凌晨|清晨|早上|早晨|早|上午|中午|下午|傍晚|晚上|晚间|当晚|晚|夜间|深夜)?"
    rf"(?:({_N})(?:[时点]|:(?=\d\d))(?:({_N}|半|一刻|三刻)(?:分)?|整)?(?:许)?)?"
)
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?(?!\d)")
_SEASONS = {"春": (3, 5), "夏": (6, 8), "秋": (9, 11), "冬": (12, 14)}
_FEASTS = {
    "元旦": (1, 1), "妇女节": (3, 8), "植树节": (3, 12), "五一": (5, 1), "劳动节": (5, 1),
    "五四": (5, 4), "青年节": (5, 4), "儿童节": (6, 1), "七一": (7, 1), "八一": (8, 1),
    "建军节": (8, 1), "教师节": (9, 10), "十一": (10, 1), "国庆节": (10, 1), "国庆": (10, 1),
    "圣诞节": (12, 25),
}  # fmt: skip
_PARTS = {"上旬": (1, 10), "中旬": (11, 20), "下旬": (21, 31), "初": (1, 10), "中": (11, 20),
          "底": (21, 31), "末": (21, 31)}  # fmt: skip
_SPLIT = re.compile(r"[至到~—–-]+")
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Point:
    """A calendar time as far as it is told; None is open."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    clock: str | None = None
    span: tuple[date, date] | None = None
    fiscal: bool = False


def normalise_time(text: str, reference: date | None = None) -> dict[str, Any] | None:
    """ISO 8601 for a time expression.

    Args:
        text: the surface of a TIME span.
        reference: day of writing; fills years and months that are left out.

    Returns:
        ``{"value": ISO date, month, year, time or interval, "resolved": bool}``, with
        ``"fiscal": True`` for financial years; None where the form is not known.
    """
    if len(text) > _LONGEST:
        return None
    clean = re.sub(r"\s", "", fold(text)).strip("“”\"'（）()《》")
    found = _one(clean, reference)
    if found is not None:
        return _result(_fill(found, reference))
    for match in _SPLIT.finditer(clean):
        left, right = clean[: match.start()], clean[match.end() :]
        end = _one(right, reference)
        if end is None or not left:
            continue
        unit = next((u for u in "日号月年时" if right.rstrip("份间").endswith(u)), "")
        start = _one(left, reference) or _one(left + unit, reference)
        if start is not None:
            return _interval(start, end, reference)
    return None


def _interval(start: Point, end: Point, reference: date | None) -> dict[str, Any] | None:
    if start.span is None and end.span is None:
        if end.year is None and start.year is not None:
            wraps = end.month is not None and start.month is not None and end.month < start.month
            end = replace(end, year=start.year + wraps)
        if end.month is None and end.day is not None:
            end = replace(end, month=start.month)
        if end.day is None and end.clock is not None:
            end = replace(end, day=start.day, month=start.month)
    end = _fill(end, reference)
    if start.span is None and end.span is None and start.year is None and end.year is not None:
        start = replace(start, month=start.month or end.month, year=end.year)
        assert start.year is not None
        if start.month and end.month and start.month > end.month:
            start = replace(start, year=start.year - 1)
    start = _fill(start, reference)
    first, last = _result(start), _result(end)
    if first is None or last is None:
        return None
    head, tail = first["value"].split("/")[0], last["value"].split("/")[-1]
    if first["resolved"] and last["resolved"] and head > tail and head[0] != "-":
        return None
    return {"value": f"{head}/{tail}", "resolved": first["resolved"] and last["resolved"]}


def _small(text: str) -> int:
    """A year, month or day number; digits one by one where they are bare (二〇二三)."""
    if text.isdecimal() and text.isascii():
        return int(text)
    if len(text) > 1 and all(char in DIGITS for char in text):
        return int("".join(str(DIGITS[char]) for char in text))
    number = read_number(text)
    return int(plain(number.value)) if number and number.end == len(text) else -1


def _full_year(number: int, written: str) -> int:
    """98年 is 1998 and 05年 is 2005; years of the early centuries have three digits or 公元."""
    if len(written) == 2 and written.isascii():
        return number + (1900 if number >= 50 else 2000)
    return number


def _month_span(year: int, first: int, last: int) -> tuple[date, date]:
    """Whole months; ``last`` may pass 12 into the next year."""
    end_year, end_month = year + (last - 1) // 12, (last - 1) % 12 + 1
    days = calendar.monthrange(end_year, end_month)[1]
    return date(year + (first - 1) // 12, (first - 1) % 12 + 1, 1), date(end_year, end_month, days)


def _one(text: str, ref: date | None) -> Point | None:
    """The point or span that the whole of ``text`` names."""
    try:
        return _whole(text, ref)
    except (ValueError, OverflowError):  # no such day, or beyond the calendar
        return None


def _whole(text: str, ref: date | None) -> Point | None:
    if not text:
        return None
    if match := _ISO.match(text):
        year, month, day = (int(part) if part else None for part in match.groups())
        return _rest(text[match.end() :].lstrip("Tt日"), Point(year, month, day), ref)
    if (match := _FISCAL.fullmatch(text)) and (match[1] or ref):
        step = {"新": 0, "当前": 0, "本": 0, "下": 1, "下一": 1, "上": -1, "上一": -1}
        year = int(match[1]) if match[1] else ref.year + step[match[2]] if ref else None
        return Point(year, fiscal=True)
    if match := _PLAN.fullmatch(text):
        number = _small(match[1])
        start = 1953 + 5 * (number - 1) if number < 3 else 1966 + 5 * (number - 3)
        return Point(span=_month_span(start, 1, 60)) if 1 <= number <= 40 else None
    if match := _CENTURY.fullmatch(text):
        now = (ref.year // 100 + 1) if ref else 21
        number = _small(match[1]) if match[1] else now - (match[2] == "上")
        start = (number - 1) * 100
        part = {"初": (0, 9), "中叶": (40, 59), "末": (90, 99)}.get(match[3], (0, 99))
        return Point(span=(date(start + part[0] or 1, 1, 1), date(start + part[1], 12, 31)))
    if match := _DECADE.fullmatch(text):
        return _decade(match, text, ref)
    if (match := _AGO.fullmatch(text)) and ref:
        return _ago(match, ref)
    return _rest(text, Point(), ref)


def _decade(match: re.Match[str], text: str, ref: date | None) -> Point | None:
    tens = _small(match[2])
    century = _small(match[1]) if match[1] else 21 if text.startswith("本") else 20
    start = tens if tens >= 1000 else (century - 1) * 100 + tens
    if not match[1] and not text.startswith(("上", "本")) and tens <= 20:
        start += 100 if tens < 1000 else 0
    part = {"初": (0, 2), "中期": (3, 6), "中": (3, 6), "末": (7, 9), "后期": (7, 9)}
    first, last = part.get(match[3], (0, 9))
    return Point(span=(date(start + first, 1, 1), date(start + last, 12, 31)))


def _ago(match: re.Match[str], ref: date) -> Point | None:
    count, unit = _small(match[1]), match[2]
    if count < 0:
        return None
    step = -count if match[3] == "前" else count
    if unit == "年":
        return Point(ref.year + step)
    if unit.endswith("月"):
        months = ref.year * 12 + ref.month - 1 + step
        return Point(months // 12, months % 12 + 1)
    day = ref + timedelta(days=step * (7 if unit == "周" else 1))
    return Point(day.year, day.month, day.day)


def _rest(text: str, point: Point, ref: date | None) -> Point | None:
    """Year, month, day, part and clock, each of which may be missing, in this order."""
    start = point
    if point.year is None:
        text, point = _take_year(text, point, ref)
        if text is None:
            return None
    if text in ("同期", "全年", "年度", "度"):
        return point if point.year is not None else None
    if text and text[0] in "初底末" and point.year is not None and len(text) == 1:
        return Point(span=_month_span(point.year, *((1, 3) if text == "初" else (10, 12))))
    if text in ("年初", "年底", "年末", "年中") and point.year is None and ref:
        months = {"年初": (1, 3), "年中": (5, 7)}.get(text, (10, 12))
        return Point(span=_month_span(ref.year, *months))
    year = point.year if point.year is not None else (ref.year if ref else None)
    if (match := _QUARTER.fullmatch(text)) and year is not None:
        number = _small(match[1] or match[2])
        return Point(span=_month_span(year, 3 * number - 2, 3 * number))
    if (match := _HALF.fullmatch(text)) and year is not None:
        return Point(span=_month_span(year, *((1, 6) if match[1] == "上" else (7, 12))))
    season = text.removesuffix("季").removesuffix("天")
    if season in _SEASONS and year is not None:
        return Point(span=_month_span(year, *_SEASONS[season]))
    feast = text.strip('“”"').removesuffix("期间").removesuffix("假期").strip('“”"')
    if feast in _FEASTS:
        month, day = _FEASTS[feast]
        return replace(point, month=month, day=day)
    return _take_day(text, point, ref, start)


def _take_year(text: str, point: Point, ref: date | None) -> tuple[Any, Point]:
    if match := _YEAR.match(text):
        number = _small(match[2])
        before = match[1] in ("公元前", "前")
        year = 1 - number if before else _full_year(number, match[2])
        if number < 0 or (number < 100 and match[1] is None and len(match[2]) != 2):
            return None, point
        return text[match.end() :], replace(point, year=year)
    if match := _YEAR_WORD.match(text):
        if ref is None:
            return None, point
        step = {"去": -1, "前": -2, "明": 1, "后": 2, "上": -1, "来": 1}.get(match.group()[0], 0)
        return text[match.end() :], replace(point, year=ref.year + step)
    return text, point


def _take_day(text: str, point: Point, ref: date | None, start: Point) -> Point | None:
    if match := _MONTH.match(text):
        month = _small(match[1])
        if not 1 <= month <= 12:
            return None
        text, point = text[match.end() :], replace(point, month=month)
    elif (match := _MONTH_WORD.match(text)) and point.year is None:
        if ref is None:
            return None
        months = ref.year * 12 + ref.month - 1 + {"上": -1, "下": 1}.get(match[1], 0)
        text, point = text[match.end() :], replace(point, year=months // 12, month=months % 12 + 1)
    if point.month is not None and text in _PARTS:
        return _part_of_month(point, _PARTS[text], ref)
    if match := _DAY.match(text):
        day = _small(match[1])
        if not 1 <= day <= 31:
            return None
        text, point = text[match.end() :], replace(point, day=day)
    elif (match := _DAY_WORD.match(text)) and point == Point():
        if ref is None:
            return None
        step = {"大前": -3, "前": -2, "昨": -1, "明": 1, "后": 2, "大后": 3}
        when = ref + timedelta(days=step.get(match[1] or match.group()[0], 0))
        text, point = text[match.end() :], Point(when.year, when.month, when.day)
    elif (match := _WEEK.match(text)) and point == Point():
        return _take_week(match, text, ref)
    if not text:
        return point if point not in (Point(), start) or point.year else None
    clock = _CLOCK.fullmatch(text)
    if clock is None or point == Point():
        return None
    return replace(point, clock=_clock(clock))


def _part_of_month(point: Point, days: tuple[int, int], ref: date | None) -> Point | None:
    point = _fill(point, ref)
    if point.year is None or point.month is None:
        return None
    last = min(days[1], calendar.monthrange(point.year, point.month)[1])
    return Point(span=(date(point.year, point.month, days[0]), date(point.year, point.month, last)))


def _take_week(match: re.Match[str], text: str, ref: date | None) -> Point | None:
    if ref is None or match.end() != len(text) or not (match[1] or match[2]):
        return None
    step = {"上上": -2, "上": -1, "下": 1}.get(match[1] or "", 0)
    monday = ref - timedelta(days=ref.weekday()) + timedelta(weeks=step)
    if match[2] is None:
        return Point(span=(monday, monday + timedelta(days=6)))
    if match[2] == "末":
        return Point(span=(monday + timedelta(days=5), monday + timedelta(days=6)))
    day = monday + timedelta(days="一二三四五六日".index(match[2].replace("天", "日")))
    if match[1] is None and day > ref:
        day -= timedelta(weeks=1)  # news tell what has been
    return Point(day.year, day.month, day.day)


def _clock(match: re.Match[str]) -> str | None:
    part, hour, minute = match.groups()
    if hour is None:
        return None
    hours = _small(hour)
    minutes = {None: 0, "半": 30, "一刻": 15, "三刻": 45}.get(minute, -1)
    minutes = _small(minute) if minutes < 0 and minute else minutes
    late = part is not None and part[0] in "下傍晚当夜深" and part != "中午"
    if late and hours < 12:
        hours += 12
    if not 0 <= hours <= 24 or not 0 <= minutes <= 59:
        raise ValueError
    return f"{hours:02}:{minutes:02}"


def _fill(point: Point, ref: date | None) -> Point:
    """Years and months that are left out, as news leave them out.

    A month is of the reference's year, but November and December read in January or February
    are of the year before, and the other way round; a day is of its month, but one that would
    lie more than twenty days ahead is of the month before.
    """
    if point.span is not None or ref is None or point.year is not None:
        return point
    if point.month is not None:
        step = (point.month <= 2 and ref.month >= 12) - (point.month >= 11 and ref.month <= 2)
        return replace(point, year=ref.year + step)
    if point.day is None:
        return point
    months = ref.year * 12 + ref.month - 1 - (point.day > ref.day + 20)
    return replace(point, year=months // 12, month=months % 12 + 1)


def _result(point: Point) -> dict[str, Any] | None:
    if point.span is not None:
        first, last = point.span
        return {"value": f"{first.isoformat()}/{last.isoformat()}", "resolved": True}
    if point.year is not None and point.month and point.day:
        days = calendar.monthrange(point.year, point.month)[1] if point.year > 0 else 31
        if point.year > 9999 or point.day > days:
            return None
    if point.year is None:
        if point.month is None and point.day is None:
            return None
        month = f"{point.month:02}" if point.month else ""
        value = f"--{month}" if month else "--"
        value += f"-{point.day:02}" if point.day else ""
    else:
        sign = "-" if point.year < 0 else ""
        value = f"{sign}{abs(point.year):04}"
        value += f"-{point.month:02}" if point.month else ""
        value += f"-{point.day:02}" if point.day and point.month else ""
    if point.clock and point.day:
        value += f"T{point.clock}"
    row: dict[str, Any] = {"value": value, "resolved": point.year is not None}
    if point.fiscal:
        row["fiscal"] = True
    return row
