"""pytest tests/test_report.py"""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from hanspan.data import Document, Span
from hanspan.evaluate import evaluate
from hanspan.report import f1_plot, highlight_html, report_page

GOLD = [
    Document(
        "a<b", "合肥<市>\n政协韩冰", (Span(0, 2, "LOC"), Span(8, 10, "PER")), {"topic": "politics"}
    )
]
FOUND = [Document("a<b", "合肥<市>\n政协韩冰", (Span(8, 10, "PER", 0.91, "model"),))]


def test_page_holds_scores_and_escapes_text() -> None:
    systems = {
        "rules <alone>": evaluate(GOLD, FOUND).as_dict(),
        "student": evaluate(GOLD, GOLD).as_dict(),
    }
    page = report_page("t", systems, {"gold": "<x>"}, [(GOLD[0], FOUND[0])])
    assert "<svg" in page
    assert "66.7" in page
    assert "100.0" in page
    assert "rules &lt;alone&gt;" in page
    assert "<市>" not in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")


def test_highlight_marks_and_escapes() -> None:
    text = highlight_html(FOUND[0], FOUND[0].spans, ["LOC", "PER"])
    assert text.startswith("合肥&lt;市&gt;<br>政协<mark")
    assert 'title="PER 0.91 model">韩冰<sub>PER</sub></mark>' in text
    overlapping = highlight_html(GOLD[0], [Span(0, 3, "A"), Span(1, 2, "B")], ["A", "B"])
    assert overlapping.count("<mark") == 1


def test_page_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **keywords: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    systems = {"student": evaluate(GOLD, FOUND).as_dict()}
    assert f1_plot(systems) is None
    assert "<svg" not in report_page("t", systems, {})
