"""Which block belongs to which article."""

from __future__ import annotations

from hanspan.pages import blocks as kinds
from hanspan.pages import page as roles
from hanspan.pages.blocks import Block
from hanspan.pages.page import NOBODY, Layout


def _grams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1) if text[i : i + 2].isalnum()}


def lay_out(blocks: tuple[Block, ...]) -> Layout:
    """Articles one after the other; a title without byline opens one if its words are new."""
    owners, role = [NOBODY] * len(blocks), [""] * len(blocks)
    current, bag = NOBODY, set[str]()
    for i, block in enumerate(blocks):
        after = blocks[i + 1].kind if i + 1 < len(blocks) else ""
        if block.kind == kinds.FURNITURE:
            role[i] = roles.FURNITURE
            continue
        if block.kind == kinds.TITLE:
            nearby = [b for b in blocks[i + 1 : i + 4] if b.kind == kinds.BODY]
            words = _grams(block.text + "".join(b.text for b in nearby))
            known = len(words & bag) / max(1, len(words))
            anchored = after in (kinds.BYLINE, kinds.DECK)
            if current == NOBODY and after == kinds.TITLE and i < 3:
                role[i] = roles.BANNER
                continue
            if current == NOBODY or anchored or (known < 0.1 and len(block.text) > 8):
                current, bag = current + 1, set()
                role[i] = roles.HEADLINE
            else:
                role[i] = roles.SECTION if "，" not in block.text else roles.PARAGRAPH
        elif current == NOBODY:
            current = 0
        role[i] = (
            role[i]
            or {
                kinds.BODY: roles.PARAGRAPH,
                kinds.DECK: roles.SUBTITLE,
                kinds.BYLINE: roles.BYLINE,
                kinds.CAPTION: roles.CAPTION,
            }[block.kind]
        )
        owners[i] = current
        bag |= _grams(block.text)
    return Layout(tuple(role), tuple(owners))
