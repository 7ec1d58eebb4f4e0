"""re2's notation for Python's re, and tries, find the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document
from hanspan.rules import load_rules, loader
from hanspan.rules.backtrack import for_re, trie
from hanspan.rules.patterns import compile_re2

WORDS = st.lists(st.text("甲乙丙", min_size=1, max_size=4), min_size=1, max_size=12, unique=True)


@settings(max_examples=200, deadline=None)
@given(WORDS, st.text("甲乙丙丁", max_size=12))
def test_trie_takes_the_longest_word(words: list[str], text: str) -> None:
    longest = re.compile("|".join(sorted(words, key=lambda w: (-len(w), w))))
    found = [m.span() for m in re.compile(trie(words)).finditer(text)]
    assert found == [m.span() for m in longest.finditer(text)]


@pytest.mark.parametrize(
    "pattern",
    [
        r"\p{Han}{2,3}市", r"[^\P{Han}的]{1,3}", r"[\p{Han}x]+", r"[]a]", r"[^]a]", r"[a\]^]",
        r"\x{4e2d}国", r"(?P<A>中)[\-国]", r"\d+", r"\w", r"[^\x{4e2d}]", r"\[中\]",
    ],
)  # fmt: skip
def test_same_as_re2(pattern: str) -> None:
    text = "中国的x市，ａ１3[中]]^a々〇。한국かな\n中-市"
    ours = [m.span() for m in re.compile(for_re(pattern), re.ASCII).finditer(text)]
    data, theirs = text.encode(), []
    for match in compile_re2(pattern, "t").finditer(data):
        start, end = match.span(0)
        theirs.append((len(data[:start].decode()), len(data[:end].decode())))
    assert ours == theirs


def test_shipped_sets_may_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").mkdir()
    words = "|".join(f"{a}{b}" for a in "甲乙丙丁戊" for b in "子丑寅卯辰")
    (tmp_path / "s" / "rules.yaml").write_text(
        "labels: [GOV, PER]\nrules:\n"
        f"  a: {{kind: pattern, label: GOV, engine: re, pattern: '(?:{words})?(?:局|厅)'}}\n"
        "  b: {kind: pattern, engine: re, pattern: '、(?P<PER>\\p{Han}{2})、'}\n",
        "utf-8",
    )
    monkeypatch.setattr(loader, "SETS", tmp_path)
    rules = load_rules("s")
    text = "😀甲子局，厅、张三、李四、" * 3
    spans = rules.apply(Document("x", text)).spans
    assert [text[s.start : s.end] for s in spans] == ["甲子局", "厅", "张三", "李四"] * 3
