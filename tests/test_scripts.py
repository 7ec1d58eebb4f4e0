"""The shell scripts that a newcomer calls first, and what the benchmarks take for unread.

pytest tests/test_scripts.py
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent
SHELL = ["scripts/environment", "scripts/quickstart", "scripts/test", ".ci/run"]


@pytest.mark.parametrize("name", SHELL)
def test_shell_scripts_parse_and_are_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_every_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *itertools.chain(*project["optional-dependencies"].values()),
    ]
    pins = (ROOT / "scripts" / "constraints.txt").read_text("utf-8").lower().replace("_", "-")
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", pins, re.M))
    names = {re.split(r"[\[<>=!~;@ ]", item)[0].lower().replace("_", "-") for item in wanted}
    assert names - {"hanspan"} - pinned == set()
    assert "torch==2.13.0" in pins


def test_without_python_the_script_says_what_to_do(tmp_path: Path) -> None:
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for tool in ("bash", "dirname", "cat", "cksum", "env"):
        found = subprocess.run(["which", tool], capture_output=True, text=True, check=True)
        (bin_dir / tool).symlink_to(found.stdout.strip())
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "environment"],
        env={"PATH": str(bin_dir)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Python 3.11" in done.stderr


def test_unread_rows_are_no_rows_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hanspan import Document
    from hanspan.data import write_documents

    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import student_bench

    group = student_bench.GROUPS[0]
    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path))
    monkeypatch.setattr(student_bench, "_UNREAD", 100)
    write_documents(
        tmp_path / "train.jsonl", [Document("t", "第10002 句 。"), Document("u", "别的")]
    )
    for wanted in student_bench.unread_sets(group, tmp_path / "train.jsonl"):
        rows = (Document(f"r{n}", f"第{n}句。") for n in range(10005))
        (tmp_path / "gold" / wanted.file).parent.mkdir(parents=True, exist_ok=True)
        write_documents(tmp_path / "gold" / wanted.file, rows)
        found = {d.text for d in student_bench.gold_of(wanted)}
        assert "第10002句。" not in found
        if wanted.name == "msra unread":
            assert found == {f"第{n}句。" for n in (10000, 10001, 10003, 10004)}


def test_unread_rows_leave_out_texts_of_the_rows_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hanspan import Document
    from hanspan.data import Span, write_documents

    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import student_bench

    spans = [Span(0, 2, "PER"), Span(0, 3, "ORG")]
    texts = ["甲一一", "乙二二", "甲一一", "丙三三"]
    documents = [Document(f"d{n}", text, tuple(spans)) for n, text in enumerate(texts)]
    (tmp_path / "gold").mkdir()
    write_documents(tmp_path / "gold" / "part.jsonl", documents)
    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path))
    (found,) = student_bench.gold_of(student_bench.GoldSet("part unread", "part.jsonl", skip=2))
    assert found.text == "丙三三"
    assert [(s.start, s.end, s.label) for s in found.spans] == [(0, 3, "ORG")]


def test_a_bench_trains_what_changed_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import student_bench
    from hanspan.train_settings import TrainSettings

    trained: list[TrainSettings] = []

    def fake(path: Path, folder: Path, settings: TrainSettings) -> SimpleNamespace:
        trained.append(settings)
        folder.mkdir(exist_ok=True)
        row = {"settings": settings.model_dump(mode="json")}
        row["files"] = student_bench.files_digest(path, settings)
        (folder / "train.json").write_text(json.dumps(row), "utf-8")
        return SimpleNamespace(model=folder / "model")

    monkeypatch.setattr(student_bench, "train", fake)
    source = tmp_path / "train.jsonl"
    source.write_text("one", "utf-8")
    for settings, text, times in (
        (TrainSettings(), "one", 1),
        (TrainSettings(), "one", 1),
        (TrainSettings(epochs=3), "one", 2),
        (TrainSettings(epochs=3), "two", 3),
    ):
        source.write_text(text, "utf-8")
        assert student_bench.student(source, tmp_path / "run", settings) == tmp_path / "run/model"
        assert len(trained) == times


def test_a_bench_refuses_text_of_another_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import student_bench

    (tmp_path / "train.jsonl").write_text("", "utf-8")
    (tmp_path / "scale.txt").write_text("0.2", "utf-8")
    group = student_bench.GROUPS[0]
    assert student_bench.weak_labels(group, tmp_path, 0.2) == tmp_path / "train.jsonl"
    with pytest.raises(SystemExit, match=r"drawn with --scale 0\.2; found --scale 1"):
        student_bench.weak_labels(group, tmp_path, 1.0)
