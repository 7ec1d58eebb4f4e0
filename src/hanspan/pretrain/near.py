"""Paragraphs that say again what was said: most of their runs of characters occurred before.

Broder 1997, "On the resemblance and containment of documents": of all runs of N characters those
are kept whose hash is 0 modulo M, so the same run is kept or left out wherever it stands, and the
share of a paragraph's kept runs that occurred before estimates how much of it did.
"""

import numpy as np

N = 8  # characters of a run; longer than stock phrases, shorter than what an edit leaves whole
M = 8  # one run in so many is kept
LEAST = 4  # kept runs below which nothing is said
SHARE = 0.8
RULE = f"{SHARE:g} of at least {LEAST} of one in {M} runs of {N}"
"""What shards record, so that those of another rule are made anew."""

_FACTORS = np.array([pow(0x9E3779B97F4A7C15, i, 1 << 64) for i in range(1, N + 1)], np.uint64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def kept_runs(letters: str) -> list[int]:
    """Hashes of the runs of a text that are kept, each once."""
    size = len(letters) - N + 1
    if size < 1:
        return []
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = codes.astype(np.uint64)
    hashes = np.zeros(size, np.uint64)
    for i, factor in enumerate(_FACTORS):
        hashes += codes[i : size + i] * factor
    hashes ^= hashes >> np.uint64(31)
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(29)
    return [int(h) for h in np.unique(hashes[hashes % np.uint64(M) == 0])]


class Said:
    """The kept runs of all paragraphs so far."""

    def __init__(self) -> None:
        self._runs: set[int] = set()

    def again(self, letters: str) -> bool:
        """Whether `SHARE` of the paragraph occurred before; if not, it counts as said from now."""
        runs = kept_runs(letters)
        if len(runs) >= LEAST and sum(r in self._runs for r in runs) >= SHARE * len(runs):
            return True
        self._runs.update(runs)
        return False
