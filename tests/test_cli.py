"""pytest tests/test_cli.py"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hanspan.cli import main
from hanspan.data import Document, Span, read_documents, write_documents

GOLD = [Document("a", "合肥市政协主席韩冰", (Span(0, 5, "GOV"), Span(7, 9, "PER")))]
FOUND = [Document("a", "合肥市政协主席韩冰", (Span(0, 5, "ORG"), Span(7, 9, "PER")))]


def hanspan(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_every_command_has_help_with_an_example() -> None:
    names = main.list_commands(None)  # type: ignore[arg-type]
    assert {"run", "pages", "label", "aggregate", "train", "evaluate", "bundle", "predict",
            "push", "rules"} <= set(names)  # fmt: skip
    for name in names:
        shown = hanspan(name, "--help")
        assert shown.exit_code == 0, name
        assert f"hanspan {name}" in shown.output, name


def test_a_misspelt_command_names_the_nearest() -> None:
    shown = hanspan("agregate")
    assert shown.exit_code == 2
    assert "aggregate" in shown.output


def test_evaluate_prints_and_writes(tmp_path: Path) -> None:
    gold, found = tmp_path / "gold.jsonl", tmp_path / "found.jsonl"
    write_documents(gold, GOLD)
    write_documents(found, FOUND)
    shown = hanspan("evaluate", gold, found, "--json", tmp_path / "r.json",
                    "--html", tmp_path / "r.html", "--map", "GOV=ORG")  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert "100.0" in shown.output
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["entities"]["f1"] == 1.0
    assert "<svg" in (tmp_path / "r.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["none.jsonl", "none.csv"])
def test_a_missing_file_is_one_line_and_status_2(tmp_path: Path, name: str) -> None:
    shown = hanspan("evaluate", tmp_path / name, tmp_path / name)
    assert shown.exit_code == 2
    assert len(shown.output.strip().splitlines()) == 1
    assert "expected" in shown.output


def test_label_and_aggregate_by_hand(tmp_path: Path) -> None:
    documents, weak, train = (tmp_path / f"{n}.jsonl" for n in ("documents", "weak", "train"))
    rules = tmp_path / "mine.yaml"
    rules.write_text(
        "name: mine\nlabels: [ORG]\nrules:\n  bodies: {kind: lexicon, label: ORG, "
        "entries: [市政协]}\n",
        "utf-8",
    )
    write_documents(documents, [Document("a", "合肥市政协主席韩冰表示，市政协会议召开。")])
    shown = hanspan("label", documents, weak, "--rules", rules)
    assert shown.exit_code == 0, shown.output
    assert "next: hanspan aggregate" in shown.output
    shown = hanspan("aggregate", weak, train)
    assert shown.exit_code == 0, shown.output
    (one,) = read_documents(train)
    assert [one.surface(s) for s in one.spans] == ["市政协", "市政协"]
    assert (tmp_path / "train.soft.npz").exists()


def test_run_with_a_broken_config_lists_all_mistakes(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("task: {label_set: nws}\npages: {inputs: x}\nlabel: {workers: 0}\n", "utf-8")
    shown = hanspan("run", config)
    assert shown.exit_code == 2
    assert "c.yaml:1" in shown.output
    assert "did you mean 'input'?" in shown.output
    assert "label.workers" in shown.output
    assert "out: not found" in shown.output


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"task: {{label_set: news}}\nout: {tmp_path}/out\npages: {{input: 'sample:pages/*.txt'}}\n",
        "utf-8",
    )
    shown = hanspan("run", config, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "train      runs: not done yet" in shown.output
    assert not (tmp_path / "out").exists()


def test_an_empty_file_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    shown = hanspan("label", tmp_path / "empty.jsonl", tmp_path / "weak.jsonl")
    assert shown.exit_code == 2
    assert "no document found" in shown.output
    assert [p.name for p in tmp_path.iterdir()] == ["empty.jsonl"]


def test_predict_says_where_rejected_rows_are_and_that_there_was_nothing(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "韩冰说"}\nno json\n', "utf-8")
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    shown = hanspan("predict", tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert shown.exit_code == 0, shown.output
    assert f"1 rejected, see {tmp_path / 'out.jsonl.rejected.jsonl'}" in shown.output
    shown = hanspan("predict", tmp_path / "empty.jsonl", tmp_path / "out.jsonl")
    assert f"no documents -> {tmp_path / 'out.jsonl'}" in shown.output


def test_import_does_not_write_over_its_input(tmp_path: Path) -> None:
    path = tmp_path / "x.doccano.jsonl"
    path.write_text('{"text": "韩冰说", "label": [[0, 2, "PER"]]}\n', "utf-8")
    shown = hanspan("import", path, path)
    assert shown.exit_code == 2
    assert "found the input under this name" in shown.output
    assert "label" in path.read_text("utf-8")


def test_calibrate_needs_a_model_that_is_fitted_and_written(tmp_path: Path) -> None:
    (tmp_path / "weak.jsonl").write_text('{"id": "a", "text": "x"}\n')
    shown = hanspan("aggregate", tmp_path / "weak.jsonl", "--explain", "a", "--calibrate")
    assert shown.exit_code == 2
    assert "found --explain or --model beside it" in shown.output
