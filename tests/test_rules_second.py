"""Rules of the second pass, and the examples beside rules."""

from __future__ import annotations

from pathlib import Path

from hanspan.data import Document
from hanspan.rules import RuleInfo, load_rules, shipped
from hanspan.rules.examples import Failure, check_examples
from hanspan.rules.marks import marked

RULES = """\
labels: [PER, ORG, LOC]
topics: [economy]
rules:
  org: {kind: pattern, label: ORG, pattern: '安徽\\p{Han}{1,6}公司', yes: ['[[安徽大山公司]]'], no: [公司]}
  per: {kind: context, label: PER, before: [董事长], inside: '\\p{Han}{2}', after: [表示]}
  place: {kind: lexicon, label: LOC, entries: [大山], weight: 0.4}
  repeat: {kind: repeat, labels: [PER]}
  short: {kind: short_form, yes: ['安徽大山公司（以下简称“[[大山]]”）和[[大山]]'], no: ['（简称大山）']}
  surname: {kind: surname, yes: ['董事长韩冰表示，[[韩]]董事长说'], no: ['韩董事长说']}
  money: {kind: keywords, topic: economy, words: [股市], yes: [股市], no: [足球]}
"""  # noqa: E501


def votes(folder: Path, text: str) -> set[tuple[int, int, str, str]]:
    path = folder / "r.yaml"
    path.write_text(RULES, "utf-8")
    spans = load_rules(path).apply(Document("x", text)).spans
    return {(s.start, s.end, s.label, s.source[5:]) for s in spans}


def test_short_form_here_and_later(tmp_path: Path) -> None:
    found = votes(tmp_path, "安徽大山公司（简称：大山科技）好，大山科技好")
    assert {(s, e) for s, e, label, name in found if name == "short"} == {(10, 14), (17, 21)}
    assert not [v for v in votes(tmp_path, "（简称：大山科技）") if v[3] == "short"]


def test_short_form_inside_a_longer_vote_is_left_alone(tmp_path: Path) -> None:
    found = votes(tmp_path, "安徽大山公司（简称大山），安徽大山公司")
    assert {(s, e) for s, e, label, name in found if name == "short"} == {(9, 11)}


def test_repeat_marks_other_places(tmp_path: Path) -> None:
    found = votes(tmp_path, "韩冰来了。董事长韩冰表示，韩冰和韩冰。")
    assert sorted((s, e) for s, e, _, name in found if name == "repeat") == [
        (0, 2),
        (13, 15),
        (16, 18),
    ]


def test_surname_only_after_the_full_name(tmp_path: Path) -> None:
    found = votes(tmp_path, "韩董事长到。董事长韩冰表示，韩董事长和韩国。")
    assert [(s, e) for s, e, _, name in found if name == "surname"] == [(14, 15)]


def test_examples(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(RULES, "utf-8")
    items = list(check_examples(load_rules(path)))
    assert [i.name for i in items if isinstance(i, RuleInfo)] == ["per", "place", "repeat"]
    assert not [str(i) for i in items if isinstance(i, Failure)]


def test_examples_that_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "labels: [LOC, ORG]\ntopics: [economy]\nrules:\n"
        "  a: {kind: lexicon, label: LOC, entries: [合肥], "
        "yes: ['[[合肥市]]', 合肥, '[[合肥|ORG]]'], no: [合肥]}\n"
        "  t: {kind: keywords, topic: economy, words: [股市], yes: [足球], no: [股市]}\n",
        "utf-8",
    )
    failures = [str(i) for i in check_examples(load_rules(path))]
    assert len(failures) == 6
    assert "rule 'a'" in failures[0]
    assert "found 合肥|LOC, expected 合肥市|LOC" in failures[0]


def test_marks() -> None:
    assert marked("😀[[合肥|LOC]]和[[韩冰]]") == ("😀合肥和韩冰", [(1, 3, "LOC"), (4, 6, "")])


def test_the_example_for_users_keeps_its_examples() -> None:
    path = Path(__file__).parent.parent / "configs" / "rules" / "battery.yaml"
    assert not [str(item) for item in check_examples(load_rules(path))]


def test_shipped_sets_keep_their_examples() -> None:
    for name in shipped():
        failures = [i for i in check_examples(load_rules(name)) if isinstance(i, Failure)]
        assert not [str(failure) for failure in failures], name


def test_word_lists_of_python_rules_are_part_of_what_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "mine" / "words"
    folder.mkdir(parents=True)
    (folder / "clubs.txt").write_text("国安\n", "utf-8")
    (tmp_path / "my.py").write_text(
        "from hanspan.rules import rule\n@rule('p', labels=['ORG'])\ndef p(doc):\n    return []\n",
        "utf-8",
    )
    (tmp_path / "r.yaml").write_text("labels: [ORG]\npython: [my.py]\n", "utf-8")
    before = load_rules(tmp_path / "r.yaml").hashes["p"]
    assert load_rules(tmp_path / "r.yaml").hashes["p"] == before
    (folder / "clubs.txt").write_text("国安\n鲁能\n", "utf-8")
    assert load_rules(tmp_path / "r.yaml").hashes["p"] != before
