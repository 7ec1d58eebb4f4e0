"""The page: what it answers, what it refuses, and how it looks in a browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import tiny
from hanspan.cli import main
from hanspan.errors import HanspanError
from hanspan.extractor import Extractor
from hanspan.serve import serve

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

CODE = """
import sys
sys.modules["torch"] = None
from hanspan.data import Span
from hanspan.extractor import Extractor
from hanspan.serve import serve
def rules(document):
    at = document.text.find("不了")
    return document.with_spans([Span(at, at + 2, "LOC", 1.0, "rule:place")] if at >= 0 else [])
serve(Extractor.from_pretrained(sys.argv[1], rules=rules), name="<b>tiny</b>", port=0)
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server in a process of its own, without torch or a network."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, tiny.bundle_folder()], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout.readline().split()[0]
    process.terminate()
    process.wait(10)


def ask(url: str, body: object, **headers: str) -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url + "extract", data, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as err:
        text = err.read().decode()
        return err.code, json.loads(text) if text.startswith("{") else {"error": text}


def test_it_answers(url: str) -> None:
    status, row = ask(url, {"texts": ["甲丙戊😀在，木木木", "不了"], "rules": "off"})
    assert status == 200
    first, second = row["documents"]
    assert [(s["start"], s["end"], s["label"]) for s in first["spans"]] == [(0, 3, "PER")]
    assert set(first["meta"]["topic_scores"]) == set(tiny.TOPICS)
    assert second["spans"] == []
    for more in ({}, {"rules": "on"}):  # as an Extractor that was given rules
        _, row = ask(url, {"texts": ["不了"], **more})
        assert row["documents"][0]["spans"][0]["source"] == "rule:place"
    _, row = ask(url, {"texts": ["甲丙戊"], "threshold": 1})
    assert row["documents"][0]["spans"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[" * 100_000, 400),
        ({"texts": "x"}, 400),
        ({"texts": [1]}, 400),
        ({"texts": ["x"], "threshold": "1"}, 400),
        ({"texts": ["x"], "threshold": 7}, 400),
        ({"texts": ["x"], "rules": "maybe"}, 400),
        ({"texts": ["x"] * 501}, 413),
        ({"texts": ["x" * (1 << 20)]}, 413),
    ],
)
def test_it_refuses(url: str, body: object, status: int) -> None:
    found, row = ask(url, body)
    assert found == status
    assert "Traceback" not in row["error"]


def test_other_sites_cannot_use_it(url: str) -> None:
    good = {"texts": ["x"]}
    assert ask(url, good, Host="evil.example")[0] == 400
    assert ask(url, good, **{"Content-Type": "text/plain"})[0] == 415
    with urllib.request.urlopen(url) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers.get("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("path", ["../../etc/passwd", "page.py", "%2e%2e/serve.py", "info/x"])
def test_it_reads_no_file_by_name(url: str, path: str) -> None:
    with socket.create_connection(("127.0.0.1", int(url.split(":")[2].rstrip("/")))) as line:
        line.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        assert b" 404 " in line.makefile("rb").readline()


def test_a_taken_port_is_named(url: str) -> None:
    port = int(url.split(":")[2].rstrip("/"))
    with pytest.raises(HanspanError, match="cannot listen there"):
        serve(Extractor.from_pretrained(tiny.bundle_folder()), port=port)


@pytest.mark.parametrize(
    ("given", "shown"), [("{folder}", "bundle"), ("{folder}/../bundle", "bundle"), ("a/b", "a/b")]
)
def test_the_page_names_the_model_and_not_its_place(
    given: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    names: list[str] = []
    monkeypatch.setattr("hanspan.serve.serve", lambda _, name, **__: names.append(name))
    monkeypatch.setattr(Extractor, "from_pretrained", lambda *_, **__: None)
    model = given.format(folder=tiny.bundle_folder())
    done = CliRunner().invoke(main, ["serve", "--model", model], catch_exceptions=False)
    assert (done.exit_code, names) == (0, [shown])


@pytest.mark.browser
@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium on the PATH")
def test_in_a_browser(url: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(accept_downloads=True)
        seen: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: seen.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda note: note.type == "error" and faults.append(note.text))
        page.goto(url)
        text = "😀甲丙戊在<img src=x>不了，子寅卯 木木木"
        topic = Extractor.from_pretrained(tiny.bundle_folder())(text).labels["topic"]
        page.fill("#text", text)
        page.wait_for_selector("mark.rule")  # where there are rules, they are on
        page.select_option("#rules", "off")
        page.wait_for_selector("mark.rule", state="detached")
        assert page.locator("mark").all_inner_texts() == ["甲丙戊PER", "子寅卯ORG"]
        assert "<img src=x>" in page.locator("article p").inner_text()
        assert page.locator("#model").inner_text().startswith("<b>tiny</b>")
        assert page.locator(".topics .best span").first.inner_text() == topic
        page.select_option("#rules", "on")
        page.wait_for_selector("mark.rule")
        assert "rule:place" in page.locator("mark.rule").get_attribute("title")
        page.click("#legend button:has-text('ORG')")
        assert page.locator("mark:has-text('子寅卯')").count() == 0
        (tmp_path / "in.txt").write_text("甲丙戊\n乙丁己\n", "utf-8")
        page.set_input_files("#file", tmp_path / "in.txt")
        page.wait_for_selector("article:nth-of-type(2)")
        with page.expect_download() as event:
            page.click("#save")
        rows = Path(event.value.path()).read_text("utf-8").splitlines()
        assert [json.loads(row)["text"] for row in rows] == ["甲丙戊", "乙丁己"]
        (tmp_path / "gb.txt").write_bytes("中文".encode("gb18030"))
        page.set_input_files("#file", tmp_path / "gb.txt")
        page.wait_for_selector("#status.bad")
        browser.close()
    assert faults == []
    assert all(address.startswith((url, "data:", "blob:")) for address in seen)
