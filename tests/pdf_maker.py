"""Writes small PDF files by hand: a page of placed lines of Chinese text, without a font file."""

from __future__ import annotations

from collections.abc import Sequence


def make_pdf(lines: Sequence[tuple[float, float, str]], size: float = 10) -> bytes:
    """A PDF of one page, 600 by 800 points.

    Args:
        lines: left edge, baseline from the top, and text of each.
        size: of the letters.

    The font is not embedded; its characters are numbered as they come, and a ToUnicode map says
    which they are.
    """
    letters = sorted({char for _, _, text in lines for char in text})
    code = {char: place + 1 for place, char in enumerate(letters)}
    shows = "\n".join(
        f"BT /F {size} Tf {left} {800 - top} Td <{''.join(f'{code[c]:04x}' for c in text)}> Tj ET"
        for left, top, text in lines
    ).encode()
    rows = "\n".join(f"<{code[char]:04x}> <{char.encode('utf-16-be').hex()}>" for char in letters)
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def "
        "1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        f"{len(letters)} beginbfchar\n{rows}\nendbfchar endcmap end end"
    ).encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
        b"/Resources << /Font << /F 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shows), shows),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /Plain /Encoding /Identity-H "
        b"/DescendantFonts [6 0 R] /ToUnicode 7 0 R >>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Plain /DW 1000 /CIDSystemInfo "
        b"<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor 8 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap),
        b"<< /Type /FontDescriptor /FontName /Plain /Flags 4 /FontBBox [0 -200 1000 900] "
        b"/ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 700 /StemV 80 >>",
    ]
    return pack(objects)


def pack(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Number the objects and write them with a table of their places."""
    data, places = b"%PDF-1.5\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    data += b"trailer << /Size %d /Root 1 0 R %s >>\n" % (len(objects) + 1, trailer)
    return data + b"startxref\n%d\n%%%%EOF\n" % start
