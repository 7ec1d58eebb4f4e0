"""Every block of the README runs: Python as it stands, commands as far as they need no network.

pytest tests/test_readme.py
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hanspan.cli import main
from hanspan.train_settings import TrainSettings
from tiny import bundle_folder

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
SAMPLE = ROOT / "src" / "hanspan" / "assets" / "sample"


@pytest.fixture(scope="module")
def bundle() -> Path:
    return bundle_folder()


@pytest.fixture
def place(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as it stands after the quickstart, with a tiny model in place of the real one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle, tmp_path / "runs/quickstart/bundle")
    for name in ("configs", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(SAMPLE / "pages/page1-01.txt", tmp_path / "page.txt")
    shutil.copy(SAMPLE / "dev.jsonl", tmp_path / "gold.jsonl")
    return tmp_path


def test_readme_begins_with_commands_and_code() -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds[:2] == ["console", "python"]
    assert TEXT.index("```python") < 1200


def test_python_blocks_run_in_order(place: Path) -> None:
    blocks = [code for kind, code in BLOCKS if kind == "python"]
    assert len(blocks) >= 2
    names: dict[str, object] = {"__name__": "readme"}
    for code in blocks:
        if "OWNER/NAME" in code:
            compile(code, "README.md", "exec")
        else:
            exec(compile(code, "README.md", "exec"), names)


def test_yaml_blocks_are_rules_that_pass_their_examples(place: Path) -> None:
    blocks = [code for kind, code in BLOCKS if kind == "yaml" and "\nrules:" in code]
    assert blocks
    for number, code in enumerate(blocks):
        path = place / f"rules{number}.yaml"
        path.write_text(code, "utf-8")
        shown = CliRunner().invoke(main, ["rules", "test", str(path)])
        assert shown.exit_code == 0, shown.output


def test_yaml_blocks_of_settings_can_be_used(place: Path) -> None:
    blocks = [code for kind, code in BLOCKS if kind == "yaml" and code.startswith("train:")]
    assert blocks
    for code in blocks:
        settings = TrainSettings(**yaml.safe_load(code)["train"])
        settings.check_files_are_named()


def test_commands_are_there_and_their_options_too(place: Path) -> None:
    lines = [
        line.removeprefix("$ ").split("  #")[0]
        for kind, code in BLOCKS
        if kind == "console"
        for line in code.splitlines()
        if line.startswith("$ ")
    ]
    assert len(lines) >= 10
    for line in lines:
        words = [word for word in line.split() if not re.fullmatch(r"[A-Z_]+=\S+", word)]
        if words[0].startswith("scripts/"):
            assert (ROOT / words[0]).exists(), line
        if words[0] == "hanspan":
            shown = CliRunner().invoke(main, [words[1], "--help"])
            assert shown.exit_code == 0, line
            for option in (word.split("=")[0] for word in words if word.startswith("--")):
                sub = CliRunner().invoke(main, [*words[1:3], "--help"])
                assert option in shown.output + sub.output, line
        if words[0] == "python" and words[1].startswith("scripts/"):
            assert (ROOT / words[1]).exists(), line


def test_every_file_of_the_tree_exists() -> None:
    trees = [code for kind, code in BLOCKS if kind == "text" and "src/hanspan" in code]
    assert trees
    for line in trees[0].splitlines():
        if match := re.match(r"\s+([\w./]+)\s{2,}\S", line):
            assert list((ROOT / "src" / "hanspan").glob(match[1].rstrip("/"))), line
    assert sys.version_info >= (3, 11)
