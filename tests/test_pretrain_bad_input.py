"""What a user may get wrong in pretraining: named errors, status 2, never a silent fresh start.

pytest tests/test_pretrain_bad_input.py
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pretrain_data import write_data

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hanspan.errors import HanspanError  # noqa: E402
from hanspan.pretrain.corpus import open_shards  # noqa: E402
from hanspan.pretrain.loop import Trainer  # noqa: E402
from hanspan.pretrain.memory import named_memory_errors  # noqa: E402
from pretrain_run import RUN, write_config  # noqa: E402

ROOT = Path(__file__).parent.parent


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pretrain_script", ROOT / "scripts/pretrain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, shards, config and a finished run."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("all")
    (root / "data").mkdir()
    write_data(root / "data", "事业成败，关键在人。")
    write_config(root / "c.yaml", root / "data", root / "shards", root / "run")
    module = load_script()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["pretrain.py", str(root / "c.yaml")])
        assert module.main() == 0
    return root


@pytest.fixture
def here(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may break, its config pointing into the copy."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    write_config(copy / "c.yaml", copy / "data", copy / "shards", copy / "run")
    return copy


@pytest.fixture
def command(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the script with arguments; gives its status and what it wrote to stderr."""
    module = load_script()

    def call(*args: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["pretrain.py", str(here / "c.yaml"), *map(str, args)])
        status = module.main()
        return status, capsys.readouterr().err

    return call


def step_of(run: Path) -> int:
    rows = (run / "log.jsonl").read_text().splitlines()
    return int(json.loads(rows[-1])["step"])


def test_masked_accuracy_is_logged_beside_its_floor(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "run/log.jsonl").read_text().splitlines()]
    shown = [row for row in rows if "heldout" in row]
    assert shown
    assert all(row["floor"].keys() == row["heldout"].keys() for row in shown)


def test_no_data_folder(here: Path, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANSPAN_DATA", raising=False)
    shutil.rmtree(here / "shards")
    status, error = command("corpus.data=''")
    assert status == 2
    assert "type HANSPAN_DATA=FOLDER before the command" in error
    status, error = command(f"corpus.data={here / 'data' / 'unlabelled'}")
    assert status == 2
    assert "no dev files" in error


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("news.train.u16", lambda b: b[:-2], r"corrupt shard .*news\.train\.u16: \d+ tokens"),
        ("news.train.u16", lambda b: b"\x30\x00" + b[2:], "with the digest in shards.json"),
        ("shards.json", lambda b: b[:50], r"shards\.json is not the record of shards"),
        ("shards.json", lambda b: b"{}", "is not the record of shards"),
        ("tokenizer.json", lambda b: b.replace("发".encode(), "☎".encode()), "has vocabulary"),
        ("tokenizer.json", lambda b: b[:90], "holds no word-level vocabulary"),
    ],
)  # fmt: skip
def test_corrupt_shards_and_how_they_are_mended(
    here: Path, command: Any, name: str, change: Any, words: str
) -> None:
    file = here / "shards" / name
    before = file.read_bytes()
    file.write_bytes(change(before))
    status, error = command("run.max_tokens=8192")
    assert status == 2
    assert re.search(words, error)
    last = step_of(here / "run")
    assert command("--only", "shards")[0] == 0  # what the message says
    assert file.read_bytes() == before
    assert command("run.max_tokens=5000") == (0, "")
    assert step_of(here / "run") == last + 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("run.optim.lr=1e-4", r"other settings \(optim\.lr: checkpoint 0\.003, now 0\.0001\);"),
        ("run.network.layers=2", r"other settings \(network\.layers: checkpoint 1, now 2\);"),
        ("run.micro_tokens=512", "other settings .*micro_tokens"),
        ("run.seed=2", "other settings .*seed"),
        ("run.masks.rate=0.4", r"other settings \(masks\.rate: checkpoint 0\.2, now 0\.4\);"),
        ("run.schedule.warmup_steps=9", "other settings .*warmup_steps"),
        ("run.temperature=2", "other settings .*temperature"),
        ("run.temperature=0", "run.temperature: 0 is not above 0"),
        ("run.device=gpu", "expected cpu or cuda"),
        ("run.network.vocab_size=2048", r"set network\.vocab_size to 1024"),
        ("run.ramp=[]", "run.ramp: the first row must begin at 0"),
        ("run.ramp=[[5,1]]", "run.ramp: the first row must begin at 0"),
        ("run.micro_tokens=16", "run.micro_tokens: 16 hold no window of 32"),
        ("run.optim.optimizer=moun", "is none of muon, adamw"),
        ("run.masks.rate=15", "run.masks.rate: 15 is not between 0 and 1"),
        ("run.network.heads=3", "does not divide hidden 32"),
        ("run.micro_tokens.x=1", "no keys below it"),
        ("run.windows.0.length=8", "lists are given whole"),
        ("run.optim.lr", "is not key.path=value"),
        ("run.heldout_rows=0", "run.heldout_rows: must be 1 or more"),
        ("run.schedule.decay_tokens=-1", "decay_tokens must be 0 or more"),
        ("threads=-1", "threads: -1 is below 0"),
        ("corpus=5", "corpus: expected keys, found 5"),
        ("corpus.heldout_one_in=0", "heldout_one_in: 0 is below 1"),
        (
            "corpus.sources=[{name: a, weight: 1, files: []},{name: a, weight: 1, files: []}]",
            "two have the same name",
        ),
        ("corpus.sources=[{name: a/b, weight: 1, files: []}]", "without / and not empty"),
    ],
)
def test_other_settings_stop_before_a_step(
    here: Path, command: Any, override: str, words: str
) -> None:
    before = (here / "run/checkpoint.safetensors").read_bytes()
    status, error = command(override)
    assert status == 2
    assert re.search(words, error, re.S)
    assert (here / "run/checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("no json", r"dev\.jsonl:2 is not a row"),
        ('{"x": 1}', r"dev\.jsonl:2 is not a row .*'text'"),
        ('{"text": 5}', r"dev\.jsonl:2: \"text\" is 5, expected a string"),
    ],
)
def test_a_row_without_text_is_named(here: Path, command: Any, row: str, words: str) -> None:
    dev, raw = here / "data/gold/one/dev.jsonl", here / "data/unlabelled/titles.txt"
    (here / "shards/shards.json").unlink()
    good = dev.read_text("utf-8")
    dev.write_text(good + row + "\n", "utf-8")
    status, error = command("--only", "shards")
    assert status == 2
    assert re.search(words, error)
    dev.write_text(good, "utf-8")
    raw.with_suffix(".dev.jsonl").write_text('{"text": "字"}\n' + row + "\n", "utf-8")
    files = "corpus.sources=[{name: a, weight: 1, files: [unlabelled/titles.dev.jsonl]}]"
    status, error = command("--only", "shards", files)
    assert status == 2
    assert re.search(words, error)


def test_a_branch_is_another_folder_and_has_tokens(here: Path, command: Any) -> None:
    before = sorted(p.name for p in (here / "run").iterdir())
    status, error = command("--branch", here / "run")
    assert status == 2
    assert "is the run itself" in error
    assert sorted(p.name for p in (here / "run").iterdir()) == before
    status, error = command("--branch", here / "b", "--decay-tokens", "-5")
    assert status == 2
    assert "--decay-tokens -5 is below 1" in error
    assert not (here / "b").exists()


def test_the_card_lists_a_source_of_which_nothing_is_held_out(here: Path, command: Any) -> None:
    file = here / "shards/titles.heldout.u16"
    record = json.loads((here / "shards/shards.json").read_text("utf-8"))
    empty = {"tokens": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    record["sources"]["titles"]["heldout"] = empty
    file.write_bytes(b"")
    (here / "shards/shards.json").write_text(json.dumps(record), "utf-8")
    for floor in (here / "shards").glob("floor-*.json"):
        floor.unlink()
    assert command("--export", here / "run", here / "out")[0] == 0
    tokens = record["sources"]["titles"]["train"]["tokens"]
    card = (here / "out/README.md").read_text("utf-8")
    assert f"| titles, none held out | 30% | {tokens:,} | | | |" in card


def test_an_export_never_replaces_what_is_no_model(here: Path, command: Any) -> None:
    status, error = command("--export", here / "run", here / "data")
    assert status == 2
    assert "holds something else than a model" in error
    assert (here / "data/unlabelled").is_dir()
    (here / "out").mkdir()
    for _ in range(2):  # into an empty folder, then over the export before
        assert command("--export", here / "run", here / "out")[0] == 0
        assert (here / "out/model.safetensors").is_file()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_asked_for_and_none_there(command: Any) -> None:
    status, error = command("run.device=cuda")
    assert status == 2
    assert "sees no GPU" in error


def test_a_lost_checkpoint_is_no_fresh_start(here: Path, command: Any) -> None:
    path = here / "run/checkpoint.safetensors"
    shutil.copy(path, here / "run/checkpoint-4096.safetensors")
    path.unlink()
    status, error = command("run.max_tokens=8192")
    assert status == 2
    assert "holds checkpoint-4096.safetensors but no checkpoint.safetensors" in error
    (here / "run/checkpoint-4096.safetensors").rename(path)
    assert command("run.max_tokens=4608")[0] == 0
    path.unlink()
    status, error = command()
    assert status == 2
    assert "holds log.jsonl but no checkpoint" in error


def test_a_checkpoint_without_its_tensors(here: Path, command: Any) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = here / "run/checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    name = next(n for n in tensors if n.startswith("model/"))
    del tensors[name]
    save_file(tensors, path, metadata=header)
    status, error = command("run.max_tokens=8192")
    assert status == 2
    assert f"holds nothing for {name.removeprefix('model/')}" in error
    path.write_bytes(b"")
    status, error = command("run.max_tokens=8192")
    assert status == 2
    assert "is not a whole checkpoint" in error


def test_making_shards_says_what_was_wrong_with_those_before(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["pretrain.py", str(here / "c.yaml"), "--only", "shards"])
    record, module = here / "shards/shards.json", load_script()
    record.write_text("{", "utf-8")
    assert module.main() == 0
    said = capsys.readouterr().out
    assert "shards.json" in said
    assert said.splitlines()[0].endswith("; made anew")
    assert "--only" not in said
    record.unlink()
    assert module.main() == 0
    assert capsys.readouterr().out.startswith("source ")


def test_shards_of_other_texts_or_settings_are_made_anew(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load_script()

    def say(*more: str) -> str:
        words = ["pretrain.py", str(here / "c.yaml"), "--only", "shards", *more]
        monkeypatch.setattr("sys.argv", words)
        assert module.main() == 0
        return capsys.readouterr().out.splitlines()[0]

    assert say().endswith(": whole")
    dev = here / "data/gold/one/dev.jsonl"
    dev.write_text(dev.read_text("utf-8") + '{"text": "从此也不在训练里的一句话"}\n', "utf-8")
    assert say().endswith("made of other dev than now; made anew")
    assert say().endswith(": whole")
    assert say("corpus.heldout_one_in=4").endswith("other heldout_one_in than now; made anew")
    titles = here / "data/unlabelled/titles.txt"
    titles.write_text(titles.read_text("utf-8") + "又来了一个标题\n", "utf-8")
    assert say("corpus.heldout_one_in=4").endswith("other files than now; made anew")
    shutil.rmtree(here / "data")
    assert say("corpus.heldout_one_in=4").endswith(": whole")  # nothing to compare with


def test_a_branch_goes_over_no_other_run_and_its_card_tells_its_decay(
    here: Path, command: Any
) -> None:
    other = here / "other"
    other.mkdir()
    assert command(f"folder={other}", "run.seed=2")[0] == 0
    before = (other / "checkpoint.safetensors").read_bytes()
    call = ["--decay-tokens", "512"]  # its end, whatever run.max_tokens says
    status, error = command("--branch", other, *call)
    assert status == 2
    assert "holds another run" in error
    assert (other / "checkpoint.safetensors").read_bytes() == before
    end = here / "end"
    end.mkdir()  # as a kill leaves it between the two copies
    shutil.copyfile(here / "run/checkpoint.safetensors", end / "checkpoint.safetensors")
    assert command("--branch", end, *call) == (0, "")
    assert command("--branch", end) == (0, "")  # its length is remembered
    status, error = command("--branch", end, "--decay-tokens", "1024")
    assert status == 2
    assert "began with --decay-tokens 512, found 1024" in error
    assert command("--export", end, here / "out", "run.optim.lr=1") == (0, "")
    told = (here / "out/README.md").read_text("utf-8")
    assert "the rate fell over the last 512 of them" in told
    assert "at 0.003;" in told  # the run's own rate, not that of the config of today


def test_a_rate_does_not_fall_in_tokens_that_are_over(here: Path, command: Any) -> None:
    """Neither in a run that was longer without its falling, nor from the start once more."""
    status, error = command("run.schedule.decay_from=100", "run.max_tokens=5000")
    assert status == 2
    assert "its rate was to fall from none on; found run.schedule.decay_from=100" in error
    decay = ["run.schedule.decay_from=4096", "run.schedule.decay_tokens=512", "run.max_tokens=null"]
    assert command(*decay) == (0, "")
    assert command(*decay) == (0, "")  # its own end
    status, error = command("--branch", here / "late", "--decay-tokens", "512", *decay)
    assert status == 2
    assert "has been falling since 4,096 tokens" in error
    assert not (here / "late").exists()


def test_weights_of_another_vocabulary_are_not_exported(here: Path, command: Any) -> None:
    source = here / "data/unlabelled/titles.txt"
    source.write_text(
        source.read_text() + "".join(f"{c}龘靐齉新的标题\n" for c in "甲乙丙丁戊己庚辛")
    )
    (here / "shards/shards.json").unlink()
    assert command("--only", "shards")[0] == 0
    for action in (["--export", here / "run", here / "out"], ["--score", here / "run"]):
        status, error = command(*action)
        assert status == 2
        assert "are for vocabulary" in error
    assert not (here / "out").exists()
    status, error = command("run.max_tokens=8192")
    assert status == 2
    assert re.search(r"other settings .*vocab: checkpoint", error)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=["gpu", "cpu", "python"],
)
def test_out_of_memory_names_the_setting(
    here: Path, command: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> None:
        raise error

    before = (here / "run/checkpoint.safetensors").read_bytes()
    monkeypatch.setattr(Trainer, "train_step", full)
    status, text = command("run.max_tokens=8192")
    assert status == 2
    assert "out of memory with run.micro_tokens=256" in text
    assert "type run.micro_tokens=128 with the counts of run.ramp doubled" in text
    assert (here / "run/checkpoint.safetensors").read_bytes() == before


def test_other_runtime_errors_are_not_taken_for_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        with named_memory_errors(1):
            raise RuntimeError("shapes")


def test_a_loss_that_is_no_number_is_not_saved(here: Path, tmp_path: Path) -> None:
    trainer = Trainer(replace(RUN, max_tokens=9999), open_shards(here / "shards"), tmp_path / "r")
    trainer.train_step()
    trainer.save()
    before = (tmp_path / "r/checkpoint.safetensors").read_bytes()
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    with pytest.raises(HanspanError, match=r"the loss is nan near step 2; .* lower run\.optim\.lr"):
        trainer.run()
    assert (tmp_path / "r/checkpoint.safetensors").read_bytes() == before


def test_a_full_disk_leaves_the_checkpoint_before(
    here: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (here / "run/checkpoint.safetensors").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    status, error = command("run.max_tokens=5000")
    assert status == 2
    assert "No space left on device" in error
    assert (here / "run/checkpoint.safetensors").read_bytes() == before


def test_a_log_that_was_cut_in_a_line_is_gone_on_with(here: Path, command: Any) -> None:
    log = here / "run/log.jsonl"
    last = step_of(here / "run")
    log.write_text(log.read_text() + '{"step": 10, "tok')
    assert command("run.max_tokens=5000")[0] == 0
    assert step_of(here / "run") == last + 2
    assert all(json.loads(line) for line in log.read_text().splitlines())


def test_the_gpu_recipe_of_the_config_is_read_and_runs_small(here: Path, command: Any) -> None:
    """The overrides in the comment of configs/pretrain.yaml, tiny and on the CPU."""
    from hanspan.pretrain.settings import load_settings

    shipped = ROOT / "configs/pretrain.yaml"
    comment = [line for line in shipped.read_text("utf-8").splitlines() if line.startswith("#")]
    given = re.findall(r"'?(run\.[a-z_.]+=[^'\s]+)", "\n".join(comment))
    settings = load_settings(shipped, given)
    run = settings.run
    assert run.device == "cuda"
    assert run.network.hidden == 384
    assert run.schedule.decay_from is not None
    assert run.schedule.decay_from + run.schedule.decay_tokens >= 1_500_000_000
    small = {"run.device": "cpu", "run.network.hidden": "24", "run.network.heads": "2",
             "run.network.intermediate": "48", "run.micro_tokens": "256",
             "run.schedule.decay_from": "2048", "run.schedule.decay_tokens": "1024",
             "run.ramp": "[[0,1],[1024,2]]"}  # fmt: skip
    kept = [g for g in given if g.split("=")[0] not in small]
    tiny = [f"{k}={v}" for k, v in small.items()]
    status, error = command(*kept, *tiny, f"folder={here / 'gpu'}", "run.max_tokens=null")
    assert (status, error) == (0, "")
    assert json.loads((here / "gpu/log.jsonl").read_text().splitlines()[-1])["tokens"] == 3072
