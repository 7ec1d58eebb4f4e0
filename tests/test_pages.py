"""Taking pages apart: joins, articles, furniture, and where every character went."""

from __future__ import annotations

import json
import random
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import page_generator as generator
from hanspan.data import read_documents
from hanspan.pages import documents, explain, forms, pages, read_page
from hanspan.pages.blocks import split_blocks
from hanspan.pages.clues import gather
from hanspan.pages.moves import moves, rated, weights
from hanspan.pages.moves import score as score_of
from hanspan.pages.threads import State, step

OIL = (
    "青石镇油菜丰收",
    "本报记者 江照临 通讯员 蒲小满",
    "青石镇今年种了三万亩油菜，产量创下历史新高。镇长蒲大田在收割现场介绍，油菜籽卖到了邻省。",
    "农户何满仓家的四十亩油菜全部用上了收割机，一天就收完，油菜籽当天送进合作社的油厂。",
    "合作社的油厂今年换了新榨机，出油率比去年高出一成，油菜的副产品还能喂鱼。",
)
BOOKS = (
    "市图书馆新馆开门",
    "本报记者 尤书兰",
    "市图书馆的新馆昨天开门，读者一早就在门口排起长队。馆长尤静说，新馆藏书有八十万册。",
    "新馆的少儿阅览室开在二楼，图书馆请来退休教师给孩子们讲故事，读者可以预约座位。",
    "图书馆周末的开放时间延长到晚上十点，读者借书的期限也由三十天改为四十五天。",
)


def stock() -> list[tuple[str, list[str]]]:
    """Titles and paragraphs of the sample pages that ship with the package."""
    found: list[tuple[str, list[str]]] = []
    folder = resources.files("hanspan") / "assets" / "sample" / "pages"
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        for stanza in file.read_text(encoding="utf-8").split("\n\n"):
            lines = [line for line in stanza.strip().split("\n") if line]
            if not lines:
                continue
            if len(lines[0]) <= 40 and lines[0][-1] not in "。！？”":
                found.append((lines[0], []))
            elif found:
                found[-1][1].extend(lines)
    return [(title, lines) for title, lines in found if len(lines) >= 3]


def made(count: int, seed: int, style: generator.Style | None = None):
    """Generated pages over the invented articles."""
    articles = stock()
    style = style or generator.Style(stories=(2, 5))
    for number in range(count):
        dice = random.Random(seed * 1000 + number)
        chosen = dice.sample(articles, dice.randint(*style.stories))
        habit = dice.choice((0.0, 0.7, 1.0)) if style.byline else 0.0
        dressed = [generator.dress(title, lines, dice, style, habit) for title, lines in chosen]
        yield generator.make_page(dressed, dice.randrange(1 << 30), style)


def score(page_list) -> generator.Score:
    total = generator.Score()
    for page_made in page_list:
        page = read_page(page_made.text)
        total.add(page_made, [[p.pieces for p in a.parts()] for a in page.articles])
    return total


def accounted(page) -> None:
    """Every character is in one article or one list of dropped ranges, and texts are exact."""
    assert sum(page.characters().values()) == len(page.source)
    taken: Counter[int] = Counter()
    for article in page.articles:
        for part in article.parts():
            assert part.text == "".join(page.source[start:end] for start, end in part.pieces)
            for start, end in part.pieces:
                taken.update(range(start, end))
    for drop in page.dropped:
        assert drop.reason
        taken.update(range(drop.start, drop.end))
    assert taken == Counter(range(len(page.source)))


def paragraphs(page) -> list[list[str]]:
    return [[part.text for part in article.paragraphs] for article in page.articles]


def test_two_articles_one_after_the_other():
    page = read_page("\n\n".join([*OIL, *BOOKS]) + "\n")
    assert paragraphs(page) == [list(OIL[2:]), list(BOOKS[2:])]
    first, second = documents(page, "page")
    assert (first.id, first.meta["title"]) == ("page-a1", OIL[0])
    assert first.meta["reporters"] == ["江照临"]
    assert first.meta["correspondents"] == ["蒲小满"]
    assert second.meta["byline"] == BOOKS[1]
    for document in (first, second):
        for part in document.meta["paragraphs"]:
            raw = "".join(page.source[start:end] for start, end in part["raw"])
            assert document.text[part["start"] : part["end"]] == raw


@pytest.mark.parametrize(
    "place",
    [
        OIL[2].index("高。镇长"),  # inside a word
        OIL[2].index("万亩"),  # inside a number with its measure
        OIL[2].index("大田"),  # inside a name
        OIL[2].index("镇长蒲大田在") + 6,
    ],
)
def test_a_cut_paragraph_is_joined_over_another_article(place):
    lines = [*OIL[:2], OIL[2][:place], *BOOKS, OIL[2][place:], *OIL[3:]]
    page = read_page("\n\n".join(lines) + "\n")
    assert paragraphs(page) == [list(OIL[2:]), list(BOOKS[2:])]
    (join,) = page.layout.joins
    assert page.blocks[join.first].text == OIL[2][:place]
    assert 0 < join.score <= 1


def test_cut_inside_a_quotation_and_cut_twice():
    quoted = (
        "镇长蒲大田说：“油菜是青石镇的招牌，去年油菜花开的时候来了十万游客，今年还要再办油菜花节。”"
    )
    first, second = quoted.index("招牌") + 1, quoted.index("十万游客") + 3
    lines = [
        *OIL[:3], quoted[:first], *BOOKS[:3], quoted[first:second], *BOOKS[3:], quoted[second:],
        *OIL[3:],
    ]  # fmt: skip
    page = read_page("\n\n".join(lines) + "\n")
    assert paragraphs(page) == [[OIL[2], quoted, *OIL[3:]], list(BOOKS[2:])]
    assert len(page.layout.joins) == 2


def test_headline_below_the_beginning_of_its_text():
    cut = OIL[3].index("收割机") + 2
    lines = [*OIL[2:3], OIL[3][:cut], *BOOKS, *OIL[:2], OIL[3][cut:], *OIL[4:]]
    page = read_page("\n\n".join(lines) + "\n")
    assert paragraphs(page) == [list(OIL[2:]), list(BOOKS[2:])]
    assert [" ".join(p.text for p in a.title) for a in page.articles] == [OIL[0], BOOKS[0]]


def test_caption_inside_a_cut_paragraph_is_taken_out():
    caption = "图为青石镇的农户在油菜田里开收割机。何满仓 摄"
    cut = OIL[3].index("收完")
    page = read_page(
        "\n\n".join([*OIL[:3], OIL[3][:cut], caption, OIL[3][cut:], OIL[4], *BOOKS]) + "\n"
    )
    assert paragraphs(page)[0] == list(OIL[2:])
    assert [part.text for part in page.articles[0].captions] == [caption]
    glued = read_page("\n\n".join([*OIL[:3], OIL[3] + caption + OIL[4], *BOOKS]) + "\n")
    assert [part.text for part in glued.articles[0].captions] == [caption]
    accounted(glued)


@pytest.mark.parametrize(
    "heads",
    [
        ("省水省钱 每亩少花四十元", "有人有车 每天沿渠走一遍"),
        ("一、省钱", "二、管水"),
    ],
)
def test_heads_alike_in_form_belong_to_one_article_and_another_title_heads_its_own(heads):
    water = [
        "水渠通到稻田边",
        "青石镇上个月修好了三座水渠，两千亩稻田用上了河水。镇里的水管员说，往年这个时候，"
        "各村要轮流抽水，今年不用再等。",
        heads[0],
        "镇农机站算过一笔账，水渠修好以后，每亩稻田能省下四十元抽水钱，两千亩就是八万元。",
        heads[1],
        "水管员每天沿着水渠走一遍，看见淤泥就清，看见漏水就报。青石镇给每个水管员配了一辆电动车。",
        "稻田有了河水，镇里又引来一家米厂。米厂同三百户农民签了合同，稻谷每斤比市价高五分。",
    ]
    books = [
        "图书馆里灯亮到深夜",
        "市图书馆的夜间阅览室本周开放，读者可以看书到晚上十一点。馆员说，头三天来了一千多人。",
        "阅览室里有六十张书桌，每张书桌上都有台灯。读者不用办证，刷身份证就能进门。",
    ]
    page = read_page("\n\n".join([*water[:4], *books, *water[4:]]) + "\n")
    assert paragraphs(page) == [[water[1], water[3], *water[5:]], books[1:]]
    assert [[part.text for _, part in a.sections] for a in page.articles] == [list(heads), []]


def test_furniture_is_dropped_with_its_reason():
    lines = ["2024年5月17日 星期五", "第6版", *OIL, "责任编辑：尤静 版式：何满仓"]
    page = read_page("\n\n".join(lines) + "\n")
    assert paragraphs(page) == [list(OIL[2:])]
    reasons = {page.source[d.start : d.end]: d.reason for d in page.dropped}
    assert reasons[lines[0]] == "date line"
    assert reasons[lines[1]] == "page mark"
    assert reasons[lines[-1]] == "editors"
    accounted(page)


def test_generated_pages():
    pages_made = list(made(40, 3))
    total = score(pages_made)
    assert total.cuts > 60
    # the sample's paragraphs are so short that half of the cuts look like titles;
    # scripts/bench_pages.py measures pages of real length
    assert total.right / total.characters >= 0.95
    assert total.rejoined / total.cuts >= 0.80
    assert total.false / total.joins <= 0.08
    for page_made in pages_made[:10]:
        accounted(read_page(page_made.text))


def test_many_short_articles_without_bylines_stay_apart():
    plain = generator.Style(
        stories=(12, 16), cut=0, columns=(1, 1), late_headline=0, byline=0, deck=0, kicker=0,
        sections=0, captions=0,
    )  # fmt: skip
    total = score(made(8, 7, plain))
    assert total.articles > 90
    assert total.right / total.characters >= 0.98
    assert total.joins == 0


def test_a_clean_article_is_left_as_it_is():
    alone = generator.Style(
        stories=(1, 1), cut=0, columns=(1, 1), late_headline=0, banner=0, furniture=0, slips=0
    )
    total = score(made(40, 4, alone))
    assert total.right / total.characters >= 0.995
    assert total.whole / total.paragraphs >= 0.995


def test_an_article_with_lines_like_headlines_stays_one():
    lines = [
        OIL[0], OIL[1], OIL[2], "收割机开进油菜田", OIL[3], "合作社换上新榨机", OIL[4],
    ]  # fmt: skip
    page = read_page("\n\n".join(lines) + "\n")
    assert paragraphs(page) == [list(OIL[2:])]
    assert [part.text for _, part in page.articles[0].sections] == [lines[3], lines[5]]


def test_a_section_head_does_not_begin_the_paragraph_below_it():
    page = read_page("\n\n".join([*OIL[:3], "青石镇的合作社", *OIL[3:], *BOOKS]) + "\n")
    assert paragraphs(page) == [list(OIL[2:]), list(BOOKS[2:])]
    assert page.layout.joins == ()


def test_remembered_scores_are_the_scores_of_the_features():
    (page_made,) = made(1, 6)
    clues = gather(split_blocks(page_made.text))
    state = State()
    for clue in clues:
        if clue.kind not in ("body", "title"):
            continue
        slow = {move: score_of(found, weights()) for move, found in moves(state, clue, clues)}
        for _ in range(2):  # the second time from memory
            fast = dict(rated(state, clue, clues, weights()))
            assert fast == pytest.approx(slow)
        state = step(state, clue, max(slow, key=lambda move: slow[move]))


def test_the_same_page_gives_the_same_articles():
    (page_made,) = made(1, 5)
    assert read_page(page_made.text).layout == read_page(page_made.text).layout


LINES = st.sampled_from(
    [
        *OIL, *BOOKS, "", "　　", "短标题", "——一个副题", "本报记者 尤静", "图为湖边。尤静 摄",
        "第6版", "没有句号的一段话跑到了另一", "\u00ad软\u200b连\ufeff字符",
        "\f", "3|4|5", "。", "”",
    ]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\n\n", "\r\n", "\u2028"]))
def test_no_character_is_lost(lines, between):
    accounted(read_page(between.join(lines)))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_no_character_of_any_text_is_lost(text):
    accounted(read_page(text))


def test_blocks_are_in_order_and_apart():
    blocks = split_blocks("\n\n".join([*OIL, *BOOKS]))
    places = [piece for block in blocks for piece in block.pieces]
    assert places == sorted(places)
    assert [block.index for block in blocks] == list(range(len(blocks)))


@pytest.mark.parametrize(
    ("line", "reporters", "photographers"),
    [
        ("本报记者 江照临", ["江照临"], []),
        ("□本报记者 尤静 实习生 何满仓", ["尤静", "何满仓"], []),
        ("新华社记者尤静、江照临", ["尤静", "江照临"], []),
        ("记者 尤 静 摄影 何满仓", ["尤静"], ["何满仓"]),
    ],
)
def test_bylines(line, reporters, photographers):
    found = forms.byline(line)
    assert found is not None
    assert list(found.reporters) == reporters
    assert list(found.photographers) == photographers


@pytest.mark.parametrize(
    "line",
    [
        "记者日前来到青石镇的油菜田里采访",
        "青石镇油菜丰收",
        "记者获悉，油菜丰收。",
        "通讯员队伍建设",
    ],
)
def test_no_bylines(line):
    assert forms.byline(line) is None


def test_the_stage_writes_documents_and_what_was_dropped(tmp_path: Path):
    source = tmp_path / "page.txt"
    source.write_text("\n\n".join(["第6版", *OIL, *BOOKS]) + "\n", encoding="utf-8")
    output, picture = tmp_path / "out.jsonl", tmp_path / "page.html"
    summary = pages([source], output, explain=picture)
    found = list(read_documents(output))
    assert [document.text for document in found] == ["\n".join(OIL[2:]), "\n".join(BOOKS[2:])]
    assert (summary.files, summary.documents, summary.joins) == (1, 2, 0)
    listed = Path(f"{output}.dropped.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in listed.splitlines()]
    mark = {"source": "page.txt", "start": 0, "end": 3, "reason": "page mark", "text": "第6版"}
    assert mark in rows
    shown = picture.read_text("utf-8")
    assert OIL[2] in shown
    assert "http" not in shown


def test_whoever_is_asked_about_ends_can_tip_a_join():
    cut = OIL[2].index("大田")
    lines = [*OIL[:2], OIL[2][:cut], *BOOKS, OIL[2][cut:], *OIL[3:]]
    text = "\n\n".join(lines) + "\n"
    asked: list[tuple[str, str]] = []

    def against(pairs):
        asked.extend(pairs)
        return [-9.0] * len(pairs)

    assert len(read_page(text, lambda pairs: [9.0] * len(pairs)).layout.joins) == 1
    assert read_page(text, against).layout.joins == ()
    assert (OIL[2][:cut][-40:], OIL[2][cut:][:40]) in asked


@pytest.mark.slow
def test_the_embedded_encoder_knows_what_goes_on():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from hanspan.masked import MaskedGains

    gains = MaskedGains()
    left, right, other = "青石镇今年种了三万亩油菜，产", "量创下历史新高。", "名职工参加了会议。"
    true, false = gains([(left, right), (left, other)])
    assert true > false
    assert gains([]) == []
    assert gains([(left, right)]) == pytest.approx([true], abs=1e-3)


def test_the_picture_holds_all_pages_and_says_what_it_leaves_out(tmp_path: Path, monkeypatch):
    for name, lines in (("a", OIL), ("b", BOOKS), ("c", OIL)):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    picture = tmp_path / "pages.html"
    pages([tmp_path], tmp_path / "out.jsonl", explain=picture)
    shown = picture.read_text("utf-8")
    assert all(f"<h1>{name}.txt</h1>" in shown for name in "abc")
    assert "3 of 3 pages." in shown
    assert shown.count('id="p1b0"') == 1
    monkeypatch.setattr("hanspan.pages.stage.SHOWN", 2)
    pages([tmp_path], tmp_path / "out.jsonl", explain=picture)
    shown = picture.read_text("utf-8")
    assert "2 of 3 pages. 1 more are not shown." in shown
    assert "<h1>c.txt</h1>" not in shown


def test_picture_escapes_what_it_shows():
    shown = explain(read_page("<script>坏</script>今天青石镇的油菜丰收，农户都很高兴。\n"), "a<b")
    assert "<script>坏" not in shown
    assert "a&lt;b" in shown
