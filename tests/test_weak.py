"""The label stage: files, workers, what is done again, what is skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanspan import weak
from hanspan.data import Document, read_documents, write_documents
from hanspan.errors import HanspanError
from hanspan.rules import load_rules, pieces, rule
from hanspan.rules.work import Renderer
from hanspan.weak import label, rules_path

RULES = """\
name: t
labels: [PER, LOC]
topics: [economy]
python: ./my.py
rules:
  place: {kind: lexicon, label: LOC, entries: [合肥, 安徽], weight: 0.5, group: g}
  said: {kind: pattern, pattern: '(?P<PER>\\p{Han}{2})表示'}
  money: {kind: keywords, topic: economy, words: [股市]}
  silent: {kind: negative, words: [没有这个]}
"""
PYTHON = """\
from hanspan.rules import rule
@rule("twice", labels=["PER"], after="votes")
def twice(doc):
    for span in doc.spans:
        if span.label == "PER":
            yield span.start, span.end
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "r.yaml").write_text(RULES, "utf-8")
    (tmp_path / "my.py").write_text(PYTHON, "utf-8")
    texts = ["😀合肥韩冰表示", "股市在安徽", "", "无", "韩冰表示\n合肥"]
    documents = [
        Document(f"d{k}", text, labels={"topic": "x"} if k == 1 else {}, meta={"n": k})
        for k, text in enumerate(texts * 5)
    ]
    write_documents(tmp_path / "in.jsonl", documents)
    return tmp_path


def run(folder: Path, **more: Any) -> weak.LabelSummary:
    return label(folder / "in.jsonl", folder / "out.jsonl", folder / "r.yaml", **more)


def test_output_is_what_the_rules_say(folder: Path) -> None:
    summary = run(folder)
    rules = load_rules(folder / "r.yaml")
    expected = [rules.apply(document) for document in read_documents(folder / "in.jsonl")]
    found = list(read_documents(folder / "out.jsonl"))
    assert found == expected
    assert found[0].spans[0].source == "rule:place"
    assert found[1].labels == {"topic": "x"}
    assert found[1].meta["topic_votes"][0]["label"] == "economy"
    assert (summary.documents, summary.votes, summary.topic_votes) == (25, 35, 5)
    assert (summary.rules, summary.silent, summary.reused) == (5, 1, 0)
    assert summary.characters == sum(len(d.text) for d in expected)


def test_rules_file(folder: Path) -> None:
    run(folder)
    meta = json.loads((folder / "out.rules.json").read_text("utf-8"))
    assert meta["ruleset"] == "t"
    assert meta["labels"] == ["PER", "LOC"]
    assert meta["topics"] == ["economy"]
    assert len(meta["version"]) == 16
    place = meta["rules"]["rule:place"]
    assert {"kind": "lexicon", "group": "g", "priority": 0, "labels": ["LOC"]}.items() <= (
        place.items()
    )
    assert place["votes"] == 15
    assert rules_path("a/x.jsonl.gz").as_posix() == "a/x.rules.json"
    assert rules_path("x.parquet").name == "x.rules.json"


@pytest.mark.parametrize("name", ["out.jsonl.gz", "out.jsonl.xz", "out.parquet"])
def test_other_formats(folder: Path, name: str) -> None:
    run(folder)
    first = folder / name.replace("out", "in")
    write_documents(first, read_documents(folder / "in.jsonl"))
    label(first, folder / name, folder / "r.yaml")
    assert list(read_documents(folder / name)) == list(read_documents(folder / "out.jsonl"))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(1, 400))
def test_any_cut_into_byte_ranges_gives_the_same_file(folder: Path, size: int) -> None:
    run(folder, fresh=True)
    whole = (folder / "out.jsonl").read_bytes()
    before = pieces._BYTES
    pieces._BYTES = size
    try:
        run(folder, fresh=True)
    finally:
        pieces._BYTES = before
    assert (folder / "out.jsonl").read_bytes() == whole


def test_rows_without_id_are_numbered_by_line(folder: Path, monkeypatch: Any) -> None:
    (folder / "in.jsonl").write_text('{"text": "a"}\n\n{"text": "b"}\n{"text": "c"}\n', "utf-8")
    for size in (10, 15, 1000):
        monkeypatch.setattr(pieces, "_BYTES", size)
        run(folder, fresh=True)
        assert [d.id for d in read_documents(folder / "out.jsonl")] == ["row-1", "row-3", "row-4"]


@pytest.mark.slow
def test_a_script_without_main_guard_gets_an_error(folder: Path) -> None:
    import subprocess
    import sys

    code = "from hanspan.weak import label\nlabel('in.jsonl', 'out.jsonl', 'r.yaml', workers=2)\n"
    (folder / "script.py").write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "a worker ended before its work was done" in done.stderr
    assert not (folder / "out.jsonl").exists()


@pytest.mark.slow
def test_two_workers(folder: Path) -> None:
    one = run(folder, fresh=True)
    alone = (folder / "out.jsonl").read_bytes()
    two = run(folder, fresh=True, workers=2)
    assert (folder / "out.jsonl").read_bytes() == alone
    assert (two.documents, two.votes) == (one.documents, one.votes)


def _counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the documents that the lexicon's set was run on."""
    from hanspan.rules.ruleset import RuleSet

    seen: list[str] = []
    plain = RuleSet.votes

    def votes(self: RuleSet, document: Document, **more: Any) -> Any:
        seen.append(f"{document.id}:{'+'.join(sorted(i.name for i in self.infos))}")
        return plain(self, document, **more)

    monkeypatch.setattr(RuleSet, "votes", votes)
    return seen


def test_nothing_changed_nothing_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(folder)
    seen = _counting(monkeypatch)
    second = run(folder)
    assert not seen
    assert second.reused == second.documents == first.documents
    assert second.votes == first.votes


def test_only_a_changed_rule_is_done_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder)
    (folder / "r.yaml").write_text(RULES.replace("安徽]", "安徽, 股市]"), "utf-8")
    seen = _counting(monkeypatch)
    summary = run(folder)
    assert summary.reused == 25
    assert {name.split(":")[1] for name in seen} == {"place+twice"}
    again = (folder / "out.jsonl").read_bytes()
    run(folder, fresh=True)
    assert (folder / "out.jsonl").read_bytes() == again


def test_a_changed_python_rule_is_done_again(folder: Path) -> None:
    run(folder)
    changed = PYTHON.replace("span.start, span.end", "span.start, span.start + 1")
    (folder / "my.py").write_text(changed, "utf-8")
    summary = run(folder)
    assert summary.reused == 25
    again = (folder / "out.jsonl").read_bytes()
    assert b"rule:twice" in again
    run(folder, fresh=True)
    assert (folder / "out.jsonl").read_bytes() == again


def test_a_rule_without_a_file_is_never_taken_over(folder: Path) -> None:
    space: dict[str, Any] = {}
    code = "def f(doc):\n    return [(0, 1)] if doc.text else []\n"
    for size, expected in ((1, 20), (0, 0)):
        exec(code if size else code.replace("doc.text", "False"), space)
        made = rule("first", labels=["PER"])(space["f"])
        summary = label(folder / "in.jsonl", folder / "out.jsonl", [made])
        assert (summary.votes, summary.reused) == (expected, 0)


def test_only_changed_documents_are_done_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder)
    documents = list(read_documents(folder / "in.jsonl"))
    documents[3] = Document("d3", "安徽", meta={"n": 3})
    del documents[7]
    documents.append(Document("new", "合肥"))
    write_documents(folder / "in.jsonl", documents)
    seen = _counting(monkeypatch)
    summary = run(folder)
    assert summary.reused == 23
    assert [name.split(":")[0] for name in seen if "place" in name] == ["d3", "new"]
    again = (folder / "out.jsonl").read_bytes()
    run(folder, fresh=True)
    assert (folder / "out.jsonl").read_bytes() == again


def test_a_damaged_earlier_output_is_not_trusted(folder: Path) -> None:
    run(folder)
    good = (folder / "out.jsonl").read_bytes()
    (folder / "out.rules.json").write_text("{", "utf-8")
    (folder / "out.jsonl").write_bytes(b"{\n")
    assert run(folder).reused == 0
    assert (folder / "out.jsonl").read_bytes() == good


def _bad(folder: Path) -> None:
    (folder / "my.py").write_text(
        PYTHON + "@rule('bad', labels=['PER'])\ndef bad(doc):\n"
        "    if '股市' in doc.text:\n        raise ValueError('no')\n    return []\n",
        "utf-8",
    )


def test_a_rule_that_fails_stops_the_stage(folder: Path) -> None:
    _bad(folder)
    with pytest.raises(HanspanError, match=r"rule 'bad' \(.*my\.py:7\): raised ValueError.*'d1'"):
        run(folder)
    assert not (folder / "out.jsonl").exists()
    assert not (folder / "out.rules.json").exists()
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_a_rule_that_fails_is_skipped_and_counted(folder: Path) -> None:
    _bad(folder)
    summary = run(folder, on_error="skip")
    assert summary.skipped == {"bad": 5}
    assert summary.votes == 35
    meta = json.loads((folder / "out.rules.json").read_text("utf-8"))
    assert "ValueError: no" in meta["failures"]["bad"]
    assert run(folder, on_error="skip").skipped == {"bad": 5}  # tried again, not taken over


def test_rows_that_cannot_be_read(folder: Path) -> None:
    with (folder / "in.jsonl").open("ab") as stream:
        stream.write(b'{"id": 1}\n{\n"\xff"\n')
    with pytest.raises(HanspanError, match=r"in\.jsonl: line 26: expected a string under 'text'"):
        run(folder)
    summary = run(folder, on_error="skip")
    assert summary.rejected == 3
    rows = (folder / "out.jsonl.rejected.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["line"] for row in rows] == [26, 27, 28]


def test_missing_input_and_foreign_labels(folder: Path) -> None:
    with pytest.raises(HanspanError, match="no such file"):
        label(folder / "no.jsonl", folder / "out.jsonl", folder / "r.yaml")
    with pytest.raises(HanspanError, match=r"rule 'place'.*'LOC', expected one of the task's PER"):
        run(folder, labels=["PER"])


def test_rules_from_python(folder: Path) -> None:
    first = rule("first", labels=["PER"])(lambda doc: [(0, 1)] if doc.text else [])
    summary = label(folder / "in.jsonl", folder / "out.jsonl", [first])
    assert summary.votes == 20
    with pytest.raises(HanspanError, match="workers=1"):
        label(folder / "in.jsonl", folder / "o.jsonl", [first], workers=2)


def test_progress_ends_at_the_total(folder: Path) -> None:
    calls: list[tuple[int, int | None, str]] = []
    run(folder, progress=lambda *call: calls.append(call))
    assert calls[-1] == ((folder / "in.jsonl").stat().st_size,) * 2 + ("bytes",)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=8), st.dictionaries(st.text(max_size=3), st.text(max_size=3)))
def test_written_rows_read_back(text: str, meta: dict[str, str]) -> None:
    import io

    from hanspan.data import from_json

    meta.pop("topic_votes", None)
    rows = [(0, len(text), "L", 'rule:"x"', 0.5)] if text else []
    stream = io.BytesIO()
    document = Document('i"d', text, labels={"topic": "x"}, meta=meta)
    Renderer().write(stream, document, rows, [("t", 0.25, "rule:t")])
    read = from_json(json.loads(stream.getvalue()))
    assert (read.id, read.text, dict(read.labels)) == ('i"d', text, {"topic": "x"})
    assert [(s.start, s.end, s.label, s.source, s.score) for s in read.spans] == rows
    votes = [{"label": "t", "score": 0.25, "source": "rule:t"}]
    assert dict(read.meta) == {**meta, "topic_votes": votes}
