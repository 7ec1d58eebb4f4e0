"""Where an encoder comes from: names, folders, word pieces of the Hub's own kinds.

pytest tests/test_encoders.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fake_hub import OWNER, FakeHub, Repo

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hanspan.encoders import open_encoder, resolve_encoder  # noqa: E402
from hanspan.errors import HanspanError  # noqa: E402
from hanspan.infer import Extractor  # noqa: E402
from hanspan.meta import ModelMeta  # noqa: E402
from hanspan.model import save_model  # noqa: E402

TEXT = "合肥市委 2023年 OpenAI发布GPT-4，Ａ股😀\n\n  𠀀龘 e\u0301 end"
LABELS, TOPICS = ("PER", "ORG"), ("a", "b")
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
}


def write_bert(folder: Path) -> Any:
    """Word pieces as `vocab.txt` alone, lower case, as most Chinese encoders have them."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *"合肥市委年发布股，-4ae", "20", "##23", "open", "##ai", "gpt", "end"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    config = transformers.BertConfig(vocab_size=len(pieces), **SHAPE)
    return transformers.BertForMaskedLM(config)


def write_roberta(folder: Path) -> Any:
    """Bytes, joined: a piece may hold half a character or a space before a word."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=list(names.values()), initial_alphabet=alphabet
    )
    inner.train_from_iterator([TEXT] * 3, trainer)
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names |= {"cls": "<s>", "sep": "</s>"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, **{f"{key}_token": value for key, value in names.items()}
    )
    tokenizer.save_pretrained(folder)
    config = transformers.RobertaConfig(vocab_size=len(tokenizer), pad_token_id=1, **SHAPE)
    return transformers.RobertaForMaskedLM(config)


def write_xlm_roberta(folder: Path) -> Any:
    """Pieces of raw text, with a mark where a word begins that may stand alone."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    scores = [(piece, -1.0 * len(marks)) for piece in ("\u2581", "合肥", *"市委年发布股，2034Open")]
    inner = Tokenizer(models.Unigram([*((m, 0.0) for m in marks), *scores], unk_id=3))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos", "pad", "eos", "unk", "mask"), marks, strict=True))
    names |= {"cls": "<s>", "sep": "</s>"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, **{f"{key}_token": value for key, value in names.items()}
    )
    tokenizer.save_pretrained(folder)
    config = transformers.XLMRobertaConfig(vocab_size=len(tokenizer), pad_token_id=1, **SHAPE)
    return transformers.XLMRobertaForMaskedLM(config)


@pytest.mark.parametrize("write", [write_bert, write_roberta, write_xlm_roberta])
def test_encoders_with_word_pieces_keep_offsets(write: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    write(tmp_path).save_pretrained(tmp_path)
    model, tokenizer = open_encoder(str(tmp_path), LABELS, TOPICS)
    out = tmp_path / "model"
    save_model(model, tokenizer, out, ModelMeta(LABELS, TOPICS, max_length=48, overlap=8))
    with Extractor.from_pretrained(out, backend="torch") as extract:
        for text in (TEXT, TEXT * 20, "", "\n"):
            found = extract(text)
            assert found.text == text
            end = 0
            for span in found.spans:
                assert end <= span.start < span.end <= len(text)
                end = span.end
    assert found.labels["topic"] in TOPICS


def test_pickled_weights_are_not_read_and_the_message_converts_them(tmp_path: Path) -> None:
    model = write_bert(tmp_path)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(HanspanError, match=r"pytorch_model\.bin.*write model\.safetensors") as err:
        open_encoder(str(tmp_path), LABELS, TOPICS)
    exec(str(err.value).split('python -c "')[1].rstrip('"'))
    assert (tmp_path / "model.safetensors").is_file()
    assert open_encoder(str(tmp_path), LABELS, TOPICS)[1].is_fast


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("pytorch_model.bin", "pickle may run code.*write model.safetensors.*then give ./bert"),
        ("model.gguf", "neither model.safetensors nor other weights"),
        (None, "cannot be reached or does not have it"),
    ],
)
def test_hub_encoders_without_safetensors(tmp_path: Path, weights: str | None, words: str) -> None:
    """In a process of its own: the Hub's client reads its address at import."""
    write_bert(tmp_path).config.save_pretrained(tmp_path)
    files = {f.name: f.read_bytes() for f in tmp_path.iterdir() if f.is_file()}
    files.pop("model.safetensors", None)
    code = """
import sys
from hanspan.encoders import open_encoder
from hanspan.errors import HanspanError
try:
    open_encoder(sys.argv[1], ("PER",), ())
except HanspanError as err:
    print(err)
"""
    with FakeHub() as hub:
        name = f"{OWNER}/bert"
        if weights:
            repo = Repo("model", name, private=False)
            repo.add("main", {**files, weights: b"x" * 64}, "weights")
            hub.repos["model", name] = repo
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", code, name],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert re.search(words, done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "expected a folder"),
        ("./nothere", "no such folder"),
        ("a/b/c", "no such folder"),
        ("random:huge", "random:tiny, random:small"),
    ],
)
def test_names_that_are_no_encoder(name: str, words: str) -> None:
    with pytest.raises(HanspanError, match=words):
        resolve_encoder(name)


def test_a_tokenizer_with_more_ids_than_the_encoder_has_rows_is_named(tmp_path: Path) -> None:
    write_bert(tmp_path)
    small = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=8, **SHAPE))
    small.save_pretrained(tmp_path)
    with pytest.raises(HanspanError, match=r"ids up to \d+, its embeddings 8 rows"):
        open_encoder(str(tmp_path), LABELS, TOPICS)


def test_a_folder_must_be_one_of_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(HanspanError, match=r"no config\.json"):
        resolve_encoder(str(tmp_path))
    shutil.copy(resolve_encoder("embedded") / "config.json", tmp_path)  # type: ignore[operator]
    with pytest.raises(HanspanError, match=r"no model\.safetensors"):
        resolve_encoder(str(tmp_path))
