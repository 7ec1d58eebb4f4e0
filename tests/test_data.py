"""pytest tests/test_data.py"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanspan.data import (
    SUFFIXES,
    Document,
    Span,
    read_documents,
    whole,
    write_documents,
    write_rejected,
)
from hanspan.errors import HanspanError
from hanspan.soft import NEGATIVE, POSITIVE, UNKNOWN, SoftLabels, bioes_tags, soft_path

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(TEXT)
    spans = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        score = draw(st.floats(0, 1, allow_nan=False))
        spans.append(Span(start, end, draw(st.sampled_from(["PER", "甲"])), score, "rule:x"))
    labels = draw(st.dictionaries(TEXT, TEXT, max_size=2))
    return Document(draw(TEXT), text, tuple(spans), labels, draw(
        st.dictionaries(TEXT, VALUES, max_size=2)))  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch=st.lists(documents(), max_size=4))
def test_every_format_gives_back_what_it_got(
    suffix: str, batch: list[Document], tmp_path: Path
) -> None:
    path = tmp_path / f"x{suffix}"
    assert write_documents(path, batch) == len(batch)
    assert list(read_documents(path)) == batch
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_line_separators_inside_text_do_not_cut_a_row(tmp_path: Path) -> None:
    one = Document("a", "一\u2028二\u0085三\u3000四\n五\r六")
    write_documents(tmp_path / "x.jsonl", [one])
    assert list(read_documents(tmp_path / "x.jsonl")) == [one]


def test_bad_rows_are_set_aside_with_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [
        '{"text": "好"}',
        "{broken",
        '{"id": "no text"}',
        "[1]",
        '{"text": "好", "spans": [{"start": 0, "end": 9, "label": "PER"}]}',
        '{"text": "好", "spans": [{"start": "x"}]}',
        '{"text": "好", "spans": [{"start": 1, "end": 1, "label": "PER"}]}',
        '{"text": "好", "labels": {"topic": 3}}',
        "",
        '{"text": "也好", "id": 7}',
    ]
    path.write_text("\n".join(rows), "utf-8")
    rejected: list[dict[str, object]] = []
    assert [d.id for d in read_documents(path, rejected=rejected)] == ["row-1", "7"]
    assert [row["line"] for row in rejected] == [2, 3, 4, 5, 6, 7, 8]
    aside = write_rejected(tmp_path / "out.jsonl", rejected)
    assert aside is not None
    assert aside.name == "out.jsonl.rejected.jsonl"
    assert "outside the text" in json.loads(aside.read_text("utf-8").splitlines()[3])["reason"]
    assert write_rejected(tmp_path / "out.jsonl", []) is None
    assert not aside.exists()
    with pytest.raises(HanspanError, match="line 2: not JSON"):
        list(read_documents(path))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", b"", "unknown kind of file"),
        ("x.jsonl", "{\"text\": \"好\"}".encode("gb18030"), "iconv"),
        ("x.jsonl.gz", b"no gzip", "damaged"),
        ("x.jsonl.xz", b"no xz", "damaged"),
        ("x.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:20] + b"!" * 20, "damaged"),
        ("x.jsonl.zst", b"no zst", "damaged"),
        ("x.parquet", b"no table", "damaged near row 1"),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HanspanError, match=says):
        list(read_documents(tmp_path / name))


def test_missing_file(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        with pytest.raises(HanspanError, match="no such file"):
            list(read_documents(tmp_path / f"none{suffix}"))


def test_a_failure_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    def broken() -> object:
        yield Document("a", "一")
        raise RuntimeError("stop")

    for suffix in SUFFIXES:
        with pytest.raises(RuntimeError):
            write_documents(tmp_path / f"x{suffix}", broken())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(HanspanError, match="cannot be written"):
        with whole(tmp_path / "x") as temporary:
            temporary.symlink_to("/dev/full")
            with temporary.open("w") as stream:
                stream.write("x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_soft_labels_round_trip(tmp_path: Path) -> None:
    soft = SoftLabels(
        labels=("PER", "ORG"),
        topics=("a", "b"),
        offsets=np.array([0, 3, 3, 5]),
        state=np.array([POSITIVE, POSITIVE, NEGATIVE, UNKNOWN, UNKNOWN], np.uint8),
        char=np.array([0, 1, 1]),
        tag=np.array([1, 3, 0], np.uint8),
        prob=np.array([1.0, 0.75, 0.25], np.float32),
        topic_prob=np.array([[1, 0], [0, 0], [0.5, 0.5]], np.float32),
    )
    path = soft_path(tmp_path / "train.jsonl.gz")
    assert path.name == "train.soft.npz"
    soft.save(path)
    back = SoftLabels.load(path)
    assert len(back) == 3
    dense, state = back.dense(0)
    assert bioes_tags(soft.labels)[:5] == ["O", "B-PER", "I-PER", "E-PER", "S-PER"]
    assert dense.shape == (3, 9)
    assert dense[1, 3] == 0.75
    assert state.tolist() == [POSITIVE, POSITIVE, NEGATIVE]
    assert back.dense(1)[0].shape == (0, 9)
    with pytest.raises(HanspanError, match="hanspan aggregate"):
        SoftLabels.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"rubbish")
    with pytest.raises(HanspanError, match="damaged"):
        SoftLabels.load(tmp_path / "bad.npz")


def test_a_lone_surrogate_keeps_its_place_and_can_be_written(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "a\\udfff", "text": "合肥\\ud800市😀"}\n', "utf-8")
    (document,) = read_documents(source)
    assert document.text == "合肥\ufffd市😀"
    write_documents(tmp_path / "out.jsonl", [document])
    assert list(read_documents(tmp_path / "out.jsonl")) == [document]
    assert Document("b", "\ud83d合\udc00").text == "\ufffd合\ufffd"
