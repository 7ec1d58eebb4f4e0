"""What can be done with the next block of a page, and the evidence for and against each.

A page is read from top to bottom. At any time some articles are under way; the next block goes
on with one of them, begins one, heads one, or belongs to none. Each such move has named
features; their weights stand in one place, ``assets/pages/weights.json``.
"""

from __future__ import annotations

import functools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources

from hanspan.pages import blocks as kinds
from hanspan.pages.clues import Clue
from hanspan.pages.threads import (
    ATTACH,
    BANNER,
    HEAD,
    JOIN,
    MORE,
    NEW,
    NOBODY,
    SECTION,
    TEXT,
    Move,
    State,
    Thread,
)

Features = dict[str, float]


@functools.cache
def weights() -> Mapping[str, float]:
    """The weights of the features, as fitted by ``scripts/fit_page_weights.py``."""
    path = resources.files("hanspan") / "assets" / "pages" / "weights.json"
    loaded: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def score(features: Features, weight: Mapping[str, float]) -> float:
    """Sum of the features, each times its weight; an unknown one counts nothing."""
    total, get = 0.0, weight.get
    for name, value in features.items():
        total += get(name, 0.0) * value
    return total


def _title_features(clue: Clue, state: State, clues: Sequence[Clue], sort: str) -> Features:
    """What a title shows by itself; ``sort`` tells headlines, section heads and banners apart."""
    shown = clue.memo.get(sort)
    if shown is None:
        shown = clue.memo[sort] = _title_shows(clue, clues, sort)
    found = dict(shown)
    if state.banner:
        found[f"{sort}:after a banner"] = 1.0
        if not clue.blank:
            found[f"{sort}:in one stanza with a banner"] = 1.0
    return found


def _title_shows(clue: Clue, clues: Sequence[Clue], sort: str) -> Features:
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
    if clue.anchored_later:
        found[f"{sort}:anchored later"] = 1.0
    if clue.signed:
        found[f"{sort}:after a byline"] = 1.0
    if clue.like_a_cut:
        found[f"{sort}:like a cut"] = 1.0
    if clue.comma:
        found[f"{sort}:comma"] = 1.0
    if clue.numbered:
        found[f"{sort}:numbered"] = 1.0
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


def _text_features(clue: Clue, thread: Thread) -> Features:
    """What speaks for a block's being text of an article, wherever the reading stands."""
    found: Features = {}
    fit = thread.fit(clue)
    if thread.size:
        found["text:fit"] = fit
    else:
        found["text:fit to title"] = fit
        found["text:first"] = 1.0
    if thread.size > 1:
        found["text:fit to last"] = thread.recent.fit(clue.words)
    if clue.kind == kinds.TITLE:
        found["text:title"] = max(-6.0, min(6.0, clue.title))
        found["text:could be title"] = 1.0
        if not clue.open:
            found["text:ends like a text"] = 1.0
        if clue.anchored:
            found["text:anchored"] = 1.0
    if clue.dateline and thread.size:
        found["text:late dateline"] = 1.0
    if clue.signed and clue.kind == kinds.TITLE:
        found["text:after a byline"] = 1.0
    if clue.kind == kinds.TITLE and clue.like_a_cut:
        found["text:like a cut"] = 1.0
    return found


def _place_features(clue: Clue, thread: Thread, state: State, current: Thread | None) -> Features:
    """What speaks for the article because of where the reading stands."""
    found: Features = {}
    if thread.number != state.current:
        found["text:gap"] = math.log1p(clue.index - thread.seen)
        cut = current is not None and current.open
        found["text:leave a cut" if cut else "text:leave an end"] = 1.0
    if state.due not in (NOBODY, thread.number):
        found["text:not the one due"] = 1.0
    return found


def _join_features(clue: Clue, thread: Thread, clues: Sequence[Clue]) -> Features:
    cut = clues[thread.last]
    found = {
        "join:bias": 1.0,
        "join:starts": max(-5.0, min(5.0, clue.start)),
    }
    odds = cut.odds(clue)
    rival = cut.best_after(clue.index)
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
    current = state.thread(state.current)
    for thread in state.threads:
        place = _place_features(clue, thread, state, current)
        text = _text_features(clue, thread)
        if thread.open:
            yield (
                Move(JOIN, thread.number),
                {**place, **text, **_join_features(clue, thread, clues)},
            )
        yield Move(TEXT, thread.number), {**place, **text, **_start_features(clue, thread)}
    for move, _, shared, own in _other_moves(state, clue, clues, current):
        yield move, {**shared(), **own}


Memo = dict[tuple[object, ...], float]
_Option = tuple[Move, tuple[object, ...], Callable[[], Features], Features]
"""A move, a name for the features that many readings share, those, and those of this one."""


def rated(
    state: State,
    clue: Clue,
    clues: Sequence[Clue],
    weight: Mapping[str, float],
    memo: Memo | None = None,
) -> Iterator[tuple[Move, float]]:
    """The moves of :func:`moves` with their scores.

    Threads remember what does not change, and ``memo`` (one a block) what readings share.
    """
    memo = {} if memo is None else memo
    current = state.thread(state.current)
    cut = current is not None and current.open
    for thread in state.threads:
        known = thread.rates.get(clue.index)
        if known is None:
            text = score(_text_features(clue, thread), weight)
            start = text + score(_start_features(clue, thread), weight)
            join = None
            if thread.open:
                join = text + score(_join_features(clue, thread, clues), weight)
            known = thread.rates[clue.index] = (start, join)
        due = state.due not in (NOBODY, thread.number)
        at: tuple[object, ...] = (-1 if thread is current else thread.seen, cut, due)
        place = memo.get(at)
        if place is None:
            place = memo[at] = score(_place_features(clue, thread, state, current), weight)
        if known[1] is not None:
            yield Move(JOIN, thread.number), place + known[1]
        yield Move(TEXT, thread.number), place + known[0]
    for move, key, shared, own in _other_moves(state, clue, clues, current):
        value = memo.get(key)
        if value is None:
            value = memo[key] = score(shared(), weight)
        yield move, value + score(own, weight)


def _other_moves(
    state: State, clue: Clue, clues: Sequence[Clue], current: Thread | None
) -> Iterator[_Option]:
    best = max([thread.fit(clue) for thread in state.threads], default=0.0)
    due, cut = state.due != NOBODY, current is not None and current.open

    def fresh() -> Features:
        found: Features = {"new:bias": 1.0, **_start_features(clue, None)}
        if not state.threads:
            found["new:nothing yet"] = 1.0
        if due:
            found["new:another is due"] = 1.0
        if cut:
            found["new:leave a cut"] = 1.0
        if clue.dateline:
            found["new:dateline"] = 1.0
        if clue.kind == kinds.TITLE:
            found["text:title"] = max(-6.0, min(6.0, clue.title))
            found["text:could be title"] = 1.0
            if clue.like_a_cut:
                found["text:like a cut"] = 1.0
        return found

    yield Move(NEW), (NEW, not state.threads, due, cut), fresh, {"new:fit of the best": best}
    if clue.kind == kinds.TITLE:
        yield _head(state, clue, clues, current, best)
        for thread in state.threads:
            if not thread.titled:
                yield _attach(state, clue, clues, thread)
            if thread.size:
                yield _section(state, clue, clues, thread)
        if state.heading:
            yield _more(state, clue, clues)
        yield _banner(state, clue, clues)


def _head(
    state: State, clue: Clue, clues: Sequence[Clue], current: Thread | None, best: float
) -> _Option:
    own: Features = {}
    if state.threads:
        own["head:fits the best"] = best
        if clue.text >= 0:
            following = clues[clue.text]
            own["head:next fits the best"] = max([t.fit(following) for t in state.threads])
            if current is not None:
                own["head:next fits the current"] = current.fit(following)
    if current is not None and current.size:
        own["head:fits the current"] = current.fit(clue)
        if current.open:
            own["head:leave a cut"] = 1.0

    def shared() -> Features:
        found = _title_features(clue, state, clues, "head")
        if not state.threads:
            found["head:nothing yet"] = 1.0
        if state.heading:
            found["head:after a title"] = 1.0
        elif state.due != NOBODY:
            found["head:another is due"] = 1.0
        return found

    key = (HEAD, state.banner, not state.threads, state.heading, state.due != NOBODY)
    return Move(HEAD), key, shared, own


def _attach(state: State, clue: Clue, clues: Sequence[Clue], thread: Thread) -> _Option:
    def shared() -> Features:
        found = _title_features(clue, state, clues, "attach")
        found["attach:fit"] = thread.fit(clue)
        found["attach:size"] = math.log1p(thread.size)
        if clue.text >= 0:
            found["attach:next fits"] = thread.fit(clues[clue.text])
        return found

    return Move(ATTACH, thread.number), (ATTACH, thread, state.banner), shared, {}


def _section(state: State, clue: Clue, clues: Sequence[Clue], thread: Thread) -> _Option:
    def shared() -> Features:
        found = _title_features(clue, state, clues, "section")
        if clue.text >= 0:
            found["section:next fits"] = thread.fit(clues[clue.text])
        found["section:fit"] = thread.fit(clue)
        found["section:has others"] = float(min(2, len(thread.sections)))
        if thread.sections:
            found.update(_parallel(clue, thread, elsewhere=thread.number != state.current))
        if thread.open:
            found["section:cut"] = 1.0
        if thread.number != state.current:
            found["section:gap"] = math.log1p(clue.index - thread.seen)
            found["section:elsewhere"] = 1.0
        if state.due != NOBODY:
            found["section:another is due"] = 1.0
        return found

    here, due = thread.number == state.current, state.due != NOBODY
    key = (SECTION, thread, state.banner, here, due)
    return Move(SECTION, thread.number), key, shared, {}


def _parallel(clue: Clue, thread: Thread, elsewhere: bool) -> Features:
    """Section heads of one article are alike in form: in length, in pieces, in numbering."""
    found: defaultdict[str, float] = defaultdict(float)
    share = 1.0 / len(thread.sections)
    for other in thread.sections:
        found["section:length unlike"] += share * min(1.5, abs(math.log(clue.size / other.size)))
        if len(clue.pieces) != len(other.pieces):
            found["section:pieces unlike"] += share
        elif len(clue.pieces) > 1:
            found["section:pieces alike"] += share
            if clue.pieces[0] == other.pieces[0]:
                found["section:first pieces alike"] += share
            if elsewhere:
                found["section:pieces alike elsewhere"] += share
        if clue.numbered != other.numbered:
            found["section:numbering unlike"] += share
    return dict(found)


def _more(state: State, clue: Clue, clues: Sequence[Clue]) -> _Option:
    def shared() -> Features:
        found = _title_features(clue, state, clues, "more")
        if not clue.blank:
            found["more:same stanza"] = 1.0
        found["more:before it"] = float(clues[clue.index - 1].size) / 20
        return found

    return Move(MORE, state.current), (MORE, state.banner), shared, {}


def _banner(state: State, clue: Clue, clues: Sequence[Clue]) -> _Option:
    def shared() -> Features:
        found = _title_features(clue, state, clues, "banner")
        if not state.threads:
            found["banner:nothing yet"] = 1.0
        if state.heading:
            found["banner:after a title"] = 1.0
        if clue.text >= 0:
            found["banner:next fits"] = clue.alone.fit(clues[clue.text].words)
        return found

    return Move(BANNER), (BANNER, state.banner, not state.threads, state.heading), shared, {}
