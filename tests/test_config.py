"""pytest tests/test_config.py"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hanspan.config import dump_config, expand, load_config, parse_yaml
from hanspan.errors import ConfigError, HanspanError

GOOD = """\
task:
  label_set: news
out: runs/x
pages:
  input:
    - a.txt
    - {path: b.jsonl, limit: 5}
"""


def load(tmp_path: Path, text: str, *settings: str) -> object:
    path = tmp_path / "c.yaml"
    path.write_text(text, "utf-8")
    return load_config(path, settings)


def test_a_good_config_and_its_resolved_form(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD, "train.epochs=3", "seed=9", "label.workers=2")
    assert config.task.entity_labels()[0] == "PER"
    assert (config.train.epochs, config.seed, config.label.workers) == (3, 9, 2)
    assert [(i.path, i.limit) for i in config.pages.input] == [("a.txt", None), ("b.jsonl", 5)]
    (tmp_path / "again.yaml").write_text(dump_config(config), "utf-8")
    assert load_config(tmp_path / "again.yaml") == config
    assert yaml.safe_load(dump_config(config))["aggregate"]["method"] == "vote"


def test_all_mistakes_at_once_with_line_and_nearest_key(tmp_path: Path) -> None:
    text = GOOD + "label:\n  wrokers: 2\naggregate:\n  method: votes\nseed: x\n"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, "evaluate.glod=x")
    said = str(caught.value).splitlines()
    assert len(said) == 4
    assert any("c.yaml:9: label.wrokers: no such key; did you mean 'workers'?" in s for s in said)
    assert any("c.yaml:11: aggregate.method" in s and "'votes'" in s for s in said)
    assert any("c.yaml:12: seed" in s for s in said)
    assert any(
        s.startswith("command line: evaluate.glod: no such key; did you mean 'gold'") for s in said
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("- 1\n", "found list"),
        ("a: [1\n", "not YAML"),
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3: a: given twice, first in line 1"),
        ("task: !!python/object/apply:os.system [ls]\n", "not YAML"),
        (GOOD.replace("label_set: news", "name: x"), "no labels found"),
        (GOOD.replace("label_set: news", "label_set: old"), "'old' is not there"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml") as caught:
        load(tmp_path, text)
    assert says in str(caught.value)


def test_text_in_place_of_a_config_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "好"}\n')
    with pytest.raises(
        ConfigError, match=r"train\.jsonl: found a file of texts, expected a config"
    ):
        load_config(tmp_path / "train.jsonl")
    for name in ("config", "c.YAML"):
        (tmp_path / name).write_text(GOOD, "utf-8")
        assert load_config(tmp_path / name).out


def test_missing_file_and_wrong_encoding(tmp_path: Path) -> None:
    (tmp_path / "news.yaml").write_bytes("任务: 1".encode("gb18030"))
    with pytest.raises(ConfigError, match=r"did you mean .*news\.yaml"):
        load_config(tmp_path / "new.yaml")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "news.yaml")


def test_bad_settings_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected key\.path=value"):
        load(tmp_path, GOOD, "epochs")
    with pytest.raises(ConfigError, match="holds a value"):
        load(tmp_path, GOOD, "out.x=1")


def test_nested_aliases_do_not_explode() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert len(parse_yaml(bomb, "bomb")[1]) < 100


def test_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text("x")
    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path))
    assert [p.name for p in expand("${HANSPAN_DATA}/*.txt")] == ["a.txt", "b.txt"]
    assert len(expand("sample:pages/*.txt")) >= 2
    monkeypatch.delenv("HANSPAN_DATA")
    with pytest.raises(HanspanError, match="HANSPAN_DATA is not set"):
        expand("${HANSPAN_DATA}/a.txt")
    with pytest.raises(HanspanError, match="no file matches"):
        expand(f"{tmp_path}/*.pdf")
    with pytest.raises(HanspanError, match="no such file"):
        expand(f"{tmp_path}/none.txt")
