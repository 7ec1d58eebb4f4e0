"""The shell scripts that a newcomer calls first, and what the benchmarks take for unread.

pytest tests/test_scripts.py
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hanspan.choose import Found
from hanspan.rules import load_rules

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
    group = student_bench.GROUPS[0]
    version = load_rules(str(group.rules)).version
    assert version
    (tmp_path / "scale.txt").write_text(f"0.2 {version}", "utf-8")
    assert student_bench.weak_labels(group, tmp_path, 0.2) == tmp_path / "train.jsonl"
    with pytest.raises(SystemExit, match=r"drawn with --scale 0\.2; found --scale 1"):
        student_bench.weak_labels(group, tmp_path, 1.0)
    (tmp_path / "scale.txt").write_text("0.2 another", "utf-8")
    with pytest.raises(SystemExit, match="labels are of other rules than those of today"):
        student_bench.weak_labels(group, tmp_path, 0.2)


def load(monkeypatch: pytest.MonkeyPatch, name: str, *words: object) -> ModuleType:
    """A script as a module, with these words on its command line."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, words)])
    return importlib.import_module(name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "self_training"], "student,self-training,distilled,supervised"),
        (["--steps", ""], "or '' with --model"),
        (["--plot", "x.png", "--steps", "student"], "expected supervised among them"),
        (["--plot", "x.png", "--groups", "tnews"], "no set with hand labels"),
        (["--plot", "x.png"], "no matplotlib; type pip install"),
        (["--json", "."], "found a folder"),
        (["--json", "file/x.json"], "its folder cannot be made"),
        (["--groups", "newz"], "expected some of news,"),
    ],
)
def test_bench_quality_names_wrong_options_at_the_start(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    module = load(monkeypatch, "bench_quality", *words)
    monkeypatch.setattr(module, "find_spec", lambda _: None)  # no matplotlib
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_bench_quality_makes_the_folders_of_its_files_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, picture = tmp_path / "a/b/x.json", tmp_path / "c/d/x.png"
    module = load(monkeypatch, "bench_quality", "--json", table, "--plot", picture)
    seen: list[set[str]] = []

    def run(_: Any, __: Any, groups: set[str], steps: set[str]) -> list[Any]:
        assert table.parent.is_dir()
        assert picture.parent.is_dir()
        seen.append(steps)
        return []

    monkeypatch.setattr(module, "find_spec", lambda _: object())
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "draw_curve", lambda *_: None)
    assert module.main() == 0
    model = ["--model", tmp_path, "--groups", "news", "--steps", ""]
    assert load(monkeypatch, "bench_quality", *model).main() == 0
    assert seen == [set(module.STEPS), set()]


@pytest.mark.parametrize("name", ["bench_quality", "bench_ablation"])
def test_a_bench_names_a_wrong_setting_in_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path))
    assert load(monkeypatch, name, "epoch=2").main() == 2
    assert capsys.readouterr().err.startswith(f"{name}: epoch: ")
    assert load(monkeypatch, name, "lr=[1").main() == 2
    assert "'lr=[1': found a value that is not YAML" in capsys.readouterr().err


def test_probe_encoder_makes_the_folders_of_its_files_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--json", tmp_path / "a/x.json", "--plot", tmp_path / "b/x.png"]
    module = load(monkeypatch, "probe_encoder", *words, "--encoders", "/no/such/folder")
    assert module.main() == 2
    assert (tmp_path / "a").is_dir()
    assert (tmp_path / "b").is_dir()
    for option in ("--json", "--plot"):
        monkeypatch.setattr("sys.argv", ["probe_encoder.py", option, str(tmp_path)])
        with pytest.raises(SystemExit, match="2"):
            module.main()
        assert f"{option} {tmp_path}: found a folder" in capsys.readouterr().err


def test_the_ablation_tells_topics_and_leaves_out_lists_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from hanspan import Document
    from hanspan.data import Span

    table = tmp_path / "new/x.json"
    words = ["--pieces", "topic,replace_from", "--seeds", "2", "--json", table]
    module = load(monkeypatch, "bench_ablation", *words)
    bench = module.bench
    span = (Span(0, 2, "PER"),)
    gold = [Document(n, "张三来了", span, {"topic": "world"}) for n in "ab"]
    changes: list[dict[str, str]] = []

    def student(_: Path, folder: Path, settings: Any) -> Path:
        assert table.parent.is_dir()
        changes.append(settings.replace_from)
        return folder

    def predicted(model: Path, documents: Iterable[Document]) -> list[Document]:
        """Spans and half of the topics are right; both in the second run of the balanced."""
        wrong = model.name != "with-topics-balanced-1"
        named = {"a": "world", "b": "economy" if wrong else "world"}
        return [replace(d, labels={"topic": named[d.id]}) for d in documents]

    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path))
    monkeypatch.setattr(bench, "weak_labels", lambda *_: tmp_path / "train.jsonl")
    monkeypatch.setattr(bench, "student", student)
    monkeypatch.setattr(bench, "predicted", predicted)
    monkeypatch.setattr(
        bench,
        "gold_of",
        lambda s: gold if "news" in s.name else [replace(d, labels={}) for d in gold],
    )
    assert module.main() == 0
    out = capsys.readouterr().out
    assert "with names of lists replaced: left out, no such file: " in out
    rows = {r["what"]: r for r in json.loads(table.read_text("utf-8"))}
    assert {what for what in rows if what.endswith("topics")} == {
        "news: full recipe, topics",
        "news: with topics balanced, topics",
    }
    balanced = rows["news: with topics balanced, topics"]
    assert (balanced["unit"], balanced["value"], balanced["peer_value"]) == ("% of topics", 75, 50)
    assert (balanced["runs"], balanced["spread"]) == ([50, 100], 35.36)
    assert rows["news: no topic head"]["value"] == rows["msra: full recipe"]["value"] == 100
    for name in module.LISTS.values():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("北京大学", "utf-8")
    changes.clear()
    assert module.main() == 0
    listed = [files for files in changes if files]
    assert listed == 2 * [{k: str(tmp_path / name) for k, name in module.LISTS.items()}]


def weak_rules(folder: Path, **rules: dict[str, Any]) -> None:
    text = json.dumps({"rules": {f"rule:{name}": row for name, row in rules.items()}})
    (folder / "weak.rules.json").write_text(text, "utf-8")


def test_choose_settings_names_what_cannot_be_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(groups: str, *candidates: str) -> str:
        assert load(monkeypatch, "choose_settings", tmp_path, groups, *candidates).main() == 2
        return capsys.readouterr().err

    topic = {"topical": True, "group": "", "labels": ["world"]}
    weak_rules(
        tmp_path,
        date={"topical": False, "group": "time", "labels": ["TIME"]},
        no={"topical": False, "group": "", "labels": ["NONE"]},
        world=topic,
    )
    for wrong in ("typo", "rule:world", "rule:no"):
        text = said(f"time,{wrong}", "epochs=2")
        assert f"groups ['{wrong}']: no group of rules that find spans" in text
        assert text.endswith("or some of time\n")
    assert "epoch: " in said("time", "epoch=2")
    assert "not YAML" in said("time", "lr=[1")
    assert "expected what is hidden in the word before" in said("time", "hide_rules=[typo]")
    weak_rules(tmp_path, world=topic)
    for groups in ("rule:world", "mentions=0.3"):
        text = said(groups, "epochs=2")
        assert "rules of topics alone" in text
        assert "words=0.3" in text


def test_choose_settings_tells_a_group_without_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {name: {"group": "", "labels": ["PER"]} for name in ("one", "two")}
    weak_rules(tmp_path, **rows)
    module = load(monkeypatch, "choose_settings", tmp_path, "rule:one,rule:two", "epochs=2")
    found = Found(recovered=0.5, agreement=0.5, whole=0.5, score=0.5)
    choice = SimpleNamespace(name="epochs=2", score=0.5, by_group={"rule:one": found})
    monkeypatch.setattr(module, "choose", lambda *_, **__: [choice])
    assert module.main() == 0
    out = capsys.readouterr().out
    assert "rule:two: no span or changed topic in the held-out documents" in out
    assert "rule:one: no span" not in out


def test_text_of_one_source_alone_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path))
    import student_bench

    rows = [{"text": f"标题{i}", "source": "甲 乙" if i % 2 else "丙"} for i in range(9)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "titles.jsonl").write_text(lines, "utf-8")
    own = student_bench.draw("titles.jsonl#甲 乙", 100, 1)
    assert sorted(d.text for d in own) == ["标题1", "标题3", "标题5", "标题7"]
    assert len(student_bench.draw("titles.jsonl", 100, 1)) == 9


def test_new_spans_are_those_that_share_no_character_with_a_vote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import new_spans
    from hanspan.data import Document, Span

    text = "一。韩冰在合肥说。二"
    given = Document("d", text, (Span(2, 4, "PER"), Span(5, 7, "LOC"), Span(7, 8, "X")))
    votes = Document("d", text, (Span(6, 8, "LOC"), Span(2, 4, "NONE")))
    (new,) = new_spans.untouched(given, votes)  # a vote for "no entity" is none for an entity
    assert (new.start, new.end) == (2, 4)
    assert new_spans.in_its_sentence(text, new) == "[韩冰]在合肥说。"
    assert new_spans.in_its_sentence("韩冰", Span(0, 2, "PER")) == "[韩冰]"


def test_how_far_the_student_is_above_the_label_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import student_bench

    wanted = student_bench.GoldSet("news", "dev.jsonl", gain=8.0)
    (row,) = student_bench.gain_rows(wanted, {"student": 0.866, "label model": 0.947})
    assert (row["value"], row["target"], row["peer_value"]) == (-8.1, 8.0, 94.7)
    assert student_bench.gain_rows(wanted, {"student": 0.866}) == []
    assert student_bench.gain_rows(student_bench.GoldSet("msra", ""), {"student": 1.0}) == []
    assert [s.name for g in student_bench.GROUPS for s in g.sets if s.gain] == ["news"]


def test_temperatures_are_those_of_the_end_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from hanspan.meta import ModelMeta
    from hanspan.train import train
    from hanspan.train_settings import TrainSettings
    from test_train import FAST, write_weak

    path = write_weak(tmp_path, 60)
    model = train(path, tmp_path / "run", TrainSettings(**FAST, epochs=6)).model
    meta = ModelMeta.read(model)
    assert meta.temperature != 1
    replace(meta, temperature=9.0, topic_temperature=9.0).write(model)
    plain = load(monkeypatch, "set_temperature", model, path, "--dry-run")
    monkeypatch.setattr(plain, "use_bf16", lambda *_: False)
    assert plain.main() == 0
    assert f"temperature 9 -> {meta.temperature:g}\n" in capsys.readouterr().out
    assert ModelMeta.read(model).temperature == 9
    assert load(monkeypatch, "set_temperature", model, path).main() == 0
    assert ModelMeta.read(model) == meta
    for words, said in (
        ((model, path, "--held-out", "0"), "no document is held out"),
        ((model, path, "--held-out", "2"), "held_out: "),
        ((model, tmp_path / "none.jsonl"), "none.soft.npz: no such file"),
        ((tmp_path / "none", path), "no such folder"),
    ):
        assert load(monkeypatch, "set_temperature", *words).main() == 2
        assert said in capsys.readouterr().err
