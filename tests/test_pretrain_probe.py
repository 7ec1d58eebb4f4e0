"""The supervised probe: tokens and spans, learning, the untrained twin, missing data.

pytest tests/test_pretrain_probe.py
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from hanspan.data import Document, Span, write_documents
from hanspan.errors import HanspanError
from hanspan.pretrain.network import NetworkSettings, build_network
from hanspan.pretrain.probe import (
    FineTune,
    ProbeSet,
    build_model,
    probe_once,
    tokenize,
)
from hanspan.pretrain.tokenizer import build_vocab, save_tokenizer

SPANS = ProbeSet("made up", "spans", True)
TOPICS = ProbeSet("made up", "topics", False)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    network = NetworkSettings(layers=1, hidden=64, heads=2, intermediate=128, vocab_size=512)
    build_network(network, 7).save_pretrained(folder)
    save_tokenizer(build_vocab(dict.fromkeys("在北京上海广州开会了他们说", 9), 512), folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = random.Random(0)
    rows = []
    for number in range(160):
        city = rng.choice(["北京", "上海", "广州"])
        before = "".join(rng.choices("他们说了", k=rng.randint(0, 5)))
        text = before + "在" + city + "开会" + "了" * rng.randint(0, 4)
        start = len(before) + 1
        spans = [Span(start, start + 2, "LOC", 1.0, "gold")]
        topic = "north" if city == "北京" else "south"
        rows.append(Document(str(number), text, spans, {"topic": topic}))
    for name in ("spans", "topics"):
        (folder / "gold" / name).mkdir(parents=True)
        write_documents(folder / "gold" / name / "supervised_train.jsonl.xz", rows[:120])
        write_documents(folder / "gold" / name / "dev.jsonl", rows[120:])
    return folder


def test_spans_become_tags_between_the_markers(encoder: Path) -> None:
    from transformers import AutoTokenizer

    document = Document("a", "在北京开会", [Span(1, 3, "LOC", 1.0, "gold")], {})
    row = tokenize(AutoTokenizer.from_pretrained(encoder), [document], SPANS, ["LOC"], 64)[0]
    assert row.target == [-100, 0, 1, 3, 0, 0, -100]
    assert row.offsets == [(i, i + 1) for i in range(5)]


@pytest.mark.parametrize("probe", [SPANS, TOPICS], ids=["spans", "topics"])
def test_a_probe_learns_and_is_the_same_twice(encoder: Path, data: Path, probe: ProbeSet) -> None:
    def run(epochs: int) -> float:
        return probe_once(
            str(encoder), data, probe, None, 1, epochs=epochs, settings=FineTune(lr=2e-3)
        )

    assert run(12) > 90
    assert run(1) == run(1)


def test_the_untrained_twin_has_other_weights(encoder: Path) -> None:
    import torch

    ours = build_model(str(encoder), SPANS, 5, fresh=False, seed=1)
    twin = build_model(str(encoder), SPANS, 5, fresh=True, seed=1)
    assert not torch.equal(
        ours.esm.embeddings.word_embeddings.weight, twin.esm.embeddings.word_embeddings.weight
    )
    assert ours.classifier.weight.shape == twin.classifier.weight.shape == (5, 64)


def test_missing_rows_are_a_named_error(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(HanspanError, match="HANSPAN_DATA must name"):
        probe_once(str(encoder), tmp_path, SPANS, 100, 1)
