"""PDF -> source text: lines put in reading order, column by column."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hanspan.errors import HanspanError
from hanspan.pages.source import Source


@dataclass(frozen=True, slots=True)
class _Box:
    """A line of text and where it stands, in points from the top left corner."""

    left: float
    top: float
    right: float
    bottom: float
    text: str

    @property
    def height(self) -> float:
        return self.bottom - self.top


def read_pdf(name: str, data: bytes) -> Source:
    """Text of a PDF with a text layer; pages are set apart by a form feed.

    Raises:
        HanspanError: when pypdfium2 is missing, or the file is encrypted, damaged or scanned.
    """
    try:
        import pypdfium2
    except ImportError as err:
        raise HanspanError(
            f"{name}: PDF needs pypdfium2; type: pip install 'hanspan[pages]'"
        ) from err
    try:
        with pypdfium2.PdfDocument(data) as document:
            pages = [_boxes(page) for page in document]
    except pypdfium2.PdfiumError as err:
        what = "an encrypted PDF" if "assword" in str(err) else "no PDF that can be read"
        raise HanspanError(f"{name}: {what} ({err}); expected an open PDF with text") from err
    if not any(pages):
        raise HanspanError(
            f"{name}: a PDF without a text layer, such as a scan; run text recognition first"
        )
    return Source(name, "\f".join(map(_page_text, pages)), "pdf")


def _boxes(page: object) -> list[_Box]:
    """Runs of characters of one page that stand side by side.

    Each character counts with the height of its font and not of its ink: in a file that places
    every character by itself (as browsers print) a comma would else be a line of its own.
    """
    from pypdfium2.raw import FPDFText_IsGenerated

    text_page = page.get_textpage()  # type: ignore[attr-defined]
    height = page.get_height()  # type: ignore[attr-defined]
    boxes: list[_Box] = []
    spaced = written = False
    for place in range(text_page.count_chars()):
        char = text_page.get_text_range(place, 1)
        if not char or char.isspace():
            # PDFium puts blanks of its own into wide gaps, those between columns too
            spaced = True
            written = written or (bool(char) and FPDFText_IsGenerated(text_page, place) != 1)
            continue
        left, bottom, right, top = text_page.get_charbox(place, loose=True)
        # some fonts have no heights; a Chinese letter is about as high as it is wide
        tall = max(top - bottom, 0.7 * (right - left))
        box = _Box(left, height - bottom - tall, right, height - bottom, char)
        joined = _beside(boxes[-1], box, spaced, written) if boxes else None
        if joined is None:
            boxes.append(box)
        else:
            boxes[-1] = joined
        spaced = written = False
    text_page.close()
    return boxes


def _beside(last: _Box, box: _Box, spaced: bool = False, written: bool = False) -> _Box | None:
    """Two boxes as one where they stand on one line with little white between, or nothing.

    Args:
        last: the one on the left.
        box: the one on the right.
        spaced: whether a blank stands between them.
        written: whether the file has it, and PDFium did not put it there.
    """
    level = abs((last.top + last.bottom) - (box.top + box.bottom)) < box.height
    widest = (1.6 if written else 0.8) * box.height
    if not level or not -0.5 * box.height <= box.left - last.right < widest:
        return None
    wide = box.left - last.right > 0.2 * box.height
    letters = last.text[-1].isascii() and box.text[0].isascii()
    space = " " if wide and (spaced or letters) else ""
    return _Box(
        last.left,
        min(last.top, box.top),
        max(last.right, box.right),
        max(last.bottom, box.bottom),
        last.text + space + box.text,
    )


def _page_text(boxes: list[_Box]) -> str:
    """Cut the page at its widest white strips, across and down, and write the pieces in order."""
    lines: list[str] = []
    for group in _cut(_rows(boxes)):
        lines.extend(_paragraphs(group))
        lines.append("")
    return "\n".join(lines)


def _rows(boxes: list[_Box]) -> list[_Box]:
    """Put pieces of one printed line together where little white is between them."""
    rows: list[_Box] = []
    for box in sorted(boxes, key=lambda b: (round(b.top + b.height / 2), b.left)):
        joined = _beside(rows[-1], box) if rows else None
        if joined is not None:
            rows[-1] = joined
            continue
        rows.append(box)
    return rows


def _gap(spans: list[tuple[float, float]]) -> tuple[float, float]:
    """Width and middle of the widest strip that no span touches."""
    best, middle, reach = 0.0, 0.0, None
    for start, end in sorted(spans):
        if reach is not None and start - reach > best:
            best, middle = start - reach, (start + reach) / 2
        reach = end if reach is None else max(reach, end)
    return best, middle


def _cut(boxes: list[_Box], depth: int = 0) -> list[list[_Box]]:
    """Recursive X-Y cut (Nagy and Seth, 1984) down to columns.

    White between columns is cut first; white across the page only where columns come of it.
    """
    whole = [sorted(boxes, key=lambda box: (box.top, box.left))] if boxes else []
    if len(boxes) < 2 or depth > 16:
        return whole
    size = sorted(box.height for box in boxes)[len(boxes) // 2]
    across, middle = _gap([(box.left, box.right) for box in boxes])
    if across > 0.8 * size:
        first = [box for box in boxes if box.right <= middle]
        second = [box for box in boxes if box.right > middle]
        return _cut(first, depth + 1) + _cut(second, depth + 1)
    down, middle = _gap([(box.top, box.bottom) for box in boxes])
    if down <= 0:
        return whole
    upper = _cut([box for box in boxes if box.bottom <= middle], depth + 1)
    lower = _cut([box for box in boxes if box.bottom > middle], depth + 1)
    return whole if len(upper) == len(lower) == 1 else upper + lower


def _paragraphs(boxes: list[_Box]) -> list[str]:
    """Lines of one column -> paragraphs: a new one is indented, apart, or follows a short line."""
    left = min(box.left for box in boxes)
    right = max(box.right for box in boxes)
    steps = sorted(after.top - before.top for before, after in itertools.pairwise(boxes))
    leading = steps[len(steps) // 2] if steps else 0.0
    out: list[str] = []
    previous: _Box | None = None
    for box in boxes:
        size = max(box.height, 0.5 * leading)
        fresh = (
            previous is None
            or box.left - left > 1.2 * size
            or right - previous.right > 1.6 * size
            or abs(previous.height - box.height) > 0.25 * size
            or box.top - previous.top > 1.6 * leading
        )
        if fresh:
            out.append(box.text)
        else:
            space = " " if out[-1][-1].isascii() and box.text[0].isascii() else ""
            out[-1] += space + box.text
        previous = box
    return out
