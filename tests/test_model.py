"""Model folders of several architectures: stock classes load them with equal logits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from tokenizers import processors  # noqa: E402

from hanspan.encode import TextEncoder, collate, tag_texts  # noqa: E402
from hanspan.errors import HanspanError  # noqa: E402
from hanspan.meta import ModelMeta  # noqa: E402
from hanspan.model import (  # noqa: E402
    build_model,
    forward_fn,
    load_model,
    load_tokenizer,
    save_model,
    stock_names,
)
from hanspan.quiet import quietly  # noqa: E402
from test_encode import CHAR, char_tokenizer  # noqa: E402

LABELS, TOPICS = ("PER", "LOC"), ("a", "b", "c")
SHAPE: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
CONFIGS = {
    "bert": lambda: transformers.BertConfig(**SHAPE),
    "electra": lambda: transformers.ElectraConfig(**SHAPE, embedding_size=16),
    "esm": lambda: transformers.EsmConfig(
        **SHAPE, mask_token_id=4, position_embedding_type="rotary", token_dropout=False
    ),
    "modernbert": lambda: transformers.ModernBertConfig(
        **SHAPE, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3
    ),
}
FOLDERS = {"bert": "two", "electra": "one", "esm": "one", "modernbert": "two"}


def tokenizer() -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=char_tokenizer(),
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        split_special_tokens=True,
    )


def batch() -> tuple[np.ndarray, np.ndarray]:
    return collate([row.ids for row in CHAR.encode(["合肥市政协主席", "韩冰。", "人"])], CHAR)


def close(one: np.ndarray, two: np.ndarray) -> bool:
    return bool(np.allclose(one, two, atol=1e-6))


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_stock_classes_load_the_folder_with_equal_logits(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(None, LABELS, TOPICS, CONFIGS[name]()).eval()
    ids, mask = batch()
    tags, topics = forward_fn(model)(ids, mask)
    assert tags.shape == (*ids.shape, 9)
    assert topics.shape == (3, 3)
    save_model(model, tokenizer(), tmp_path, ModelMeta(LABELS, TOPICS, max_length=32))

    again, _, meta = load_model(tmp_path)
    assert meta.folders == FOLDERS[name]
    assert meta.labels == LABELS
    for one, two in zip((tags, topics), forward_fn(again)(ids, mask), strict=True):
        assert close(one, two)

    auto, where = transformers, {"one": tmp_path, "two": tmp_path / "topic"}[meta.folders]
    token = quietly(lambda: auto.AutoModelForTokenClassification.from_pretrained(tmp_path))
    topic = quietly(lambda: auto.AutoModelForSequenceClassification.from_pretrained(where))
    given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    with torch.no_grad():
        stock_tags = token.eval()(**given).logits
        stock_topics = topic.eval()(**given).logits
    real = mask.astype(bool)
    assert close(stock_tags[..., :9].numpy()[real], tags[real])
    assert close(stock_topics[..., -3:].numpy(), topics)
    assert [token.config.id2label[i] for i in range(5)] == ["O", "B-PER", "I-PER", "I-PER", "B-PER"]
    assert list(topic.config.id2label.values())[-3:] == list(TOPICS)
    if meta.folders == "one":  # the other head's labels never come up
        assert stock_tags.softmax(-1)[..., 9:].max() < 1e-30
        assert stock_topics.softmax(-1)[..., :9].max() < 1e-30


def test_training_steps_reach_encoder_and_both_heads() -> None:
    model = build_model(None, LABELS, TOPICS, CONFIGS["esm"]())
    ids, mask = (torch.from_numpy(a) for a in batch())
    tags, topics = model(ids, mask)
    (tags.logsumexp(-1).sum() + topics.logsumexp(-1).sum()).backward()
    heads = model.head_parameters()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in heads)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters())


def test_one_pass_of_the_encoder() -> None:
    model = build_model(None, LABELS, TOPICS, CONFIGS["modernbert"]()).eval()
    calls = []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    forward_fn(model)(*batch())
    assert len(calls) == 1


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize("topics", [TOPICS, ("a",)])
def test_topics_alone(topics: tuple[str, ...], name: str, tmp_path: Path) -> None:
    model = build_model(None, (), topics, CONFIGS[name]()).eval()
    save_model(model, tokenizer(), tmp_path, ModelMeta((), topics, max_length=32))
    again, _, meta = load_model(tmp_path)
    assert meta.topics == topics
    assert close(forward_fn(again)(*batch())[1], forward_fn(model)(*batch())[1])


def test_without_topics_and_without_labels(tmp_path: Path) -> None:
    for number, (labels, topics) in enumerate([(LABELS, ()), ((), TOPICS)]):
        model = build_model(None, labels, topics, CONFIGS["esm"]()).eval()
        folder = tmp_path / str(number)
        save_model(model, tokenizer(), folder, ModelMeta(labels, topics))
        again, _, meta = load_model(folder)
        tags, topic = forward_fn(again)(*batch())
        assert tags.shape[-1] == 1 + 4 * len(labels)
        assert topic.shape[-1] == len(topics)
        assert meta.folders == ("one" if topics else "none")


def test_saved_tokenizer_keeps_one_token_a_character(tmp_path: Path) -> None:
    model = build_model(None, LABELS, (), CONFIGS["bert"]())
    save_model(model, tokenizer(), tmp_path, ModelMeta(LABELS, max_length=32))
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["model_max_length"] == 32
    assert "backend" not in settings
    text = "合 \n[SEP]\u200b😀人"
    offsets = load_tokenizer(tmp_path)(text, return_offsets_mapping=True)["offset_mapping"]
    assert offsets[1:-1] == [(i, i + 1) for i in range(len(text))]


def test_no_pickle_is_written_or_read(tmp_path: Path) -> None:
    model = build_model(None, LABELS, (), CONFIGS["bert"]())
    save_model(model, tokenizer(), tmp_path, ModelMeta(LABELS))
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors"}
    torch.save({}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(HanspanError, match="cannot be loaded"):
        load_model(tmp_path)


def test_broken_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(HanspanError, match="no such folder"):
        load_model(tmp_path / "nothing")
    with pytest.raises(HanspanError, match=r"no hanspan\.json"):
        load_model(tmp_path)
    model = build_model(None, LABELS, (), CONFIGS["bert"]())
    save_model(model, tokenizer(), tmp_path, ModelMeta(LABELS))
    ModelMeta((*LABELS, "ORG")).write(tmp_path)
    with pytest.raises(HanspanError, match="9 outputs found, 13 expected"):
        load_model(tmp_path)
    (tmp_path / "hanspan.json").write_text('{"format": 9}')
    with pytest.raises(HanspanError, match="format 9 found, 1 expected"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_raising_o_moves_its_logit_alone(name: str) -> None:
    model = build_model(None, LABELS, TOPICS, CONFIGS[name]()).eval()
    before = forward_fn(model)(*batch())
    model.raise_o(1.5)
    after = forward_fn(model)(*batch())
    assert np.allclose(after[0][..., 0] - before[0][..., 0], 1.5, atol=1e-5)
    assert close(after[0][..., 1:], before[0][..., 1:])
    assert close(after[1], before[1])


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_empty_text_without_special_tokens(name: str) -> None:
    bare = char_tokenizer()
    bare.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    encoder, meta = TextEncoder(bare), ModelMeta(LABELS, TOPICS, max_length=32)
    assert encoder.special == 0
    forward = forward_fn(build_model(None, LABELS, TOPICS, CONFIGS[name]()).eval())
    alone = next(tag_texts(["合肥市"], encoder, forward, meta))
    for texts in (["", "合肥市"], [""]):
        empty, *more = tag_texts(texts, encoder, forward, meta)
        assert empty.spans == ()
        assert empty.topic_probs.sum() == pytest.approx(1)
        assert all(np.allclose(row.topic_probs, alone.topic_probs, atol=1e-5) for row in more)


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize("count", [9, 5])
def test_a_head_of_other_labels_begins_anew(
    count: int, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = CONFIGS[name]()
    config.id2label = {i: f"X{i}" for i in range(count)}
    config.label2id = {f"X{i}": i for i in range(count)}
    stock = transformers.AutoModelForTokenClassification.from_config(config)
    torch.nn.init.constant_(stock.classifier.weight, 7.0)
    stock.save_pretrained(tmp_path)
    with caplog.at_level("WARNING", "hanspan"):
        model = build_model(tmp_path, LABELS, TOPICS)
    head = model.token_head.classifier.weight
    assert head.shape[0] == 9
    assert head.abs().max() < 1
    assert "found a head for X0, X1" in caplog.text
    assert "ours is for O, B-PER" in caplog.text
    theirs = stock.base_model.get_input_embeddings().weight
    assert torch.equal(model.encoder.get_input_embeddings().weight, theirs)


@pytest.mark.parametrize("names", [list, stock_names])
def test_a_head_of_the_same_labels_is_gone_on_with(
    names: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = CONFIGS["bert"]()
    tags = names(ModelMeta(LABELS).tags)
    config.id2label, config.label2id = dict(enumerate(tags)), {t: i for i, t in enumerate(tags)}
    stock = transformers.AutoModelForTokenClassification.from_config(config)
    torch.nn.init.constant_(stock.classifier.weight, 7.0)
    stock.save_pretrained(tmp_path)
    with caplog.at_level("WARNING", "hanspan"):
        model = build_model(tmp_path, LABELS, ())
    assert (model.token_head.classifier.weight == 7).all()
    assert not caplog.text


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    transformers.BertModel(CONFIGS["bert"]()).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text("utf-8").replace('"vocab_size": 64', '"vocab_size": 65'))
    with pytest.raises(HanspanError, match=r"another shape than its config.json says: .*word_emb"):
        build_model(tmp_path, LABELS, ())
