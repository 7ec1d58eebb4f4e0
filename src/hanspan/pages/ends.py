"""Whether one end goes on where another stops: a small network over the characters beside a cut.

Fitted by ``scripts/fit_page_ends.py`` on unlabelled text. Either side is worked out once; a pair
of them costs little.
"""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np

from hanspan.pages import ngrams

WINDOW = 8
"""Characters looked at on either side."""
NGRAMS = 0.3
"""What the log odds of :mod:`ngrams` count beside the network's."""
_EDGE, _RARE = 0, 1


@functools.cache
def _model() -> tuple[dict[str, int], dict[str, np.ndarray]]:
    path = resources.files("hanspan") / "assets" / "pages" / "ends.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        places = {str(char): number for number, char in enumerate(stored["alphabet"], 2)}
        arrays = {
            name: stored[name].astype(np.float32) for name in stored.files if name != "alphabet"
        }
    return places, arrays


def _letters(text: str) -> list[np.ndarray]:
    places, arrays = _model()
    return [arrays["letters.weight"][places.get(char, _RARE)] for char in text]


@functools.lru_cache(maxsize=1 << 13)
def _left(tail: str) -> np.ndarray:
    _, arrays = _model()
    edge = [arrays["letters.weight"][_EDGE]] * (WINDOW - len(tail))
    side = np.concatenate([*edge, *_letters(tail)])
    return arrays["left.weight"] @ side + arrays["left.bias"]


@functools.lru_cache(maxsize=1 << 13)
def _right(head: str) -> np.ndarray:
    _, arrays = _model()
    edge = [arrays["letters.weight"][_EDGE]] * (WINDOW - len(head))
    return arrays["right.weight"] @ np.concatenate([*_letters(head), *edge])


@functools.lru_cache(maxsize=1 << 16)
def join_odds(tail: str, head: str) -> float:
    """Log odds that ``head`` goes on where ``tail`` stops, against any other middle of a text."""
    _, arrays = _model()
    hidden = np.maximum(_left(tail[-WINDOW:]) + _right(head[:WINDOW]), 0)
    top = np.maximum(arrays["top.weight"] @ hidden + arrays["top.bias"], 0)
    network = float(arrays["out.weight"][0] @ top + arrays["out.bias"][0])
    return network + NGRAMS * ngrams.join_odds(tail, head)
