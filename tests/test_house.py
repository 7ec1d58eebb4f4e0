"""The house itself: imports, public surface, configs, README, versions.

pytest tests/test_house.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hanspan
from hanspan.config import load_config

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "hanspan").rglob("*.py"))
SCRIPTS = [p for p in sorted((ROOT / "scripts").glob("*.py")) if "__main__" in p.read_text("utf-8")]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
SURFACE = [
    "ConfigError",
    "Document",
    "Extractor",
    "HanspanError",
    "Span",
    "answering",
    "load_rules",
    "read_documents",
    "rule",
    "topic_rule",
    "write_documents",
]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_public_surface() -> None:
    assert hanspan.__all__ == SURFACE
    for name in SURFACE:
        assert getattr(hanspan, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'extractor_of'"):
        hanspan.extractor_of  # noqa: B018


def test_import_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "datasets", "numpy", "onnxruntime", "pydantic")
    code = f"import sys, hanspan; print([n for n in {heavy} if n in sys.modules])"
    assert run_python(code) == "[]"


@pytest.mark.parametrize(
    "names",
    ["from hanspan import rule, load_rules, Document", "from hanspan import Extractor",
     "import hanspan.cli", "import hanspan.weak, hanspan.labelmodel, hanspan.pages",
     "import hanspan.evaluate, hanspan.config, hanspan.run"],
)  # fmt: skip
def test_light_parts_load_no_torch(names: str) -> None:
    code = f"import sys; {names}; print([n for n in ('torch', 'transformers') if n in sys.modules])"
    assert run_python(code) == "[]"


def test_top_version_of_the_changelog_is_the_package_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    top = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert top is not None
    assert top[1] == project["version"] == hanspan.__version__


def test_every_config_loads_and_begins_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(CONFIGS) >= 2
    for path in CONFIGS:
        first = path.read_text("utf-8").splitlines()[0]
        assert path.name in first, path
        if "hanspan run" in first:  # expand() is not called: no data is needed
            load_config(path)


def test_modules_are_small_and_none_is_called_utils() -> None:
    assert len(SOURCES) > 30
    long = {p.name: n for p in SOURCES if (n := len(p.read_text("utf-8").splitlines())) > 400}
    assert long == {}
    assert not [p for p in SOURCES if p.stem in {"utils", "helpers", "common", "misc"}]


def test_imports_go_one_way_and_the_wings_stay_apart() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_no_import_circles() -> None:
    import grimp

    graph = grimp.build_graph("hanspan", cache_dir=None)
    circles = [
        (left, right)
        for left in graph.modules
        for right in graph.find_modules_directly_imported_by(left)
        if left != right and graph.chain_exists(right, left)
    ]
    assert circles == []


def test_scripts_begin_with_their_command() -> None:
    assert SCRIPTS
    for path in SCRIPTS:
        head = "\n".join(path.read_text("utf-8").splitlines()[:6])
        assert f"scripts/{path.name}" in head, path


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_scripts_explain_themselves(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, path, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()
