"""What can be done with the next block of a page, and the evidence for and against each.

A page is read from top to bottom. At any time some articles are under way; the next block goes
on with one of them, begins one, heads one, or belongs to none. Each such move has named
features; their weights stand in one place, ``assets/pages/weights.json``.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources

from hanspan.pages import blocks as kinds
from hanspan.pages import ngrams
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

Features = dict[str, float]


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
    """

    number: int
    bag: Bag
    recent: Bag
    last: int
    open: bool
    titled: bool
    seen: int
    size: int
    steps: dict[tuple[str, int], Thread] = field(default_factory=dict)

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
    """

    threads: tuple[Thread, ...] = ()
    count: int = 0
    current: int = NOBODY
    due: int = NOBODY
    heading: bool = False

    def thread(self, number: int) -> Thread | None:
        """The thread of that number, if it is still under way."""
        return next((thread for thread in self.threads if thread.number == number), None)


@dataclass(frozen=True, slots=True)
class Move:
    """One thing to do with a block: what, and for which article."""

    what: str
    number: int = NOBODY


@functools.cache
def weights() -> Mapping[str, float]:
    """The weights of the features, as fitted by ``scripts/fit_pages.py``."""
    path = resources.files("hanspan") / "assets" / "pages" / "weights.json"
    loaded: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _title_features(clue: Clue, state: State, clues: Sequence[Clue], sort: str) -> Features:
    """What a title shows by itself; ``sort`` tells headlines, section heads and banners apart."""
    found = {
        f"{sort}:bias": 1.0,
        f"{sort}:title": max(-6.0, min(6.0, clue.title)),
    }
    if clue.size <= 7:
        found[f"{sort}:short"] = 1.0
    elif clue.size <= 11:
        found[f"{sort}:middling"] = 1.0
    elif clue.size > 30:
        found[f"{sort}:long"] = 1.0
    if clue.anchored:
        found[f"{sort}:anchored"] = 1.0
    else:
        found[f"{sort}:others anchored"] = math.log1p(clue.anchors)
        found[f"{sort}:others loose"] = math.log1p(clue.loose)
    if clue.comma:
        found[f"{sort}:comma"] = 1.0
    found[f"{sort}:goes on"] = max(-6.0, min(6.0, clue.goes_on))
    if clue.later:
        found[f"{sort}:goes on later"] = max(-2.0, min(8.0, clue.later[-1][1]))
    if clue.title_follows is not None:
        found[f"{sort}:title follows"] = max(0.0, min(6.0, clue.title_follows))
    if clue.text >= 0:
        following = clues[clue.text]
        found[f"{sort}:next starts"] = max(-5.0, min(5.0, following.start))
        if following.dateline:
            found[f"{sort}:next dateline"] = 1.0
    else:
        found[f"{sort}:last"] = 1.0
    return found


def _text_features(clue: Clue, thread: Thread, state: State, clues: Sequence[Clue]) -> Features:
    found: Features = {}
    fit = thread.fit(clue)
    if thread.size:
        found["text:fit"] = fit
    else:
        found["text:fit to title"] = fit
        found["text:first"] = 1.0
    if thread.size > 1:
        found["text:fit to last"] = thread.recent.fit(clue.words)
    current = state.thread(state.current)
    if thread.number != state.current:
        found["text:gap"] = math.log1p(clue.index - thread.seen)
        cut = current is not None and current.open
        found["text:leave a cut" if cut else "text:leave an end"] = 1.0
    if state.due not in (NOBODY, thread.number):
        found["text:not the one due"] = 1.0
    if clue.kind == kinds.TITLE:
        found["text:title"] = max(-6.0, min(6.0, clue.title))
        found["text:could be title"] = 1.0
        if not clue.open:
            found["text:ends like a text"] = 1.0
        if clue.anchored:
            found["text:anchored"] = 1.0
    if clue.dateline and thread.size:
        found["text:late dateline"] = 1.0
    return found


def _join_features(clue: Clue, thread: Thread, clues: Sequence[Clue]) -> Features:
    cut = clues[thread.last]
    found = {
        "join:bias": 1.0,
        "join:starts": max(-5.0, min(5.0, clue.start)),
    }
    odds = ngrams.join_odds(cut.tail, clue.head)
    rival = next((better for index, better in reversed(cut.later) if index > clue.index), -9.0)
    found["join:better later"] = max(-4.0, min(6.0, rival - (odds - clue.start)))
    fits = max(-8.0, min(8.0, odds))
    if cut.ending == "comma":
        found["join:after comma"] = 1.0
        found["join:fits after comma"] = fits
    else:
        found["join:fits"] = fits
    if cut.opened and clue.closed:
        found["join:closes"] = float(cut.opened[-1] == clue.closed[0])
    elif clue.closed:
        found["join:closes nothing"] = 1.0
    if clue.misfit:
        found["join:must"] = 1.0
    if clue.index == thread.last + 1:
        found["join:neighbours"] = 1.0
    if clue.dateline:
        found["join:dateline"] = 1.0
    return found


def _start_features(clue: Clue, thread: Thread | None) -> Features:
    found = {"start:starts": max(-5.0, min(5.0, clue.start))}
    if clue.misfit:
        found["start:misfit"] = 1.0
    if clue.closed:
        found["start:closes nothing"] = 1.0
    if thread is not None and thread.open:
        found["start:leaves it cut"] = 1.0
    return found


def moves(state: State, clue: Clue, clues: Sequence[Clue]) -> Iterator[tuple[Move, Features]]:
    """Every move that the next block allows, with its features."""
    for thread in state.threads:
        common = _text_features(clue, thread, state, clues)
        if thread.open:
            yield Move(JOIN, thread.number), {**common, **_join_features(clue, thread, clues)}
        yield Move(TEXT, thread.number), {**common, **_start_features(clue, thread)}
    best = max((thread.fit(clue) for thread in state.threads), default=0.0)
    current = state.thread(state.current)
    fresh: Features = {"new:bias": 1.0, "new:fit of the best": best, **_start_features(clue, None)}
    if not state.threads:
        fresh["new:nothing yet"] = 1.0
    if state.due != NOBODY:
        fresh["new:another is due"] = 1.0
    if current is not None and current.open:
        fresh["new:leave a cut"] = 1.0
    if clue.dateline:
        fresh["new:dateline"] = 1.0
    if clue.kind == kinds.TITLE:
        fresh["text:title"] = max(-6.0, min(6.0, clue.title))
        fresh["text:could be title"] = 1.0
    yield Move(NEW), fresh
    if clue.kind == kinds.TITLE:
        yield from _title_moves(state, clue, clues)


def _title_moves(
    state: State, clue: Clue, clues: Sequence[Clue]
) -> Iterator[tuple[Move, Features]]:
    current = state.thread(state.current)
    following = clues[clue.text] if clue.text >= 0 else None
    head = _title_features(clue, state, clues, "head")
    if following and state.threads:
        head["head:next fits the best"] = max(thread.fit(following) for thread in state.threads)
    if following and current is not None:
        head["head:next fits the current"] = current.fit(following)
    if state.threads:
        head["head:fits the best"] = max(thread.fit(clue) for thread in state.threads)
    if current is not None and current.size:
        head["head:fits the current"] = current.fit(clue)
        if current.open:
            head["head:leave a cut"] = 1.0
    if not state.threads:
        head["head:nothing yet"] = 1.0
    if state.heading:
        head["head:after a title"] = 1.0
    elif state.due != NOBODY:
        head["head:another is due"] = 1.0
    yield Move(HEAD), head
    for thread in state.threads:
        if not thread.titled:
            found = _title_features(clue, state, clues, "attach")
            found["attach:fit"] = thread.fit(clue)
            found["attach:size"] = math.log1p(thread.size)
            if following:
                found["attach:next fits"] = thread.fit(following)
            yield Move(ATTACH, thread.number), found
        if thread.size:
            found = _title_features(clue, state, clues, "section")
            if following:
                found["section:next fits"] = thread.fit(following)
            found["section:fit"] = thread.fit(clue)
            if thread.open:
                found["section:cut"] = 1.0
            if thread.number != state.current:
                found["section:gap"] = math.log1p(clue.index - thread.seen)
                found["section:elsewhere"] = 1.0
            if state.due != NOBODY:
                found["section:another is due"] = 1.0
            yield Move(SECTION, thread.number), found
    if state.heading:
        found = _title_features(clue, state, clues, "more")
        if not clue.blank:
            found["more:same stanza"] = 1.0
        found["more:before it"] = float(clues[clue.index - 1].size) / 20
        yield Move(MORE, state.current), found
    found = _title_features(clue, state, clues, "banner")
    if not state.threads:
        found["banner:nothing yet"] = 1.0
    if state.heading:
        found["banner:after a title"] = 1.0
    if following:
        found["banner:next fits"] = clue.alone.fit(following.words)
    yield Move(BANNER), found


def step(state: State, clue: Clue, move: Move) -> State:
    """The state after a move."""
    if move.what == BANNER:
        return replace(state, heading=False)
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
    )


def _pruned(threads: tuple[Thread, ...], index: int) -> tuple[Thread, ...]:
    """Drop what has not been touched for long, so that work grows no faster than the page."""
    kept = tuple(thread for thread in threads if index - thread.seen < _WINDOW)
    return kept[-_MOST + 1 :]
