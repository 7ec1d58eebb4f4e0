"""A tokenizer of one token a character, read from tokenizer.json without the package tokenizers.

The package's own encoders have such a tokenizer, so a plain install needs no more; any other
kind is left to the library, which brings 30 MB with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class CharTokenizer:
    """As much of ``tokenizers.Tokenizer`` as :class:`hanspan.encode.TextEncoder` asks for."""

    def __init__(self, spec: Mapping[str, Any], prefix: list[int], suffix: list[int]) -> None:
        self._text = json.dumps(spec)
        self._vocab: Mapping[str, int] = spec["model"]["vocab"]
        self._unknown = self._vocab[spec["model"]["unk_token"]]
        self._prefix, self._suffix = prefix, suffix

    @classmethod
    def from_folder(cls, folder: Path) -> CharTokenizer | None:
        """The tokenizer of a model folder, or None where it is of another kind or damaged."""
        try:
            spec = json.loads((folder / "tokenizer.json").read_text("utf-8"))
            model, split = spec["model"], spec["pre_tokenizer"]
            if (model["type"], split["type"], split["length"]) != ("WordLevel", "FixedLength", 1):
                return None
            if not _one_to_one(spec.get("normalizer")):
                return None
            prefix, suffix = _around(spec["post_processor"])
            return cls(spec, prefix, suffix)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def no_padding(self) -> None:
        """Nothing to do: there is none."""

    def no_truncation(self) -> None:
        """Nothing to do: there is none."""

    def token_to_id(self, token: str) -> int | None:
        """Number of a token of the vocabulary."""
        return self._vocab.get(token)

    def to_str(self) -> str:
        """The JSON of tokenizer.json."""
        return self._text

    def encode(self, text: str) -> Any:
        """Ids with the special tokens around them, and which those are; no normalising."""
        ids = [self._vocab.get(char, self._unknown) for char in text]
        mask = [1] * len(self._prefix) + [0] * len(ids) + [1] * len(self._suffix)
        return SimpleNamespace(ids=self._prefix + ids + self._suffix, special_tokens_mask=mask)


def _one_to_one(normalizer: Any) -> bool:
    """Whether it replaces single characters and does nothing else."""
    if normalizer is None:
        return True
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    return all(
        step["type"] == "Replace" and len(step["pattern"]["String"]) == len(step["content"]) == 1
        for step in steps
    )


def _around(processor: Any) -> tuple[list[int], list[int]]:
    """Ids before and after a text.

    Raises:
        ValueError: if the template is not special tokens around one text.
    """
    if processor["type"] != "TemplateProcessing":
        raise ValueError("no template")
    numbers: list[list[int]] = [[]]
    for part in processor["single"]:
        if "Sequence" in part:
            numbers.append([])
        else:
            found = processor["special_tokens"][part["SpecialToken"]["id"]]["ids"]
            numbers[-1] += [int(number) for number in found]
    prefix, suffix = numbers
    return prefix, suffix
