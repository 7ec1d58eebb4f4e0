"""The shell scripts that a newcomer calls first.

pytest tests/test_scripts.py
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path

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
