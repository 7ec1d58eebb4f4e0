"""Keep the texts of development files out of the pretraining corpus.

A paragraph is dropped when, punctuation and spaces aside, it holds a sentence of a dev text
(of long sentences: the first or last `UNIT` letters), or when it equals a short one.
"""

import json
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from hanspan.data import open_text
from hanspan.errors import HanspanError

UNIT = 24  # letters; longer than stock phrases of official prose, shorter than most sentences
SHORTEST = 10  # letters; below it only a whole line that is equal counts
_SENTENCE = re.compile(r"[。！？!?；;\n]+")
_DROP = re.compile(r"[\W_]+")


def normalize(text: str) -> str:
    """Letters and digits only, compatibility forms folded, lower case."""
    return _DROP.sub("", unicodedata.normalize("NFKC", text)).lower()


def text_of(line: str, place: str) -> str:
    """The text of a JSON row; a row without one is a HanspanError that names its place."""
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError) as error:
        raise HanspanError(f'pretrain: {place} is not a row {{"text": ...}} ({error})') from error
    if not isinstance(text, str):
        raise HanspanError(f'pretrain: {place}: "text" is {text!r}, expected a string')
    return text


def dev_files(folder: Path) -> list[Path]:
    """Every `dev*.jsonl`, plain or compressed, anywhere below `folder`."""
    places = (place for place, _, _ in os.walk(folder, followlinks=True))
    return sorted(p for place in places for p in Path(place).glob("dev*.jsonl*") if p.is_file())


class DevTexts:
    """The sentences of all dev texts, indexed for a quick containment test."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._lines: set[str] = set()
        self._units: dict[str, set[str]] = defaultdict(set)
        for text in texts:
            whole = normalize(text)
            if whole:
                self._lines.add(whole)
            for sentence in {whole, *map(normalize, _SENTENCE.split(text))}:
                if len(sentence) < SHORTEST:
                    continue
                self._lines.add(sentence)
                for unit in (sentence[:UNIT], sentence[-UNIT:]):
                    self._units[unit[:SHORTEST]].add(unit)
        self._starts = frozenset(self._units)

    @classmethod
    def from_gold(cls, folder: Path) -> "DevTexts":
        """Texts of every file that `dev_files` finds; no label is read."""
        paths = dev_files(folder)
        if not paths:
            raise HanspanError(
                f"pretrain: no dev files under {folder}; they are needed so that their texts can "
                "be kept out of the corpus"
            )
        texts = []
        for path in paths:
            with open_text(path) as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        texts.append(text_of(line, f"{path}:{number}"))
        return cls(texts)

    def holds(self, letters: str) -> bool:
        """Whether a paragraph, given as `normalize` returns it, repeats a dev text."""
        if letters in self._lines:
            return True
        starts = self._starts
        for i in range(len(letters) - SHORTEST + 1):
            start = letters[i : i + SHORTEST]
            if start in starts and any(letters.startswith(u, i) for u in self._units[start]):
                return True
        return False
