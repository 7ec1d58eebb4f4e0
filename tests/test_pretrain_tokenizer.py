"""Character tokenizer: one token a code point, by the stock class and by the table alike.

pytest tests/test_pretrain_tokenizer.py
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.errors import HanspanError
from hanspan.pretrain.tokenizer import (
    CLS,
    FIRST_CHAR,
    MASK,
    SEP,
    SPECIALS,
    UNK,
    CharTable,
    build_vocab,
    load_vocab,
    save_tokenizer,
)

pytest.importorskip("transformers")
CORPUS = Counter("合肥市政协主席韩冰表示，事业成败，关键在人。" * 5 + "镕")
VOCAB = build_vocab(CORPUS, 1024)
HARD = [
    "",
    "合肥市政协",
    "OpenAI 2023",
    "ＡＢ１２（全角）",
    "一  二\n\n三\t四\r\n五",
    "😀👨‍👩‍👧🇨🇳",
    "𠀀𪚥𠮷",
    "e\u0301\ufe0f\u200b\ufeff\x00\u0085\u2028",
    "İﬁẞ",
    "[SEP][MASK][CLS] [UNK]",
    "人" * 3000,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(VOCAB, path, max_length=8192)
    return path


@pytest.fixture(scope="module")
def stock(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def check(stock: Any, text: str) -> None:
    encoded = stock(text, return_offsets_mapping=True)
    assert encoded["offset_mapping"][1:-1] == [(i, i + 1) for i in range(len(text))]
    assert encoded["input_ids"] == [CLS, *CharTable(VOCAB).encode(text).tolist(), SEP]
    assert set(encoded) == {"input_ids", "attention_mask", "offset_mapping"}


@pytest.mark.parametrize("text", HARD, ids=lambda t: repr(t[:12]))
def test_hard_texts_keep_one_token_a_code_point(stock: Any, text: str) -> None:
    check(stock, text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_keeps_one_token_a_code_point(stock: Any, text: str) -> None:
    check(stock, text)


def test_truncation_with_stride_keeps_offsets_of_the_original(stock: Any) -> None:
    text = "合肥市政协主席😀韩冰" * 10
    parts = stock(text, max_length=20, truncation=True, stride=4, return_overflowing_tokens=True,
                  return_offsets_mapping=True)  # fmt: skip
    seen = {tuple(o) for row in parts["offset_mapping"] for o in row[1:-1]}
    assert seen == {(i, i + 1) for i in range(len(text))}


def test_saving_again_and_loading_keeps_the_flags(stock: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    stock.save_pretrained(tmp_path)
    check(AutoTokenizer.from_pretrained(tmp_path), "中[SEP]\n 文")


def test_plain_tokenizers_file_never_finds_markers_in_a_text(folder: Path) -> None:
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert len(plain.encode("[SEP]").ids) == 7


def test_fill_mask_can_ask_for_markers(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, split_special_tokens=False)
    assert MASK in tokenizer("合[MASK]市")["input_ids"]


def test_vocabulary_order_size_and_rare_surnames(folder: Path) -> None:
    assert tuple(VOCAB[:5]) == SPECIALS
    assert len(VOCAB) == len(set(VOCAB)) == 1024
    assert all(len(c) == 1 for c in VOCAB[FIRST_CHAR:] if not c.startswith("[unused"))
    assert {"\n", " ", "　", "Ａ", "冰"} <= set(VOCAB)
    assert load_vocab(folder) == VOCAB
    full = build_vocab(CORPUS, 8192)
    assert {"镕", "骞", "曦"} <= set(full)  # the last two come from GB 2312 alone
    assert full[-1].startswith("[unused")
    assert CharTable(VOCAB).encode("𠀀").tolist() == [UNK]


def test_named_errors(tmp_path: Path) -> None:
    with pytest.raises(HanspanError, match="too small"):
        build_vocab(CORPUS, 100)
    with pytest.raises(HanspanError, match="repeated entries"):
        save_tokenizer(["a", "b"], tmp_path)
    with pytest.raises(HanspanError, match="--only shards"):
        load_vocab(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(HanspanError, match="no word-level vocabulary"):
        load_vocab(tmp_path)
