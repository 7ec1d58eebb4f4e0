"""The whole way on the sample, with a tiny random encoder.

pytest tests/test_stages.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hanspan.cli import main
from hanspan.cli_run import best_example
from hanspan.config import load_config
from hanspan.data import Document, Span, read_documents, write_documents
from hanspan.encoders import embedded_encoder
from hanspan.stages import stages_of

CONFIG = """\
task: {{label_set: news, name: tiny}}
out: {out}
pages: {{input: "sample:pages/page1-*.txt", exclude: ["{exclude}"]}}
train: {{encoder: "random:tiny", epochs: {epochs}, batch_tokens: 1024, save_every: 2}}
evaluate: {{gold: "sample:dev.jsonl"}}
predict: {{input: "sample:pages/page2-*.txt"}}
"""


def write_config(folder: Path, epochs: int = 1, exclude: str = "none.jsonl") -> Path:
    path = folder / "tiny.yaml"
    text = CONFIG.format(out=folder / "out", epochs=epochs, exclude=exclude)
    path.write_text(text, "utf-8")
    return path


def hanspan(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("way")
    return folder, hanspan("run", write_config(folder))


def test_all_stages_and_the_summary(made: tuple[Path, Result]) -> None:
    folder, shown = made
    assert shown.exit_code == 0, shown.output
    out = folder / "out"
    for name in ("documents.jsonl", "weak.jsonl", "train.jsonl", "train.soft.npz", "run/model",
                 "report.json", "report.html", "bundle/README.md", "bundle/onnx/model.onnx",
                 "predictions.jsonl", "config.yaml", "run.log"):  # fmt: skip
        assert (out / name).exists(), name
    assert [p.name for p in out.iterdir() if p.name.startswith(".")] == [".hanspan.json"]
    for words in ("rules alone", "label model", "student", "report.html", "next", "example"):
        assert words in shown.output, words
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert list(report["systems"]) == [
        "rules alone", "label model", "student with rules", "student",
    ]  # fmt: skip
    assert report["facts"]["selection"] == "without gold"
    assert '"seed": 7' in (out / "run.log").read_text("utf-8")
    assert (out / "documents.jsonl.dropped.jsonl").exists()


def test_a_second_run_does_nothing(made: tuple[Path, Result]) -> None:
    folder, _ = made
    shown = hanspan("run", folder / "tiny.yaml")
    assert shown.output.count("unchanged, skipped") == 7
    assert "student" in shown.output
    dry = hanspan("run", folder / "tiny.yaml", "--dry-run", "label.on_error=skip")
    assert "label      runs: settings changed (on_error)" in dry.output


def test_the_bundle_is_one_that_predict_takes(made: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = made
    texts = tmp_path / "t.jsonl"
    write_documents(texts, [Document("a", "合肥市政协主席韩冰表示。")])
    output = tmp_path / "p.jsonl"
    shown = hanspan("predict", texts, output, "--model", folder / "out" / "bundle")
    assert shown.exit_code == 0, shown.output
    assert [d.id for d in read_documents(output)] == ["a"]


@pytest.mark.parametrize("setting", ["small", "graph_only"])
def test_the_config_asks_for_a_light_bundle(
    made: tuple[Path, Result], tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = made
    # A model of one epoch is near ties everywhere, which int8 may settle in another way.
    monkeypatch.setattr("hanspan.parity.LEAST_INT8_AGREEMENT", 0.8)
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    size = (out / "bundle/model.safetensors").stat().st_size
    words = [folder / "tiny.yaml", f"out={out}", f"bundle.{setting}=true", "--only", "bundle"]
    shown = hanspan("run", *words)
    assert shown.exit_code == 0, shown.output
    assert (out / "bundle/onnx/model_int8.onnx").is_file()
    assert not (out / "bundle/onnx/model.onnx").exists()
    if setting == "small":
        assert (out / "bundle/model.safetensors").stat().st_size < 0.6 * size
    else:
        assert not (out / "bundle/model.safetensors").exists()


def test_texts_of_excluded_files_are_left_out_and_gold_may_be_absent(
    made: tuple[Path, Result], tmp_path: Path
) -> None:
    folder, _ = made
    first = next(iter(read_documents(folder / "out" / "documents.jsonl")))
    write_documents(tmp_path / "dev.jsonl", [Document("x", first.text.split("\n")[0])])
    config = write_config(tmp_path, exclude=str(tmp_path / "dev.jsonl"))
    assert hanspan("run", config, "--only", "pages").exit_code == 0
    ids = [d.id for d in read_documents(tmp_path / "out" / "documents.jsonl")]
    assert ids
    assert first.id not in ids


def test_all_files_of_documents_are_predicted(made: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made[0] / "out", out)
    for name in "ab":
        write_documents(tmp_path / f"{name}.jsonl", [Document("x", f"{name}：会议在合肥召开。")])
    with (tmp_path / "b.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"id": "y"}\n')
    given = f"predict.input=[{tmp_path / 'a.jsonl'},{tmp_path / 'b.jsonl'}]"
    shown = hanspan("run", write_config(tmp_path), given, "--only", "predict", "--overwrite")
    assert shown.exit_code == 0, shown.output
    found = list(read_documents(out / "predictions.jsonl"))
    assert [(d.id, d.text[0]) for d in found] == [("x", "a"), ("x#2", "b")]
    assert '"y"' in (out / "predictions.jsonl.rejected.jsonl").read_text("utf-8")
    assert not list(out.glob(".predict-pages*"))


def test_labels_that_rows_bring_along_do_not_reach_training(tmp_path: Path) -> None:
    rows = tmp_path / "gold.jsonl"
    span = Span(0, 2, "LOC", 1.0, "gold")
    write_documents(rows, [Document("a", "我们吃饭。", (span,), {"topic": "sports"})])
    shown = hanspan("run", write_config(tmp_path), f"pages.input={rows}", "--only", "pages")
    assert shown.exit_code == 0, shown.output
    (found,) = read_documents(tmp_path / "out" / "documents.jsonl")
    assert (found.text, found.spans, dict(found.labels)) == ("我们吃饭。", (), {})


def test_without_gold_all_but_measuring_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("hanspan.stages._log.warning", lambda form, *a: said.append(form % a))
    config = write_config(tmp_path, exclude=str(tmp_path / "gold/*.jsonl"))
    shown = hanspan("run", config, f"evaluate.gold={tmp_path / 'gold/dev.jsonl'}")
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "out/predictions.jsonl").is_file()
    assert not (tmp_path / "out/report.json").exists()
    assert any("dev.jsonl: no such file" in s and "not measured" in s for s in said)
    assert any("not kept out of training" in s for s in said)


def test_hand_labels_are_an_input_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANSPAN_DATA", str(tmp_path))
    config = write_config(tmp_path)
    mixed = ["train.mode=mixed", "train.hand=${HANSPAN_DATA}/hand.jsonl"]
    shown = hanspan("run", config, *mixed, "--only", "pages")
    assert (shown.exit_code, "train.hand: " in shown.output) == (2, True), shown.output
    shown = hanspan("run", config, mixed[0], "--dry-run")
    assert (shown.exit_code, "expected train.hand=" in shown.output) == (2, True), shown.output
    write_documents(tmp_path / "hand.jsonl", [Document("a", "韩冰说。", (Span(0, 2, "PER"),))])
    (train,) = (s for s in stages_of(load_config(config, mixed)) if s.name == "train")
    assert tmp_path / "hand.jsonl" in train.inputs  # another content, another training
    assert train.settings["hand"] == str(tmp_path / "hand.jsonl")
    (train,) = (s for s in stages_of(load_config(config, mixed[1:])) if s.name == "train")
    assert tmp_path / "hand.jsonl" not in train.inputs  # weak mode reads none


def test_another_encoder_in_the_same_folder_is_another_training(tmp_path: Path) -> None:
    config, encoder = write_config(tmp_path), tmp_path / "encoder"
    shutil.copytree(str(embedded_encoder()), encoder)

    def settings() -> object:
        loaded = load_config(config, [f"train.encoder={encoder}"])
        return next(s for s in stages_of(loaded) if s.name == "train").settings

    before = settings()
    assert settings() == before
    (encoder / "README.md").write_text("another card\n", "utf-8")
    assert settings() == before
    with (encoder / "model.safetensors").open("ab") as weights:
        weights.write(b" ")
    assert settings() != before


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    config = write_config(tmp_path, epochs=30)
    command = [sys.executable, "-m", "hanspan.cli", "run", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    work = tmp_path / "out" / "run"
    deadline = time.monotonic() + 120
    while not list(work.rglob("checkpoint-*/trainer_state.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "bundle").exists()
    shown = hanspan("run", config, "--dry-run")
    assert "train      runs: was stopped" in shown.output
    assert "aggregate  skipped, unchanged" in shown.output
    shown = hanspan("run", config)
    assert shown.exit_code == 0, shown.output
    log = next(iter((tmp_path / "out/run").rglob("*.csv"))).read_text("utf-8")
    steps = [row.split(",")[0] for row in log.splitlines()[1:]]
    assert steps == sorted(set(steps), key=int)


def test_best_example_has_many_labels(tmp_path: Path) -> None:
    write_documents(
        tmp_path / "p.jsonl",
        [
            Document("a", "没有实体的句子在这里写得很长很长。", ()),
            Document(
                "b",
                "短。合肥市政协主席韩冰在会上表示要努力。",
                (Span(2, 7, "GOV"), Span(7, 9, "TITLE"), Span(9, 11, "PER")),
            ),
        ],
    )
    best = best_example(tmp_path / "p.jsonl")
    assert best is not None
    assert [(best.surface(s), s.label) for s in best.spans] == [
        ("合肥市政协", "GOV"),
        ("主席", "TITLE"),
        ("韩冰", "PER"),
    ]
