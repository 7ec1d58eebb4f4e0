"""Decoding, cleaning with maps back, sentence borders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanspan.text import (
    clean,
    decode,
    detect_encoding,
    ends_sentence,
    fold,
    invisible,
    looks_binary,
    sentences,
)

PLAIN = "县里的粮站今年新添了烘干机，农户排队送来玉米，当天就能拉走。站长说，价格比去年便宜。"
OLD = "縣裡的糧站今年新添了烘乾機，農戶排隊送來玉米，當天就能拉走。站長說，價格比去年便宜。"
MESSY = st.text(
    st.sampled_from("中国。！”，a1 \u3000\n\t\u00ad\u200b\ufeff\x07\x85Ａ㈱…"), max_size=60
)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "gb18030"),
        (PLAIN, "utf-16-le"),
        (PLAIN, "utf-16-be"),
        (OLD, "big5hkscs"),
        ("𠮷" + PLAIN, "gb18030"),
    ],
)
def test_encodings_are_found(text, codec):
    decoded = decode(text.encode(codec))
    assert (decoded.text, decoded.encoding, decoded.broken) == (text, codec, 0)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_marks_are_taken_off(codec):
    assert decode(PLAIN.encode(codec)).text == PLAIN


def test_broken_bytes_are_counted_and_stay_visible():
    data = PLAIN.encode()
    decoded = decode(data[:30] + b"\xff\xfe" + data[30:])
    assert decoded.encoding == "utf-8"
    assert decoded.broken == 2
    assert decoded.text.replace("\ufffd", "") == PLAIN


def test_given_encoding_wins():
    assert decode(PLAIN.encode("gb18030"), "utf-8").broken > 10
    assert detect_encoding(b"") == "utf-8"


def test_binary_is_known():
    assert looks_binary(bytes(range(256)).decode("latin-1"))
    assert not looks_binary(PLAIN)


@given(MESSY)
def test_cleaning_only_removes_and_maps_back(text):
    mapped = clean(text)
    assert mapped.text == "".join(text[place] for place in mapped.origins)
    assert mapped.text == "".join(text[start:end] for start, end in mapped.pieces())
    assert not any(invisible(char) for char in mapped.text)
    kept = set(mapped.origins)
    lost = [char for place, char in enumerate(text) if place not in kept]
    assert all(char.isspace() or invisible(char) for char in lost)


@given(MESSY, st.data())
def test_folding_maps_every_range_back(text, data):
    mapped = fold(text)
    assert len(mapped.text) == len(mapped.origins)
    if mapped.text:
        start = data.draw(st.integers(0, len(mapped.text) - 1))
        end = data.draw(st.integers(start + 1, len(mapped.text)))
        first, last = mapped.raw(start, end)
        assert mapped.text[start:end] in fold(text[first:last]).text


def test_folding():
    assert fold("ＧＤＰ增长５．２％，㈱").text == "GDP增长5.2%，(株)"
    with pytest.raises(ValueError):
        fold("a").raw(1, 1)


def test_sentences_keep_their_quotes():
    text = "他说：“来了！”走吧……\n第二段。 没有句号"
    assert [text[s:e] for s, e in sentences(text)] == [
        "他说：“来了！”",
        "走吧……",
        "第二段。",
        "没有句号",
    ]


@given(MESSY)
def test_sentences_cover_all_but_white_space(text):
    covered = set()
    for start, end in sentences(text):
        assert start < end
        assert not covered & set(range(start, end))
        covered |= set(range(start, end))
    assert all(text[i].isspace() for i in range(len(text)) if i not in covered)


@pytest.mark.parametrize(
    ("text", "ended"),
    [("好。”", True), ("好”", False), ("好……", True), ("3.", False), ("ok.", True), ("", False)],
)
def test_end_of_sentence(text, ended):
    assert ends_sentence(text) is ended
