"""One page with coloured spans: no script, no outside address, all text escaped."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape

from hanspan.data import Document, open_text, whole
from hanspan.report.text import highlight_html

_HEAD = """<!doctype html>
<html lang="zh"><meta charset="utf-8"><title>hanspan</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body{font:16px/1.9 "Noto Sans CJK SC","Microsoft YaHei","PingFang SC",sans-serif;
max-width:52em;margin:2em auto;padding:0 1em;color:#222}
article{border-bottom:1px solid #ddd;padding:.6em 0}
h2{font-size:.8em;color:#666;margin:0;font-weight:normal}
mark{padding:.1em .2em;border-radius:.2em}sub{font-size:.6em;margin-left:.2em;color:#444}
</style>
"""


def write(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write the page; returns the number of documents."""
    count = 0
    seen: dict[str, None] = {}  # a label keeps the colour of its first place
    with whole(path) as temporary, open_text(temporary, "w") as stream:
        stream.write(_HEAD)
        for document in documents:
            seen.update(dict.fromkeys(span.label for span in document.spans))
            head = " · ".join([document.id, *document.labels.values()])
            body = highlight_html(document, document.spans, seen)
            stream.write(f"<article><h2>{escape(head)}</h2><p>{body}</p></article>\n")
            count += 1
        stream.write("</html>\n")
    return count
