"""One token a character: the vocabulary, the stock tokenizer folder and a fast table.

The folder that `save_tokenizer` writes loads by `AutoTokenizer.from_pretrained` and gives
exactly one token for each Unicode code point between [CLS] and [SEP], whatever the script.
`CharTable` gives the same ids by one array look-up, for shards of many million characters.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hanspan.errors import HanspanError

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
RESERVED = 16  # rows that a later task may give a meaning without resizing the embedding
FIRST_CHAR = len(SPECIALS) + RESERVED

# Always in the vocabulary, however rare in the corpus: a page may bring any of them.
_ALWAYS = "".join(
    [
        "\n\t",
        *map(chr, range(0x20, 0x7F)),
        "\u3000\u200b\ufeff\u00a0·•—–",
        "‘’“”…℃％‰《》〈〉「」『』【】〔〕（）、。！？；：，～￥°±×÷→←■□●○◆◇★☆▲△▼▽※№",
        *map(chr, range(0xFF01, 0xFF5F)),
        "〇一二三四五六七八九十百千万亿零两",
        *map(chr, range(0x2460, 0x2474)),
        *map(chr, range(0x2160, 0x216C)),
    ]
)


def build_vocab(counts: Mapping[str, int], size: int = 8192, min_count: int = 2) -> list[str]:
    """Choose the entries of a character vocabulary.

    `counts` maps single characters to how often the corpus holds them. Special tokens and
    reserved rows come first, then the characters that are always kept, then the corpus from
    frequent to rare (ties by code point) down to `min_count`, then what is left of the 6,763
    characters of GB 2312, so that a rare surname has a row of its own, then the rarest of the
    corpus. The list has exactly `size` entries: what stays open is filled with further reserved
    rows, so that the embedding keeps its round size.
    """
    if size < FIRST_CHAR + len(set(_ALWAYS)):
        raise HanspanError(
            f"tokenizer: vocabulary size {size} is too small; "
            f"give at least {FIRST_CHAR + len(set(_ALWAYS))} (8192 is usual)"
        )
    entries = [*SPECIALS, *(f"[unused{i}]" for i in range(RESERVED))]
    ranked = sorted(filter(_is_char, counts), key=lambda c: (-counts[c], c))
    frequent = [c for c in ranked if counts[c] >= min_count]
    chars = list(dict.fromkeys([*_ALWAYS, *frequent, *_gb2312(), *ranked]))
    entries += chars[: size - len(entries)]
    entries += [f"[unused{RESERVED + i}]" for i in range(size - len(entries))]
    return entries


def _gb2312() -> str:
    """The Chinese characters of GB 2312, in its order."""
    rows = (bytes([high, low]) for high in range(0xB0, 0xF8) for low in range(0xA1, 0xFF))
    return b"".join(rows).decode("gb2312", "ignore")


def _is_char(text: str) -> bool:
    return len(text) == 1 and not 0xD800 <= ord(text) <= 0xDFFF  # a lone surrogate has no UTF-8


def vocab_digest(vocab: Sequence[str]) -> str:
    """SHA-256 (first 16 hex digits) of the entries in order; stands in shards and checkpoints."""
    return hashlib.sha256("\0".join(vocab).encode("utf-8")).hexdigest()[:16]


def save_tokenizer(vocab: Sequence[str], folder: Path, max_length: int = 512) -> None:
    """Write tokenizer.json and tokenizer_config.json that stock AutoTokenizer loads.

    The class name is fixed to PreTrainedTokenizerFast: any other lets transformers rebuild a
    different pipeline over the same vocabulary, which drops spaces and newlines.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    ids = {token: i for i, token in enumerate(vocab)}
    if len(ids) != len(vocab) or tuple(vocab[: len(SPECIALS)]) != SPECIALS:
        raise HanspanError(
            "tokenizer: the vocabulary has repeated entries or does not start with "
            f"{' '.join(SPECIALS)}; make it with hanspan.pretrain.tokenizer.build_vocab"
        )
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.FixedLength(1)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    tokenizer.decoder = decoders.Fuse()
    # The markers stay out of `added_tokens`: a plain `tokenizers.Tokenizer` then never finds
    # them in a text, and transformers adds them by itself from the settings below.
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        # Without it a literal "[SEP]" in a page becomes the marker and offsets break.
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(settings, ensure_ascii=False, indent=2, sort_keys=True)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def load_vocab(folder: Path) -> list[str]:
    """Entries of a folder's tokenizer.json in the order of their ids."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise HanspanError(f"tokenizer: no {path}; run scripts/pretrain.py CONFIG --only shards")
    try:
        ids: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
    except (ValueError, KeyError, TypeError) as error:
        raise HanspanError(
            f"tokenizer: {path} holds no word-level vocabulary ({error}); build it again"
        ) from error
    return sorted(ids, key=ids.__getitem__)


class CharTable:
    """Characters to ids by one look-up: `ids[code point]`, unknown ones get [UNK]."""

    def __init__(self, vocab: Sequence[str]) -> None:
        if len(vocab) > 1 << 16:
            raise HanspanError(
                f"tokenizer: {len(vocab)} entries do not fit 16 bits; give at most 65536"
            )
        self.size = len(vocab)
        self.digest = vocab_digest(vocab)
        self._ids = np.full(0x110000, UNK, dtype=np.uint16)
        for index, token in enumerate(vocab):
            if len(token) == 1:
                self._ids[ord(token)] = index

    def encode(self, text: str) -> npt.NDArray[np.uint16]:
        """Ids of each code point of `text`, shape (len(text),), no markers added."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        return self._ids[points]

    def encode_documents(self, texts: Iterable[str]) -> npt.NDArray[np.uint16]:
        """Ids of all texts in one row, each text followed by one [SEP]."""
        end = np.array([SEP], dtype=np.uint16)
        parts = [part for text in texts for part in (self.encode(text), end)]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint16)
