"""HTML -> source text: block elements become lines; menus and scripts are set apart."""

from __future__ import annotations

import re
from typing import Any

from hanspan.errors import HanspanError
from hanspan.pages.source import Source
from hanspan.text import decode

_SILENT = {"script", "style", "noscript", "template", "svg", "head", "iframe", "object"}
_MENUS = {"nav", "footer", "aside", "form", "button", "select", "menu"}
_LINES = {
    "p", "div", "section", "article", "main", "header", "h1", "h2", "h3", "h4", "h5", "h6", "li",
    "ul", "ol", "table", "tr", "blockquote", "figure", "figcaption", "dl", "dt", "dd", "pre", "hr",
    "address", "caption", "thead", "tbody", "body", "html", "center", *_MENUS,
}  # fmt: skip
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)


def _declared(data: bytes) -> str | None:
    """The codec that the page names, if Python knows it and the bytes agree."""
    match = _META.search(data[:4096])
    if match is None:
        return None
    name = match.group(1).decode("ascii").lower()
    name = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs"}.get(name, name)
    try:
        data.decode(name)
    except (LookupError, UnicodeDecodeError):
        return None
    return name


class _Writer:
    """Collects lines; what stands in a menu is remembered as skipped."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0
        self.skipped: list[tuple[int, int, str]] = []

    def put(self, text: str) -> None:
        self.parts.append(text)
        self.size += len(text)

    def line(self) -> None:
        if self.size and not self.parts[-1].endswith("\n"):
            self.put("\n")

    def walk(self, node: Any) -> None:
        for child in node.iter(include_text=True):
            name = child.tag
            if name == "-text":
                text = re.sub(r"[ \t\r\n\f]+", " ", child.text(deep=False) or "")
                at_line_start = not self.size or self.parts[-1].endswith("\n")
                text = text.lstrip(" ") if at_line_start else text
                if text:
                    self.put(text)
                continue
            if name in _SILENT or name.startswith(("_", "-", "!")):
                continue
            if name == "br":
                self.line()
                continue
            begins = self.size
            if name in _LINES:
                self.line()
                begins = self.size
            self.walk(child)
            if name in _LINES:
                self.line()
            reason = _skip(child, name)
            if reason and self.size > begins:
                self.skipped = [skip for skip in self.skipped if skip[0] < begins]
                self.skipped.append((begins, self.size, reason))


def _skip(node: Any, name: str) -> str:
    """Why the text of an element is no part of an article, or nothing."""
    if name in _MENUS:
        return "menu"
    if name in ("ul", "ol", "div", "table", "p", "section", "header"):
        text = node.text(deep=True) or ""
        size = len(re.sub(r"\s+", "", text))
        if 0 < size < 2000:
            links = sum(len(re.sub(r"\s+", "", a.text() or "")) for a in node.css("a"))
            if links > 0.6 * size and (size > 2) and "。" not in text:
                return "links"
    return ""


def read_html(name: str, data: bytes, encoding: str | None = None) -> Source:
    """Text of an HTML page, a line for each block element.

    Raises:
        HanspanError: when selectolax is missing, or the page has no text at all.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as err:
        raise HanspanError(
            f"{name}: HTML needs selectolax; type: pip install 'hanspan[pages]'"
        ) from err
    decoded = decode(data, encoding or _declared(data))
    root = LexborHTMLParser(decoded.text)
    writer = _Writer()
    if root.body is not None:
        writer.walk(root.body)
    text = "".join(writer.parts)
    if not text.strip():
        raise HanspanError(f"{name}: an HTML page without text; expected paragraphs")
    return Source(name, text, decoded.encoding, decoded.broken, tuple(writer.skipped))
