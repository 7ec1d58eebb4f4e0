"""Pages as a picture: their blocks in the colour of their article, joins as arrows."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence

from hanspan.pages.page import (
    BANNER,
    CAPTION,
    FURNITURE,
    NOBODY,
    SECTION,
    Article,
    Page,
)

_NAMES = {
    "paragraph": "",
    "headline": "headline",
    "kicker": "kicker",
    "subtitle": "subtitle",
    "byline": "byline",
    SECTION: "section head",
    CAPTION: "caption",
    BANNER: "banner",
    FURNITURE: "dropped",
}
_STYLE = """
*{box-sizing:border-box}body{margin:0;background:#f4f2ee;color:#1d1d1b;
font:14px/1.6 "Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
nav{padding:14px 28px 0;font-size:12px;color:#6b675f}
header{padding:20px 28px 8px}h1{font-size:20px;margin:0}header p{margin:2px 0;color:#6b675f}
main{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:20px;padding:0 28px 40px}
h2{font-size:13px;letter-spacing:.04em;color:#6b675f;margin:12px 0 8px;font-weight:600}
.page{position:relative;padding-left:92px}.page svg{position:absolute;left:0;top:0;width:92px}
.b{background:#fff;border-left:6px solid var(--c);margin:0 0 5px;padding:5px 10px;border-radius:3px;
position:relative;max-height:calc(6.4em + 10px);overflow:hidden}
.b i{float:right;font-style:normal;font-size:11px;color:#fff;background:var(--c);border-radius:9px;
padding:0 8px;margin-left:8px}
.b s{text-decoration:none;color:#8b867c;font-size:11px;margin-right:6px}
.headline{font-weight:700;font-size:16px}.section{font-weight:700}.kicker,.subtitle{font-weight:600}
.byline,.caption{color:#57534b}.nobody{opacity:.62}
.cut{border-bottom:2px dashed var(--c)}.goes{border-top:2px dashed var(--c)}
.doubt{outline:1px dotted #b3261e}
article{background:#fff;border-top:6px solid var(--c);border-radius:3px;padding:10px 18px 14px;
margin-bottom:14px}article h3{margin:2px 0;font-size:19px;line-height:1.4}
article p{margin:5px 0;text-indent:2em}article small{color:#6b675f;display:block}
article h4{margin:10px 0 2px}mark{background:color-mix(in srgb,var(--c) 26%,white);padding:0 2px}
figcaption{font-size:12px;color:#57534b;border-left:3px solid #ddd;padding-left:8px;margin:6px 0}
table{border-collapse:collapse;font-size:12px;color:#57534b}td{padding:1px 12px 1px 0}
"""
_ARROWS = """
for(const pane of document.querySelectorAll('.page')){
const svg=pane.querySelector('svg'),top0=pane.getBoundingClientRect().top;
svg.setAttribute('height',pane.scrollHeight);
const lanes=[];let out='';
for(const [a,b,score,colour] of JSON.parse(pane.dataset.joins)){
 const p=document.getElementById(a).getBoundingClientRect(),
 q=document.getElementById(b).getBoundingClientRect();
 const y1=p.bottom-top0-8,y2=q.top-top0+12;
 let lane=0;while(lanes[lane]>Math.min(y1,y2)-30)lane++;lanes[lane]=Math.max(y1,y2);
 const x=Math.max(12,70-lane*16),far=Math.abs(y2-y1)>60;
 out+=`<path d="M90 ${y1} C ${x} ${y1} ${x} ${y1} ${x} ${y1+(far?18:6)}
 L ${x} ${y2-(far?18:6)} C ${x} ${y2} ${x} ${y2} 86 ${y2}" fill="none" stroke="${colour}"
 stroke-width="2.5"/><path d="M92 ${y2} l-9 -5 v10 z" fill="${colour}"/>
 <text x="${x-6}" y="${y1+(y2-y1)*.5}" font-size="11" text-anchor="end"
 fill="${colour}">${score}</text>`;}
svg.innerHTML=out;}
"""


def _colour(number: int) -> str:
    """Colours far apart for neighbours: steps of the golden angle around the wheel."""
    return "#9a958a" if number == NOBODY else f"hsl({(25 + number * 137.5) % 360:.0f} 62% 42%)"


def explain(page: Page, name: str = "") -> str:
    """A page as one HTML file that loads nothing from elsewhere.

    Args:
        page: as :func:`hanspan.pages.read_page` gives it.
        name: shown above it.

    Returns:
        On the left the blocks as they came, on the right the articles made from them.
    """
    return explain_all([(name, page)])


def explain_all(shown: Sequence[tuple[str, Page]], more: int = 0) -> str:
    """Several pages as one HTML file, one below the other.

    Args:
        shown: name and page.
        more: how many other pages there were; said at the top.
    """
    first = shown[0][0] or "page"
    links = ""
    if len(shown) + more > 1:
        links = "".join(
            f'<a href="#p{number}">{html.escape(name or "page")}</a> '
            for number, (name, _) in enumerate(shown)
        )
        left = f" {more} more are not shown." if more else ""
        links = f"<nav>{len(shown)} of {len(shown) + more} pages.{left} {links}</nav>"
    body = "".join(_sheet(page, name, f"p{number}") for number, (name, page) in enumerate(shown))
    return (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        f"<title>{html.escape(first)}</title><style>{_STYLE}</style></head><body>{links}{body}"
        f"<script>{_ARROWS}</script></body></html>\n"
    )


def _sheet(page: Page, name: str, mark: str) -> str:
    """One page; ``mark`` tells its elements from those of others."""
    layout = page.layout
    order = list(dict.fromkeys(owner for owner in layout.owners if owner != NOBODY))
    colour = {owner: _colour(place) for place, owner in enumerate(order)} | {NOBODY: _colour(-1)}
    joins = [
        [
            f"{mark}b{join.first}",
            f"{mark}b{join.second}",
            f"{join.score:.2f}",
            colour[layout.owners[join.second]],
        ]
        for join in sorted(layout.joins, key=lambda join: join.first)
    ]
    articles = "".join(
        _article(article, colour[layout.owners[article.paragraphs[0].blocks[0]]])
        for article in page.articles
    )
    rows = "".join(
        f"<tr><td>{html.escape(reason)}</td><td>{size}</td></tr>"
        for reason, size in sorted(page.characters().items())
    )
    count, links = len(page.articles), len(joins)
    return (
        f'<header id="{mark}"><h1>{html.escape(name or "page")}</h1><p>{len(page.blocks)} '
        f"block{'s' * (len(page.blocks) != 1)}, {count} article{'s' * (count != 1)}, "
        f"{links} join{'s' * (links != 1)}. A dotted red frame marks a decision that the words "
        "of the page alone leave open.</p></header><main>"
        f'<section class="page" data-joins="{html.escape(json.dumps(joins))}">'
        f"<h2>The page as it came</h2><svg></svg>{_blocks(page, colour, mark)}</section>"
        f"<section><h2>The articles</h2>{articles}<h2>Where every character went</h2>"
        f"<table>{rows}</table></section></main>"
    )


def _blocks(page: Page, colour: Mapping[int, str], mark: str) -> str:
    layout = page.layout
    first = {join.first for join in layout.joins}
    second = {join.second for join in layout.joins}
    blocks = []
    for block in page.blocks:
        role, owner = layout.roles[block.index], layout.owners[block.index]
        classes = ["b", role, "nobody" if owner == NOBODY else ""]
        classes += ["cut"] * (block.index in first) + ["goes"] * (block.index in second)
        doubt = layout.doubts[block.index] if layout.doubts else 0.0
        classes += ["doubt"] * (doubt > 0.5)
        tag = block.reason or _NAMES.get(role, role)
        blocks.append(
            f'<div id="{mark}b{block.index}" class="{" ".join(filter(None, classes))}" '
            f'style="--c:{colour[owner]}" title="doubt {doubt:.2f}">'
            + (f"<i>{html.escape(tag)}</i>" if tag else "")
            + f"<s>{block.index}</s>{html.escape(block.text)}</div>"
        )
    return "".join(blocks)


def _article(article: Article, colour: str) -> str:
    out = [f'<article style="--c:{colour}">']
    out += [f"<small>{html.escape(part.text)}</small>" for part in article.kicker]
    title = " ".join(part.text for part in article.title)
    out.append(f"<h3>{html.escape(title) or '(no headline)'}</h3>")
    for part in (*article.subtitle, *article.byline):
        out.append(f"<small>{html.escape(part.text)}</small>")
    out.append(f"<small>confidence {article.confidence:.2f}</small>")
    heads: dict[int, list[str]] = {}
    for place, part in article.sections:
        heads.setdefault(place, []).append(f"<h4>{html.escape(part.text)}</h4>")
    for place, part in enumerate(article.paragraphs):
        out += heads.pop(place, [])
        out.append(f"<p>{_joined(part.text, [end - start for start, end in part.pieces])}</p>")
    out += [line for lines in heads.values() for line in lines]
    out += [f"<figcaption>{html.escape(part.text)}</figcaption>" for part in article.captions]
    return "".join(out) + "</article>"


def _joined(text: str, sizes: Sequence[int]) -> str:
    """A paragraph with the characters around each join marked."""
    place, marks = 0, set[int]()
    for size in sizes[:-1]:
        place += size
        marks |= set(range(max(0, place - 4), min(len(text), place + 4)))
    out, inside = [], False
    for index, char in enumerate(text):
        if (index in marks) != inside:
            inside = not inside
            out.append("<mark>" if inside else "</mark>")
        out.append(html.escape(char))
    return "".join(out) + ("</mark>" if inside else "")
