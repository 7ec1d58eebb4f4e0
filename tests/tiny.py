"""A tiny trained model for the tests: a made-up language that it reads without a mistake.

PER = 甲|乙 丙|丁 戊|己; ORG = 子|丑 寅* 卯; LOC = the single character 辰; the topic is ``wood``
where 木 occurs and ``gold`` otherwise.
"""

from __future__ import annotations

import functools
import random
import tempfile
from pathlib import Path

from hanspan.data import Span

LABELS, TOPICS = ("PER", "ORG", "LOC"), ("gold", "wood")
FILLER = "的一是在不了有和人这中大为上，。金 \n"
CHARS = "甲乙丙丁戊己子丑寅卯辰木" + FILLER + "😀𠀀"
MAX_LENGTH, OVERLAP = 24, 8
_KEEP = tempfile.TemporaryDirectory(prefix="hanspan-test-")  # goes when the session ends


def sentence(rng: random.Random, pieces: int = 8) -> tuple[str, list[Span], str]:
    """A text of the language with its spans and topic."""
    text, spans = "", []
    for _ in range(pieces):
        text += "".join(rng.choice(FILLER) for _ in range(rng.randint(1, 4)))
        kind = rng.choice(LABELS)
        if kind == "PER":
            name = rng.choice("甲乙") + rng.choice("丙丁") + rng.choice("戊己")
        elif kind == "ORG":
            name = rng.choice("子丑") + "寅" * rng.randint(0, 3) + "卯"
        else:
            name = "辰"
        spans.append(Span(len(text), len(text) + len(name), kind))
        text += name
    topic = rng.choice(TOPICS)
    text += "木木木" if topic == "wood" else "金金金"
    return text, spans, topic


def tokenizer():
    """One token a character, as the package's own encoders have it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = {token: number for number, token in enumerate([*special, *CHARS])}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.FixedLength(1)
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    inner.decoder = decoders.Fuse()
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        split_special_tokens=True,
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{key}_token": value for key, value in names.items()},
    )


def config(kind: str):
    """A small configuration of a stock architecture."""
    import transformers

    shape = {
        "vocab_size": 5 + len(CHARS),
        "pad_token_id": 0,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    if kind == "esm":
        more = {"position_embedding_type": "rotary", "token_dropout": False, "mask_token_id": 4}
        return transformers.EsmConfig(**shape, **more)
    if kind == "bert":
        return transformers.BertConfig(**shape)
    ends = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    return transformers.ModernBertConfig(**shape, **ends)


@functools.cache
def run_folder(kind: str = "esm") -> Path:
    """A run as ``hanspan train`` leaves it: ``RUN/model``; made once a session."""
    import torch

    from hanspan.encode import TextEncoder, collate
    from hanspan.meta import ModelMeta
    from hanspan.model import build_model, save_model

    torch.manual_seed(0)
    rng = random.Random(0)
    fast = tokenizer()
    encoder = TextEncoder(fast.backend_tokenizer)
    model = build_model(None, LABELS, TOPICS, config(kind)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(70):
        rows = [sentence(rng, 3) for _ in range(32)]
        ids, mask = (
            torch.from_numpy(array)
            for array in collate([e.ids for e in encoder.encode([r[0] for r in rows])], encoder)
        )
        target = torch.zeros_like(ids)
        for number, (_, spans, _topic) in enumerate(rows):
            for span in spans:
                first = 1 + 4 * LABELS.index(span.label)
                at, end = span.start + 1, span.end + 1
                target[number, at:end] = first + 1
                target[number, at], target[number, end - 1] = first, first + 2
                if end - at == 1:
                    target[number, at] = first + 3
        tags, topics = model(ids, mask)
        wanted = torch.tensor([TOPICS.index(row[2]) for row in rows])
        loss = torch.nn.functional.cross_entropy(tags[mask.bool()], target[mask.bool()])
        loss = loss + torch.nn.functional.cross_entropy(topics, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    run = Path(_KEEP.name) / kind / "run"
    meta = ModelMeta(LABELS, TOPICS, max_length=MAX_LENGTH, overlap=OVERLAP)
    save_model(model.eval(), fast, run / "model", meta)
    return run


@functools.cache
def bundle_folder(kind: str = "esm") -> Path:
    """The bundle of :func:`run_folder`; copy it before you change it."""
    from hanspan.bundle import bundle

    run = run_folder(kind)
    bundle(run, run.parent / "bundle")
    return run.parent / "bundle"
