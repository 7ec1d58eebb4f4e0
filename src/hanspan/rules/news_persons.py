"""PER: Chinese names from surname, given-name characters and context.

A name of two or three characters (three or four with a compound surname) is scored in steps of
log-odds: how common the surname is, how typical each given-name character, what stands before
(a post, a family word, a border) and after (a verb of saying, a form of address, a border), and
whether its characters make an everyday word. It is taken from ``_ENOUGH`` on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanspan.data import Document
from hanspan.rules import rule
from hanspan.rules.news_words import endings, starts, tiers, words

BORDER = frozenset(
    " 　\n\t，。、；：？！,.;:?!（）()【】[]“”‘’\"'《》〈〉「」『』—-–/|#@…<>&*●■▲△／"
)
"""Characters at which a name certainly ends."""
_ENOUGH = 3.0
_ROUNDED = _ENOUGH - 0.01  # what float32 may make of it
_JOIN = frozenset("和与及、跟暨")
_LINK = frozenset("由以对向同让被给把请据如是为像叫派因而当于随经")
_OPENING, _CLOSING = frozenset('“"‘《【「'), frozenset('”"’》】」')
_UNKNOWN = 0.5  # a character too rare for everyday words is no evidence against a name
_NO_WORD = -3.0
_INSIDE = -1.2  # a neighbour that is neither a border nor a cue
_POSTS = words("titles_strong") | words("titles_weak") | words("person_before")
_SAYS, _GOES_ON = words("person_after_strong"), words("person_after")
_TITLES = words("titles_strong")
_WORDS, _PAIRS, _ENDS = words("not_person"), words("not_given"), words("word_ends")
_ADVERBS = words("person_adverbs")
_RUNS_ON = _WORDS | _PAIRS | frozenset(["成为", "见到", "负有", "进得", "为何", "将军", "生前"])
_BODY_WORDS = frozenset(
    ["大学", "学院", "公司", "集团", "医院", "中心", "研究所", "研究院", "委员会", "协会", "银行",
     "出版社", "中学", "小学", "法院", "检察院", "电视台", "日报社", "俱乐部", "事务所", "大队",
     "支队", "派出所"]
)  # fmt: skip
_FORMS = frozenset(["先生", "女士", "小姐", "总理", "主席", "书记", "老师", "教授", "同志", "医生"])
_ADDRESSES = _FORMS | frozenset(["大师", "大夫", "小将", "大爷", "大妈", "大姐", "大嫂", "老汉"])
TRANSLITERATION = frozenset(
    "阿埃艾奥巴贝比波伯布查茨达德迪蒂尔厄恩夫弗戈格哈赫基加杰卡凯科克肯库拉莱兰朗勒雷里利林隆卢鲁路伦罗洛马"
    "玛迈曼蒙米莫姆穆拿内纳娜尼诺欧帕佩普齐奇乔切萨塞桑森沙舍什施史斯索塔泰坦特图托瓦万威韦维沃乌西希谢辛雅亚耶"
    "叶伊扎詹兹"
)


def _surnames() -> tuple[dict[str, float], str]:
    table: dict[str, float] = {}
    rows = tiers("surnames")
    for score, key in ((1.2, "+2"), (0.0, "+1"), (-1.3, "-")):
        for char in rows[key][0]:
            table.setdefault(char, score)
    singles = "".join(table)
    table.update(dict.fromkeys(rows["="], 1.2))
    return table, rf"(?:{'|'.join(rows['='])}|[{singles}])"


_SURNAME, _PATTERN = _surnames()
_GIVEN = {
    char: score
    for tier, score in (("+2", 1.4), ("+1", 0.8), ("0", 0.3), ("-1", -0.7), ("-3", -9.0))
    for char in tiers("given_names")[tier][0]
}
_GIVEN["某"] = 2.0
_NEVER = "".join(char for char, score in _GIVEN.items() if score < -5)
_START = re.compile(rf"{_PATTERN}(?=[\u4e00-\u9fff])(?![{_NEVER}])")


def _before(text: str, start: int) -> float:
    if not start:
        return 1.0
    char = text[start - 1]
    if char in BORDER:
        inner = start - 1
        while inner and text[inner - 1] in " 　：:":
            inner -= 1
        if char in " 　：:" and endings(_POSTS, text, inner):
            return 3.0
        return 0.9
    if endings(_POSTS, text, start):
        return 3.0
    if char in _JOIN:
        return 0.6
    if text[start - 1 : start + 1] in _ENDS:
        return -3.0
    if endings(_ADVERBS, text, start) or endings(_BODY_WORDS, text, start):
        return 0.6
    if char == "年" and text[start - 2 : start - 1].isdigit():
        return 0.6
    return 0.3 if char in _LINK else _INSIDE


def _after(text: str, end: int) -> float:
    if end >= len(text):
        return 1.0
    char = text[end]
    if char in BORDER:
        return 0.9
    if starts(_SAYS, text, end):
        return 2.4
    if starts(_TITLES, text, end, 8):
        return 1.6
    if char in _JOIN:
        return 0.6
    return 0.8 if starts(_GOES_ON, text, end) else _INSIDE


def _form(text: str, start: int, surname: str, size: int) -> float:
    """Score of the characters alone."""
    first = start + len(surname)
    given = text[first : first + size]
    if len(given) < size:
        return -9.0
    if given in _FORMS or given in _SAYS:
        return -9.0
    value = _SURNAME[surname]
    for char in given:
        value += _GIVEN.get(char, _UNKNOWN if "\u4e00" <= char <= "\u9fff" else -9.0)
    if len(surname) == 1 and (surname + given[0] in _WORDS or surname + given in _WORDS):
        value += _NO_WORD
    if size == 2 and given in _PAIRS:
        value += _NO_WORD
    return value + 0.3 if size == 1 else value


def _foreign(text: str, start: int, end: int) -> float:
    """Evidence against a name that is a piece of a longer transliteration."""
    inside = sum(char in TRANSLITERATION for char in text[start:end])
    if inside < end - start - 1:
        return 0.0
    outside = int(start > 0 and text[start - 1] in TRANSLITERATION)
    outside += int(end < len(text) and text[end] in TRANSLITERATION)
    dots = text[start - 1 : start] in ("·", "•") or text[end : end + 1] in ("·", "•")
    return -3.0 * outside - 6.0 * dots


def _table(scores: dict[str, float], other: float) -> NDArray[np.float32]:
    table = np.full(0x10000, other, np.float32)
    for char, score in scores.items():
        if len(char) == 1:
            table[ord(char)] = score
    return table


def _bound(groups: list[tuple[float, frozenset[str]]], last: bool) -> NDArray[np.float32]:
    """For each character the most that it may add as a neighbour."""
    table = np.full(0x10000, _INSIDE, np.float32)
    for value, group in groups:
        for word in group:
            code = ord(word[-1 if last else 0])
            table[code] = max(table[code], value)
    return table


_GIVEN_TABLE = _table(_GIVEN, -9.0)
_GIVEN_TABLE[0x4E00:0xA000] = [_GIVEN.get(chr(code), _UNKNOWN) for code in range(0x4E00, 0xA000)]
_SURNAME_TABLE = _table(_SURNAME, -9.0)


def _pairs(group: Iterable[str]) -> NDArray[np.uint32]:
    """Two-character words as sorted numbers."""
    return np.unique([ord(w[0]) << 16 | ord(w[1]) for w in group if len(w) == 2]).astype(np.uint32)


def _among(pairs: NDArray[Any], known: NDArray[np.uint32]) -> NDArray[np.bool_]:
    return known[np.minimum(np.searchsorted(known, pairs), len(known) - 1)] == pairs


_KIND = (_SURNAME_TABLE > -5).astype(np.uint8)  # 1 a surname, 2 the first of a compound one
_KIND[[ord(name[0]) for name in _SURNAME if len(name) > 1]] |= 2
_COMPOUND, _WORD_PAIRS = _pairs(_SURNAME), _pairs(_WORDS)
_LEFT_TABLE = _bound(
    [
        (0.9, BORDER),
        (3.0, _POSTS),
        (0.6, _JOIN | {"年"}),
        (0.6, _ADVERBS),
        (0.6, _BODY_WORDS),
        (0.3, _LINK),
    ],
    last=True,
)
_LEFT_TABLE[[ord(char) for char in " 　：:"]] = 3.0
_RIGHT_TABLE = _bound(
    [(0.9, BORDER), (2.4, _SAYS), (1.6, _TITLES), (0.6, _JOIN), (0.8, _GOES_ON)], last=False
)


def _candidates(text: str) -> list[tuple[int, float]]:
    """Places where a surname stands and the best that could be said for a name is enough.

    Returns:
        Place, and the most that the name itself and what follows it may score.
    """
    raw = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    size = len(raw)
    codes = np.full(size + 4, 0x3002, np.int32)  # 。 on the right
    np.minimum(raw, 0xFFFF, out=codes[:size], casting="unsafe")
    kind = _KIND.take(codes[:size])
    at = (kind & 1).nonzero()[0]
    compound = (kind > 1).nonzero()[0]
    compound = compound[_among(_pair(codes, compound), _COMPOUND)]
    before, own = codes.take(at - 1, mode="wrap"), codes.take(at)
    one, two, three = codes.take(at + 1), codes.take(at + 2), codes.take(at + 3)
    left = _LEFT_TABLE.take(before)
    left[at == 0] = 1.0
    form = _SURNAME_TABLE.take(own) + _GIVEN_TABLE.take(one)
    short = form + (0.3 + 0.7) + _RIGHT_TABLE.take(two)
    long = form + 0.7 + _GIVEN_TABLE.take(two) + _RIGHT_TABLE.take(three)
    most = np.maximum(short, long)
    best = most + left
    good = best >= _ROUNDED
    at, best, most = at[good], best[good], most[good]
    word = _among(_pair(codes, at), _WORD_PAIRS)
    most[word] += _NO_WORD
    good = ~word | (best >= _ROUNDED - _NO_WORD)
    found = dict(zip(at[good].tolist(), most[good].tolist(), strict=True))
    found.update(dict.fromkeys(compound.tolist(), 99.0))
    return sorted(found.items()) if len(compound) else [*found.items()]


def _pair(codes: NDArray[np.int32], at: NDArray[Any]) -> NDArray[Any]:
    return codes.take(at).astype(np.uint32) << 16 | codes.take(at + 1).astype(np.uint32)


def names(text: str) -> Iterator[tuple[int, int]]:
    """Chinese names from left to right, without overlap."""
    position = 0
    for place, most in _candidates(text):
        if place < position:
            continue
        left = _before(text, place)
        if most + left < _ROUNDED:
            continue
        match = _START.match(text, place)
        if match is None:
            continue
        start, surname = place, match[0]
        forms = [(_form(text, start, surname, size), size) for size in (2, 1)]
        if forms[0][0] < -2.4 and forms[1][0] < -2.4:
            continue
        best, stop = 0.0, 0
        for form, size in forms:
            if form + left + 2.4 < _ENOUGH:
                continue
            end = start + len(surname) + size
            right = _after(text, end)
            total = form + left + right + _foreign(text, start, end)
            if size == 2 and text[end - 1 : end + 1] in _RUNS_ON:
                total -= 1.5  # 陈凯|顺利, not 陈凯顺|利
            if size == 2 and starts(_TITLES, text, end - 1, 8) > 2:
                total -= 1.5  # 颜鲲|副局长
            if text[end - 1 : end + 1] in _ADDRESSES:
                total -= 3.0  # 施|先生
            if right > 2 and left == _INSIDE:
                total += 0.7
            if text[start - 1 : start] in _OPENING and text[end : end + 1] in _CLOSING:
                total -= 1.5  # a quoted word is seldom a name
            if total > best + (0.4 if stop else 0.0):
                best, stop = total, end
        if best >= _ENOUGH:
            yield start, stop
            position = stop


def _listed(text: str, end: int) -> Iterator[tuple[int, int]]:
    """Names that follow a name after 、 or a space: each needs less evidence."""
    while end + 1 < len(text) and text[end] in "、 　":
        begin = end + 1
        match = _START.match(text, begin)
        if match is None:
            return
        for size in (2, 1):
            stop = begin + len(match[0]) + size
            if _form(text, begin, match[0], size) >= 0.3 and (
                stop >= len(text) or text[stop] in BORDER or text[stop] in "等和与及摄"
            ):
                yield begin, stop
                end = stop
                break
        else:
            return


@rule("chinese_name", labels=["PER"], group="person_model", weight=0.8,
      yes=["[[梁晓岚]]表示", "记者[[赵明远]]报道"], no=["高新区建设", "全国人民"])  # fmt: skip
def chinese_name(document: Document) -> Iterator[tuple[int, int]]:
    """Names from the character model."""
    for start, end in names(document.text):
        yield start, end
        yield from _listed(document.text, end)
