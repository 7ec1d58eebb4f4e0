"""Rows, what is drawn from them, and the batches made of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document, Span
from hanspan.rows import (
    IGNORED,
    Row,
    TokenBudget,
    build_rows,
    dense_targets,
    mine_mentions,
    prior_correction,
    replace_mentions,
)
from hanspan.soft import NEGATIVE, POSITIVE, UNKNOWN, SoftLabels
from hanspan.train_data import hand_labels, join, take
from test_encode import BYTE, CHAR, PIECE

settings.register_profile("model-wing", deadline=None, max_examples=60)
settings.load_profile("model-wing")
LABELS = ("PER", "LOC")


def document(name: str = "d", text: str = "合肥市韩冰表示。") -> Document:
    return Document(name, text, (Span(0, 3, "LOC"), Span(3, 5, "PER")), {"topic": "a"})


def rows_of(documents: list[Document], length: int = 64) -> list[Row]:
    soft = hand_labels(documents, LABELS, ("a", "b"), "here")  # type: ignore[arg-type]
    return build_rows(documents, soft, CHAR, length)


def test_rows_carry_labels_states_topics_and_mentions() -> None:
    (row,) = rows_of([document()])
    assert row.mentions == ((0, 3, 1), (3, 5, 0))
    assert row.state.tolist() == [POSITIVE] * 5 + [NEGATIVE] * 3
    assert row.topic.tolist() == [1, 0]
    targets, weights, droppable = dense_targets(row, 9, 0.0, True, np.random.default_rng(0))
    assert targets.argmax(-1).tolist() == [5, 6, 7, 1, 3, 0, 0, 0]
    assert weights.tolist() == [1.0] * 8
    assert not droppable.any()


def test_pieces_without_a_character_are_ignored() -> None:
    piece = [Document("byte", "合a", (Span(0, 1, "LOC"),))]
    (row,) = build_rows(piece, hand_labels(piece, LABELS, (), "here"), BYTE, 64)  # type: ignore[arg-type]
    assert row.state.tolist() == [POSITIVE, IGNORED, IGNORED, NEGATIVE]
    assert row.mentions == ((0, 3, 1),)  # with the rest of its character
    assert mine_mentions([row]) == {}
    documents = [Document("p", "合 2023肥", (Span(2, 6, "LOC"),))]
    soft = hand_labels(documents, LABELS, (), "here")  # type: ignore[arg-type]
    (row,) = build_rows(documents, soft, PIECE, 64)
    assert row.mentions == ((1, 3, 1),)
    assert len(row) == 4


def test_long_text_is_cut_at_a_sentence_end_and_loses_nothing() -> None:
    long = document(text="合肥市韩冰" + "表示" * 10 + "。" + "表示" * 20)
    rows = rows_of([long], length=32)
    assert len(rows) > 1
    assert sum(len(row) for row in rows) == len(long.text)
    assert len(rows[0]) == 26
    assert sum(row.topic[0] for row in rows) == pytest.approx(1)
    assert all(len(row) <= 30 for row in rows)


def test_winners_outweigh_candidates_inside_them() -> None:
    one = Document("n", "合肥市人", (Span(0, 3, "LOC", 0.4),))
    soft = SoftLabels(
        LABELS,
        (),
        np.array([0, 4]),
        np.array([POSITIVE, POSITIVE, POSITIVE, UNKNOWN], np.uint8),
        np.array([0, 1, 1, 2, 2]),
        np.array([5, 6, 7, 0, 7], np.uint8),  # B; I or E: 合肥 lies in 合肥市; E or O
        np.array([0.9, 0.4, 0.5, 0.6, 0.4], np.float32),
        np.zeros((1, 0), np.float32),
    )
    (row,) = build_rows([one], soft, CHAR, 64, winners=True)
    targets, weights, _ = dense_targets(row, 9, 0.0, True, np.random.default_rng(0))
    assert targets.argmax(-1)[:3].tolist() == [5, 6, 7]
    assert targets[:3].max(-1) == pytest.approx(np.ones(3))
    assert weights == pytest.approx([0.9, 0.9, 0.9, 0.0])  # the highest mass of the span
    (row,) = build_rows([one], soft, CHAR, 64)
    targets, weights, _ = dense_targets(row, 9, 0.0, True, np.random.default_rng(0))
    assert targets[2] == pytest.approx([0.6, 0, 0, 0, 0, 0, 0, 0.4, 0])
    assert weights == pytest.approx([0.9, 0.5, 0.6, 0.0])


def test_the_likeliest_topic_stands_alone_weighted_by_its_evidence() -> None:
    texts = [document(), document(), document(), document(text="合肥市韩冰。" * 10)]
    sure = np.array([[0.6, 0.3, 0.1], [0.4, 0.4, 0.2], [0, 0, 0], [0.1, 0.2, 0.7]], np.float32)
    soft = hand_labels(texts, LABELS, ("a", "b", "c"), "x")  # type: ignore[arg-type]
    soft = replace(soft, topic_prob=sure)
    one, tie, silent, *windows = build_rows(texts, soft, CHAR, 32)
    assert one.topic == pytest.approx([0.6, 0, 0])
    assert tie.topic == pytest.approx([0.4, 0.4, 0])
    assert not silent.topic.any()
    assert len(windows) > 1
    assert sum(row.topic for row in windows) == pytest.approx([0, 0, 0.7])
    assert sum(row.share for row in windows) == pytest.approx(1)


def unknown_row(n: int = 1000) -> Row:
    state = np.full(n, UNKNOWN, np.uint8)
    state[:10] = NEGATIVE
    state[-1] = IGNORED
    at = np.array([20, 20], np.int64)
    prob = np.array([0.7, 0.3], np.float32)
    ids = np.zeros(n, np.int64)
    return Row(0, ids, state, at, np.array([4, 0], np.int64), prob, np.zeros(0, np.float32))


def test_a_share_of_the_unknown_is_trained_as_o_anew_each_time() -> None:
    row = unknown_row()
    one = dense_targets(row, 9, 0.3, True, np.random.default_rng((7, 0, 0)))
    again = dense_targets(row, 9, 0.3, True, np.random.default_rng((7, 0, 0)))
    other = dense_targets(row, 9, 0.3, True, np.random.default_rng((7, 1, 0)))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[2], other[2])
    targets, weights, droppable = one
    assert 230 < droppable.sum() < 370
    assert (weights[:10] == 1).all()  # trusted negatives always count ...
    assert not droppable[:10].any()  # ... and are never taken back
    assert weights[20] == pytest.approx(0.7)
    assert not droppable[20]
    assert weights[-1] == 0
    assert (targets[droppable > 0, 0] == 1).all()
    assert dense_targets(row, 9, 0.3, False, np.random.default_rng(0))[1][20] == 1
    naive = dense_targets(row, 9, 1.0, True, np.random.default_rng(0))
    assert (naive[1][:-1] > 0).all()


@given(st.integers(0, 2**20), st.floats(0.1, 1))
def test_replaced_mentions_spell_other_mentions(seed: int, share: float) -> None:
    other = Document("o", "人市。成败关人", (Span(0, 1, "LOC"), Span(3, 6, "PER")), {"topic": "a"})
    rows = rows_of([document(), other])
    mentions = mine_mentions(rows)
    assert {k: len(v) for k, v in mentions.items()} == {0: 2, 1: 2}
    row = rows[0]
    new = replace_mentions(row, mentions, share, np.random.default_rng(seed), 64)
    assert len(new.mentions) == 2
    known = {(k, m.tobytes()) for k, many in mentions.items() for m in many}
    targets, weights, _ = dense_targets(new, 9, 0.0, True, np.random.default_rng(0))
    for (start, end, label), (_, _, old) in zip(new.mentions, row.mentions, strict=True):
        assert label == old
        assert (label, new.ids[start:end].tobytes()) in known
        tags = targets[start:end].argmax(-1)
        assert ((tags - 1) // 4 == label).all()
        assert tags[-1] == 4 * label + (4 if end - start == 1 else 3)
    assert new.ids[new.mentions[-1][1] :].tolist() == row.ids[5:].tolist()
    assert len(new.ids) == len(new.state) == len(weights)
    assert (np.diff(new.where) >= 0).all()
    faint = replace(row, prob=row.prob * np.float32(0.4))
    again = replace_mentions(faint, mentions, share, np.random.default_rng(seed), 64)
    assert again.prob == pytest.approx(new.prob * np.float32(0.4))  # no surer than before
    tight = replace_mentions(row, mentions, 1.0, np.random.default_rng(seed), len(row))
    assert len(tight) <= len(row)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(16, 600))
def test_batches_hold_each_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    sampler = TokenBudget(lengths, budget, seed=3)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert batches == list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(row for batch in batches for _, row in batch) == list(range(len(lengths)))
        assert {e for batch in batches for e, _ in batch} == {epoch}
        for batch in batches:
            longest = max(lengths[row] for _, row in batch)
            assert len(batch) == 1 or len(batch) * longest <= budget


def test_order_changes_with_epoch_and_seed_and_padding_is_small() -> None:
    lengths = np.random.default_rng(0).integers(16, 256, 2000).tolist()
    one, two = TokenBudget(lengths, 4096, 0), TokenBudget(lengths, 4096, 1)
    first = list(one)
    one.set_epoch(1)
    assert first != list(one)
    assert [r for b in first for _, r in b] != [r for b in two for _, r in b]
    padded = sum(len(b) * max(lengths[r] for _, r in b) for b in first)
    assert padded < 1.1 * sum(lengths)


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_take_and_join_keep_rows(keep: list[bool]) -> None:
    documents = [document("1"), document("2", "人合肥市韩冰。"), Document("3", "表示")]
    documents[1] = Document("2", "人合肥市韩冰。", (Span(1, 4, "LOC"),))
    soft = hand_labels(documents, LABELS, ("a", "b"), "here")  # type: ignore[arg-type]
    chosen = [i for i in range(3) if keep[i]]
    part = take(soft, chosen)
    both = join([part, soft])
    assert len(both) == len(chosen) + 3
    for new, old in enumerate([*chosen, 0, 1, 2]):
        for a, b in zip(both.dense(new), soft.dense(old), strict=True):
            assert np.array_equal(a, b)
        assert np.array_equal(both.topic_prob[new], soft.topic_prob[old])
    assert isinstance(both, SoftLabels)


def test_prior_correction_by_hand() -> None:
    row = unknown_row(111)  # 10 trusted, one with entries, one ignored: 99 unknown
    want = np.log((10 + 99) / (10 + 0.3 * 99))
    assert prior_correction([row], 0.3) == pytest.approx(want)
    assert prior_correction([row], 1.0) == 0.0
    assert prior_correction([row], 0.0) == 0.0
    assert prior_correction(rows_of([document()]), 0.3) == 0.0  # all known
