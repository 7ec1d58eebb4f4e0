"""Forms of other tools: what goes out comes back, and what is broken is set aside."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document, Span
from hanspan.errors import HanspanError
from hanspan.formats import FORMS, form_of, read_form, writer_for
from hanspan.formats.borders import span_of

TEXT = "韩冰😀在 合肥\n市\t<b>说</b>\u3000。"
DOC = Document(
    "p1", TEXT, (Span(0, 2, "PER", 0.9, "model"), Span(5, 9, "LOC", 0.5)), {"topic": "politics"}
)
SIMPLE = ["labelstudio", "argilla", "doccano", "conll"]


def back(form: str, documents: list[Document], rejected: list | None = None) -> list[Document]:
    """Write, and read what people would get who annotate nothing anew."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{FORMS[form][0]}"
        assert writer_for(path)(path, documents) == len(documents)
        if form in ("labelstudio", "argilla"):  # a person accepts every suggestion
            rows = json.loads(path.read_text("utf-8"))
            for row in rows:
                if form == "labelstudio":
                    row["annotations"] = [row.pop("predictions")[0]]
                else:
                    row["responses"] = {k: [{"value": v["value"]}] for k, v in
                                        row.pop("suggestions").items()}  # fmt: skip
            path.write_text(json.dumps(rows), "utf-8")
        return list(read_form(path, None, [] if rejected is None else rejected))


def plain(document: Document) -> tuple:
    spans = [(s.start, s.end, s.label) for s in document.spans]
    return document.id, document.text, spans, dict(document.labels)


@pytest.mark.parametrize("form", SIMPLE)
def test_what_goes_out_comes_back(form: str) -> None:
    empty = Document("p2", "无")
    assert [plain(d) for d in back(form, [DOC, empty])] == [plain(DOC), plain(empty)]


texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\t\r\u3000\u2028😀#␣"),
    min_size=1, max_size=20,
)  # fmt: skip


@st.composite
def documents(draw) -> Document:
    text = draw(texts)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [Span(a, b, draw(st.sampled_from(["PER", "B-2"]))) for a, b in
             zip(cuts[::2], cuts[1::2], strict=False)]  # fmt: skip
    return Document(draw(texts), text, tuple(spans), draw(st.sampled_from([{}, {"topic": "经济"}])))


@pytest.mark.parametrize("form", SIMPLE)
@settings(max_examples=60, deadline=None)
@given(st.lists(documents(), max_size=4))
def test_any_text_survives(form: str, given_documents: list[Document]) -> None:
    found = back(form, given_documents)
    assert [plain(d) for d in found] == [plain(d) for d in given_documents]


def test_docbin() -> None:
    pytest.importorskip("spacy")
    assert [plain(d) for d in back("docbin", [DOC])] == [plain(DOC)]


def test_docbin_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(HanspanError, match="pip install spacy"):
        writer_for("x.spacy")(tmp_path / "x.spacy", [DOC])


def test_html_escapes_and_calls_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    evil = Document("<script>", "<img src=x onerror=alert(1)>甲", (Span(0, 29, "A", 1, '"><x>'),))
    writer_for(path)(path, [evil, DOC])
    page = path.read_text("utf-8")
    assert "<img" not in page
    assert "<script" not in page
    assert '"><x>' not in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "default-src 'none'" in page


def test_table_has_a_row_a_span_and_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    writer_for(path)(path, [Document("=1+1", "=甲", (Span(0, 2, "A"),)), Document("b", "x")])
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["id"], r["surface"]) for r in rows] == [("'=1+1", "'=甲"), ("b", "")]


@pytest.mark.parametrize(
    "tags",
    [
        "O B-PER I-PER B-PER O B-LOC",
        "O B-PER E-PER S-PER O S-LOC",
        "O B-PER I-PER S-PER O U-LOC",
        "O I-PER I-PER B-PER O I-LOC",
    ],
)
def test_conll_of_other_tools(tags: str, tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    lines = [f"{char} {tag}" for char, tag in zip("在韩冰韩市京", tags.split(), strict=True)]
    path.write_text("\n".join(lines) + "\n\n甲\tO\n", "utf-8")
    first, second = read_form(path, None, [])
    assert [(s.start, s.end, s.label) for s in first.spans] == [
        (1, 3, "PER"), (3, 4, "PER"), (5, 6, "LOC"),
    ]  # fmt: skip
    assert second.text == "甲"


def test_doccano_exports(tmp_path: Path) -> None:
    path = tmp_path / "x.doccano.jsonl"
    rows = [
        {"id": 1, "text": "韩冰说", "label": [[0, 2, "PER"]]},
        {"id": 2, "text": "韩冰说", "labels": [[0, 2, "PER"]]},
        {"id": 3, "text": "韩冰说", "label": ["politics"]},
        {"id": 4, "text": "韩冰说", "relations": [],
         "entities": [{"id": 7, "label": "PER", "start_offset": 0, "end_offset": 2}]},
        {"id": 5, "text": "韩冰说", "label": [[0, 9, "PER"]]},
        {"id": 6, "text": "韩冰说", "label": [[0, 2, "PER"], [1, 3, "LOC"]]},
        {"id": 7},
    ]  # fmt: skip
    lines = [json.dumps(row) for row in rows] + ["{broken"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    rejected: list = []
    found = list(read_form(path, None, rejected))
    assert [len(d.spans) for d in found] == [1, 1, 0, 1]
    assert found[2].labels == {"topic": "politics"}
    assert [row["line"] for row in rejected] == [5, 6, 7, 8]
    assert "does not fit the text" in rejected[0]["reason"]
    assert "overlap" in rejected[1]["reason"]


def test_label_studio_counts_utf16_where_it_must(tmp_path: Path) -> None:
    path = tmp_path / "x.labelstudio.json"
    value = {"start": 3, "end": 5, "text": "韩冰", "labels": ["PER"]}
    result = {"from_name": "label", "to_name": "text", "type": "labels", "value": value}
    tasks = [
        {"id": 1, "data": {"text": "😀说韩冰"}, "annotations": [
            {"was_cancelled": True, "result": []}, {"result": [result]}]},
        {"id": 2, "data": {"text": "😀说刘冰"}, "annotations": [{"result": [result]}]},
        {"id": 3, "data": {"text": "x"}, "annotations": [{"was_cancelled": True, "result": []}]},
    ]  # fmt: skip
    path.write_text(json.dumps(tasks), "utf-8")
    rejected: list = []
    (found,) = read_form(path, None, rejected)
    assert found.surface(found.spans[0]) == "韩冰"
    assert [row["line"] for row in rejected] == [2, 3]
    path.write_text("{}")
    with pytest.raises(HanspanError, match="expected a list of tasks"):
        list(read_form(path, None, []))


def test_label_studio_setup_is_escaped() -> None:
    from hanspan.formats.labelstudio import config

    assert '<Label value="A&amp;B"/>' in config(["A&B"])
    assert "Choices" not in config(["A"])


@given(st.text(max_size=12), st.integers(-2, 14), st.integers(-2, 14))
def test_borders_fit_or_are_refused(text: str, start: int, end: int) -> None:
    said = text[max(start, 0) : max(end, 0)]
    try:
        span = span_of(text, start, end, "A", said)
    except HanspanError:
        assert not 0 <= start < end <= len(text)
    else:
        assert text[span.start : span.end] == said


def test_forms_by_name() -> None:
    assert form_of("a.doccano.jsonl") == "doccano"
    assert form_of("a.jsonl.gz") == "hanspan"
    assert form_of("a.jsonl", "conll") == "conll"
    with pytest.raises(HanspanError, match="unknown kind of file"):
        form_of("a.docx")
    with pytest.raises(HanspanError, match="expected one of hanspan, labelstudio"):
        form_of("a.jsonl", "xml")
    with pytest.raises(HanspanError, match="cannot be read"):
        read_form(__file__, "html", [])
    with pytest.raises(HanspanError, match="no such file"):
        read_form("none.conll", None, [])


@pytest.mark.parametrize("name", ["x.conll", "x.doccano.jsonl"])
def test_a_file_that_is_not_utf8_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes("甲\tO\n".encode("gb18030"))
    with pytest.raises(HanspanError, match=rf"{name}: not UTF-8"):
        list(read_form(tmp_path / name, None, []))
