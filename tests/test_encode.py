"""Characters <-> tokens, windows, soft labels of tokens: offsets must hold for any text."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from hanspan.data import Document
from hanspan.decode import decode, spans_to_tags
from hanspan.encode import (
    TextEncoder,
    collate,
    emissions,
    plan_windows,
    tag_documents,
    tag_texts,
    unit_state,
    unit_targets,
)
from hanspan.errors import HanspanError
from hanspan.meta import ModelMeta

CHARS = "合肥市政协主席韩冰表示事业成败关键在人aAｂ1 \n。，"
LABELS = ("PER", "LOC")
settings.register_profile("model-wing", deadline=None, max_examples=60)
settings.load_profile("model-wing")


def char_tokenizer(fold: bool = True) -> Tokenizer:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(CHARS)]
    made = Tokenizer(models.WordLevel({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    if fold:
        pairs = [("Ｂ", "ｂ"), ("A", "a"), ("ａ", "A")]
        made.normalizer = normalizers.Sequence([normalizers.Replace(a, b) for a, b in pairs])
    made.pre_tokenizer = pre_tokenizers.FixedLength(1)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return made


def piece_tokenizer() -> Tokenizer:
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "合", "肥", "市", "20", "##23", "open", "##ai"]
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocab)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def byte_tokenizer() -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(alphabet))}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


CHAR = TextEncoder(char_tokenizer())
PIECE = TextEncoder(piece_tokenizer())
BYTE = TextEncoder(byte_tokenizer())
texts = st.text(
    st.one_of(st.sampled_from(CHARS + "Ｂａ[SEP]"), st.characters(exclude_categories=["Cs"])),
    max_size=40,
)


@given(texts)
def test_char_table_equals_tokenizer(text: str) -> None:
    assert CHAR.table is not None
    (fast,) = CHAR.encode([text])
    slow = char_tokenizer().encode(text, add_special_tokens=False)
    assert fast.ids.tolist() == slow.ids
    assert list(zip(fast.start, fast.end, strict=True)) == slow.offsets
    assert fast.units.tolist() == list(range(len(text)))


def test_char_table_takes_lone_surrogates() -> None:
    (row,) = CHAR.encode(["合\ud800肥"])
    assert row.ids[1] == 1
    assert len(row.ids) == 3


@pytest.mark.parametrize("encoder", [PIECE, BYTE])
@given(text=texts)
def test_offsets_of_other_tokenizers_never_overlap(encoder: TextEncoder, text: str) -> None:
    assert encoder.table is None
    (row,) = encoder.encode([text])
    assert (row.end > row.start).all()
    assert (row.start[1:] >= row.end[:-1]).all()
    assert not len(row.end) or row.end[-1] <= len(text)


def test_the_mark_before_a_first_word_does_not_take_its_place() -> None:
    """As XLM-R's pieces: a lone mark with the word's first character for its offsets."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    inner = Tokenizer(
        models.Unigram(
            [("<unk>", 0.0), ("\u2581", -2.0), ("北京", -3.0), ("大学", -3.0), ("说", -4.0)],
            unk_id=0,
            byte_fallback=False,
        )
    )
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    (row,) = TextEncoder(inner).encode(["北京大学说"])
    assert list(zip(row.start.tolist(), row.end.tolist(), strict=True)) == [(0, 2), (2, 4), (4, 5)]


def test_byte_pieces_of_a_character_share_one_unit() -> None:
    (row,) = BYTE.encode(["合a"])
    assert len(row.ids) == 4
    assert row.units.tolist() == [0, 3]
    assert (row.start.tolist(), row.end.tolist()) == ([0, 1], [1, 2])


@given(
    st.integers(0, 300), st.integers(1, 40), st.integers(0, 50), st.lists(st.booleans()), st.data()
)
def test_windows_own_each_token_once(
    length: int, size: int, overlap: int, some: list[bool], data: st.DataObject
) -> None:
    breaks = None
    if data.draw(st.booleans()):
        breaks = np.resize(np.array([*some, False]), length)
    plan = plan_windows(length, size, overlap, breaks)
    assert plan[0].own_start == 0
    assert plan[-1].own_end == length
    for one, two in itertools.pairwise(plan):
        assert one.own_end == two.own_start
        assert two.start <= one.end
    for window in plan:
        assert window.end - window.start <= size
        assert window.start <= window.own_start <= window.own_end <= window.end


def test_windows_end_at_breaks() -> None:
    breaks = np.zeros(100, bool)
    breaks[[36, 38]] = True
    assert [w.end for w in plan_windows(100, 40, 0, breaks)] == [39, 79, 100]


def test_window_of_nothing_is_refused() -> None:
    with pytest.raises(HanspanError, match="window of 0 tokens"):
        plan_windows(3, 0, 0)


def fake_forward(ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A model that looks at one token only, so that windows cannot change what it says."""
    table = np.random.default_rng(0).normal(0, 3, (100, 1 + 4 * len(LABELS)))
    return table[ids % 100], np.stack([ids.sum(1) * 0.0, ids.sum(1) * 0.0 + 1], -1)


@given(st.lists(texts, min_size=1, max_size=6), st.integers(3, 12), st.integers(0, 9))
def test_no_span_is_lost_or_doubled_at_a_seam(many: list[str], size: int, overlap: int) -> None:
    whole = ModelMeta(LABELS, ("a", "b"), max_length=1000)
    cut = ModelMeta(LABELS, ("a", "b"), max_length=size, overlap=overlap)
    for encoder in (CHAR, BYTE):
        one = list(tag_texts(many, encoder, fake_forward, whole))
        two = list(tag_texts(many, encoder, fake_forward, cut, batch_tokens=30))
        assert [t.spans for t in one] == [t.spans for t in two]
        for tagged in two:
            assert tagged.topic_probs.argmax() == 1
            assert tagged.topic_probs.sum() == pytest.approx(1)


def test_emissions_come_in_the_order_of_texts() -> None:
    many = ["合肥", "韩冰表示事业", "", "人"] * 300
    rows = list(emissions(many, CHAR, fake_forward, ModelMeta(LABELS), batch_tokens=64))
    assert [len(row[1]) for row in rows] == [len(text) for text in many]
    assert np.allclose(rows[1][1], rows[5][1])


def test_documents_keep_id_and_meta_and_get_spans_and_topic() -> None:
    document = Document("x", "合肥市人", labels={"other": "y"}, meta={"k": 1})
    meta = ModelMeta(LABELS, ("a", "b"), thresholds={"PER": 1.1, "LOC": 1.1})
    (got,) = tag_documents([document], CHAR, fake_forward, meta)
    assert got.id == "x"
    scores = got.meta["topic_scores"]
    assert got.meta == {"k": 1, "topic_scores": scores}
    assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
    assert max(scores, key=scores.get) == "b"
    assert got.labels == {"other": "y", "topic": "b"}
    assert got.spans == ()  # every score is below its threshold
    (free,) = tag_documents([document], CHAR, fake_forward, ModelMeta(LABELS))
    assert free.spans
    assert free.meta == {"k": 1}
    assert all(s.source == "model" and 0 < s.score <= 1 for s in free.spans)


def test_collate_pads_and_adds_special_tokens() -> None:
    ids, mask = collate([row.ids for row in CHAR.encode(["合肥市", "人"])], CHAR)
    assert ids[:, 0].tolist() == [2, 2]
    assert ids[1].tolist() == [2, CHAR.encode(["人"])[0].ids[0], 3, 0, 0]
    assert mask.sum(1).tolist() == [5, 3]


@st.composite
def pieces_and_spans(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Lengths of tokens, and flat spans over whole tokens."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=12))
    spans, at = [], 0
    while at < len(lengths):
        end = draw(st.integers(at + 1, len(lengths)))
        if draw(st.booleans()):
            spans.append((at, end, draw(st.integers(0, len(LABELS) - 1))))
        at = end
    return lengths, spans


@given(pieces_and_spans())
def test_spans_survive_characters_tokens_and_decode(
    case: tuple[list[int], list[tuple[int, int, int]]],
) -> None:
    lengths, spans = case
    borders = np.cumsum([0, *lengths])
    start, end = borders[:-1], borders[1:]
    chars = [(int(borders[a]), int(borders[b]), k) for a, b, k in spans]
    dense = np.eye(1 + 4 * len(LABELS), dtype=np.float32)[spans_to_tags(int(borders[-1]), chars)]
    units = unit_targets(dense, start, end)
    assert units.sum(-1) == pytest.approx(np.ones(len(units)))
    (found,) = decode([np.log(np.maximum(units, 1e-9))])
    assert [(s.start, s.end, s.label) for s in found] == spans


def test_state_of_a_token_is_the_highest_of_its_characters() -> None:
    state = np.array([0, 1, 2, 0, 0, 1], np.uint8)
    start, end = np.array([0, 2, 5]), np.array([2, 5, 6])
    assert unit_state(state, start, end).tolist() == [1, 2, 1]
    assert unit_state(state, start[:0], end[:0]).tolist() == []


def test_missing_tokenizer_is_named(tmp_path: object) -> None:
    with pytest.raises(HanspanError, match=r"no tokenizer\.json found"):
        TextEncoder.from_folder(str(tmp_path))


def test_a_token_does_not_begin_with_the_space_before_it() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[UNK]": 0, "▁Open": 1, "▁2": 2, "▁": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    (found,) = TextEncoder(tokenizer).encode([" Open 2 "])
    assert list(zip(found.start.tolist(), found.end.tolist(), strict=True))[:2] == [(1, 5), (6, 7)]
