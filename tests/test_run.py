"""pytest tests/test_run.py"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from hanspan.data import whole
from hanspan.errors import HanspanError
from hanspan.run import Done, Stage, digest, log_to, plan, run


def copy_stage(
    name: str, source: Path, target: Path, calls: list[str], add: str = "", **more: object
) -> Stage:
    def work(progress: Callable[..., None]) -> dict[str, object]:
        calls.append(name)
        with whole(target) as temporary:
            temporary.write_text(source.read_text() + add)
        return {"characters": len(source.read_text())}

    return Stage(name, (source,), (target,), {"add": add, **more}, ("errors",), work)


@pytest.fixture
def way(tmp_path: Path) -> Callable[..., tuple[list[Stage], list[str]]]:
    (tmp_path / "raw").write_text("x")

    def build(add: str = "!") -> tuple[list[Stage], list[str]]:
        calls: list[str] = []
        out = tmp_path / "out"
        first = copy_stage("one", tmp_path / "raw", out / "a", calls, add)
        return [first, copy_stage("two", out / "a", out / "b", calls)], calls

    return build


Way = Callable[..., tuple[list[Stage], list[str]]]


def ran(results: list[Done]) -> list[str]:
    return [done.stage for done in results if done.ran]


def test_unchanged_stages_are_skipped_and_changes_travel_down(way: Way, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stages, _ = way()
    assert ran(run(stages, out)) == ["one", "two"]
    stages, calls = way()
    results = run(stages, out)
    assert (ran(results), calls) == ([], [])
    assert results[0].facts == {"characters": 1}
    stages, _ = way(add="?")
    assert [why for _, why in plan(stages, out)] == [
        "settings changed (add)",
        "an earlier stage runs",
    ]
    assert ran(run(stages, out)) == ["one", "two"]
    (tmp_path / "raw").write_text("y")
    assert plan(stages, out)[0][1] == "input changed"
    (out / "b").unlink()
    assert plan(stages, out)[1][1] == "b is missing"


def test_same_output_stops_the_change(way: Way, tmp_path: Path) -> None:
    stages, _ = way()
    run(stages, tmp_path / "out")
    calls: list[str] = []
    out = tmp_path / "out"
    again = copy_stage("one", tmp_path / "raw", out / "a", calls, "!", unused=1)
    assert ran(run([again, stages[1]], out)) == ["one"]


def test_from_and_only(way: Way, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stages, calls = way()
    with pytest.raises(HanspanError, match="run the stages before it"):
        run(stages, out, start="two")
    run(stages, out)
    calls.clear()
    run(stages, out, start="two")
    run(stages, out, only="one")
    assert calls == ["two", "one"]
    with pytest.raises(HanspanError, match=r"expected one of \['one', 'two'\]"):
        run(stages, out, only="three")


def test_foreign_and_edited_outputs_are_not_overwritten(way: Way, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("mine")
    stages, calls = way()
    with pytest.raises(HanspanError, match="not made by this run"):
        run(stages, out)
    assert ((out / "a").read_text(), calls) == ("mine", [])
    assert ran(run(stages, out, overwrite=True)) == ["one", "two"]
    (out / "a").write_text("edited")
    with pytest.raises(HanspanError, match="was changed after 'one' made it"):
        run(stages, out)
    assert ran(run(stages, out, start="two")) == ["two"]
    assert (out / "b").read_text() == "edited"


def test_a_stopped_stage_goes_on_only_with_the_same_settings(tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = out / "run"

    def stage(epochs: int, stop: bool) -> Stage:
        def work(progress: Callable[..., None]) -> dict[str, object]:
            folder.mkdir(parents=True, exist_ok=True)
            count = len(list(folder.iterdir()))
            (folder / f"checkpoint-{count}").write_text("x")
            if stop:
                raise KeyboardInterrupt
            return {"went_on_from": count}

        return Stage("train", (), (folder,), {"epochs": epochs}, ("errors",), work, keeps=True)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run([stage(1, True)], out)
    assert plan([stage(1, False)], out)[0][1] == "was stopped"
    assert run([stage(1, False)], out)[0].facts == {"went_on_from": 2}
    with pytest.raises(KeyboardInterrupt):
        run([stage(2, True)], out)
    assert run([stage(3, False)], out)[0].facts == {"went_on_from": 0}


def test_a_stage_that_writes_nothing_is_named(tmp_path: Path) -> None:
    lazy = Stage("lazy", (), (tmp_path / "out/x",), {}, (), lambda progress: {})
    with pytest.raises(HanspanError, match="without writing x"):
        run([lazy], tmp_path / "out")


def test_log_holds_versions_and_the_end(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), log_to(tmp_path / "run.log", seed=3):
        logging.getLogger("hanspan.x").info("in between")
        raise ValueError("boom")
    text = (tmp_path / "run.log").read_text()
    assert '"seed": 3' in text
    assert '"numpy"' in text
    assert "in between" in text
    assert "failed: boom" in text


def test_digest_sees_names_and_contents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/x").write_text("1")
    (tmp_path / "b/y").write_text("1")
    assert digest(tmp_path / "a") != digest(tmp_path / "b")
    (tmp_path / "b/y").rename(tmp_path / "b/x")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
