"""Corpus shards: duplicates, dev texts kept out, packing, masks, corrupt files.

pytest tests/test_pretrain_corpus.py
"""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanspan.errors import HanspanError
from hanspan.pretrain.corpus import (
    Source,
    SourceCount,
    build_shards,
    clean_documents,
    data_folder,
    open_shards,
    read_texts,
)
from hanspan.pretrain.exclude import DevTexts, dev_files, normalize
from hanspan.pretrain.floor import neighbour_floor
from hanspan.pretrain.masking import MaskSettings, choose_positions, hide, target_count
from hanspan.pretrain.near import N, Said, kept_runs
from hanspan.pretrain.sampling import Sampler, Window, heldout_batch, mixture
from hanspan.pretrain.tokenizer import CLS, FIRST_CHAR, MASK, SEP, CharTable, load_vocab
from pretrain_data import sentences, write_data

DEV = "合肥市政协主席韩冰表示，事业成败，关键在人。今天召开会议。"
SOURCES = [Source("news", ("unlabelled/news.jsonl.xz",), 0.7),
           Source("titles", ("unlabelled/titles.txt",), 0.3)]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), DEV)


@pytest.fixture(scope="module")
def shards(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    build_shards(SOURCES, data, out, heldout_one_in=5)
    return out


def decoded(folder: Path) -> str:
    opened, vocab = open_shards(folder), load_vocab(folder)
    parts = [*opened.train.values(), *opened.heldout.values()]
    return "\n".join("".join(vocab[i] for i in ids) for ids in parts)


def test_texts_of_dev_files_are_in_no_shard(data: Path, shards: Path) -> None:
    raw = lzma.decompress((data / "unlabelled/news.jsonl.xz").read_bytes()).decode()
    assert "事业成败" in raw  # they were in the input, with other punctuation
    assert "Ａ股三大指数" in raw
    text = decoded(shards)
    assert "事业成败" not in text
    assert "三大指数" not in text
    assert "其他一段留下来" in text  # the paragraph beside it stays
    counts = json.loads((shards / "shards.json").read_text())["sources"]
    assert counts["news"]["excluded"] == 2


def test_what_counts_as_holding_a_dev_text() -> None:
    dev = DevTexts([DEV, "短标题", "甲" * 12 + "乙丙丁戊己庚辛壬癸子丑寅" + "卯" * 12])
    assert dev.holds(normalize("记者报道：合肥市政协主席，韩冰 表示事业成败关键在人！另外"))
    assert dev.holds(normalize("短标题！"))
    assert not dev.holds(normalize("有短标题的一行"))  # too short to be looked for inside
    assert not dev.holds(normalize("今天召开会议"))  # short, and not the whole of a dev text
    assert dev.holds("甲" * 12 + "乙丙丁戊己庚辛壬癸子丑寅" + "其余不同")
    assert not dev.holds(normalize("合肥市政协主席到访"))


def test_no_label_of_a_row_reaches_the_shards(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "张三来了", "spans": [{"label": "PER"}]}\n', encoding="utf-8")
    assert list(read_texts(path)) == ["张三来了"]


def test_duplicates_fall_out_but_short_lines_stay() -> None:
    count = SourceCount()
    texts = iter(
        [
            "第一条\n这一段话在两处都有，只留下一次，共计3项。",
            "第一条\n这一段话在两处都有只留下一次共计45项",
        ]
    )
    kept = list(clean_documents(texts, set(), Said(), DevTexts([]), count))
    assert kept == ["第一条\n这一段话在两处都有，只留下一次，共计3项。", "第一条"]
    assert (count.duplicates, count.near, count.documents) == (1, 0, 2)


def test_dev_files_are_found_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("one/dev.jsonl", "two/deep/dev_2.jsonl.xz", "two/train.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [p.relative_to(tmp_path).as_posix() for p in dev_files(tmp_path)]
    assert found == ["one/dev.jsonl", "two/deep/dev_2.jsonl.xz"]


def test_paragraphs_of_which_most_was_said_before_fall_out() -> None:
    drawn = random.Random(4)
    said = "".join(chr(drawn.randrange(0x4E00, 0x9000)) for _ in range(400))
    amended = said[:200] + "现予修改" + said[202:]
    half = said[:200] + "".join(chr(drawn.randrange(0x4E00, 0x9000)) for _ in range(200))
    count = SourceCount()
    texts = iter([said, amended, half, said[100:300], said[:12] + "到此为止"])
    kept = list(clean_documents(texts, set(), Said(), DevTexts([]), count))
    assert kept == [said, half, said[:12] + "到此为止"]
    assert (count.near, count.paragraphs) == (2, 5)


@given(st.text(max_size=80), st.integers(0, 40), st.integers(0, 40))
def test_kept_runs_are_those_of_the_parts(text: str, start: int, length: int) -> None:
    """A run is kept or left out wherever it stands; surrogates and rare planes too."""
    whole, part = kept_runs(text), kept_runs(text[start : start + length])
    assert set(part) <= set(whole)
    slow = {h for i in range(len(text)) for h in kept_runs(text[i : i + N])}
    assert set(whole) == slow


def test_shards_open_to_the_same_ids_and_parts_do_not_mix(data: Path, shards: Path) -> None:
    opened = open_shards(shards)
    assert set(opened.train) == set(opened.heldout) == {"news", "titles"}
    lines = (data / "unlabelled/titles.txt").read_text().splitlines()
    table = CharTable(load_vocab(shards))
    both = np.concatenate([opened.train["titles"], opened.heldout["titles"]])
    assert both.size == table.encode_documents(lines).size
    held = {
        r.tobytes()
        for r in np.split(
            opened.heldout["titles"], np.flatnonzero(opened.heldout["titles"] == SEP) + 1
        )
    }
    train = {
        r.tobytes()
        for r in np.split(opened.train["titles"], np.flatnonzero(opened.train["titles"] == SEP) + 1)
    }
    assert (held & train) <= {b""}


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "vocabulary", "unfinished"])
def test_damaged_shards_are_named_errors(data: Path, tmp_path: Path, damage: str) -> None:
    build_shards(SOURCES, data, tmp_path, vocab_size=1024)
    file = tmp_path / "news.train.u16"
    raw = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(raw[:-2])
    elif damage == "changed":
        raw[10] ^= 1
        file.write_bytes(raw)
    elif damage == "missing":
        file.unlink()
    elif damage == "vocabulary":
        path = tmp_path / "tokenizer.json"
        path.write_text(path.read_text().replace('"[unused3]"', '"[other3]"'))
    else:
        (tmp_path / "shards.json").unlink()
    words = {"vocabulary": "vocabulary", "unfinished": "no finished shards"}
    with pytest.raises(HanspanError, match=words.get(damage, "corrupt shard .*news.train.u16")):
        open_shards(tmp_path)


def test_missing_data_is_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANSPAN_DATA", raising=False)
    with pytest.raises(HanspanError, match="HANSPAN_DATA=FOLDER"):
        data_folder()
    with pytest.raises(HanspanError, match="no file"):
        list(read_texts(tmp_path / "none.jsonl"))
    (tmp_path / "a.jsonl").write_text('{"text": "好"}\n{"txt": 1}\n')
    with pytest.raises(HanspanError, match=r"a\.jsonl:2"):
        list(read_texts(tmp_path / "a.jsonl"))
    (tmp_path / "b.jsonl.xz").write_bytes(b"no archive")
    with pytest.raises(HanspanError, match="cannot be read"):
        list(read_texts(tmp_path / "b.jsonl.xz"))
    with pytest.raises(HanspanError, match="no dev files"):
        DevTexts.from_gold(tmp_path)


def sampler(shards: Path, seed: int = 1) -> Sampler:
    opened, table = open_shards(shards), CharTable(load_vocab(shards))
    windows = (Window(16, 0.3), Window(32, 0.7))
    return Sampler(opened.train, {"news": 0.7, "titles": 0.3}, windows, 256, seed,
                   table.encode("\n。"))  # fmt: skip


def test_windows_are_packed_begin_at_sentences_and_hold_no_padding(shards: Path) -> None:
    drawn, opened = sampler(shards), open_shards(shards)
    ends = {SEP, *CharTable(load_vocab(shards)).encode("\n。").tolist()}
    streams = {n: ids.tobytes() for n, ids in opened.train.items()}
    lengths = set()
    for _ in range(20):
        ids, _ = drawn.next()
        lengths.add(ids.shape)
        assert (ids[:, 0] == CLS).all()
        assert (ids[:, -1] == SEP).all()
        assert (ids[:, 1:-1] >= SEP).all()
        for row in ids:
            inner = row[1:-1].astype(np.uint16).tobytes()
            places = [(n, s.find(inner)) for n, s in streams.items() if inner in s]
            assert places
            name, at = places[0]
            assert at == 0 or int(opened.train[name][at // 2 - 1]) in ends
    assert lengths == {(16, 16), (8, 32)}


def test_temperature_flattens_the_sizes_of_sources() -> None:
    weights, tokens = {"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 100, "b": 10_000, "c": 100}
    assert mixture(weights, tokens, None) == {"a": 0.25, "b": 0.25, "c": 0.5}
    by_size = mixture(weights, tokens, 1)
    assert by_size["b"] == pytest.approx(10_000 / 10_300)
    assert by_size["c"] == pytest.approx(2 * by_size["a"])
    assert mixture(weights, tokens, 2)["b"] == pytest.approx(100 / 130)
    assert mixture(weights, tokens, 1e9)["b"] == pytest.approx(0.25)


def test_sampler_goes_on_from_its_state_and_follows_the_mixture(shards: Path) -> None:
    one, two = sampler(shards), sampler(shards)
    for _ in range(5):
        one.next()
    two.restore(json.loads(json.dumps(one.state())))
    for _ in range(5):
        a, b = one.next()[0], two.next()[0]
        assert (a == b).all()
    for _ in range(200):
        one.next()
    total = sum(one.drawn.values())
    assert one.drawn["news"] / total == pytest.approx(0.7, abs=0.05)
    assert not np.array_equal(sampler(shards, 2).next()[0], sampler(shards, 1).next()[0])
    with pytest.raises(HanspanError, match="laws, titles"):
        Sampler(open_shards(shards).train, {"news": 1, "laws": 1}, (Window(16, 1),), 64, 1,
                np.array([SEP], np.uint16))  # fmt: skip


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.4])
def test_masks_have_a_constant_count_and_spare_markers(rate: float) -> None:
    settings = MaskSettings(rate=rate)
    rng = np.random.default_rng(0)
    ids = rng.integers(FIRST_CHAR, 500, (8, 64))
    ids[:, 0], ids[:, -1], ids[:, 20] = CLS, SEP, SEP
    runs = []
    for _ in range(50):
        positions = choose_positions(ids, settings, rng)
        assert positions.size == np.unique(positions).size == target_count(settings, ids.size)
        assert (ids.reshape(-1)[positions] >= FIRST_CHAR).all()
        hidden = hide(ids, positions, settings, 500, rng)
        untouched = np.setdiff1d(np.arange(ids.size), positions)
        assert (hidden.reshape(-1)[untouched] == ids.reshape(-1)[untouched]).all()
        runs.append((hidden.reshape(-1)[positions] == MASK).mean())
    assert np.mean(runs) == pytest.approx(0.8, abs=0.04)


def test_masks_are_spans_of_the_wanted_mean_length() -> None:
    settings = MaskSettings(rate=0.05, mean_span=2.0)
    ids = np.full((64, 128), FIRST_CHAR)
    positions = choose_positions(ids, settings, np.random.default_rng(1))
    spans = 1 + (np.diff(positions) > 1).sum()
    assert 1.7 < positions.size / spans < 2.6


def test_masks_fill_the_count_where_only_markers_are_left() -> None:
    ids = np.full((1, 16), SEP)
    ids[0, 3] = FIRST_CHAR
    settings = MaskSettings(rate=0.5)
    positions = choose_positions(ids, settings, np.random.default_rng(0))
    assert positions.size == 8
    hidden = hide(ids, positions, settings, 500, np.random.default_rng(0))
    assert (hidden[ids == SEP] == SEP).all()


def test_neighbour_floor_knows_what_counting_knows() -> None:
    a, b, c, d = range(FIRST_CHAR, FIRST_CHAR + 4)
    cycle = np.array([a, b, c, d] * 200, dtype=np.uint16)
    noise = np.random.default_rng(0).integers(a, a + 40, 800).astype(np.uint16)
    floor = neighbour_floor({"s": cycle}, {"s": cycle, "noise": noise}, 80, rows=4)
    assert floor["s"] > 0.95  # a hidden neighbour leaves the other side
    assert floor["noise"] < 0.2


def test_heldout_windows_are_spread_evenly() -> None:
    ids = np.arange(FIRST_CHAR, FIRST_CHAR + 400, dtype=np.uint16)
    batch = heldout_batch(ids, 32, 5)
    assert batch.shape == (5, 32)
    assert len(set(batch[:, 1])) == 5
    assert heldout_batch(ids[:10], 32, 5).shape == (0, 32)
    assert sentences(3, 1) == sentences(3, 1)
