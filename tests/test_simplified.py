"""Traditional to simplified: the table in the package against OpenCC itself."""

from __future__ import annotations

import json
from pathlib import Path

import opencc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hanspan
from hanspan.rules.fold import to_simplified

TABLE = json.loads(
    (Path(hanspan.__file__).parent / "assets" / "simplified.json").read_text("utf-8")
)
CONVERT = opencc.OpenCC("t2s").convert
PARTS = st.one_of(
    st.sampled_from(list(TABLE["phrases"])),
    st.sampled_from(list(TABLE["from"])),
    st.sampled_from(list("".join(TABLE["phrases"]))),
    st.characters(exclude_categories=["Cs"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join))
def test_it_is_opencc_where_that_keeps_the_length(text: str) -> None:
    whole = CONVERT(text)
    if len(whole) == len(text):
        assert to_simplified(text) == whole
    else:
        assert len(to_simplified(text)) == len(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("乾坤與乾燥", "乾坤与干燥"),
        ("慰藉、狼藉、藉口", "慰藉、狼藉、借口"),
        ("著名的臺灣作家", "著名的台湾作家"),
        ("", ""),
    ],
)
def test_a_phrase_goes_before_its_characters(old: str, new: str) -> None:
    assert to_simplified(old) == new
