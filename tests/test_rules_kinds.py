"""Every kind of rule in YAML, on one sentence each."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document
from hanspan.rules import RuleSet, TopicVote, load_rules, rule, topic_rule
from hanspan.rules.contract import Rule
from hanspan.rules.patterns import Matcher, compile_re2

HEAD = "name: t\nlabels: [PER, LOC, GOV, MONEY, ORG]\ntopics: [economy, politics]\n"


def make(folder: Path, body: str, head: str = HEAD) -> RuleSet:
    path = folder / "rules.yaml"
    path.write_text(head + body, "utf-8")
    return load_rules(path)


def found(rules: RuleSet, text: str) -> list[tuple[str, str, str]]:
    document = rules.apply(Document("x", text))
    return [(document.surface(s), s.label, s.source.removeprefix("rule:")) for s in document.spans]


def words(rules: RuleSet, text: str) -> list[str]:
    return [surface for surface, _, _ in found(rules, text)]


def test_lexicon_takes_the_longest_and_keeps_offsets(tmp_path: Path) -> None:
    rules = make(tmp_path, "rules: {a: {kind: lexicon, label: LOC, entries: [合肥, 合肥市, 市区]}}")
    document = rules.apply(Document("x", "😀𠮷在合肥市区"))
    assert [(s.start, s.end, s.label) for s in document.spans] == [(3, 6, "LOC")]


def test_lexicon_finds_full_width_and_traditional_forms(tmp_path: Path) -> None:
    rules = make(tmp_path, "rules: {a: {kind: lexicon, label: ORG, entries: [5G联盟, 台湾大学]}}")
    assert words(rules, "５Ｇ聯盟與臺灣大學") == ["５Ｇ聯盟", "臺灣大學"]
    strict = make(
        tmp_path,
        "rules: {a: {kind: lexicon, label: ORG, entries: [5G联盟], width: false, "
        "traditional: false}}",
    )
    assert words(strict, "５Ｇ聯盟与5G联盟") == ["5G联盟"]


@pytest.mark.parametrize(
    ("setting", "text", "expected"),
    [
        ("vetoes: [人民币]", "人民和人民币", ["人民"]),
        ("unless_inside_of: [人民币]", "人民币人民", ["人民"]),
        ("unless_before: [老]", "老人民与人民", ["人民"]),
        ("unless_after: [币, 的]", "人民的人民", ["人民"]),
        ("if_before: [中国]", "人民与中国人民", ["人民"]),
        ("if_after: [日报]", "人民与人民日报", ["人民"]),
        ("unless_is: [人民]", "人民", []),
        ("max_length: 1", "人民", []),
        ("min_length: 3", "人民", []),
        ("remove: [人民]", "人民", []),
        ("common_words: [人民]", "人民", []),
    ],
)
def test_lexicon_vetoes(tmp_path: Path, setting: str, text: str, expected: list[str]) -> None:
    body = "rules:\n  a:\n    kind: lexicon\n    label: LOC\n    entries: [人民]\n"
    assert words(make(tmp_path, f"{body}    {setting}\n"), text) == expected


def test_lexicon_with_ascii_borders(tmp_path: Path) -> None:
    rules = make(tmp_path, "rules: {a: {kind: lexicon, label: ORG, entries: [IT, 3月]}}")
    assert words(rules, "IT业，ITEM，BIT，3月，13月") == ["IT", "3月"]


def test_lexicon_from_files_with_labels(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("# 注释\n苹果\tORG\n\n合肥\n", "utf-8")
    rules = make(
        tmp_path,
        "rules: {a: {kind: lexicon, label: LOC, file: w.txt, also: {苏州: GOV}, "
        "common_words: {file: none.txt, optional: true}}}",
    )
    assert found(rules, "苹果合肥苏州") == [
        ("苹果", "ORG", "a"),
        ("合肥", "LOC", "a"),
        ("苏州", "GOV", "a"),
    ]
    assert rules.notices


def test_optional_file_that_is_missing_is_a_notice(tmp_path: Path) -> None:
    rules = make(tmp_path, "rules: {a: {kind: lexicon, label: LOC, file: no.txt, optional: true}}")
    assert "no.txt" in rules.notices[0]


def test_data_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "w.txt").write_text("合肥\n", "utf-8")
    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path / "d"))
    rules = make(tmp_path, "rules: {a: {kind: lexicon, label: LOC, file: '${HANSPAN_DATA}/w.txt'}}")
    assert words(rules, "合肥") == ["合肥"]


def test_two_lexicons_vote_on_their_own(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "rules:\n  a: {kind: lexicon, label: LOC, entries: [北京市]}\n"
        "  b: {kind: lexicon, label: PER, entries: [市长]}\n"
        "  c: {kind: lexicon, label: GOV, entries: [北京]}\n",
    )
    assert [s for s, _, _ in found(rules, "北京市长")] == ["北京", "北京市", "市长"]


def test_pattern_with_fragments_and_groups(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "define:\n  num: '[0-9]+(?:\\.[0-9]+)?'\n  unit: [元, 美元]\n  sum: '{{num}}亿{{unit}}'\n"
        "rules:\n  m: {kind: pattern, label: MONEY, pattern: '{{sum}}'}\n"
        "  g: {kind: pattern, pattern: '(?P<GOV>\\p{Han}{2}市政协)主席(?P<PER>\\p{Han}{2})'}\n",
    )
    assert words(rules, "投资666.7亿元和３亿美元") == ["666.7亿元", "３亿美元"]
    assert found(rules, "合肥市政协主席韩冰") == [
        ("合肥市政协", "GOV", "g"),
        ("韩冰", "PER", "g"),
    ]


def test_context_to_the_right_is_not_used_up(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "rules: {a: {kind: pattern, pattern: '[、：](?P<PER>\\p{Han}{2,3})[、。]'}}",
    )
    assert words(rules, "：张三、李四、王五六。") == ["张三", "李四", "王五六"]


def test_several_patterns_give_the_longest(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "rules: {a: {kind: pattern, label: MONEY, patterns: ['[0-9]+元', '约[0-9]+元']}}",
    )
    assert words(rules, "约30元，5元") == ["约30元", "5元"]


def test_context(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "rules: {a: {kind: context, label: PER, before: [主席, 书记], "
        "inside: '\\p{Han}{2,3}?', after: [表示, 说]}}",
    )
    assert words(rules, "主席韩冰表示，书记王五说，韩冰表示") == ["韩冰", "王五"]
    one = make(
        tmp_path,
        "rules: {a: {kind: context, label: PER, inside: '\\p{Han}{2}', after: '表示|指出'}}",
    )
    assert words(one, "韩冰指出") == ["韩冰"]


def test_template_takes_the_longest(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "rules:\n  region: {kind: lexicon, label: LOC, entries: [安徽省, 合肥市]}\n"
        "  body:\n    kind: template\n    label: GOV\n    parts:\n"
        "      - {lexicon: region, optional: true}\n      - {one_of: [政协, 人民政府]}\n"
        "      - {pattern: '办公[厅室]', optional: true}\n",
    )
    assert [f for f in found(rules, "安徽省政协办公厅与政协") if f[1] == "GOV"] == [
        ("安徽省政协办公厅", "GOV", "body"),
        ("政协", "GOV", "body"),
    ]


def test_negative(tmp_path: Path) -> None:
    rules = make(tmp_path, "rules: {a: {kind: negative, words: [我们], pattern: '有[一二三]个'}}")
    assert found(rules, "我们有二个") == [("我们", "NONE", "a"), ("有二个", "NONE", "a")]


def test_keywords_count_words_title_and_source(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "rules:\n  e:\n    kind: keywords\n    topic: economy\n    "
        "words: {股市: 2, 央行: 1, 足球: -5}\n    threshold: 2\n    sources: {财经: 2}\n",
    )

    def score(text: str, **meta: str) -> float:
        votes = rules.apply(Document("x", text, meta=meta)).meta.get("topic_votes", [])
        return float(votes[0]["score"]) if votes else 0.0

    plain = "。" + "的" * 50
    assert score("央行" + plain) == 0.0
    assert score("股市" + plain) == pytest.approx(2 / 6, abs=1e-4)
    assert score("的" * 50, title="股市") == pytest.approx(4 / 8, abs=1e-4)
    assert score("股市\n" + plain) == pytest.approx(4 / 8, abs=1e-4)
    assert score(plain, source="某财经") == pytest.approx(2 / 6, abs=1e-4)
    assert score("股市足球" + plain) == 0.0
    assert score("股市" * 9 + plain) == pytest.approx(6 / 10, abs=1e-4)  # cap 3


def test_keywords_by_weight_take_lists_and_the_highest_weight_counts(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# clubs\n国安\n鲁能\n股市\n", "utf-8")
    rules = make(
        tmp_path,
        "rules:\n  e:\n    kind: keywords\n    topic: economy\n    words: {股市: 2, 鲁能: 5}\n"
        "    by_weight: {4: {file: names.txt}, -1: [申花], 1: [國安],\n"
        "                9: {file: missing.txt, optional: true}}\n",
    )

    def score(text: str) -> float:
        votes = rules.apply(Document("x", text)).meta.get("topic_votes", [])
        return float(votes[0]["score"]) if votes else 0.0

    plain = "。" + "的" * 50
    assert score("國安" + plain) == pytest.approx(4 / 8, abs=1e-4)
    for text, tally in (("国安", 4), ("股市", 4), ("鲁能", 5), ("国安申花", 3)):
        assert score(text + plain) == pytest.approx(tally / (tally + 4), abs=1e-4)


def test_files_of_an_override_stand_beside_it(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "base.yaml").write_text(
        HEAD + "rules:\n  e: {kind: keywords, topic: economy, words: [股市]}\n"
        "  b: {kind: lexicon, label: GOV, entries: [政协]}\n",
        "utf-8",
    )
    (tmp_path / "more.txt").write_text("央行\n", "utf-8")
    rules = make(
        tmp_path,
        "extends: base/base.yaml\noverride:\n  e: {by_weight: {6: {file: more.txt}}}\n"
        "  b: {entries: [], file: [more.txt]}\n",
    )
    document = rules.apply(Document("x", "央行" + "的" * 50))
    assert document.meta["topic_votes"][0]["score"] == pytest.approx(0.6, abs=1e-3)
    assert found(rules, "央行政协") == [("央行", "GOV", "b")]


def test_extends_disable_override_and_python(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        HEAD + "rules:\n  a: {kind: lexicon, label: LOC, entries: [合肥]}\n"
        "  b: {kind: lexicon, label: GOV, entries: [政协]}\n",
        "utf-8",
    )
    (tmp_path / "my.py").write_text(
        "from hanspan.rules import rule, topic_rule\n"
        "@rule('p', labels=['PER'])\ndef p(doc):\n    i = doc.text.find('韩冰')\n"
        "    if i >= 0:\n        yield i, i + 2\n"
        "@rule('again', labels=['PER', 'LOC'], after='votes')\ndef again(doc):\n"
        "    yield from doc.spans\n"
        "@topic_rule('t', topics=['politics'])\ndef t(doc):\n    return 'politics', 0.5\n",
        "utf-8",
    )
    rules = make(
        tmp_path,
        "extends: base.yaml\npython: ./my.py\ndisable: [b]\n"
        "override: {a: {weight: 0.5, unless_after: [市]}, p: {weight: 0.25}}\n",
        head="",
    )
    assert [info.name for info in rules.infos] == ["a", "p", "again", "t"]
    document = rules.apply(Document("x", "合肥韩冰，合肥市政协"))
    assert [(document.surface(s), s.score, s.source) for s in document.spans] == [
        ("合肥", 0.5, "rule:a"),
        ("合肥", 0.5, "rule:again"),
        ("韩冰", 0.25, "rule:again"),
        ("韩冰", 0.25, "rule:p"),
    ]
    assert document.meta["topic_votes"] == [{"label": "politics", "score": 0.5, "source": "rule:t"}]
    again = pickle.loads(pickle.dumps(rules))
    assert again.apply(Document("x", "合肥韩冰")) == rules.apply(Document("x", "合肥韩冰"))
    assert again.version == rules.version


def test_yaml_keeps_what_was_written(tmp_path: Path) -> None:
    rules = make(
        tmp_path,
        "rules: {a: {kind: lexicon, label: LOC, entries: [007, no, 1e3, 2024-01-01], "
        "yes: ['[[007]]'], no: ['8']}}",
    )
    assert words(rules, "007、no、1e3、2024-01-01") == ["007", "no", "1e3", "2024-01-01"]


def test_rules_made_in_python() -> None:
    @rule("tail", labels=["PER"], examples=["[[末]]", "无"])
    def tail(doc: Document) -> list[tuple[int, int]]:
        return [(len(doc.text) - 1, len(doc.text))]

    @topic_rule("t", topics=["a", "b"])
    def topic(doc: Document) -> list[TopicVote]:
        return [TopicVote("a"), TopicVote("b", 0.5)]

    assert isinstance(tail, Rule)
    assert tail.info.yes == ("[[末]]",)
    assert tail.info.no == ("无",)
    document = RuleSet.of([tail, topic]).apply(Document("x", "中文"))
    assert [(s.start, s.end) for s in document.spans] == [(1, 2)]
    assert [v["score"] for v in document.meta["topic_votes"]] == [1.0, 0.5]


def test_own_spans_of_a_document_are_not_seen(tmp_path: Path) -> None:
    seen = []

    @rule("spy", labels=["PER"])
    def spy(doc: Document) -> list[tuple[int, int]]:
        seen.append(doc.spans)
        return []

    from hanspan.data import Span

    RuleSet.of([spy]).apply(Document("x", "中文", (Span(0, 1, "LOC"),)))
    assert seen == [()]


@pytest.mark.parametrize(
    "pattern", ["^(省+)+$", "^(省|省省)+$", "(a*)*b", r"\p{Han}+公司", "(x+x+)+y"]
)
def test_catastrophic_patterns_are_linear(pattern: str) -> None:
    import time

    from hanspan.rules.fold import View

    matcher = Matcher(pattern, "ORG", lambda _: True, "rule 't'")
    seconds = []
    for size in (4_000, 16_000):
        view = View("省" * size + "ax" * 20)
        started = time.perf_counter()
        list(matcher.find(view))
        seconds.append(time.perf_counter() - started)
    assert seconds[1] < 16 * seconds[0] + 0.3


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="中华a😀𠮷 \n元3", max_size=40))
def test_offsets_are_code_points(text: str) -> None:
    from hanspan.rules.fold import View

    matcher = Matcher("[0-9]元|华+|a", "X", lambda _: True, "rule 't'")
    import re

    expected = [m.span() for m in re.finditer("[0-9]元|华+|a", text)]
    assert [(s, e) for s, e, _ in matcher.find(View(text))] == expected


def test_lone_surrogate_does_not_break_matching(tmp_path: Path) -> None:
    rules = make(tmp_path, "rules: {a: {kind: lexicon, label: LOC, entries: [合肥]}}")
    document = rules.apply(Document("x", "\ud83d合肥"))
    assert [(s.start, s.end) for s in document.spans] == [(1, 3)]


def test_compile_re2_has_no_output(capfd: pytest.CaptureFixture[str]) -> None:
    from hanspan.errors import HanspanError

    with pytest.raises(HanspanError, match="look-behind"):
        compile_re2("(?<=a)b", "rule 'x'")
    assert capfd.readouterr() == ("", "")


def test_topic_rules_tell_what_they_counted(tmp_path: Path) -> None:
    body = """rules:
  a:
    kind: keywords
    topic: economy
    words: {央行: 2, 市场: 0.5}
    patterns: {'涨[0-9]+%': 1}
    title_patterns: {'^降准': 3}
    sources: {finance: 4}
  b: {kind: keywords, topic: politics, words: [政协]}
"""
    document = Document(
        "x", "央行：市场涨8%。市场", meta={"title": "降准", "source": "finance news"}
    )
    rules = make(tmp_path, body)
    (vote,) = rules.votes(document)[1]
    counted = rules.counted(document)
    assert counted == {
        "rule:a": {"央行": 2, "市场": 1, "涨8%": 1, "^降准": 3, "source finance": 4},
        "rule:b": {},
    }
    total = sum(counted["rule:a"].values())
    assert vote.score == pytest.approx(total / (total + 4))


def test_topic_rules_that_know_fewer_words(tmp_path: Path) -> None:
    body = """rules:
  a: {kind: keywords, topic: economy, words: {央行: 2, 市场: 1}, patterns: {'涨[0-9]+%': 1}}
  b: {kind: keywords, topic: politics, words: [政协]}
  c: {kind: lexicon, label: ORG, entries: [央行]}
"""
    rules = make(tmp_path, body)
    fewer = rules.counting(lambda word: word != "央行")
    document = Document("x", "央行：市场涨8%，政协", meta={"title": "无"})
    assert fewer.counted(document) == {"rule:a": {"市场": 1, "涨8%": 1}, "rule:b": {"政协": 1}}
    assert found(fewer, document.text) == found(rules, document.text)
    assert rules.counted(document)["rule:a"]["央行"] == 2  # the set itself is as it was
    assert fewer.version != rules.version
    assert fewer.hashes["b"] == rules.hashes["b"]
    assert rules.counting(lambda word: True).version == rules.version
