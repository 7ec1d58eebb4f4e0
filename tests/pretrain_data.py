"""A small made-up corpus for the pretraining tests."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

WORDS = [
    "会议",
    "记者",
    "今天",
    "召开",
    "报道",
    "经济",
    "发展",
    "合肥",
    "上海",
    "公司",
    "技术",
    "农业",
    "市场",
    "表示",
    "增长",
    "工作",
    "人民",
    "建设",
    "项目",
    "企业",
]


def sentences(count: int, seed: int) -> list[str]:
    """Random sentences of known words, the same for the same seed."""
    rng = random.Random(seed)
    return ["".join(rng.choices(WORDS, k=rng.randint(4, 14))) + "。" for _ in range(count)]


def write_data(folder: Path, dev_text: str) -> Path:
    """A data folder with unlabelled/ and gold/; two of its paragraphs hold dev texts."""
    (folder / "unlabelled").mkdir()
    (folder / "gold" / "one").mkdir(parents=True)
    (folder / "gold" / "two").mkdir()
    row = {"id": "d0", "text": dev_text, "spans": []}
    (folder / "gold/one/dev.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    with lzma.open(folder / "gold/two/dev.jsonl.xz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"id": "d1", "text": "A股三大指数集体收涨 创业板涨2%"}) + "\n")
    documents = ["\n".join(sentences(6, seed)) for seed in range(60)]
    documents.append("其他一段留下来的文字。\n本报讯：" + dev_text.replace("，", " ，"))
    documents.append("Ａ股三大指数集体收涨，创业板涨2%")
    with lzma.open(folder / "unlabelled/news.jsonl.xz", "wt", encoding="utf-8") as file:
        for text in documents:
            file.write(json.dumps({"text": text, "source": "s"}, ensure_ascii=False) + "\n")
    titles = [s.rstrip("。") for s in sentences(400, 99)]
    (folder / "unlabelled/titles.txt").write_text("\n".join(dict.fromkeys(titles)) + "\n")
    return folder
