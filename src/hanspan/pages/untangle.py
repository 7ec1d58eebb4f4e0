"""Which block belongs to which article: a beam search over the moves of :mod:`moves`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hanspan.pages import blocks as kinds
from hanspan.pages import glue
from hanspan.pages import page as roles
from hanspan.pages.blocks import Block
from hanspan.pages.borders import Gains, evidence
from hanspan.pages.clues import Clue, gather
from hanspan.pages.moves import Features, Memo, rated, score, weights
from hanspan.pages.page import NOBODY, Join, Layout
from hanspan.pages.threads import (
    ATTACH,
    BANNER,
    HEAD,
    JOIN,
    MORE,
    NEW,
    SECTION,
    Move,
    State,
    step,
)
from hanspan.pages.words import Bag

BEAM = 48
_PRUNE = 10.0
_FORGET = 200
_FEW = 8
"""A page with more articles is not tried as one."""
_ROLES = {
    HEAD: roles.HEADLINE,
    ATTACH: roles.HEADLINE,
    MORE: roles.HEADLINE,
    SECTION: roles.SECTION,
    BANNER: roles.BANNER,
}


@dataclass(frozen=True, slots=True)
class _Trail:
    """The last move of a way to read the page, and those before it."""

    move: Move
    before: _Trail | None


@dataclass(frozen=True, slots=True)
class _Path:
    """A way to read the page so far; where it stood before is not kept, only what was done."""

    score: float
    state: State
    trail: _Trail | None


def search(
    clues: Sequence[Clue],
    order: Sequence[int],
    weight: Mapping[str, float],
    beam: int = BEAM,
    trace: list[tuple[float, list[Move]]] | None = None,
    one: bool = False,
) -> tuple[float, list[Move]]:
    """The best moves for the blocks ``order``, one after the other, and their score.

    Args:
        clues: of all blocks.
        order: indices of those that have to be placed.
        weight: of the features.
        beam: how many readings are kept.
        trace: where given, it gets score and moves of the best reading after each block.
        one: read the page as one article.
    """
    paths = [_Path(0.0, State(), None)]
    for place, index in enumerate(order):
        clue = clues[index]
        if place >= _FORGET:
            clues[order[place - _FORGET]].forget()
        grown: list[tuple[float, Move, _Path]] = []
        memo: Memo = {}
        for path in paths:
            for move, value in rated(path.state, clue, clues, weight, memo):
                if one and path.state.threads and move.what in (HEAD, NEW):
                    continue
                grown.append((path.score + value, move, path))
        grown.sort(key=lambda item: -item[0])
        best = grown[0][0]
        paths = []
        seen: set[tuple[int, ...]] = set()
        for total, move, path in grown[: beam * 2]:
            if total < best - _PRUNE or len(paths) == beam:
                break
            state = step(path.state, clue, move)
            same = _signature(state)
            if same not in seen:
                seen.add(same)
                paths.append(_Path(total, state, _Trail(move, path.trail)))
        if trace is not None:
            trace.append((paths[0].score, _moves_of(paths[0].trail)))
    ended = [(path.score + score(endings(path.state), weight), path) for path in paths]
    total, last = max(ended, key=lambda pair: pair[0])
    return total, _moves_of(last.trail)


def read(clues: Sequence[Clue], order: Sequence[int], weight: Mapping[str, float]) -> list[Move]:
    """The best moves for a page.

    Where they give a few articles, the page may as well be one article with section heads: it is,
    if that scores nearly as high, the articles share their words and none of them comes back.
    """
    several, moves = search(clues, order, weight)
    if not 1 < sum(move.what in (HEAD, NEW) for move in moves) <= _FEW:
        return moves
    one, alone = search(clues, order, weight, one=True)
    for_one = {"one:bias": 1.0, **_like_one(clues, order, moves)}
    return alone if one + score(for_one, weight) >= several else moves


def _like_one(clues: Sequence[Clue], order: Sequence[int], moves: Sequence[Move]) -> Features:
    """What else tells one article with section heads from several.

    ``words in common`` is how well the text of each article fits the others', a mean; ``comes
    back`` how often the reading goes back to an article that it had left.
    """
    owned: dict[int, list[Clue]] = {}
    state, back = State(), 0
    for index, move in zip(order, moves, strict=True):
        before, state = state.current, step(state, clues[index], move)
        if move.what != BANNER:
            back += state.current != before and state.current in owned
            owned.setdefault(state.current, []).append(clues[index])
    means = []
    for name, mine in owned.items():
        rest = Bag()
        for other, theirs in owned.items():
            for clue in theirs if other != name else ():
                rest = rest.plus(clue.words)
        fits = [rest.fit(clue.words) for clue in mine if clue.kind == kinds.BODY]
        means += [sum(fits) / len(fits)] if fits else []
    common = sum(means) / len(means) if means else 0.0
    return {"one:words in common": common, "one:comes back": float(back)}


def _moves_of(trail: _Trail | None) -> list[Move]:
    found: list[Move] = []
    while trail is not None:
        found.append(trail.move)
        trail = trail.before
    return found[::-1]


def _signature(state: State) -> tuple[int, ...]:
    """Two paths with the same one differ only far back: the better one stands for both."""
    flat = [state.current, state.due, int(state.heading), int(state.banner)]
    for thread in state.threads:
        flat += [thread.number, thread.last, int(thread.titled), thread.seen, thread.size]
    return tuple(flat)


def endings(state: State) -> Features:
    """What is wrong with a page that ends here: cut articles, headless and empty ones."""
    wrong = {"end:cut": 0.0, "end:headless": 0.0, "end:empty": 0.0}
    for thread in state.threads:
        wrong["end:cut"] += thread.open
        wrong["end:headless"] += not thread.titled and state.count > 1
        wrong["end:empty"] += not thread.size
    return wrong


def lay_out(
    blocks: Sequence[Block],
    weight: Mapping[str, float] | None = None,
    gains: Gains | None = None,
) -> Layout:
    """Give every block a role and an owner.

    Args:
        blocks: of one page, in reading order.
        weight: of the features; those that ship when not given.
        gains: asked how well the ends fit that could be joined; the statistics alone when not
            given.
    """
    weight = weights() if weight is None else weight
    clues = gather(blocks)
    if gains is not None:
        clues = gather(blocks, evidence(blocks, clues, gains))
    order = [b.index for b in blocks if b.kind in (kinds.BODY, kinds.TITLE)]
    owners, role = [NOBODY] * len(blocks), [roles.FURNITURE] * len(blocks)
    doubts = [0.0] * len(blocks)
    joins: list[Join] = []
    state = State()
    for index, move in zip(order, read(clues, order, weight), strict=True):
        clue = clues[index]
        stood = dict(rated(state, clue, clues, weight))
        doubts[index] = 1.0 - _certainty(stood, move)
        role[index] = _ROLES.get(move.what, roles.PARAGRAPH)
        cut = state.thread(move.number) if move.what == JOIN else None
        if cut is not None:
            how = glue.standing(stood, move.number)
            likely = glue.probability(clues[cut.last], clue, cut, how, weight)
            if likely >= glue.KEPT:
                joins.append(Join(cut.last, index, round(likely, 4)))
        state = step(state, clue, move)
        if move.what != BANNER:
            owners[index] = state.current
    if len({*owners} - {NOBODY}) == 1:
        _take_banner(owners, role)
    _settle(blocks, clues, owners, role)
    _name_titles(blocks, clues, owners, role)
    return Layout(tuple(role), tuple(owners), tuple(joins), tuple(doubts))


def _take_banner(owners: list[int], role: list[str]) -> None:
    """On a page of one article a banner right above its headline is a line of that headline."""
    place = role.index(roles.HEADLINE) if roles.HEADLINE in role else 0
    while place and role[place - 1] == roles.BANNER:
        place -= 1
        role[place], owners[place] = roles.HEADLINE, owners[place + 1]


def _certainty(stood: Mapping[Move, float], move: Move) -> float:
    """Probability of a move among those that stood open."""
    top = max(stood.values())
    return math.exp(stood[move] - top) / sum(math.exp(value - top) for value in stood.values())


def _settle(
    blocks: Sequence[Block], clues: Sequence[Clue], owners: list[int], role: list[str]
) -> None:
    """Owners of decks, bylines and captions: by their neighbours, captions also by their words."""
    bags: dict[int, Bag] = {}
    for clue in clues:
        if owners[clue.index] != NOBODY:
            bags[owners[clue.index]] = bags.get(owners[clue.index], Bag()).plus(clue.words)
    current = NOBODY
    first = next((owner for owner in owners if owner != NOBODY), NOBODY)
    for block in blocks:
        index = block.index
        if block.kind in (kinds.BODY, kinds.TITLE):
            if owners[index] != NOBODY:
                current = owners[index]
        elif block.kind in (kinds.DECK, kinds.BYLINE):
            owners[index] = first if current == NOBODY else current
            role[index] = roles.SUBTITLE if block.kind == kinds.DECK else roles.BYLINE
        elif block.kind == kinds.CAPTION:
            role[index] = roles.CAPTION
            near = {first if current == NOBODY else current: 0.4}
            for later in range(index + 1, len(blocks)):
                if owners[later] != NOBODY:
                    near.setdefault(owners[later], 0.2)
                    break
            fits = {
                owner: bags[owner].fit(clues[index].words) + near.get(owner, 0.0)
                for owner in sorted({*owners[max(0, index - 60) : index + 60], *near})
                if owner in bags
            }
            owners[index] = max(fits, key=lambda owner: fits[owner], default=NOBODY)


def _name_titles(
    blocks: Sequence[Block], clues: Sequence[Clue], owners: list[int], role: list[str]
) -> None:
    """Of the lines above an article: which is kicker, headline, subtitle."""
    place = 0
    while place < len(blocks):
        if role[place] != roles.HEADLINE:
            place += 1
            continue
        end = place
        while end < len(blocks) and role[end] == roles.HEADLINE and owners[end] == owners[place]:
            end += 1
        group = list(range(place, end))
        if len(group) > 1:
            main = max(group, key=lambda i: (clues[i].title - 0.05 * clues[i].size, -i))
            for index in group:
                if index < main:
                    role[index] = roles.KICKER if clues[main].blank else roles.HEADLINE
                elif index > main:
                    role[index] = roles.SUBTITLE if clues[index].blank else roles.HEADLINE
        place = end
