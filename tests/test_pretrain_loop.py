"""Training loop: exact resume, schedule, optimizer, settings, export and what may go wrong.

pytest tests/test_pretrain_loop.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pretrain_data import write_data

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from hanspan.errors import ConfigError, HanspanError  # noqa: E402
from hanspan.pretrain.corpus import Shards  # noqa: E402
from hanspan.pretrain.export import export_encoder  # noqa: E402
from hanspan.pretrain.loop import Trainer  # noqa: E402
from hanspan.pretrain.network import SparseLoss, build_network  # noqa: E402
from hanspan.pretrain.optim import Muon, OptimSettings, Schedule, orthogonalize  # noqa: E402
from hanspan.pretrain.picture import draw_log  # noqa: E402
from hanspan.pretrain.run_settings import RunSettings  # noqa: E402
from hanspan.pretrain.sampling import ahead  # noqa: E402
from hanspan.pretrain.settings import CorpusSettings, PretrainSettings, load_settings  # noqa: E402
from hanspan.pretrain.speed import measured_tflops, sheet_tflops, token_flops  # noqa: E402
from pretrain_run import NETWORK, RUN, SOURCES, tiny_shards  # noqa: E402

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(
        tmp_path_factory.mktemp("data"), "合肥市政协主席韩冰表示，事业成败，关键在人。"
    )


@pytest.fixture(scope="module")
def shards(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    torch.set_num_threads(1)
    return tiny_shards(data, tmp_path_factory.mktemp("shards"))


def losses(folder: Path) -> list[Any]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    keys = ("step", "tokens", "loss", "heldout")
    return [tuple(r.get(k) for k in keys) for r in rows if "loss" in r or r["tokens"] >= 4096]


@pytest.mark.parametrize("arch", ["esm", "modernbert"])
def test_a_killed_run_gives_the_losses_of_the_unbroken_one(
    shards: Shards, tmp_path: Path, arch: str
) -> None:
    settings = replace(RUN, network=replace(NETWORK, arch=arch, dropout=0.1))
    Trainer(settings, shards, tmp_path / "whole").run()
    broken = Trainer(settings, shards, tmp_path / "broken")
    for _ in range(5):
        broken._log({"loss": round(float(broken.train_step()), 4)})
    broken.save()
    broken._log({"loss": round(float(broken.train_step()), 4)})  # lost with the kill, and run again
    del broken
    Trainer(settings, shards, tmp_path / "broken").run()
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    one, two = (
        (tmp_path / n / "checkpoint.safetensors").read_bytes()[-4096:] for n in ("whole", "broken")
    )
    assert one == two
    assert len(losses(tmp_path / "whole")) == 11


@pytest.mark.parametrize("log_every", [1, 4])
def test_sigterm_saves_the_step_it_came_in(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_every: int
) -> None:
    """A line of the log is the mean of all its steps, those before the stop too."""
    settings = replace(RUN, network=replace(NETWORK, dropout=0.1), log_every=log_every)
    Trainer(settings, shards, tmp_path / "whole").run()
    stopped = Trainer(settings, shards, tmp_path / "stopped")
    plain = stopped.train_step

    def step() -> Any:
        if stopped.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain()

    monkeypatch.setattr(stopped, "train_step", step)
    before = signal.getsignal(signal.SIGTERM)
    assert stopped.run() is False
    assert stopped.step == 5
    assert signal.getsignal(signal.SIGTERM) is before
    assert Trainer(settings, shards, tmp_path / "stopped").run() is True
    assert losses(tmp_path / "whole") == losses(tmp_path / "stopped")


def test_training_learns_and_a_branch_leaves_the_run_alone(shards: Shards, tmp_path: Path) -> None:
    run = tmp_path / "run"
    Trainer(replace(RUN, max_tokens=40_000), shards, run).run()
    rows = [r for r in losses(run) if r[2] is not None]
    assert rows[-1][2] < rows[0][2] - 1
    before = (run / "checkpoint.safetensors").read_bytes()
    branch = tmp_path / "branch"
    branch.mkdir()
    shutil.copy(run / "checkpoint.safetensors", branch)
    tokens = rows[-1][1]
    decay = Schedule(warmup_steps=3, decay_from=tokens, decay_tokens=5120)
    trainer = Trainer(replace(RUN, max_tokens=None, schedule=decay), shards, branch)
    trainer.run()
    assert trainer.tokens == tokens + 5120
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.2 * RUN.optim.lr
    assert (run / "checkpoint.safetensors").read_bytes() == before


def test_schedule_warms_up_stays_and_decays() -> None:
    schedule = Schedule(warmup_steps=10, decay_from=1000, decay_tokens=500, floor=0.02)
    assert schedule.factor(0, 0) == pytest.approx(0.1)
    assert schedule.factor(10, 1000) == 1.0
    assert schedule.factor(99, 1250) == pytest.approx(0.5)
    assert schedule.factor(99, 1500) == pytest.approx(0.02)
    assert schedule.finished(1500)
    assert not schedule.finished(1499)
    assert not Schedule().finished(10**12)


def test_orthogonalized_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 32, 32), (2, 64, 16), (2, 16, 64)):
        turned = orthogonalize(torch.randn(shape)).float()
        assert turned.shape == shape
        values = torch.linalg.svdvals(turned)
        assert values.min() > 0.3
        assert values.max() < 1.4


def test_muon_equals_a_slow_reference() -> None:
    torch.manual_seed(0)
    shapes = ((8, 8), (8, 8), (16, 8))
    ours = [torch.nn.Parameter(torch.randn(s)) for s in shapes]
    theirs = [p.detach().clone() for p in ours]
    muon = Muon([*ours, torch.nn.Parameter(torch.zeros(4, 4))], 0.1, 0.9, 0.05)  # one is not used
    momenta = [torch.zeros(s) for s in shapes]
    for _ in range(3):
        grads = [torch.randn(s) for s in shapes]
        for p, g in zip(ours, grads, strict=True):
            p.grad = g
        muon.step()
        for p, g, m in zip(theirs, grads, momenta, strict=True):
            m.mul_(0.9).add_(g, alpha=0.1)
            turned = orthogonalize((0.1 * g + 0.9 * m)[None]).float()[0]
            p.mul_(1 - 0.1 * 0.05).add_(turned, alpha=-0.1 * 0.2 * max(p.shape) ** 0.5)
    for p, q in zip(ours, theirs, strict=True):
        assert torch.allclose(p, q, atol=5e-3)  # bf16 within


@pytest.mark.parametrize("arch", ["esm", "modernbert"])
def test_sparse_loss_equals_the_stock_loss(arch: str) -> None:
    model = build_network(replace(NETWORK, arch=arch), 0).eval()
    ids = torch.randint(21, 1024, (2, 16))
    labels = torch.full_like(ids, -100)
    labels[0, 3], labels[1, 7] = 30, 40
    positions = torch.tensor([3, 16 + 7])
    with torch.no_grad():
        stock = model(input_ids=ids, labels=labels).loss
        ours = SparseLoss(model)(ids, positions, torch.tensor([30, 40]))
    assert float(ours) == pytest.approx(float(stock), abs=1e-5)


@pytest.mark.parametrize("arch", ["esm", "modernbert"])
def test_the_way_of_a_gpu_is_one_graph_without_a_mask(arch: str) -> None:
    """Fused attention takes its fast kernel without a mask alone, and breaks cost launches."""
    model = build_network(replace(NETWORK, arch=arch), 0)
    model.set_attn_implementation("sdpa")
    graphs: list[Any] = []

    def keep(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    loss = torch.compile(SparseLoss(model), backend=keep, fullgraph=True, dynamic=False)
    ids = torch.randint(21, 1024, (2, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss(ids, torch.tensor([3, 20]), torch.tensor([30, 40])).backward()
    fused = torch.nn.functional.scaled_dot_product_attention
    calls = [node for node in graphs[0].graph.nodes if node.target is fused]
    assert len(graphs) == len(calls) == 1
    assert calls[0].kwargs.get("attn_mask") is None


def test_the_peak_of_a_chip_is_known_by_its_name() -> None:
    names = {
        "NVIDIA H100 80GB HBM3": 989.0,
        "NVIDIA H100 PCIe": 756.0,
        "NVIDIA H200": 989.0,
        "NVIDIA A100-SXM4-80GB": 312.0,
        "NVIDIA GeForce RTX 4090": 165.2,
        "NVIDIA L40S": 362.0,
        "NVIDIA L4": 121.0,
        "NVIDIA A10": 125.0,
    }
    assert {name: sheet_tflops(name) for name in names} == names
    for other in ("GeForce GTX 1080", "NVIDIA A10G", "NVIDIA L40", "NVIDIA H20"):
        assert sheet_tflops(other) is None


def test_checkpoints_of_other_settings_or_broken_ones_are_named_errors(
    shards: Shards, tmp_path: Path
) -> None:
    Trainer(replace(RUN, max_tokens=256), shards, tmp_path).run()
    with pytest.raises(HanspanError, match=r"other settings \(optim\.lr: checkpoint"):
        Trainer(replace(RUN, optim=OptimSettings(lr=1e-3)), shards, tmp_path)
    with pytest.raises(HanspanError, match="vocab"):
        Trainer(RUN, replace(shards, vocab="ffff"), tmp_path)
    with pytest.raises(HanspanError, match=r"other settings \(shards: checkpoint"):
        Trainer(RUN, replace(shards, content="ffff"), tmp_path)
    Trainer(replace(RUN, max_tokens=512), shards, tmp_path)  # lengthening is allowed
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    before = json.loads(header["settings"])
    header["settings"] = json.dumps({k: v for k, v in before.items() if k != "masks"})
    save_file(load_file(path), path, metadata=header)  # as they were before masks were written
    Trainer(RUN, shards, tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(HanspanError, match="not a whole checkpoint"):
        Trainer(RUN, shards, tmp_path)


def test_a_vocabulary_that_does_not_fit_the_network_is_a_named_error(
    shards: Shards, tmp_path: Path
) -> None:
    wrong = replace(RUN, network=replace(NETWORK, vocab_size=2048))
    with pytest.raises(HanspanError, match=r"set network\.vocab_size to 1024"):
        Trainer(wrong, shards, tmp_path)
    with pytest.raises(HanspanError, match="unknown architecture 'bort'"):
        Trainer(replace(RUN, network=replace(NETWORK, arch="bort")), shards, tmp_path)


def settings_of(shards: Shards, run: RunSettings) -> PretrainSettings:
    return PretrainSettings(CorpusSettings(SOURCES, str(shards.folder)), "run", run)


def test_the_exported_folder_serves_the_stock_classes(shards: Shards, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, pipeline

    Trainer(replace(RUN, max_tokens=512), shards, tmp_path / "run").run()
    out = tmp_path / "encoder"
    export_encoder(settings_of(shards, RUN), shards, tmp_path / "run", out)
    assert {p.name for p in out.iterdir()} >= {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"
    }  # fmt: skip
    model = AutoModelForMaskedLM.from_pretrained(out, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(out, split_special_tokens=False)
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    assert len(fill("合肥[MASK]会议")) == 5
    assert AutoModel.from_pretrained(out, dtype=torch.float32).config.vocab_size == 1024
    frequencies = model.esm.rotary_embeddings.inv_freq
    assert torch.equal(frequencies, build_network(NETWORK, 0).esm.rotary_embeddings.inv_freq)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "512 tokens in 2 steps" in card
    assert "| news | 70% |" in card
    assert "Sources: news: unlabelled/news.jsonl.xz; titles: " in card
    assert f"Batches began at {RUN.micro_tokens:,} tokens a step; " in card
    assert "MSRA" not in card  # of this run's own sources alone
    assert not list(tmp_path.glob("*.part"))


def test_export_of_another_network_is_a_named_error(shards: Shards, tmp_path: Path) -> None:
    Trainer(replace(RUN, max_tokens=256), shards, tmp_path / "run").run()
    other = replace(RUN, network=replace(NETWORK, hidden=64))
    with pytest.raises(HanspanError, match="the config that the run was made with"):
        export_encoder(settings_of(shards, other), shards, tmp_path / "run", tmp_path / "out")
    fewer = replace(shards, train={"news": shards.train["news"]})
    with pytest.raises(HanspanError, match="trained on sources titles too"):
        export_encoder(settings_of(shards, RUN), fewer, tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_shipped_config_is_read_and_statutes_stay_small() -> None:
    settings = load_settings(ROOT / "configs" / "pretrain.yaml", ["run.optim.lr=2e-3"])
    assert settings.run.optim.lr == 0.002
    weights = settings.run.weights
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["laws"] <= 0.12
    assert settings.run.network.vocab_size == settings.corpus.vocab_size
    run = settings.run
    assert token_flops(run.network, run.masks, run.windows) > 1e6


def test_all_mistakes_of_a_config_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("corpus: {sources: [{name: a}], shards: s}\nrun: {optim: {lrr: 1}, seed: x}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    text = str(caught.value)
    assert "run.optim.lrr: unknown key; did you mean lr?" in text
    assert "run.seed: 'x' is not int" in text
    assert "corpus.sources[0].weight: missing" in text
    assert "folder: missing" in text
    with pytest.raises(ConfigError, match="no config"):
        load_settings(tmp_path / "none.yaml")


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/pretrain.py", ROOT / "configs/pretrain.yaml",
         "--only", "shards", f"corpus.shards={tmp_path}", f"corpus.data={tmp_path / 'none'}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "HANSPAN_DATA=FOLDER" in done.stderr
    assert "Traceback" not in done.stderr


def test_batches_ahead_are_the_same_and_errors_come_through() -> None:
    def items() -> Any:
        yield from range(5)
        raise HanspanError("stop")

    found = []
    with pytest.raises(HanspanError, match="stop"):
        for item in ahead(items(), 2):
            found.append(item)
    assert found == list(range(5))
    assert measured_tflops(torch.device("cpu"), 1) > 0


def test_batches_drawn_ahead_do_not_move_the_checkpoint(shards: Shards, tmp_path: Path) -> None:
    one, two = (Trainer(RUN, shards, tmp_path / n) for n in ("one", "two"))
    two.batches = ahead(two._batches())
    assert [one.train_step() for _ in range(3)] == [two.train_step() for _ in range(3)]
    assert one.drawn == two.drawn


def test_the_loss_curve_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [{"step": 1, "tokens": 10, "loss": 8.0},
            {"step": 2, "tokens": 20, "loss": 7.0, "heldout": {"news": [6.5, 0.1]}}]  # fmt: skip
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    draw_log(tmp_path, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(HanspanError, match="a run that has begun"):
        draw_log(tmp_path / "none", tmp_path / "x.png")
