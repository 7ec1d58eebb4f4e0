"""The text of a page, before anything is known of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one page.

    Attributes:
        name: where it comes from.
        text: decoded; all ranges count in it.
        encoding: codec, or the sort of file that it was taken out of.
        broken: characters that could not be decoded.
        skipped: ranges that are no part of the page's text, such as menus, with their reason.
    """

    name: str
    text: str
    encoding: str
    broken: int = 0
    skipped: tuple[tuple[int, int, str], ...] = ()
