"""Several processes: the same numbers as one, a kill and a resume, one writer.

pytest tests/test_pretrain_processes.py
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pretrain_data import write_data

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hanspan.errors import HanspanError  # noqa: E402
from hanspan.pretrain.corpus import Shards  # noqa: E402
from hanspan.pretrain.loop import Trainer  # noqa: E402
from hanspan.pretrain.processes import join_processes  # noqa: E402
from hanspan.pretrain.run_settings import RunSettings  # noqa: E402
from pretrain_run import NETWORK, RUN, tiny_shards, write_config  # noqa: E402

ROOT = Path(__file__).parent.parent
ONE = replace(RUN, ramp=((0, 2), (1024, 4)))  # what two processes do at RUN's ramp


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), "事业成败，关键在人。")


@pytest.fixture(scope="module")
def shards(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    torch.set_num_threads(1)
    return tiny_shards(data, tmp_path_factory.mktemp("shards"))


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def one_of(
    rank: int, port: str, settings: RunSettings, shards: Shards, folder: Path, steps: int | None
) -> None:
    """A process of the two; `steps` kills it without a word, None runs to the end."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank),
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
    trainer = Trainer(settings, shards, folder)
    if steps is None:
        trainer.run()
        state = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
        torch.save(state, folder / f"weights-{rank}.pt")
        os._exit(0)
    for number in range(steps):
        loss = float(trainer.train_step())
        trainer._log({"loss": round(loss, 4)})
        if number == steps - 2:
            trainer.save()
    trainer.processes.wait()
    os._exit(9)  # a kill: nothing is closed or saved


def two(settings: RunSettings, shards: Shards, folder: Path, steps: int | None = None) -> None:
    fork = multiprocessing.get_context("fork")
    port = free_port()
    started = [
        fork.Process(target=one_of, args=(r, port, settings, shards, folder, steps))
        for r in range(2)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == (0 if steps is None else 9)


def logged(folder: Path) -> list[tuple[int, int, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(r["step"], r["tokens"], r["loss"]) for r in rows if "loss" in r]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    tensors = load_file(folder / "checkpoint.safetensors")
    return {n: t for n, t in tensors.items() if n.startswith("model/")}


@pytest.mark.parametrize("killed", [False, True], ids=["whole", "killed"])
def test_two_processes_learn_what_one_does(shards: Shards, tmp_path: Path, killed: bool) -> None:
    Trainer(ONE, shards, tmp_path / "one").run()
    if killed:
        two(RUN, shards, tmp_path / "two", steps=4)
        assert [step for step, _, _ in logged(tmp_path / "two")] == [1, 2, 3, 4]
    two(RUN, shards, tmp_path / "two")
    ours, theirs = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert [row[2] for row in theirs] == pytest.approx([row[2] for row in ours], abs=2e-3)
    one, both = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in one.items():
        # Muon works in bf16 (8 bits), so that sums in another order show there first.
        assert torch.allclose(tensor, both[name], atol=2e-3), name
    first, second = (torch.load(tmp_path / f"two/weights-{r}.pt") for r in range(2))
    assert all(torch.equal(first[n], second[n]) for n in first)
    assert not list((tmp_path / "two").glob("*.part*"))


def test_a_skipped_batch_leaves_the_state_of_a_drawn_one(shards: Shards, tmp_path: Path) -> None:
    drawn, skipped = (Trainer(RUN, shards, tmp_path / n).sampler for n in "ab")
    for _ in range(5):
        drawn.next()
        skipped.skip()
    assert drawn.state() == skipped.state()
    assert (drawn.next()[0] == skipped.next()[0]).all()


def test_devices_that_are_not_there_are_named_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HanspanError, match=r"run\.device='gpu' found; expected cpu or cuda"):
        join_processes("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HanspanError, match=r"sees no GPU; .* or type run\.device=cpu"):
        join_processes("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(HanspanError, match="type torchrun --nproc_per_node 2"):
        join_processes("cuda")


@pytest.mark.slow
def test_torchrun_is_stopped_killed_and_goes_on(data: Path, shards: Shards, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.yaml", data, shards.folder, tmp_path / "two")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port",
        free_port(), str(ROOT / "scripts/pretrain.py"), str(config), "run.max_tokens=60000",
    ]  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}

    def until(step: int, number: signal.Signals) -> int:
        running = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("{") and json.loads(line)["step"] >= step:
                os.killpg(running.pid, number)
                break
        running.stdout.read()
        return running.wait(60)

    assert until(5, signal.SIGTERM) != 0
    stopped = logged(tmp_path / "two")
    header = (tmp_path / "two/checkpoint.safetensors").read_bytes()[:4000]
    assert f'\\"step\\": {stopped[-1][0]}'.encode() in header  # no step was lost
    assert until(stopped[-1][0] + 5, signal.SIGKILL) != 0
    time.sleep(0.1)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    Trainer(replace(ONE, max_tokens=60000), shards, tmp_path / "one").run()
    ours, theirs = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert [r[2] for r in theirs[:10]] == pytest.approx([r[2] for r in ours[:10]], abs=2e-3)
    assert theirs[-1][2] == pytest.approx(ours[-1][2], abs=0.05)
    assert NETWORK.dropout == 0
