"""Tables, bars and colours on a terminal and in a file."""

from __future__ import annotations

import io
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanspan.data import Document, Span
from hanspan.terminal import Table, bar_line, coloured, cut, progress_bar, show, width_of


@given(st.text("a市…e\u0301😀", max_size=12), st.integers(1, 12))
def test_cut_text_fits(text: str, width: int) -> None:
    kept = cut(click.style(text, bold=True), width)
    assert width_of(kept) <= width
    assert (kept == click.style(text, bold=True)) == (width_of(text) <= width)


def test_columns_stand_below_each_other_in_either_script() -> None:
    table = Table(("name", "n"), frozenset({"n"}))
    table.add("江城市", "5")
    table.add(click.style("ab", fg="red"), "1,234")
    plain = [click.unstyle(line) for line in table.lines()]
    assert plain == ["name        n", "江城市      5", "ab      1,234"]
    assert {width_of(line) for line in plain} == {13}


def test_a_table_is_no_wider_than_the_terminal() -> None:
    table = Table(("rule", "labels", "n"), frozenset({"n"}))
    table.add("a_rule_of_a_long_name", "PER " * 30, "12")
    lines = list(table.lines(40))
    assert all(width_of(line) <= 40 for line in lines)
    assert click.unstyle(lines[1]).endswith("12")
    assert "…" in lines[1]
    assert "a_rule" in lines[1]


def test_colours_stay_out_of_files(capsys: pytest.CaptureFixture[str]) -> None:
    document = Document("a", "韩冰在合肥[b]", (Span(0, 2, "PER"), Span(3, 5, "LOC")))
    assert "\x1b[" in coloured(document)
    show(coloured(document, ("LOC", "PER")))
    assert capsys.readouterr().out == "韩冰[PER]在合肥[LOC][b]\n"


def test_the_bar_says_what_is_done_and_what_is_left() -> None:
    assert bar_line("train", 30, 120, "loss 0.5", 61) == (
        "train      ██████░░░░░░░░░░░░░░░░░░ 30/120  1:01 -3:03  loss 0.5"
    )
    assert bar_line("predict", 1024, None, "documents", 3600) == (
        "predict    1,024  1:00:00  documents"
    )
    assert bar_line("x", 0, 9, "", 1).startswith("x ")
    assert "5/4" in bar_line("x", 5, 4, "", 1)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with pytest.raises(KeyboardInterrupt), progress_bar("label") as tell:
        tell(1, 2, "documents")
        raise KeyboardInterrupt
    assert "1/2" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_no_bar_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("label") as tell:
        tell(1, 2, "documents")  # a plain line only every ten seconds
    assert capsys.readouterr().err == ""
