"""What comes in: HTML, DOCX, PDF, rows, folders, standard input, and bad files."""

from __future__ import annotations

import io
import json
import lzma
import sys
from pathlib import Path

import pytest

from hanspan.data import Document, read_documents, write_documents
from hanspan.errors import HanspanError
from hanspan.pages import pages, read_page
from hanspan.pages.reading import read_source
from hanspan.pages.sheets import sheets
from hanspan.pages.source import Source
from pdf_maker import make_pdf, pack

FIRST = "青石镇今年种了三万亩油菜，产量创下历史新高，农户说价格也比往年好。"
SECOND = "镇长在收割现场介绍，合作社把油菜籽卖到了邻省的三家油厂。"


def texts(path: Path) -> list[str]:
    return [document.text for document in read_documents(path)]


def test_html_keeps_paragraphs_and_drops_menus(tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(
        (
            "<html><head><meta charset=gb2312><title>x</title></head><body>"
            "<nav><a>首页</a> <a>要闻</a></nav><script>var a='脚本'</script>"
            f"<h1>青石镇油菜丰收</h1><p>{FIRST[:12]}<b>{FIRST[12:]}</b></p><p>{SECOND}</p>"
            "<ul><li><a>友情链接一</a></li><li><a>友情链接二</a></li></ul>"
            "<footer>版权所有</footer></body></html>"
        ).encode("gb18030")
    )
    summary = pages([page], tmp_path / "out.jsonl")
    (document,) = read_documents(tmp_path / "out.jsonl")
    assert document.text == f"{FIRST}\n{SECOND}"
    assert document.meta["title"] == "青石镇油菜丰收"
    assert summary.dropped["menu"] == len("首页 要闻版权所有")
    assert summary.dropped["links"] == len("友情链接一友情链接二")


def test_html_of_menus_only_is_a_clear_message(tmp_path):
    page = tmp_path / "menu.html"
    page.write_text("<body><nav><a>首页</a></nav><ul><li><a>要闻</a></ul></body>", "utf-8")
    with pytest.raises(HanspanError, match="no article found"):
        pages([page], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_docx_paragraphs_and_tables_in_order(tmp_path):
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_paragraph("青石镇油菜丰收")
    document.add_paragraph(FIRST)
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "亩数", "30000"
    document.add_paragraph(SECOND)
    stream = io.BytesIO()
    document.save(stream)
    path = tmp_path / "page.docx"
    path.write_bytes(stream.getvalue())
    assert read_source(path).text == f"青石镇油菜丰收\n{FIRST}\n亩数\t30000\n{SECOND}\n"
    path.write_bytes(stream.getvalue()[:300])
    with pytest.raises(HanspanError, match="no Word document"):
        read_source(path)


def test_pdf_columns_come_in_reading_order(tmp_path):
    left = [FIRST[i : i + 12] for i in range(0, len(FIRST), 12)]
    right = [SECOND[i : i + 12] for i in range(0, len(SECOND), 12)]
    lines = [(50.0, 60.0, "青石镇油菜大丰收")]
    for place in range(max(len(left), len(right))):  # written line by line across both columns
        for column, start in ((left, 50.0), (right, 320.0)):
            if place < len(column):
                lines.append((start, 110.0 + 16 * place, column[place]))
    path = tmp_path / "page.pdf"
    path.write_bytes(make_pdf(lines))
    source = read_source(path)
    assert [line for line in source.text.split("\n") if line][1:] == [FIRST, SECOND]


def test_pdf_keeps_the_blanks_of_a_byline(tmp_path):
    path = tmp_path / "page.pdf"
    lines = [(50.0, 60.0, "青石镇油菜大丰收"), (50.0, 90.0, "本报记者 江照临 通讯员 蒲小满")]
    path.write_bytes(make_pdf([*lines, (50.0, 130.0, FIRST)]))
    found = [line for line in read_source(path).text.split("\n") if line]
    assert found == [lines[0][2], lines[1][2], FIRST]


def test_bad_files_have_their_reasons_and_the_rest_goes_on(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a_scan.pdf").write_bytes(make_pdf([]))
    locked = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [] /Count 0 >>",
        b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>" % (b"00" * 32, b"11" * 32),
    ]
    (folder / "b_locked.pdf").write_bytes(pack(locked, b"/Encrypt 3 0 R /ID [<00> <00>]"))
    (folder / "c_rubbish.txt").write_bytes(bytes(range(256)) * 20)
    (folder / "d_empty.txt").write_text(" \n", "utf-8")
    (folder / "e_good.txt").write_text(f"青石镇油菜丰收\n\n{FIRST}\n\n{SECOND}\n", "utf-8")
    (folder / "f_broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    summary = pages([folder], tmp_path / "out.jsonl")
    assert texts(tmp_path / "out.jsonl") == [f"{FIRST}\n{SECOND}"]
    reasons = {Path(name).name[0]: reason for name, reason in summary.failed}
    assert set(reasons) == set("abcdf")
    for letter, words in zip(
        "abcdf",
        ("without a text layer", "encrypted", "binary", "empty", "no PDF that can be read"),
        strict=True,
    ):
        assert words in reasons[letter]


def test_too_large_and_missing(tmp_path):
    large = tmp_path / "large.txt"
    with large.open("wb") as stream:
        stream.truncate(70 << 20)
    with pytest.raises(HanspanError, match="too large"):
        read_source(large)
    with pytest.raises(HanspanError, match="no such file"):
        pages([tmp_path / "not-there.txt"], tmp_path / "out.jsonl")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(HanspanError, match="without pages"):
        pages([tmp_path / "nothing"], tmp_path / "out.jsonl")


def test_an_unknown_encoding_is_a_clear_message(tmp_path):
    (tmp_path / "page.txt").write_text(f"{FIRST}\n", "utf-8")
    with pytest.raises(HanspanError, match="expected one such as utf-8"):
        pages([tmp_path / "page.txt"], tmp_path / "out.jsonl", encoding="klingon")


def test_what_a_run_before_wrote_into_the_folder_is_not_read_again(tmp_path):
    (tmp_path / "page.txt").write_text(f"青石镇油菜丰收\n\n{FIRST}\n\n{SECOND}\n", "utf-8")
    for _ in range(2):
        summary = pages([tmp_path], tmp_path / "out.jsonl", explain=tmp_path / "out.html")
        assert (summary.files, summary.documents) == (1, 1)


def test_standard_input(tmp_path, monkeypatch):
    data = f"青石镇油菜丰收\n\n{FIRST}\n".encode("gb18030")
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": io.BytesIO(data)}))
    pages(["-"], tmp_path / "out.jsonl")
    assert texts(tmp_path / "out.jsonl") == [FIRST]
    web = f"\ufeff<!doctype html><nav>首页</nav><h1>青石镇油菜丰收</h1><p>{FIRST}</p>"
    data = web.encode()
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": io.BytesIO(data)}))
    pages(["-"], tmp_path / "out.jsonl")
    assert texts(tmp_path / "out.jsonl") == [FIRST]


def test_rows_pass_through_with_their_meta_and_bad_rows_are_set_aside(tmp_path):
    path = tmp_path / "corpus.jsonl"
    rows = [
        json.dumps({"text": FIRST, "source": "wire", "date": "20240501"}, ensure_ascii=False),
        '{"text": 5}',
        "no json",
        json.dumps({"id": "x", "text": SECOND, "labels": {"topic": "economy"}}),
    ]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    summary = pages([path], tmp_path / "out.jsonl")
    first, second = read_documents(tmp_path / "out.jsonl")
    assert (first.id, first.text) == ("corpus-1", FIRST)
    assert first.meta == {"source": "wire", "date": "20240501"}
    assert (second.id, second.labels) == ("x", {"topic": "economy"})
    assert summary.rejected == 2
    rejected = [
        json.loads(line) for line in (tmp_path / "out.jsonl.rejected.jsonl").open(encoding="utf-8")
    ]
    assert [row["line"] for row in rejected] == [2, 3]


def test_sampling_is_seeded_and_by_file(tmp_path):
    for name in ("one", "two"):
        with lzma.open(tmp_path / f"{name}.jsonl.xz", "wt", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"text": f"{name} {i}"}) + "\n" for i in range(200))
    with lzma.open(tmp_path / "titles.txt.xz", "wt", encoding="utf-8") as stream:
        stream.writelines(f"title {i}\n" for i in range(50))
    files = sorted(tmp_path.glob("*.xz"))
    runs = []
    for seed in (1, 1, 2):
        pages(files, tmp_path / "out.jsonl", limit=20, seed=seed)
        runs.append(texts(tmp_path / "out.jsonl"))
    assert runs[0] == runs[1] != runs[2]
    for name in ("one", "two", "title"):
        numbers = [int(text.split()[1]) for text in runs[0] if text.startswith(name)]
        assert len(numbers) == 20 == len(set(numbers))
        assert numbers == sorted(numbers)
    one, two = ([t.split()[1] for t in runs[0] if t.startswith(name)] for name in ("one", "two"))
    assert one != two


def test_a_table_is_sampled_as_lines_are(tmp_path):
    many = [Document(str(i), f"title {i}") for i in range(200)]
    for name in ("rows.jsonl", "rows.parquet"):
        write_documents(tmp_path / name, many)
    for name in ("rows.jsonl", "rows.parquet"):
        summary = pages([tmp_path / name], tmp_path / "out.jsonl", limit=20, seed=1)
        assert summary.documents == 20
        numbers = [int(text.split()[1]) for text in texts(tmp_path / "out.jsonl")]
        assert numbers == sorted(set(numbers))


def test_ids_stay_unique(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.txt").write_text(f"{FIRST}\n\n{SECOND}\n", "utf-8")
    pages([tmp_path / "a", tmp_path / "b"], tmp_path / "out.jsonl")
    ids = [document.id for document in read_documents(tmp_path / "out.jsonl")]
    assert ids == ["page-a1", "page-a1~2"]


def test_wrapped_lines_are_put_together():
    long = FIRST + SECOND + FIRST
    wrapped = "\n".join(long[i : i + 16] for i in range(0, len(long), 16))
    page = read_page(f"{wrapped}\n\n{wrapped}\n")
    assert [part.text for a in page.articles for part in a.paragraphs] == [long, long]


def test_a_long_file_is_read_in_sheets_and_ranges_count_in_the_file(tmp_path, monkeypatch):
    books = [
        "市图书馆的新馆昨天开门，读者一早就在门口排起长队，馆长说藏书有八十万册。",
        "新馆的少儿阅览室开在二楼，图书馆请来退休教师讲故事，读者可以预约座位。",
    ]
    oil = f"青石镇油菜丰收\n\n本报记者 尤静\n\n{FIRST}\n\n{SECOND}\n\n"
    other = "\n\n".join(["市图书馆新馆开门", "本报记者 江照临", *books]) + "\n\n"
    page = tmp_path / "page.txt"
    page.write_text((oil + other) * 4 + "第6版\n", "utf-8")
    raw = page.read_text("utf-8")
    monkeypatch.setattr("hanspan.pages.stage.sheets", lambda source: sheets(source, 260))
    pages([page], tmp_path / "out.jsonl")
    found = list(read_documents(tmp_path / "out.jsonl"))
    assert [document.id for document in found] == [f"page-a{n}" for n in range(1, 9)]
    for number, document in enumerate(found):
        assert document.text == "\n".join(books if number % 2 else [FIRST, SECOND])
        for part in document.meta["paragraphs"]:
            text = "".join(raw[start:end] for start, end in part["raw"])
            assert text == document.text[part["start"] : part["end"]]
    listed = (tmp_path / "out.jsonl.dropped.jsonl").read_text("utf-8").splitlines()
    (mark,) = [row for row in map(json.loads, listed) if row["reason"] == "page mark"]
    assert raw[mark["start"] : mark["end"]] == "第6版"


@pytest.mark.parametrize(
    "text", ["没有行" * 200, "一行。\n" * 150, "上\f" * 300, "题\n\n文。" * 90]
)
def test_sheets_put_together_are_the_source(text):
    source = Source("x", text, "", skipped=((40, 260, "menu"), (400, 420, "links")))
    parts = list(sheets(source, 100))
    assert "".join(part.text for _, part in parts) == text
    assert all(len(part.text) <= 100 for _, part in parts)
    covered = {start + at for start, p in parts for a, b, _ in p.skipped for at in range(a, b)}
    assert covered == {*range(40, 260), *range(400, 420)}
    for start, part in parts:
        assert text[start : start + len(part.text)] == part.text
