"""The real page, where the data is: HANSPAN_DATA=../shared/data pytest tests/test_pages_real.py"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("HANSPAN_DATA", "not-given"))
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="HANSPAN_DATA is not given"),
]


def _found() -> dict[str, float]:
    sys.path.insert(0, str(ROOT / "scripts"))
    import bench_pages

    return bench_pages.real_page(DATA, bench_pages.lay_out)


def test_cut_sentences_of_the_real_page_are_whole():
    found = _found()
    assert found["cut"] == 4
    assert found["joined"] == 4
    assert found["paragraphs"] == 1


def test_the_real_page_gives_its_articles():
    found = _found()
    assert found["articles"] == 4
    assert found["characters"] >= 0.97


def test_no_string_of_the_real_page_stands_in_code_or_tests():
    page = (DATA / "pages" / "newspaper_page.txt").read_text(encoding="utf-8")
    pieces = {page[i : i + 7] for i in range(len(page) - 6) if page[i : i + 7].isalpha()}
    files = [
        *(ROOT / "src/hanspan/pages").glob("*.py"),
        *(ROOT / "src/hanspan/assets/pages").glob("*.json"),
        *(ROOT / "tests").glob("*page*.py"),
        *(ROOT / "scripts").glob("*page*.py"),
    ]
    assert len(files) > 15
    for file in files:
        text = file.read_text(encoding="utf-8")
        own = {text[i : i + 7] for i in range(len(text) - 6)}
        assert not own & pieces, file
