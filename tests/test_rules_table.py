"""``hanspan rules``: what each rule is worth, and why a text is labelled as it is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.cli import main
from hanspan.data import Document, Span, write_documents
from hanspan.rules.table import tabulate, to_csv, to_html

ABOUT = {
    "rule:a": {"kind": "lexicon", "labels": ["LOC"], "group": "g"},
    "rule:b": {"kind": "pattern", "labels": ["ORG", "LOC"]},
    "rule:c": {"kind": "negative", "labels": ["NONE"]},
    "rule:d": {"kind": "lexicon", "labels": ["LOC"], "group": "g"},
    "rule:mute": {"kind": "pattern", "labels": ["PER"]},
}


def document(*votes: tuple[int, int, str, str], name: str = "x") -> Document:
    spans = tuple(Span(s, e, label, source=f"rule:{rule}") for s, e, label, rule in votes)
    return Document(name, "合肥市政协主席韩冰", spans)


def numbers(*documents: Document) -> dict[str, tuple[int, float, float, float]]:
    rows = tabulate(documents, ABOUT)
    return {row.rule: (row.votes, row.overlap, row.agreement, row.conflict) for row in rows}


@pytest.mark.parametrize(
    ("votes", "overlap", "agreement", "conflict"),
    [
        ([(0, 3, "LOC", "a")], 0, 0, 0),
        ([(0, 3, "LOC", "a"), (0, 3, "LOC", "b")], 1, 1, 0),
        ([(0, 3, "LOC", "a"), (0, 3, "ORG", "b")], 1, 0, 1),
        ([(0, 3, "LOC", "a"), (0, 5, "ORG", "b")], 1, 0, 0),  # nested, another label
        ([(0, 3, "LOC", "a"), (0, 2, "LOC", "b")], 1, 0, 1),  # nested, the same label
        ([(0, 3, "LOC", "a"), (0, 2, "LOC", "d")], 1, 0, 0),  # ... of the same group
        ([(0, 3, "LOC", "a"), (2, 5, "ORG", "b")], 1, 0, 1),  # crossing
        ([(0, 3, "LOC", "a"), (2, 5, "LOC", "d")], 1, 0, 1),
        ([(0, 3, "LOC", "a"), (0, 9, "NONE", "c")], 1, 0, 1),
        ([(0, 3, "LOC", "a"), (0, 3, "ENTITY", "b")], 1, 0, 0),
        ([(0, 3, "LOC", "a"), (0, 3, "ORG", "a")], 0, 0, 0),  # its own
        ([(0, 3, "LOC", "a"), (3, 5, "ORG", "b")], 0, 0, 0),  # touching
    ],
)
def test_overlap_agreement_conflict(
    votes: list[tuple[int, int, str, str]], overlap: float, agreement: float, conflict: float
) -> None:
    assert numbers(document(*votes))["a"][1:] == (overlap, agreement, conflict)


def test_shares_and_gold() -> None:
    documents = [
        document((0, 3, "LOC", "a"), (7, 9, "NONE", "c"), name="1"),
        document((0, 3, "LOC", "a"), (0, 2, "LOC", "a"), (5, 7, "NONE", "c"), name="2"),
    ]
    gold = {
        "1": Document("1", documents[0].text, (Span(0, 3, "LOC"), Span(7, 9, "PER"))),
        "2": Document("2", documents[0].text, (Span(0, 2, "LOC"), Span(3, 5, "LOC"))),
    }
    rows = {row.rule: row for row in tabulate(documents, ABOUT, gold=gold)}
    assert rows["a"].coverage == 1.0
    assert rows["a"].precision == pytest.approx(2 / 3)
    assert rows["a"].recall == pytest.approx(2 / 3)
    assert rows["c"].precision == 0.5  # one NONE lies on a person
    assert rows["c"].recall is None
    assert (rows["mute"].votes, rows["mute"].precision, rows["mute"].recall) == (0, None, 0.0)
    entries = tabulate(documents, ABOUT, gold=gold, entries=True)
    assert {(row.rule, row.entry): row.votes for row in entries}[("a", "合肥市")] == 2


def test_topics() -> None:
    def votes(*items: tuple[str, str]) -> Document:
        rows = [{"label": t, "score": 1.0, "source": f"rule:{r}"} for t, r in items]
        return Document("x", "文", meta={"topic_votes": rows})

    about = {f"rule:{n}": {"labels": [n]} for n in "st"}
    gold = {"x": Document("x", "文", labels={"topic": "s"})}
    rows = {r.rule: r for r in tabulate([votes(("s", "s"), ("t", "t"))], about, gold=gold)}
    assert (rows["s"].conflict, rows["s"].precision, rows["s"].recall) == (1.0, 1.0, 1.0)
    assert (rows["t"].conflict, rows["t"].precision) == (1.0, 0.0)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.integers(1, 4), st.sampled_from("XY"), st.sampled_from("abd")
        ),
        max_size=8,
    )
)
def test_shares_lie_between_zero_and_one(items: list[tuple[int, int, str, str]]) -> None:
    votes = [(s, s + size, label, rule) for s, size, label, rule in items]
    rows = tabulate([document(*votes)], ABOUT)
    assert sum(row.votes for row in rows) == len(set(votes))
    for row in rows:
        assert 0 <= row.agreement <= row.overlap <= 1
        assert 0 <= row.conflict <= row.overlap


def test_csv_and_html() -> None:
    rows = tabulate([document((0, 3, "LOC", "a"))], {"rule:a": {"labels": ["<LOC>"]}})
    parsed = list(csv.DictReader(to_csv(rows).splitlines()))
    assert parsed[0]["rule"] == "a"
    assert parsed[0]["coverage"] == "1.0000"
    page = to_html(rows, "T")
    assert "&lt;LOC&gt;" in page
    assert "http" not in page


RULES = """\
labels: [LOC, PER, GOV]
topics: [economy]
rules:
  place: {kind: lexicon, label: LOC, entries: [合肥市], unless_after: [银行], yes: ['[[合肥市]]']}
  body: {kind: pattern, label: GOV, pattern: '\\p{Han}{2}市政协', yes: ['[[合肥市政协]]']}
  money: {kind: keywords, topic: economy, words: [股市]}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "r.yaml").write_text(RULES, "utf-8")
    gold = Document("1", "合肥市与合肥市政协", (Span(0, 3, "LOC"), Span(4, 9, "GOV")))
    write_documents(tmp_path / "d.jsonl", [gold, Document("2", "合肥市银行看股市")])
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["rules", *map(str, arguments)])


def test_list(files: Path) -> None:
    result = call("list", files / "r.yaml")
    assert result.exit_code == 0
    assert "r.yaml:4" in result.output
    assert "news" in call("list").output


def test_test(files: Path) -> None:
    result = call("test", files / "r.yaml")
    assert result.exit_code == 0, result.output
    assert "3 rules, 2 examples, 0 failed, 1 rules without" in result.output
    assert call("test", files / "r.yaml", "--strict").exit_code == 1
    assert call("test", files / "r.yaml", "body", "--strict").exit_code == 0
    assert "no rule 'boddy'" in call("test", files / "r.yaml", "boddy").stderr
    (files / "r.yaml").write_text(RULES.replace("'[[合肥市]]'", "'[[合肥]]市'"), "utf-8")
    failed = call("test", files / "r.yaml")
    assert failed.exit_code == 1
    assert "found 合肥市|LOC, expected 合肥|LOC" in failed.output


def test_explain(files: Path) -> None:
    result = call("explain", "合肥市银行与合肥市政协看股市", "--rules", files / "r.yaml")
    assert result.exit_code == 0, result.output
    assert "veto  0:3 合肥市 LOC of place: unless_after: 银行" in result.output
    assert "wins" in result.output
    assert "合肥市政协[GOV]" in result.output
    assert "topic economy" in result.output
    assert "no rule fires" in call("explain", "无", "--rules", files / "r.yaml").output


def test_table(files: Path) -> None:
    rules, data = files / "r.yaml", files / "d.jsonl"
    result = call("table", data, "--rules", rules, "--gold", data, "--csv", files / "t.csv",
                  "--html", files / "t.html")  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = {row["rule"]: row for row in csv.DictReader((files / "t.csv").open(encoding="utf-8"))}
    assert rows["place"]["votes"] == "2"
    assert rows["place"]["precision"] == "0.5000"
    assert rows["body"]["recall"] == "1.0000"
    assert "<table>" in (files / "t.html").read_text("utf-8")
    blame = call("table", data, "--rules", rules, "--blame")
    assert "合肥市政协" in blame.output
    one = call("table", data, "--rules", rules, "--entries", "--rule", "body")
    assert "合肥市政协" in one.output
    assert "place" not in one.output


def test_table_of_votes_on_disk(files: Path) -> None:
    from hanspan.weak import label

    assert "no such file" in call("table", files / "d.jsonl").stderr
    label(files / "d.jsonl", files / "w.jsonl", files / "r.yaml")
    assert "place" in call("table", files / "w.jsonl").output
    assert "no column 'x'" in call("table", files / "w.jsonl", "--sort", "x").stderr
