"""Articles under way while a page is read, and what a step does to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hanspan.pages.clues import Clue
from hanspan.pages.words import Bag

TEXT, JOIN, NEW, HEAD, ATTACH, MORE, SECTION, BANNER = (
    "text",
    "join",
    "new",
    "head",
    "attach",
    "more",
    "section",
    "banner",
)
NOBODY = -1
_WINDOW = 80
_MOST = 8
_HEADS = 4


@dataclass(frozen=True, slots=True)
class Form:
    """What the section heads of one article tend to share.

    Attributes:
        size: characters.
        pieces: lengths of what blanks part.
        numbered: whether it begins with a number.
    """

    size: int
    pieces: tuple[int, ...]
    numbered: bool


@dataclass(slots=True, eq=False)
class Thread:
    """An article under way. Threads are never changed; a step makes a new one.

    Attributes:
        number: name of the article.
        bag: what it is about, titles included.
        recent: what its last paragraph is about.
        last: index of its last paragraph, or -1.
        open: whether that paragraph was cut.
        titled: whether it has a headline.
        seen: index of the last block that it got.
        size: paragraphs so far.
        sections: its last section heads, each by its form.
    """

    number: int
    bag: Bag
    recent: Bag
    last: int
    open: bool
    titled: bool
    seen: int
    size: int
    sections: tuple[Form, ...] = ()
    steps: dict[tuple[str, int], Thread] = field(default_factory=dict)
    rates: dict[int, tuple[float, float | None]] = field(default_factory=dict)

    def fit(self, clue: Clue) -> float:
        """How well a block's words fit the article's."""
        return self.bag.fit(clue.words)


@dataclass(frozen=True, slots=True)
class State:
    """Where the reading stands.

    Attributes:
        threads: articles under way, the one touched last at the end.
        count: articles begun so far.
        current: number of the article that the last block went to.
        due: number of the article whose title or section head was the last block.
        heading: whether the last block was a title (another line of it may follow).
        banner: whether it was a banner.
    """

    threads: tuple[Thread, ...] = ()
    count: int = 0
    current: int = NOBODY
    due: int = NOBODY
    heading: bool = False
    banner: bool = False

    def thread(self, number: int) -> Thread | None:
        """The thread of that number, if it is still under way."""
        return next((thread for thread in self.threads if thread.number == number), None)


@dataclass(frozen=True, slots=True)
class Move:
    """One thing to do with a block: what, and for which article."""

    what: str
    number: int = NOBODY


def step(state: State, clue: Clue, move: Move) -> State:
    """The state after a move."""
    if move.what == BANNER:
        return replace(state, heading=False, banner=True)
    if move.what in (HEAD, NEW):
        number = state.count
        bag = clue.alone if move.what == NEW else clue.doubled
        text = move.what == NEW
        thread = Thread(
            number,
            bag,
            bag,
            clue.index if text else -1,
            text and clue.open,
            not text,
            clue.index,
            int(text),
        )
        threads = _pruned(state.threads, clue.index)
        return State((*threads, thread), number + 1, number, NOBODY if text else number, not text)
    number = move.number
    old = state.thread(number)
    if old is None:
        raise ValueError(f"no article {number} is under way")
    key = (move.what, clue.index)
    thread_ = old.steps.get(key)
    if thread_ is None:
        thread_ = _grown(old, clue, move.what)
        old.steps[key] = thread_
    others = tuple(thread for thread in state.threads if thread.number != number)
    text = move.what in (TEXT, JOIN)
    return State(
        (*_pruned(others, clue.index), thread_),
        state.count,
        number,
        NOBODY if text else number,
        move.what in (ATTACH, MORE),
    )


def _grown(old: Thread, clue: Clue, what: str) -> Thread:
    if what in (TEXT, JOIN):
        return Thread(
            old.number,
            old.bag.plus(clue.words),
            clue.alone,
            clue.index,
            clue.open,
            old.titled,
            clue.index,
            old.size + (what == TEXT),
            old.sections,
        )
    return Thread(
        old.number,
        old.bag.plus(clue.words, 2),
        old.recent,
        old.last,
        old.open,
        old.titled or what in (ATTACH, MORE),
        clue.index,
        old.size,
        (*old.sections[-_HEADS + 1 :], Form(clue.size, clue.pieces, clue.numbered))
        if what == SECTION
        else old.sections,
    )


def _pruned(threads: tuple[Thread, ...], index: int) -> tuple[Thread, ...]:
    """Drop what has not been touched for long, so that work grows no faster than the page."""
    kept = tuple(thread for thread in threads if index - thread.seen < _WINDOW)
    return kept[-_MOST + 1 :]
