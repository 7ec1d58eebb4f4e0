"""A language model as a rule, against a server on this machine that also misbehaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanspan.data import Document
from hanspan.rules import RuleError, RuleSet, load_rules
from hanspan.rules.llm import locate, read_answer
from hanspan.rules.taggers import segments

GOOD = '[{"text": "韩冰", "label": "PER"}, {"text": "合肥", "label": "LOC"}]'


class Server:
    """Answers with a script of replies, the last one for ever; keeps what it was asked."""

    def __init__(self) -> None:
        self.script: list[Any] = [GOOD]
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append({"path": self.path, **json.loads(body)})
                outer.headers.append(dict(self.headers))
                step = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                if isinstance(step, float):
                    time.sleep(step)
                    return
                if isinstance(step, int):
                    self.send_response(step)
                    self.send_header("Retry-After", "0")
                    self.end_headers()
                    return
                content = (
                    step
                    if isinstance(step, bytes)
                    else json.dumps({"choices": [{"message": {"content": step}}]}).encode()
                )
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def rules(folder: Path, server: Server, more: str = "enabled: true") -> RuleSet:
    path = folder / "r.yaml"
    path.write_text(
        f"labels: [PER, LOC]\nrules:\n  ask:\n    kind: llm\n    url: {server.url}\n"
        "    model: m\n    labels: {PER: 人名, LOC: 地名}\n    wait: 0\n    timeout: 0.5\n"
        f"    cache: answers\n    examples: ['[[张三|PER]]说']\n    {more}\n",
        "utf-8",
    )
    return load_rules(path)


def spans(rule_set: RuleSet, text: str = "韩冰在合肥") -> list[tuple[int, int, str]]:
    return [(s.start, s.end, s.label) for s in rule_set.apply(Document("x", text)).spans]


def test_answers_become_offsets(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANSPAN_LLM_KEY", "secret")
    assert spans(rules(tmp_path, server), "😀韩冰在合肥") == [(1, 3, "PER"), (4, 6, "LOC")]
    asked = server.asked[0]
    assert asked["path"] == "/v1/chat/completions"
    assert server.headers[0]["Authorization"] == "Bearer secret"
    prompt = asked["messages"][0]["content"]
    assert "PER：人名" in prompt
    assert '"张三"' in prompt
    assert "secret" not in json.dumps(asked)


def test_off_by_default(tmp_path: Path, server: Server) -> None:
    rule_set = rules(tmp_path, server, "note: off")
    assert spans(rule_set) == []
    assert not server.asked
    assert "is off" in rule_set.report()[0]


def test_answers_are_kept_on_disk(tmp_path: Path, server: Server) -> None:
    first = spans(rules(tmp_path, server))
    again = rules(tmp_path, server, "enabled: true\n    max_calls: 0")
    assert spans(again) == first
    assert len(server.asked) == 1
    assert "cached 1" in again.report()[0]


@pytest.mark.parametrize("rubbish", ["对不起，我不能。", "[{", b"<html>", b"\xff", b"{}", ""])
def test_rubbish_is_asked_again_then_given_up(tmp_path: Path, server: Server, rubbish: Any) -> None:
    server.script = [rubbish, GOOD]
    assert len(spans(rules(tmp_path, server))) == 2
    server.script = [rubbish]
    rule_set = rules(tmp_path, server, "enabled: true\n    retries: 1")
    assert spans(rule_set, "别的文本") == []
    assert "rubbish 2" in rule_set.report()[0]


def test_errors_are_retried(tmp_path: Path, server: Server) -> None:
    server.script = [503, 429, GOOD]
    assert len(spans(rules(tmp_path, server))) == 2
    assert len(server.asked) == 3


def test_a_refusal_is_an_error(tmp_path: Path, server: Server) -> None:
    server.script = [401]
    with pytest.raises(RuleError, match=r"rule 'ask'.*401.*HANSPAN_LLM_KEY"):
        spans(rules(tmp_path, server))
    assert len(server.asked) == 1


def test_delay_is_an_error_after_the_retries(tmp_path: Path, server: Server) -> None:
    server.script = [0.9, GOOD]
    assert len(spans(rules(tmp_path, server))) == 2
    server.script = [0.9]
    with pytest.raises(RuleError, match="cannot be asked"):
        spans(rules(tmp_path, server, "enabled: true\n    retries: 0"), "别的文本")


def test_nobody_there(tmp_path: Path, server: Server) -> None:
    server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(RuleError, match="cannot be asked"):
        spans(rules(tmp_path, server))


def test_budget(tmp_path: Path, server: Server) -> None:
    rule_set = rules(tmp_path, server, "enabled: true\n    max_calls: 2")
    for k in range(5):
        spans(rule_set, f"韩冰在合肥{k}")
    assert len(server.asked) == 2
    assert "over_budget 3" in rule_set.report()[0]
    small = rules(tmp_path, server, "enabled: true\n    max_characters: 10")
    assert spans(small, "新的文本") == []
    assert len(server.asked) == 2


def test_what_is_not_in_the_text_is_left_out(tmp_path: Path, server: Server) -> None:
    server.script = ['[{"text": "李四", "label": "PER"}, {"text": "韩冰", "label": "XX"}, 3, null]']
    rule_set = rules(tmp_path, server)
    assert spans(rule_set) == []
    assert "unmatched 4" in rule_set.report()[0]


def test_example_without_labels_is_refused(tmp_path: Path, server: Server) -> None:
    with pytest.raises(RuleError, match=r"rule 'ask'.*\[\[韩冰\|PER\]\]"):
        rules(tmp_path, server, "enabled: true\n").subset(set())
        path = tmp_path / "r.yaml"
        path.write_text(path.read_text("utf-8").replace("张三|PER", "张三"), "utf-8")
        load_rules(path)


def test_read_answer() -> None:
    assert read_answer('好的：```json\n[{"text": "a"}]\n```') == [{"text": "a"}]
    assert read_answer('{"entities": [1]}') == [1]
    assert read_answer('{"text": "a", "label": "b"}') == [{"text": "a", "label": "b"}]
    assert read_answer("没有") is None


@settings(max_examples=100, deadline=None)
@given(st.text("甲乙😀", max_size=20), st.lists(st.text("甲乙😀", max_size=3), max_size=6))
def test_located_spans_hold_their_surface(text: str, surfaces: list[str]) -> None:
    from collections import Counter

    counts: Counter[str] = Counter()
    items = [{"text": surface, "label": "X"} for surface in surfaces]
    found = list(locate(text, items, ["X"], counts))
    assert len(found) + counts["unmatched"] == len(surfaces)
    assert len(set(found)) == len(found)
    assert all(text[s:e] in surfaces for s, e, _ in found)


@settings(max_examples=100, deadline=None)
@given(st.text("甲。\n乙", max_size=60), st.integers(1, 20))
def test_segments_cover_the_text(text: str, longest: int) -> None:
    pieces = list(segments(text, longest))
    assert "".join(piece for _, piece in pieces) == text
    assert all(text[b : b + len(piece)] == piece for b, piece in pieces)
    assert all(len(piece) <= longest for _, piece in pieces)
