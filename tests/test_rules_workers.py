"""Several processes on one file: who takes which piece, what a failure leaves."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hanspan.data import Document, write_documents
from hanspan.errors import HanspanError
from hanspan.rules import load_rules
from hanspan.rules.engine import Inner, Plain, engine
from hanspan.rules.gate import Gate
from hanspan.rules.patterns import compile_re2
from hanspan.rules.pieces import Done, cut
from hanspan.rules.work import Job, Labeller
from hanspan.rules.workers import each
from hanspan.weak import label

RULES = """\
labels: [LOC]
python: ./my.py
rules:
  place: {kind: lexicon, label: LOC, entries: [合肥, 安徽]}
"""
PYTHON = """\
from hanspan.rules import rule
@rule("fails", labels=["LOC"])
def fails(doc):
    if doc.id == "bad":
        raise ValueError("seen")
    return []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "r.yaml").write_text(RULES, "utf-8")
    (tmp_path / "my.py").write_text(PYTHON, "utf-8")
    documents = [Document(str(n), f"安徽合肥第{n}号" * 50) for n in range(600)]
    write_documents(tmp_path / "in.jsonl", documents)
    return tmp_path


def test_no_piece_is_so_large_that_the_others_wait_for_it(folder: Path) -> None:
    """Three equal pieces kept two workers busy for two thirds of the time each."""
    size = (folder / "in.jsonl").stat().st_size
    assert max(piece.size for piece in cut(folder / "in.jsonl", folder, 2)) <= size / 8
    pieces = cut(folder / "in.jsonl", folder, 2)
    assert (pieces[0].start, pieces[-1].stop) == (0, size)
    assert all(a.stop == b.start for a, b in itertools.pairwise(pieces))


@pytest.mark.slow
def test_the_caller_works_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece is done once, by this process or by the other."""
    own: list[int] = []
    plain = Labeller.label

    def watched(self: Labeller, piece: object) -> Done:
        done = plain(self, piece)  # type: ignore[arg-type]
        own.append(done.documents)
        return done

    monkeypatch.setattr(Labeller, "label", watched)
    pieces = cut(folder / "in.jsonl", folder, 2)
    found = list(each(Job(load_rules(folder / "r.yaml"), False, None), pieces, 2))
    assert sorted(piece.start for piece, _ in found) == [piece.start for piece in pieces]
    assert sum(done.documents for _, done in found) == 600
    assert own  # while the other process starts, this one has begun


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 599])
def test_a_failure_in_either_process_is_the_users_error(folder: Path, place: int) -> None:
    documents = [Document("bad" if n == place else str(n), "合肥" * 200) for n in range(600)]
    write_documents(folder / "in.jsonl", documents)
    with pytest.raises(HanspanError, match=r"rule 'fails'.*raised ValueError: seen in line 5"):
        label(folder / "in.jsonl", folder / "out.jsonl", folder / "r.yaml", workers=2)
    assert not [p for p in folder.iterdir() if p.name.startswith((".out", "out"))]
    done = label(
        folder / "in.jsonl", folder / "out.jsonl", folder / "r.yaml", workers=2, on_error="skip"
    )
    assert done.skipped == {"fails": 1}
    assert done.documents == 600


@pytest.mark.slow
def test_two_workers_take_over_what_is_unchanged(folder: Path) -> None:
    label(folder / "in.jsonl", folder / "out.jsonl", folder / "r.yaml")
    (folder / "r.yaml").write_text(RULES.replace("安徽", "第5"), "utf-8")
    again = label(folder / "in.jsonl", folder / "out.jsonl", folder / "r.yaml", workers=2)
    assert again.reused == 600
    kept = (folder / "out.jsonl").read_bytes()
    label(folder / "in.jsonl", folder / "out.jsonl", folder / "r.yaml", fresh=True)
    assert (folder / "out.jsonl").read_bytes() == kept


@pytest.mark.parametrize("pattern", ["(?P<a>合)肥", "肥*", "(?:合|(?P<a>肥))", "市?$", "无"])
def test_both_ways_to_call_re2_agree(pattern: str) -> None:
    compiled = compile_re2(pattern, "")
    fast, plain = engine(compiled), Plain(compiled)
    assert isinstance(fast, Inner)
    groups = range(compiled.groups + 1)
    data = "合肥市合肥。肥肥".encode()
    for low, high in ((0, len(data)), (3, 12), (6, 6), (len(data), len(data))):
        one = [[span(g) for g in groups] for span in fast.every(data, low, high)]
        assert one == [[span(g) for g in groups] for span in plain.every(data, low, high)]
        here, there = fast.at(data, low, high), plain.at(data, low, high)
        assert (here and [*map(here, groups)]) == (there and [*map(there, groups)])


def test_threads_whose_first_documents_come_at_once_miss_no_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = threading.Event()

    class Slow(Gate):
        def __init__(self, *given: Any, **more: Any) -> None:
            started.set()
            time.sleep(0.1)  # the other thread's document comes now
            super().__init__(*given, **more)

    monkeypatch.setattr("hanspan.rules.prepare.Gate", Slow)
    rules, document = load_rules("news"), Document("a", "会议9月2日在合肥召开，投资12.5亿元。")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rules.apply, document)
        assert started.wait(30)
        second = pool.submit(rules.apply, document)
        found = [first.result(), second.result(), rules.apply(document)]
    assert {"TIME", "MONEY"} <= {span.label for span in found[2].spans}
    assert found[0] == found[1] == found[2]
