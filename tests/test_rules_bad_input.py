"""Each mistake in a rule set gives one named error with rule, file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hanspan.data import Document, Span
from hanspan.rules import RuleError, RuleSet, load_rules, rule, topic_rule

HEAD = "labels: [PER, LOC]\ntopics: [economy]\n"


def fails(folder: Path, text: str, *parts: str, raw: bytes | None = None) -> str:
    path = folder / "r.yaml"
    path.write_bytes(text.encode() if raw is None else raw)
    with pytest.raises(RuleError) as caught:
        load_rules(path)
    message = str(caught.value)
    for part in (str(path), *parts):
        assert part in message, message
    return message


@pytest.mark.parametrize(
    ("rules", "parts"),
    [
        ("  a: {kind: lexikon, entries: [x]}", ["line 4", "'lexikon'", "did you mean 'lexicon'"]),
        ("  a: {label: LOC}", ["line 4", "no 'kind:'"]),
        ("  a: {kind: lexicon, label: LOK, entries: [合肥]}", [":4", "'LOK'", "mean 'LOC'"]),
        ("  a: {kind: keywords, topic: econ, words: [x]}", [":4", "'econ'", "economy"]),
        ("  a:\n    kind: pattern\n    label: LOC\n    patern: x", ["line 7", "mean 'pattern'"]),
        ("  a: {kind: pattern, label: LOC, pattern: '(?<=x)y'}", [":4", "look-behind"]),
        ("  a: {kind: pattern, label: LOC, pattern: '(?!x)y'}", [":4", "look-ahead"]),
        ("  a: {kind: pattern, label: LOC, pattern: '(x)\\1'}", [":4", "back-reference"]),
        ("  a: {kind: pattern, label: LOC, pattern: '(x'}", [":4", "missing )"]),
        ("  a: {kind: pattern, label: LOC, pattern: '{{no}}'}", [":4", "{{no}}", "define"]),
        ("  a: {kind: pattern, pattern: 'x'}", [":4", "no named group"]),
        ("  a: {kind: pattern, pattern: '(?P<XX>x)'}", [":4", "(?P<XX>"]),
        ("  a: {kind: lexicon, entries: [合肥]}", [":4", "has no label"]),
        ("  a: {kind: lexicon, label: LOC, file: no.txt}", [":4", "no.txt", "optional: true"]),
        ("  a: {kind: lexicon, label: LOC, entries: [x], weight: 2}", ["line 4", "weight"]),
        ("  a: {kind: lexicon, label: LOC, entries: [x], min_length: a}", ["min_length"]),
        ("  a: {kind: context, label: PER, inside: x}", [":4", "before"]),
        ("  a: {kind: template, label: PER, parts: [{one_of: [x], pattern: y}]}", ["exactly one"]),
        ("  a: {kind: template, label: PER, parts: [{pattern: y, optional: true}]}", ["optional"]),
        ("  a: {kind: negative}", [":4", "words"]),
        ("  a: {kind: keywords, topic: economy}", [":4", "words", "by_weight"]),
        ("  a: {kind: keywords, topic: economy, words: []}", [":4", "nothing to count"]),
        ("  a: {kind: keywords, topic: economy, by_weight: {}}", [":4", "nothing to count"]),
        ("  a: {kind: keywords, topic: economy, words: ['']}", [":4", "an empty word"]),
        ("  a: {kind: keywords, topic: economy, words: {x: inf}}", ["line 4", "words.x", "finite"]),
        ("  a: {kind: keywords, topic: economy, by_weight: {nan: [x]}}", ["line 4", "finite"]),
        ("  a: {kind: keywords, topic: economy, by_weight: {4: [x], 4.0: [y]}}", ["4 and 4.0"]),
        ("  a: {kind: keywords, topic: economy, by_weight: [x]}", ["{4: {file: names.txt}}"]),
        ("  a: {kind: keywords, topic: economy, by_weight: {y: [x]}}", ["line 4", "valid number"]),
        ("  a: x", ["line 4", "expected settings"]),
        ("  a: {kind: pattern, label: LOC, pattern: x}\n  a: {kind: lexicon}", ["line 5", "twice"]),
        (
            "  a: {kind: lexicon, entries: {LOC: [苹果], PER: [苹果]}}",
            [":4", "'苹果'", "LOC", "PER"],
        ),
    ],
)
def test_wrong_rules(tmp_path: Path, rules: str, parts: list[str]) -> None:
    fails(tmp_path, f"{HEAD}rules:\n{rules}\n", *parts)


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    message = fails(
        tmp_path,
        HEAD + "rules:\n  a: {kind: lexikon}\n  b: {kind: pattern, labl: PER, weight: x}\n",
    )
    assert len(message.splitlines()) == 3  # kind; labl; weight


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ruels: {}", ["line 1", "mean 'rules'"]),
        ("- a", ["expected a mapping"]),
        ("", ["found nothing"]),
        ("rules: [", ["line 2", "valid YAML"]),
        ("rules: {}\nrules: {}", ["line 2", "given twice, first in line 1"]),
        ("label_set: nws", ["'nws'", "did you mean 'news'"]),
        ("extends: nothing", ["no such rule set"]),
        ("include: r.yaml", ["itself"]),
        ("define: {a: '{{b}}', b: '{{a}}'}\nrules: {r: {kind: pattern, label: X, pattern: "
         "'{{a}}'}}", ["contains itself"]),
        ("disable: [x]", ["no rule 'x'"]),
        ("override: {x: {weight: 1}}", ["no rule 'x'"]),
        ("python: no.py", ["no.py", "no such file"]),
        ("python: no.such.module", ["no.such.module"]),
        ("rules: !!python/object/apply:os.system {a: b}", ["rule 'a'"]),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(RuleError) as caught:
        load_rules(path)
    for part in parts:
        assert part in str(caught.value)


def test_unknown_set() -> None:
    with pytest.raises(RuleError, match="no such rule set"):
        load_rules("newz")


def test_rule_file_in_another_encoding(tmp_path: Path) -> None:
    fails(tmp_path, "", "line 2", "GB18030", raw="labels: [LOC]\n# 规则\n".encode("gb18030"))


def test_lexicon_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_bytes("abc\n合肥\n".encode("gb18030"))
    with pytest.raises(RuleError, match=r"w\.txt: line 2 is not UTF-8.*iconv"):
        _load(tmp_path, "rules: {a: {kind: lexicon, label: LOC, file: w.txt}}")


def test_entry_under_two_labels_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("苹果\tLOC\n梨\tPER\n苹果\tPER\n", "utf-8")
    with pytest.raises(RuleError, match=r"rule 'a'.*'苹果' is given as LOC \(w.txt:1\).*w.txt:3"):
        _load(tmp_path, "rules: {a: {kind: lexicon, file: w.txt}}")


def test_python_file_that_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("x = 1\nraise ValueError('no')\n", "utf-8")
    with pytest.raises(RuleError, match=r"p\.py: line 2: ValueError: no"):
        _load(tmp_path, "python: p.py")


def test_two_rules_of_one_name_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("rules: {a: {kind: negative, words: [x]}}", "utf-8")
    with pytest.raises(RuleError, match=r"rule 'a' is given twice, first in .*b\.yaml:1"):
        _load(tmp_path, "include: b.yaml\nrules: {a: {kind: negative, words: [x]}}")


def test_shipped_engine_is_not_for_users(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="engine"):
        _load(tmp_path, "rules: {a: {kind: pattern, label: LOC, engine: re, pattern: '(?<=a)b'}}")


def _load(folder: Path, body: str) -> RuleSet:
    (folder / "r.yaml").write_text(HEAD + body + "\n", "utf-8")
    return load_rules(folder / "r.yaml")


def _raises(doc: Document) -> list[tuple[int, int]]:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (_raises, r"rule 'bad' \(.*test_rules_bad_input\.py:\d+\): raised KeyError: 'x' in line"),
        (lambda doc: [(0, 99)], r"span 0:99 in document 'd' of 2 characters"),
        (lambda doc: [(-1, 1)], r"span -1:1"),
        (lambda doc: [(1, 1)], r"span 1:1"),
        (lambda doc: [Span(0, 3, "PER")], r"span 0:3"),
        (lambda doc: [(0, 1, "XX")], r"found the label 'XX', expected one of its labels PER"),
        (lambda doc: [5], r"raised TypeError"),
    ],
)
def test_rules_that_fail(function: Callable[[Document], list[object]], expected: str) -> None:
    bad = rule("bad", labels=["PER"])(function)  # type: ignore[arg-type]
    good = rule("good", labels=["LOC"])(lambda doc: [(0, 2)])
    rules = RuleSet.of([bad, good])
    document = Document("d", "中文")
    with pytest.raises(RuleError, match=expected):
        rules.apply(document)
    skipped = []
    kept = rules.apply(document, skip=lambda info, doc, err: skipped.append((info.name, doc.id)))
    assert skipped == [("bad", "d")]
    assert [span.label for span in kept.spans] == ["LOC"]


@pytest.mark.parametrize("answer", ["c", ("a", 2.0), ["c"], [5]])
def test_topic_rules_that_fail(answer: object) -> None:
    bad = topic_rule("bad", topics=["a"])(lambda doc: answer)
    with pytest.raises(RuleError, match="rule 'bad'"):
        RuleSet.of([bad]).apply(Document("d", "中文"))


def test_decorators_refuse_nonsense() -> None:
    with pytest.raises(RuleError, match="at least one label"):
        rule("x", labels=[])
    with pytest.raises(RuleError, match="weight"):
        rule("x", labels=["A"], weight=0)
    with pytest.raises(RuleError, match="after"):
        rule("x", labels=["A"], after="vote")  # type: ignore[arg-type]
    with pytest.raises(RuleError, match="topic"):
        topic_rule("x", topics=())
    with pytest.raises(RuleError, match="as a rule"):
        RuleSet.of([object()])  # type: ignore[list-item]
    twice = rule("x", labels=["A"])(lambda doc: [])
    with pytest.raises(RuleError, match="another rule has this name"):
        RuleSet.of([twice, twice])
