"""DOCX -> source text: paragraphs and tables in order, a line each."""

from __future__ import annotations

import io
import zipfile

from hanspan.errors import HanspanError
from hanspan.pages.source import Source


def read_docx(name: str, data: bytes) -> Source:
    """Text of a Word document; a row of a table is a line, its cells set apart by tabs.

    Raises:
        HanspanError: when python-docx is missing, or the file is damaged, encrypted or empty.
    """
    try:
        import docx
        from docx.opc.exceptions import OpcError
        from docx.table import Table
    except ImportError as err:
        raise HanspanError(
            f"{name}: DOCX needs python-docx; type: pip install 'hanspan[pages]'"
        ) from err
    try:
        document = docx.Document(io.BytesIO(data))
    except (KeyError, ValueError, zipfile.BadZipFile, OpcError) as err:
        raise HanspanError(f"{name}: no Word document ({err}); expected a whole .docx") from err
    lines: list[str] = []
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            for row in item.rows:
                lines.append("\t".join(cell.text.replace("\n", " ") for cell in row.cells))
        else:
            lines.append(item.text)
    text = "\n".join(lines) + "\n"
    if not text.strip():
        raise HanspanError(f"{name}: a Word document without text; expected paragraphs")
    return Source(name, text, "docx")
