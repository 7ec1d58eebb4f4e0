"""Votes for bench_labelmodel.py: real texts under shipped or poor rules, and generated votes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hanspan.data import Document, Span, read_documents
from hanspan.labels import LABEL_SETS

NEWS = list(LABEL_SETS["news"].entities)
COARSE = {"GOV": "ORG", "COM": "ORG"}
CLUENER = {
    "name": "PER", "position": "TITLE", "government": "GOV", "company": "COM",
    "organization": "ORG", "address": "LOC", "scene": "LOC",
    "book": "WORK", "movie": "WORK", "game": "WORK",
}  # fmt: skip
Z = "[\u4e00-\u9fff]"
SURNAMES = "[王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕]"

# Deliberately poor: greedy left borders, wrong types, fragments, each contradicting others.
POOR: list[tuple[str, str, str]] = [
    ("sur2", "PER", SURNAMES + Z + "{2}"),
    ("sur1", "PER", SURNAMES + Z),
    ("said", "PER", Z + "{2,3}(?=说|表示|指出|认为|介绍)"),
    ("dot", "PER", Z + "{1,4}·" + Z + "{1,5}"),
    ("mister", "PER", Z + "{2,3}(?=同志|先生|女士)"),
    ("titled", "PER", "(?<=主席|书记|部长|记者|总理|教授|主任|经理)" + Z + "{2,3}"),
    ("loc1", "LOC", Z + "{2}[省市县区]"),
    ("loc2", "LOC", Z + "{2,4}(?:省|市|县|区|镇|乡|村|州)"),
    ("in", "LOC", "(?<=在)" + Z + "{2}"),
    ("country", "LOC", "中国|美国|日本|英国|法国|德国|俄罗斯|韩国|印度|伊朗|以色列|朝鲜"),
    ("city", "LOC", "北京|上海|天津|广州|深圳|重庆|武汉|合肥|南京|杭州|成都|香港|东京|纽约"),
    ("nature", "LOC", Z + "{1,3}[路山河江湖海岛湾港]"),
    ("place_org", "ORG", "中国|北京|上海|美国"),
    ("gov1", "GOV", Z + "{2,4}(?:部|委|厅|局|署)"),
    ("gov2", "GOV", Z + "{2,6}(?:政府|委员会|法院|国会|议会)"),
    ("gov3", "GOV", "国务院|中共中央|全国人大|全国政协|党中央|外交部|中央"),
    ("gov4", "GOV", Z + "{0,3}(?:市委|省委|政协|人大|县委)"),
    ("org1", "ORG", Z + "{2,6}(?:委员会|协会|联盟|联合会|组织|中心)"),
    ("org2", "ORG", Z + "{2,8}(?:大学|学院|研究院|学校|研究所|医院)"),
    ("org3", "ORG", Z + "{2}(?:大学|学院|中学|医院|银行)"),
    ("org4", "ORG", Z + "{2,5}(?:队|社|报|俱乐部)"),
    ("com1", "COM", Z + "{2,6}(?:公司|集团)"),
    ("com2", "COM", Z + "{2,4}(?:银行|证券|保险|公司|集团|科技)"),
    ("com3", "COM", Z + "{4,10}公司"),
    ("com4", "COM", "[A-Za-z]{2,}"),
    ("title1", "TITLE", "总书记|书记|主席|总理|部长|总统|董事长|总经理|经理|主任|市长|省长|局长"),
    ("title2", "TITLE", "副?" + Z + "{1,2}[长员]"),
    ("title3", "TITLE", "记者|教授|院士|委员|演员|教练|球员"),
    ("event1", "EVENT", Z + "{2,8}(?:会议|大会|论坛|峰会)"),
    ("event2", "EVENT", "第[一二三四五六七八九十]+届" + Z + "{2,8}会"),
    ("book1", "WORK", "《[^》]{1,30}》"),
    ("book2", "POLICY", "《[^》]{2,30}》"),
    ("book3", "POLICY", "《[^》]{2,30}(?:法|条例|规划|意见|办法|方案)》"),
    ("ind", "IND", Z + "{2,3}(?:产业|行业|业)"),
    ("time1", "TIME", "[0-9]+[年月日]"),
    ("time2", "TIME", "(?:[0-9]+年)?(?:[0-9]+月)?[0-9]+日|[0-9]+年[0-9]+月"),
    ("time3", "TIME", "今年|去年|昨天|今天|目前|近日|明年"),
    ("money", "MONEY", "[0-9.]+[万亿]*元"),
    ("percent", "PERCENT", "[0-9.]+%"),
    ("qty", "QTY", "[0-9.]+[万亿多余]*" + Z),
]


@dataclass
class BenchSet:
    """Votes on texts with gold.

    Attributes:
        name: for the table.
        documents: spans are votes; topic votes in meta.
        meta: content of a rules file.
        gold: the same documents with gold.
        mapping: of predicted labels to those of the gold, before scoring.
        task: "spans" or "topics".
    """

    name: str
    documents: list[Document]
    meta: dict[str, Any]
    gold: list[Document]
    mapping: Mapping[str, str] = field(default_factory=dict)
    task: str = "spans"


def _meta(labels: Iterable[str], rules: Mapping[str, Any], topics: Iterable[str] = ()) -> Any:
    return {"labels": list(labels), "topics": list(topics), "rules": dict(rules)}


def poor_votes(documents: Iterable[Document]) -> tuple[list[Document], dict[str, Any]]:
    """Votes of the 40 poor rules; all of one kind, no priorities, no weights."""
    compiled = [(f"rule:poor_{name}", label, re.compile(rx)) for name, label, rx in POOR]
    out = []
    for document in documents:
        spans = [
            Span(m.start(), m.end(), label, 1.0, name)
            for name, label, rx in compiled
            for m in rx.finditer(document.text)
        ]
        out.append(Document(document.id, document.text, tuple(spans)))
    return out, _meta(NEWS, {name: {"group": "", "priority": 0} for name, _, _ in compiled})


def shipped_votes(
    documents: Iterable[Document], ruleset: str
) -> tuple[list[Document], dict[str, Any]]:
    """Votes of a rule set of the package."""
    import json
    import tempfile

    from hanspan.data import write_documents
    from hanspan.weak import label, rules_path

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "in.jsonl"
        weak = Path(folder) / "weak.jsonl"
        write_documents(plain, (Document(d.id, d.text) for d in documents))
        label(plain, weak, ruleset)
        meta = json.loads(Path(rules_path(weak)).read_text(encoding="utf-8"))
        return list(read_documents(weak)), meta


def data_root() -> Path:
    """Folder of the development data.

    Raises:
        SystemExit: if HANSPAN_DATA is not set.
    """
    if "HANSPAN_DATA" not in os.environ:
        raise SystemExit("HANSPAN_DATA is not set: expected the folder of the development data")
    return Path(os.environ["HANSPAN_DATA"])


def gold_documents(name: str, limit: int | None = None) -> tuple[list[Document], dict[str, str]]:
    """Gold documents of a set in their labels (CLUENER's renamed) and the label mapping."""
    root = data_root() / "gold"
    files = {
        "news dev": ("news/dev.jsonl", {}),
        "MSRA dev": ("msra/dev.jsonl", COARSE),
        "MSRA train part": ("msra/supervised_train.jsonl.xz", COARSE),
        "CLUENER dev": ("cluener/dev.jsonl", {}),
        "DSNER news": ("dsner_news/dev.jsonl.xz", {}),
    }
    file, mapping = files[name]
    documents = list(islice(read_documents(root / file), limit))
    if name.startswith("CLUENER"):
        documents = [
            d.with_spans(
                Span(s.start, s.end, CLUENER[s.label]) for s in d.spans if s.label in CLUENER
            )
            for d in documents
        ]
    return documents, dict(mapping)


def real_sets(
    votes: Callable[[Iterable[Document]], Any], kind: str, quick: bool
) -> Iterator[BenchSet]:
    """Each real set under one set of rules."""
    for name in ("news dev", "MSRA dev", "MSRA train part", "CLUENER dev", "DSNER news"):
        if quick and name in ("MSRA train part", "DSNER news"):
            continue
        gold, mapping = gold_documents(name, 2000)
        documents, meta = votes(gold)
        yield BenchSet(f"{name}, {kind}", documents, meta, gold, mapping)


def ec_set() -> BenchSet:
    """DSNER EC: the words that the published distant annotation matched, as a dictionary.

    Ten rules: for each of its five types the words matched once, and those matched more often.
    The texts of the gold take no part in the dictionary.
    """
    root = data_root() / "gold" / "dsner_ec"
    matched: Counter[tuple[str, str]] = Counter()
    for d in read_documents(root / "distant_fa.jsonl"):
        matched.update((s.label, d.text[s.start : s.end]) for s in d.spans)
    words: dict[tuple[str, str], set[str]] = {}
    for (label, word), times in matched.items():
        words.setdefault((label, "often" if times > 1 else "once"), set()).add(word)
    longest = max(len(word) for _, word in matched)
    gold = list(read_documents(root / "dev.jsonl"))
    out = []
    for d in gold:
        spans = []
        for (label, kind), mine in words.items():
            for start in range(len(d.text)):
                ends = range(min(len(d.text), start + longest), start, -1)
                end = next((e for e in ends if d.text[start:e] in mine), None)
                if end is not None:
                    spans.append(Span(start, end, label, 1.0, f"rule:{label}_{kind}"))
        out.append(Document(d.id, d.text, tuple(spans)))
    rules = {f"rule:{label}_{kind}": {"group": "", "priority": 0} for label, kind in sorted(words)}
    labels = sorted({label for label, _ in words})
    return BenchSet("DSNER EC, dictionary", out, _meta(labels, rules), gold)


def generated(
    seed: int, documents: int = 1000, rules: int = 12, copies: int = 0, poor: bool = False
) -> BenchSet:
    """Votes with known faults: misses, false alarms, moved borders, confused labels, and copies.

    Args:
        seed: of the generator.
        documents: how many.
        rules: independent ones, each with its own rates and its own one to three labels.
        copies: near-copies of the first rule, declared as its group.
        poor: rates at which most votes of half of the rules are wrong.
    """
    rng = np.random.default_rng(seed)
    labels = ["PER", "ORG", "LOC", "TIME"]
    rates = []
    for index in range(rules):
        good = rng.uniform(0.2, 0.5) if poor and index % 2 else rng.uniform(0.75, 0.98)
        mine = set(rng.permutation(len(labels))[: 1 + index % 3].tolist())
        rates.append((good, rng.uniform(0.3, 0.8), mine))
    out, gold = [], []
    for number in range(documents):
        length = int(rng.integers(20, 70))
        truth: list[tuple[int, int, int]] = []
        place = int(rng.integers(0, 5))
        while place + 6 < length:
            size = int(rng.integers(1, 6))
            truth.append((place, place + size, int(rng.integers(len(labels)))))
            place += size + int(rng.integers(0, 9))
        spans: list[Span] = []
        for index, (good, coverage, mine) in enumerate(rates):
            made = _faulty(rng, truth, length, good, coverage, mine, len(labels))
            source = f"rule:g{index:02d}"
            spans += [Span(s, e, labels[k], 1.0, source) for s, e, k in made]
            if index == 0:
                for copy in range(copies):
                    kept = [x for x in made if rng.random() < 0.97]
                    spans += [Span(s, e, labels[k], 1.0, f"rule:g00copy{copy}") for s, e, k in kept]
        text = "字" * length
        out.append(Document(f"g{number}", text, tuple(spans)))
        gold.append(Document(f"g{number}", text, tuple(Span(s, e, labels[k]) for s, e, k in truth)))
    about = {
        f"rule:g{i:02d}": {"group": "first" if i == 0 else "", "priority": 0} for i in range(rules)
    }
    about |= {f"rule:g00copy{i}": {"group": "first", "priority": 0} for i in range(copies)}
    kind = ("poor " if poor else "") + (f"with {copies} copies " if copies else "")
    return BenchSet(
        f"generated {kind}({rules} rules)".replace("  ", " "), out, _meta(labels, about), gold
    )


def _faulty(
    rng: np.random.Generator,
    truth: list[tuple[int, int, int]],
    length: int,
    good: float,
    coverage: float,
    mine: set[int],
    labels: int,
) -> list[tuple[int, int, int]]:
    made: list[tuple[int, int, int]] = []
    for start, end, kind in truth:
        if kind not in mine or rng.random() > coverage:
            continue
        if rng.random() > good:
            fault = rng.random()
            if fault < 0.4:
                kind = sorted(mine)[int(rng.integers(len(mine)))]
            if fault > 0.25:
                start = max(0, start - int(rng.integers(0, 3)))
                end = min(length, max(start + 1, end + int(rng.integers(-1, 3))))
        made.append((start, end, kind))
    false_alarms = rng.poisson(len(truth) * coverage * (1 - good) * 0.5)
    for _ in range(int(false_alarms)):
        start = int(rng.integers(0, length - 6))
        made.append(
            (start, start + int(rng.integers(1, 6)), sorted(mine)[int(rng.integers(len(mine)))])
        )
    made.sort()
    flat: list[tuple[int, int, int]] = []
    for item in made:
        if not flat or item[0] >= flat[-1][1]:
            flat.append(item)
    return flat


TNEWS_CLASSES = "news_"
"""Prefix of the classes in the TNEWS gold, which the rule set may or may not carry."""


def topic_sets(quick: bool) -> Iterator[BenchSet]:
    """Headlines under the shipped rule sets, and under a handful of poor words for THUCNews."""
    for name, folder in (("THUCNews", "thucnews_title"), ("TNEWS", "tnews")):
        gold = list(read_documents(data_root() / "gold" / folder / "dev.jsonl"))
        documents, meta = shipped_votes(gold, name.lower())
        known = set(meta["topics"])
        gold = [replace(d, labels={"topic": _class(d.labels["topic"], known)}) for d in gold]
        yield BenchSet(f"{name} topics, shipped", documents, meta, gold, task="topics")
        if name == "THUCNews" and not quick:
            documents = [_poor_topics(d) for d in gold]
            rules = {f"rule:word_{word}": {"group": ""} for word in POOR_WORDS}
            meta = _meta((), rules, sorted(set(POOR_WORDS.values())))
            yield BenchSet("THUCNews topics, poor", documents, meta, gold, task="topics")


def _class(label: str, known: set[str]) -> str:
    return label if label in known else label.removeprefix(TNEWS_CLASSES)


POOR_WORDS = {
    "基金": "finance", "银行": "finance", "黄金": "finance", "美元": "finance", "市场": "finance",
    "楼": "realty", "房": "realty", "万": "realty", "平": "realty", "地产": "realty",
    "股": "stocks", "涨": "stocks", "跌": "stocks", "市": "stocks", "板": "stocks",
    "考": "education", "大学": "education", "学": "education", "生": "education", "题": "education",
    "手机": "science", "新": "science", "网": "science", "微软": "science", "版": "science",
    "男子": "society", "人": "society", "女": "society", "死": "society", "警": "society",
    "国": "politics", "总统": "politics", "中国": "politics", "日": "politics", "军": "politics",
    "队": "sports", "赛": "sports", "分": "sports", "冠军": "sports", "火箭": "sports",
    "游戏": "game", "服": "game", "《": "game", "玩家": "game", "戏": "game",
    "电影": "entertainment", "片": "entertainment", "演": "entertainment", "曝": "entertainment",
    "明星": "entertainment",
}  # fmt: skip


def _poor_topics(document: Document) -> Document:
    votes = [
        {"label": topic, "score": 1.0, "source": f"rule:word_{word}"}
        for word, topic in POOR_WORDS.items()
        if word in document.text
    ]
    return Document(document.id, document.text, (), {}, {"topic_votes": votes})


def all_sets(quick: bool) -> Iterator[BenchSet]:
    """Every set; the real ones only where HANSPAN_DATA is set."""
    if "HANSPAN_DATA" in os.environ:
        yield from real_sets(lambda d: shipped_votes(d, "news"), "shipped", quick)
        yield from real_sets(poor_votes, "poor", quick)
        yield ec_set()
        yield from topic_sets(quick)
    yield generated(8, rules=5, documents=300 if quick else 1000)
    yield generated(9, rules=12, poor=True, documents=200)
    if not quick:
        yield generated(5, rules=12)
        yield generated(6, rules=24, poor=True)
        yield generated(7, rules=12, copies=8)
