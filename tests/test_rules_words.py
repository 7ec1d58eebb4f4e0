"""The shared automaton and the gate change no match."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hanspan.rules.atoms import UNBOUNDED
from hanspan.rules.fold import View, fold, fold_width, to_simplified
from hanspan.rules.gate import Gate, Windows
from hanspan.rules.literals import needs
from hanspan.rules.patterns import Matcher
from hanspan.rules.words import Hits, WordIndex

WORDS = st.lists(st.text("甲乙丙", min_size=1, max_size=4), min_size=1, max_size=8, unique=True)
TEXT = st.text("甲乙丙丁😀", max_size=30)


def leftmost_longest(words: list[str], text: str) -> list[tuple[int, int]]:
    out, i = [], 0
    while i < len(text):
        best = max((len(w) for w in words if text.startswith(w, i)), default=0)
        if best:
            out.append((i, i + best))
        i += best or 1
    return out


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), TEXT)
def test_each_rule_matches_as_if_alone(rules: list[list[str]], text: str) -> None:
    table = {n: dict.fromkeys(words, n) for n, words in enumerate(rules)}
    hits: Hits = {}
    WordIndex(table, width=False, traditional=False).find(text, hits)
    for number, words in enumerate(rules):
        spans = [(s, e) for s, e, _ in hits.get(number, [])]
        assert spans == leftmost_longest(words, text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_folding_keeps_the_length(text: str) -> None:
    assert len(fold_width(text)) == len(text)
    assert len(to_simplified(text)) == len(text)


def test_folding() -> None:
    assert fold("臺灣５Ｇ：３０％，後來", True, True) == "台湾5G：30%，后来"


def _atoms() -> st.SearchStrategy[str]:
    plain = ["甲", "乙丙", "丁", "，", ".", "^", "$", "a"]
    classes = ["[甲乙]", "[^甲]", "[^，。\n甲]", r"[^\P{Han}甲]", r"[甲\s]", r"\S", "[!-。]"]
    return st.sampled_from([*plain, *classes, r"\p{Han}"])


PATTERNS = st.recursive(
    _atoms(),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda p: f"(?:{'|'.join(p)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{0,2}?"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
        inner.map(lambda p: f"(?P<X>{p})" if "(?P" not in p else p),
    ),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(PATTERNS, min_size=1, max_size=3),
    st.text("甲乙丙丁a😀\n，。", max_size=40),
    st.sampled_from(["re2", "re"]),
)
@example(["甲$"], "甲a", "re")
@example([r"\b甲"], "a甲", "re")
def test_the_gate_changes_no_match(patterns: list[str], text: str, engine: str) -> None:
    unique = [p if p.count("(?P") <= 1 else p.replace("(?P<X>", "(?:") for p in patterns]
    matchers = [
        Matcher(p, "X", lambda name: name == "X", "rule 't'", engine=engine) for p in unique
    ]
    view, windows = View(text), Windows()
    Gate(matchers, in_bytes=engine == "re2").windows(view, windows)
    for number, matcher in enumerate(matchers):
        plain = list(matcher.find(view))
        gated = list(matcher.find(view, windows[number])) if number in windows else []
        assert gated == plain


def test_needs_of_known_patterns() -> None:
    def atoms(pattern: str) -> set[str] | None:
        found = needs(pattern).atoms
        return None if found is None else set(found.strings)

    assert atoms("[0-9]+亿?元") == {"元"}
    assert atoms("(?:周|星期)[一二]") == {"周一", "周二", "星期一", "星期二"}
    assert atoms("(?P<A>甲)?乙") == {"乙"}
    assert atoms("甲*") is None
    assert atoms("(?i)a") is None
    assert atoms(r"\x{4e2d}国") == {"中国"}
    assert needs(r"\p{Han}{2,4}市").longest == 5
    assert needs("a+").longest == UNBOUNDED
