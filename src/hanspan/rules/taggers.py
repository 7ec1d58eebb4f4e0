"""External taggers as rules: jieba's part-of-speech tagger, any transformers model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hanspan.quiet import quietly
from hanspan.rules.borders import Borders
from hanspan.rules.contract import RuleError, RuleInfo
from hanspan.rules.finders import Finder, Scene
from hanspan.rules.spec import JiebaSpec, TransformersSpec

_SENTENCE = re.compile(r"[^。！？；\n]*[。！？；\n]?")


def cache_folder(*parts: str) -> Path:
    """A folder for what is costly to make again: ``$XDG_CACHE_HOME/hanspan/...``."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser().joinpath("hanspan", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def segments(text: str, longest: int) -> Iterator[tuple[int, str]]:
    """The text in pieces of whole sentences, each with its offset; long sentences are cut.

    Args:
        text: any.
        longest: characters of a piece.
    """
    begin = end = 0
    for match in _SENTENCE.finditer(text):
        if match.end() - begin > longest and end > begin:
            yield begin, text[begin:end]
            begin = end
        end = match.end()
        while end - begin > longest:
            yield begin, text[begin : begin + longest]
            begin += longest
    if end > begin:
        yield begin, text[begin:end]


class JiebaFinder(Finder):
    """Words that jieba gives one of the chosen tags (nr person, ns place, nt organisation)."""

    def __init__(self, info: RuleInfo, spec: JiebaSpec, base: Path) -> None:
        super().__init__(info)
        self.spec, self.base = spec, base
        self.gives = tuple(dict.fromkeys(spec.map.values()))
        self.borders = Borders(spec)
        self._tagger: Any = None

    def _load(self) -> Any:
        try:
            import jieba
            import jieba.posseg
        except ImportError:
            raise RuleError(
                f"{self.info.where}: jieba is not installed; type: pip install 'hanspan[taggers]'"
            ) from None
        jieba.setLogLevel(40)
        tokenizer = jieba.Tokenizer()  # its own: user words stay out of the shared one
        tokenizer.tmp_dir = str(cache_folder("jieba"))
        tagger = jieba.posseg.POSTokenizer(tokenizer)
        for name in self.spec.dictionary:
            tokenizer.load_userdict(str(self.base / name))
        return tagger

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        if self._tagger is None:
            self._tagger = self._load()
        text, position, wanted = scene.document.text, 0, self.spec.map
        for word, flag in self._tagger.cut(text, HMM=self.spec.hmm):
            start = text.find(word, position)
            if start < 0:
                continue
            position = start + len(word)
            label = wanted.get(flag)
            if label is not None and word.strip() == word:
                yield start, position, label

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tagger": None}


class TransformersFinder(Finder):
    """Spans of a token-classification model with B/I, B/I/E/S or B/M/E/S tags."""

    def __init__(self, info: RuleInfo, spec: TransformersSpec, base: Path) -> None:
        super().__init__(info)
        self.spec = spec
        local = base / spec.model
        self.model = str(local) if local.is_dir() else spec.model
        self.gives = tuple(dict.fromkeys(spec.map.values()))
        self.borders = Borders(spec)
        self._loaded: tuple[Any, Any] | None = None

    def _load(self) -> tuple[Any, Any]:
        try:
            from transformers import AutoModelForTokenClassification, AutoTokenizer
        except ImportError:
            raise RuleError(
                f"{self.info.where}: transformers is not installed; "
                f"type: pip install 'hanspan[train]'"
            ) from None
        try:
            tokenizer, model = quietly(
                lambda: (
                    AutoTokenizer.from_pretrained(self.model, use_fast=True),
                    AutoModelForTokenClassification.from_pretrained(self.model),
                )
            )
        except (OSError, ValueError) as err:
            raise RuleError(
                f"{self.info.where}: {self.model}: cannot be loaded as a token-classification "
                f"model ({str(err).splitlines()[0]})"
            ) from None
        if not tokenizer.is_fast:
            raise RuleError(f"{self.info.where}: {self.model} has no fast tokenizer, so no offsets")
        known = {_split(name)[1] for name in model.config.id2label.values()}
        for tag in self.spec.map:
            if tag not in known:
                raise RuleError(
                    f"{self.info.where}: the model has no type {tag!r}, expected some of "
                    f"{', '.join(sorted(filter(None, known)))} in 'map:'"
                )
        return tokenizer, model.eval()

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        if self._loaded is None:
            self._loaded = self._load()
        tokenizer, model = self._loaded
        text = scene.document.text
        pieces = list(segments(text, self.spec.window))
        for k in range(0, len(pieces), self.spec.batch_size):
            batch = pieces[k : k + self.spec.batch_size]
            encoded = tokenizer(
                [piece for _, piece in batch],
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
                truncation=True,
                padding=True,
                return_tensors="pt",
            )
            offsets = encoded.pop("offset_mapping").tolist()
            special = encoded.pop("special_tokens_mask").tolist()
            probabilities = model(**encoded).logits.detach().softmax(-1)
            best = probabilities.max(-1)
            for i, (begin, _) in enumerate(batch):
                rows = zip(
                    offsets[i], special[i], best.indices[i].tolist(), best.values[i].tolist(),
                    strict=True,
                )  # fmt: skip
                tags = [
                    (begin + a, begin + b, model.config.id2label[tag], p)
                    for (a, b), mask, tag, p in rows
                    if not mask and b > a
                ]
                for start, end, kind, score in decode(tags):
                    label = self.spec.map.get(kind)
                    if label is not None and score >= self.spec.min_score:
                        yield start, end, label, score * self.info.weight

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}


def _split(tag: str) -> tuple[str, str]:
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and prefix in "BIEMS" else ("", "" if tag == "O" else tag)


def decode(
    tags: Sequence[tuple[int, int, str, float]],
) -> Iterator[tuple[int, int, str, float]]:
    """Spans of a row of tags, with the mean probability.

    Args:
        tags: start, end, tag (``B-PER``, ``O``, ...), probability of each token.
    """
    current: list[Any] | None = None  # start, end, kind, sum, count

    def close() -> Iterator[tuple[int, int, str, float]]:
        if current is not None:
            yield current[0], current[1], current[2], current[3] / current[4]

    for start, end, tag, probability in tags:
        prefix, kind = _split(tag)
        if current is not None and (not kind or prefix in ("B", "S") or kind != current[2]):
            yield from close()
            current = None
        if not kind:
            continue
        if current is None:
            current = [start, end, kind, probability, 1]
        else:
            current[1], current[3], current[4] = end, current[3] + probability, current[4] + 1
        if prefix in ("E", "S"):
            yield from close()
            current = None
    yield from close()
