"""jieba and transformers models as rules."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from hanspan.data import Document
from hanspan.rules import RuleError, load_rules
from hanspan.rules.taggers import decode


@pytest.mark.slow
def test_jieba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jieba")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "r.yaml"
    path.write_text(
        "labels: [PER, LOC]\nrules:\n  j: {kind: jieba, map: {nr: PER, ns: LOC}, weight: 0.5}\n",
        "utf-8",
    )
    rules = load_rules(path)
    text = "😀 小明 硕士毕业于\u3000北京\n中国科学院"
    spans = rules.apply(Document("x", text)).spans
    assert ("北京", "LOC") in [(text[s.start : s.end], s.label) for s in spans]
    assert {s.score for s in spans} == {0.5}
    assert len(pickle.loads(pickle.dumps(rules))) == 1


def test_decode_of_three_schemes() -> None:
    def tags(names: str) -> list[tuple[int, int, str, float]]:
        return [(i, i + 1, name, 0.5) for i, name in enumerate(names.split())]

    def spans(names: str) -> list[tuple[int, int, str]]:
        return [(s, e, kind) for s, e, kind, _ in decode(tags(names))]

    assert spans("B-A I-A O B-B") == [(0, 2, "A"), (3, 4, "B")]
    assert spans("B-A E-A S-A S-A") == [(0, 2, "A"), (2, 3, "A"), (3, 4, "A")]
    assert spans("B-A M-A E-A") == [(0, 3, "A")]
    assert spans("I-A I-B I-B") == [(0, 1, "A"), (1, 3, "B")]
    assert spans("O O") == []


def _model(folder: Path) -> None:
    """A token classifier that calls 韩 B-PER, 冰 I-PER and everything else O."""
    import torch
    from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

    chars = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"韩冰在合肥。"]
    (folder / "vocab.txt").write_text("\n".join(chars), "utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    size = len(chars)
    config = BertConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=0, num_attention_heads=2,
        intermediate_size=16, id2label={0: "O", 1: "B-PER", 2: "I-PER"},
        label2id={"O": 0, "B-PER": 1, "I-PER": 2}, max_position_embeddings=64,
    )  # fmt: skip
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1.0)
        embedding = model.bert.embeddings.word_embeddings.weight
        embedding[:, 0] = 1.0
        for row, column in (("韩", 1), ("冰", 2)):
            embedding[chars.index(row)] = 0.0
            embedding[chars.index(row), column] = 1.0
        for label in range(3):
            model.classifier.weight[label, label] = 9.0
    model.save_pretrained(folder)


@pytest.mark.slow
def test_transformers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    _model(tmp_path)
    path = tmp_path / "r.yaml"
    head = "labels: [PERSON]\nrules:\n  m:\n    kind: transformers\n    model: .\n"
    path.write_text(f"{head}    map: {{PER: PERSON}}\n    window: 8\n    weight: 0.5\n", "utf-8")
    text = "😀在合肥。韩冰在韩冰。" * 3
    spans = load_rules(path).apply(Document("x", text)).spans
    assert [text[s.start : s.end] for s in spans] == ["韩冰"] * 6
    assert all(s.label == "PERSON" and 0.4 < s.score <= 0.5 for s in spans)
    path.write_text(f"{head}    map: {{ORG: PERSON}}\n", "utf-8")
    with pytest.raises(RuleError, match="the model has no type 'ORG', expected some of PER"):
        load_rules(path).apply(Document("x", text))
    path.write_text(f"{head.replace('model: .', 'model: /nowhere')}    map: {{A: PERSON}}\n")
    with pytest.raises(RuleError, match="cannot be loaded"):
        load_rules(path).apply(Document("x", text))
    shown = capfd.readouterr()
    assert "LOAD REPORT" not in shown.out + shown.err
    assert "Loading weights" not in shown.out + shown.err
