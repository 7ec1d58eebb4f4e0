"""Examples of fill-mask by the stock pipeline: hidden characters of a page, and the guesses."""

import re
from dataclasses import dataclass
from typing import Any

from hanspan.errors import HanspanError

_SENTENCE = re.compile(r"(?:^|(?<=[。！？；”\n]))[^。！？；”\n]{15,40}[。！？；]")
_CHINESE = re.compile(r"[一-鿿]")


@dataclass(frozen=True)
class Filled:
    """A sentence around one hidden character, what stood there, and guesses with probability."""

    before: str
    after: str
    truth: str
    guesses: tuple[tuple[str, float], ...]


def fill_examples(source: str, text: str, count: int = 8) -> list[Filled]:
    """`count` sentences spread evenly over `text`, none chosen by hand.

    In each the Chinese character nearest to the middle is hidden. `source` is a folder or a Hub
    name.
    """
    from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

    sentences = _SENTENCE.findall(text)
    if not sentences:
        raise HanspanError("fill-mask: the text holds no sentence of 15 to 40 characters")
    tokenizer: Any = AutoTokenizer.from_pretrained(source, split_special_tokens=False)
    model = AutoModelForMaskedLM.from_pretrained(source, dtype="float32")
    fill: Any = pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=3)
    step = max(1, len(sentences) // count)
    examples = []
    for sentence in sentences[::step][:count]:
        middle = len(sentence) / 2
        places = [m.start() for m in _CHINESE.finditer(sentence)]
        if not places:
            continue
        place = min(places, key=lambda i: abs(i - middle))
        before, truth, after = sentence[:place], sentence[place], sentence[place + 1 :]
        guesses = fill(before + tokenizer.mask_token + after)
        pairs = tuple((str(g["token_str"]).strip(), float(g["score"])) for g in guesses)
        examples.append(Filled(before, after, truth, pairs))
    return examples
