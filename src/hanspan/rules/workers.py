"""Pieces of a file labelled by several processes, of which the calling one is one.

Every process takes the next piece that nobody has taken, so that all end at about the same
time; the caller works while the others still start.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from hanspan.errors import HanspanError
from hanspan.rules.pieces import Done, Piece
from hanspan.rules.work import Job, Labeller

Result = tuple[Piece, Done]


def each(job: Job, pieces: Sequence[Piece], workers: int) -> Iterator[Result]:
    """Label all pieces.

    Args:
        job: what every piece needs.
        pieces: of the input.
        workers: processes, this one included.

    Yields:
        Piece and what was done, as each gets ready.

    Raises:
        HanspanError: for a rule that fails or a row that cannot be read, unless skipped; for
            rules that do not pickle; for a process that ended too soon.
    """
    labeller = Labeller(job)
    workers = min(workers, len(pieces))
    if workers <= 1:
        for piece in pieces:
            yield piece, labeller.label(piece)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    try:
        packed = pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as err:
        raise HanspanError(
            f"the rules cannot be sent to another process ({err}); define them in a module, "
            f"or use workers=1"
        ) from None
    context = multiprocessing.get_context("spawn")
    taken = context.Value("q", 0)
    pool = ProcessPoolExecutor(workers - 1, context, _start, (packed, pieces, taken))
    try:
        futures: deque[Future[Result | None]] = deque(pool.submit(_work) for _ in pieces)
        while (number := _take(taken)) < len(pieces):
            yield pieces[number], labeller.label(pieces[number])
            while futures and futures[0].done():
                result = futures.popleft().result()
                if result is not None:
                    yield result
        for future in as_completed(futures):
            result = future.result()
            if result is not None:
                yield result
    except BrokenProcessPool:
        raise HanspanError(
            "a worker ended before its work was done (out of memory, or the calling script has no "
            "'if __name__ == \"__main__\":'); mend that, or use workers=1"
        ) from None
    finally:
        with taken.get_lock():
            taken.value = len(pieces)  # after an error nobody begins another
        pool.shutdown(cancel_futures=True)


def _take(taken: Any) -> int:
    with taken.get_lock():
        taken.value += 1
        return int(taken.value) - 1


_state: tuple[Labeller, Sequence[Piece], Any] | None = None


def _start(packed: bytes, pieces: Sequence[Piece], taken: Any) -> None:
    global _state
    _state = (Labeller(pickle.loads(packed)), pieces, taken)


def _work() -> Result | None:
    """The next piece; None where none is left."""
    assert _state is not None
    labeller, pieces, taken = _state
    number = _take(taken)
    if number >= len(pieces):
        return None
    return pieces[number], labeller.label(pieces[number])
