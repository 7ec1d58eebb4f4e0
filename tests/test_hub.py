"""Push and pull over HTTP against a Hub on loopback."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml

import tiny
from fake_hub import OWNER, TOKEN, FakeHub
from hanspan import hub as hanspan_hub
from hanspan import publish
from hanspan.data import Document, Span, write_documents
from hanspan.errors import HanspanError
from hanspan.extractor import Extractor

NAME = f"{OWNER}/news"


@pytest.fixture(autouse=True)
def _no_xet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # of the client's retries
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


def push(server: FakeHub, folder: Path | None = None, name: str = NAME, **options) -> str:
    options = {"token": TOKEN, **options}
    return hanspan_hub.push(folder or tiny.bundle_folder(), name, endpoint=server.url, **options)


def pull(server: FakeHub, cache: Path, revision: str | None = None, **options) -> Path:
    options = {"token": TOKEN, **options}
    return hanspan_hub.pull(NAME, revision, endpoint=server.url, cache_dir=cache, **options)


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    folder = tmp_path / "changed"
    shutil.copytree(tiny.bundle_folder(), folder)
    (folder / "README.md").write_text("# other\n")
    shutil.rmtree(folder / "onnx")
    return folder


def test_round_trip_in_a_process_of_its_own(hub: FakeHub, tmp_path: Path) -> None:
    """As a user has it: token in the environment, the name alone, no torch."""
    rng = random.Random(7)
    text = tiny.sentence(rng, 20)[0]
    want = Extractor.from_pretrained(tiny.bundle_folder())(text)
    code = """
import sys
sys.modules["torch"] = None
from hanspan.hub import push
from hanspan.infer import Extractor
print(push(sys.argv[1], sys.argv[2], private=True))
doc = Extractor.from_pretrained(sys.argv[2])(sys.argv[3])
print([(s.start, s.end, s.label) for s in doc.spans], doc.labels["topic"])
"""
    env = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, tiny.bundle_folder(), NAME, text],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    url, spans = done.stdout.splitlines() or ["", done.stderr]
    assert spans == f"{[(s.start, s.end, s.label) for s in want.spans]} {want.labels['topic']}"
    repo = hub.repo(NAME)
    assert url == f"{hub.url}/{NAME}/commit/{repo.branches['main']}"
    assert len(repo.commits) == 2  # the empty one that makes it, and ours
    assert repo.private
    assert TOKEN not in done.stdout + done.stderr
    # The int8 graph alone is fetched, neither fp32 nor the torch weights.
    assert hub.count(r"GET /.*/resolve/.*model_int8\.onnx") == 1
    assert hub.count(r"GET /.*/resolve/.*(\.safetensors|model\.onnx)") == 0


def test_the_repository_becomes_the_folder(hub: FakeHub, changed: Path, tmp_path: Path) -> None:
    push(hub)
    first = dict(hub.repo(NAME).tree)
    card = first.pop("README.md").decode()
    assert f'from_pretrained("{NAME}")' in card
    assert "OWNER/NAME" not in card
    for name, data in first.items():
        if name != ".gitattributes":
            assert data == (tiny.bundle_folder() / name).read_bytes()
    push(hub, changed)
    second = hub.repo(NAME).tree
    assert not [name for name in second if name.startswith("onnx/")]
    assert second["README.md"] == b"# other\n"
    assert len(hub.repo(NAME).commits) == 3


def test_nothing_changed_makes_no_commit(hub: FakeHub) -> None:
    url = push(hub)
    assert push(hub) == url
    assert len(hub.repo(NAME).commits) == 2
    assert hub.count("PUT /blob/") == 3  # weights and two graphs, sent once


def test_a_branch_and_a_pull_request(hub: FakeHub, changed: Path) -> None:
    push(hub)
    main = hub.repo(NAME).branches["main"]
    push(hub, changed, revision="v2")
    assert hub.repo(NAME).branches["main"] == main
    assert hub.repo(NAME).commits[hub.repo(NAME).branches["v2"]]["README.md"] == b"# other\n"
    assert push(hub, changed, pr=True).endswith(f"{NAME}/discussions/1")
    assert hub.repo(NAME).branches["main"] == main


def test_revisions_pin_and_the_cache_serves_when_the_hub_is_gone(
    changed: Path, tmp_path: Path
) -> None:
    with FakeHub() as server:
        old = push(server).rsplit("/", 1)[-1]
        push(server, changed)
        pinned = pull(server, tmp_path, old)
        assert (pinned / "onnx" / "model.onnx").is_file()
        newest = pull(server, tmp_path)
        assert (newest / "README.md").read_text() == "# other\n"
        with pytest.raises(HanspanError, match=r"404 .*no such repository or revision"):
            pull(server, tmp_path, "nowhere")
    assert pull(server, tmp_path, old) == pinned
    assert Extractor.from_pretrained(pinned)("甲丙戊").spans[0].label == "PER"
    with pytest.raises(HanspanError, match="cannot be reached and there is no copy"):
        pull(server, tmp_path / "empty")


def test_what_is_no_bundle_is_refused_both_ways(hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    shutil.copytree(tiny.bundle_folder(), folder)
    (folder / "evil.py").write_text("boom")
    with pytest.raises(HanspanError, match="no part of a bundle"):
        push(hub, folder)
    assert hub.log == []
    push(hub)
    tree = dict(hub.repo(NAME).tree)
    tree["config.json"] = b'{"auto_map": {"AutoModel": "x.Y"}}'
    tree |= {"pytorch_model.bin": b"pickle", "runs/x.json": b"{}", "evil.py": b"boom"}
    hub.repo(NAME).add("main", tree, "hostile")
    with pytest.raises(HanspanError, match="auto_map"):
        pull(hub, tmp_path / "cache")
    assert hub.count(r"resolve/.*(pytorch_model\.bin|x\.json|evil\.py)") == 0


@pytest.mark.parametrize(
    ("status", "where", "words"),
    [
        (401, "POST /api/repos/create", "does not know your token; type 'hf auth login'"),
        (403, "POST /api/repos/create", "may not write there"),
        (403, "POST .*/commit/", "may not write there"),
        (409, "POST .*/commit/", "busy"),
        (412, "POST .*/commit/", "somebody committed meanwhile"),
        (413, "POST .*/commit/", "files of this size"),
        (500, "POST .*/commit/", "try again later"),
    ],
)
def test_refusals_are_one_line_without_the_token(
    hub: FakeHub, status: int, where: str, words: str
) -> None:
    hub.script(where, status=status)
    with pytest.raises(HanspanError) as caught:
        push(hub)
    message = str(caught.value)
    assert words in message
    assert message.startswith(f"push to {NAME}: {status} from the Hub")
    assert TOKEN not in message
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert (("model", NAME) not in hub.repos) or len(hub.repo(NAME).commits) == 1
    assert push(hub)  # and the next try goes through


def test_a_wrong_or_no_token(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HanspanError, match=r"401 .*does not know your token"):
        push(hub, token="hf_" + "wrongwrongwrong")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere/token")
    with pytest.raises(HanspanError, match="token"):
        push(hub, token=None)
    with pytest.raises(HanspanError, match=r"403 .*may not write there"):
        push(hub, name="somebody/else")


def test_too_many_requests_is_tried_again(hub: FakeHub) -> None:
    hub.script("POST .*/preupload/", status=429)
    hub.script("PUT /blob/", status=503)
    assert push(hub)
    assert hub.count("POST .*/preupload/") == 2


def test_a_cut_in_the_upload_commits_nothing_and_is_taken_up(hub: FakeHub) -> None:
    hub.script("POST .*/commit/", cut=True)
    with pytest.raises(HanspanError, match=r"connection broke .*nothing was committed"):
        push(hub)
    assert len(hub.repo(NAME).commits) == 1
    sent = hub.count("PUT /blob/")
    assert push(hub)
    assert hub.count("PUT /blob/") == sent  # not sent twice
    assert len(hub.repo(NAME).commits) == 2


def test_a_cut_after_the_commit_is_seen_as_done(hub: FakeHub) -> None:
    hub.script("POST .*/commit/", cut=True, after=True)
    url = push(hub)
    assert url.endswith(hub.repo(NAME).branches["main"])
    assert len(hub.repo(NAME).commits) == 2


def test_a_commit_of_somebody_else_is_never_overwritten(hub: FakeHub, changed: Path) -> None:
    push(hub)

    def meanwhile() -> None:
        hub.repo(NAME).add("main", {"theirs.txt": b"x"}, "theirs")

    hub.script("POST .*/commit/", call=meanwhile)
    with pytest.raises(HanspanError, match=r"412 .*somebody committed meanwhile"):
        push(hub, changed)
    assert hub.repo(NAME).tree == {"theirs.txt": b"x"}


def test_slow_answers_pass(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    hub.script("POST .*/preupload/", wait=0.3)
    hub.script("GET .*/resolve/", wait=0.3)
    push(hub)
    assert (pull(hub, tmp_path) / "hanspan.json").is_file()


def test_a_download_cut_half_way_leaves_no_broken_file(hub: FakeHub, tmp_path: Path) -> None:
    push(hub)
    for _ in range(12):
        hub.script(r"GET .*/resolve/.*model\.safetensors", cut=True)
    with pytest.raises(HanspanError, match=f"fetch {NAME}"):
        pull(hub, tmp_path)
    hub.steps.clear()
    folder = pull(hub, tmp_path)
    data = (tiny.bundle_folder() / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == data


@pytest.mark.parametrize("name", ["news", "a/b/c", "../x", "a/ b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(HanspanError, match="as in owner/name"):
        hanspan_hub.pull(name)


def test_scrub() -> None:
    assert hanspan_hub.scrub(f"no {TOKEN}\n Bearer abc") == "no [token] [token]"


# beside models: a Space, and data sets


def test_a_space_that_works_with_the_model_just_pushed(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = push(hub).rsplit("/", 1)[-1]
    publish.push_space(NAME, revision=sha, endpoint=hub.url, token=TOKEN)
    repo = hub.repo(NAME + "-demo", "space")
    assert repo.sdk == "gradio"
    assert set(repo.tree) == {".gitattributes", "app.py", "README.md", "requirements.txt"}
    assert yaml.safe_load(repo.tree["README.md"].split(b"---\n")[1])["models"] == [NAME]
    # Gradio is not needed here: a stand-in takes down what the page would call.
    (tmp_path / "gradio.py").write_text(STAND_IN)
    (tmp_path / "app.py").write_bytes(repo.tree["app.py"])
    code = "import app, json; print(json.dumps(app.find('甲丙戊，木木木')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1",
             "HF_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    spans, topics = json.loads(done.stdout or done.stderr)
    assert spans["entities"] == [{"entity": "PER", "start": 0, "end": 3}]
    assert set(topics) == set(tiny.TOPICS)


STAND_IN = """
class Anything:
    def __init__(self, *a, **k): pass
    def __enter__(self): return self
    def __exit__(self, *a): pass
    def __getattr__(self, name): return Anything()
    def __call__(self, *a, **k): return Anything()
def __getattr__(name): return Anything
"""


def test_weak_labels_become_a_data_set(hub: FakeHub, tmp_path: Path) -> None:
    span = Span(0, 2, "PER", 0.9, "rule:a+rule:b")
    documents = [Document("1", "韩冰", (span,), {"topic": "politics"}), Document("2", "无")]
    write_documents(tmp_path / "train.jsonl", documents)
    (tmp_path / "train.rules.json").write_text("{}")
    options = {"endpoint": hub.url, "token": TOKEN}
    url = publish.push_dataset(
        [tmp_path / "train.jsonl"], f"{OWNER}/weak", sources=["a newspaper"], **options
    )
    repo = hub.repo(f"{OWNER}/weak", "dataset")
    assert url == f"{hub.url}/datasets/{OWNER}/weak/commit/{repo.branches['main']}"
    assert repo.tree["data/train.jsonl"] == (tmp_path / "train.jsonl").read_bytes()
    assert "data/train.rules.json" in repo.tree
    card = repo.tree["README.md"].decode()
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data/train.jsonl"}]
    for line in ("| train | 2 | 3 | 1 |", "| PER | 1 |",
                 "| politics | 1 |", "| rule:b | 1 |", "- a newspaper"):  # fmt: skip
        assert line in card
    with pytest.raises(HanspanError, match="no such file"):
        publish.push_dataset([tmp_path / "none.jsonl"], f"{OWNER}/weak", **options)
    with pytest.raises(HanspanError, match="unknown kind of file"):
        publish.push_dataset([tmp_path / "x.docx"], f"{OWNER}/weak", **options)


def test_the_commands(hub: FakeHub, changed: Path, tmp_path: Path) -> None:
    """As typed, with the token in the environment alone."""
    env = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1",
    }  # fmt: skip

    def hanspan(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from hanspan.cli import main; main()", *map(str, words)],
            capture_output=True, text=True, env=env,
        )  # fmt: skip

    done = hanspan("push", tiny.bundle_folder(), NAME, "--space")
    assert done.returncode == 0, done.stderr
    commit, space, after = done.stdout.splitlines()
    assert commit.endswith(hub.repo(NAME).branches["main"])
    assert space.endswith(hub.repo(NAME + "-demo", "space").branches["main"])
    assert after.startswith("next: hanspan predict")
    assert (
        hub.repo(NAME).branches["main"].encode() in hub.repo(NAME + "-demo", "space").tree["app.py"]
    )
    done = hanspan("push", changed, NAME, "--revision", "v2")
    assert done.stdout.splitlines()[1].endswith(f"--model {NAME} --revision v2")
    done = hanspan("push", changed, NAME, "--pr", "--space")
    assert done.stdout.splitlines()[0].endswith("/discussions/1"), done.stderr
    assert b"'refs/pr/1'" in hub.repo(NAME + "-demo", "space").tree["app.py"]
    hub.script("GET /api/models/", status=401)
    failed = hanspan("pull", NAME)
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.startswith(f"hanspan: fetch {NAME}: 401")
    assert TOKEN not in failed.stderr + done.stderr + done.stdout
