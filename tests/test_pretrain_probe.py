"""The supervised probe: learning, the untrained twin, kept rows, a resumed table, bad input.

pytest tests/test_pretrain_probe.py
"""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("transformers")

import torch

from hanspan.data import Document, Span, write_documents
from hanspan.errors import HanspanError
from hanspan.pretrain import probe as probes
from hanspan.pretrain.fill import fill_examples
from hanspan.pretrain.network import NetworkSettings, build_network
from hanspan.pretrain.probe import (
    FineTune,
    KeptRows,
    ProbeSet,
    Score,
    encoder_digest,
    probe_once,
    span_f1,
    untrained_twin,
)
from hanspan.pretrain.tokenizer import build_vocab, save_tokenizer

ROOT = Path(__file__).parent.parent
SPANS = ProbeSet("made up", "spans", True)
TOPICS = ProbeSet("made up", "topics", False)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("encoder")
    network = NetworkSettings(layers=1, hidden=64, heads=2, intermediate=128, vocab_size=512)
    build_network(network, 7).save_pretrained(folder)
    save_tokenizer(build_vocab(dict.fromkeys("在北京上海广州开会了他们说", 9), 512), folder)
    (folder / "README.md").write_text("1,234,567 tokens in 9 steps and 0.1 hours")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = random.Random(0)
    rows = []
    for number in range(160):
        city = rng.choice(["北京", "上海", "广州"])
        before = "".join(rng.choices("他们说了", k=rng.randint(0, 5)))
        text = before + "在" + city + "开会" + "了" * rng.randint(0, 4)
        start = len(before) + 1
        spans = [Span(start, start + 2, "LOC", 1.0, "gold")]
        topic = "north" if city == "北京" else "south"
        rows.append(Document(str(number), text, spans, {"topic": topic}))
    for name in ("spans", "topics"):
        (folder / "gold" / name).mkdir(parents=True)
        write_documents(folder / "gold" / name / "supervised_train.jsonl.xz", rows[:120])
        write_documents(folder / "gold" / name / "dev.jsonl", rows[120:])
    return folder


@pytest.mark.parametrize("probe", [SPANS, TOPICS], ids=["spans", "topics"])
def test_a_probe_learns_and_leaves_nothing(
    encoder: Path, data: Path, probe: ProbeSet, tmp_path: Path
) -> None:
    settings = FineTune(lr=3e-3, few_tokens=256)
    work = tmp_path / "row"
    score = probe_once(str(encoder), data, probe, None, 1, work, epochs=10, settings=settings)
    assert score.score > 90
    assert not work.exists()


def test_a_row_is_the_same_twice_and_the_twin_is_untrained(
    encoder: Path, data: Path, tmp_path: Path
) -> None:
    def run(name: str, fresh: bool) -> float:
        work = tmp_path / name
        return probe_once(str(encoder), data, SPANS, 20, 1, work, fresh=fresh, epochs=1).score

    assert run("a", False) == run("b", False)
    assert run("c", True) >= 0
    twin = untrained_twin(str(encoder), tmp_path / "twin", 1)
    from safetensors.torch import load_file

    ours, theirs = (load_file(Path(f) / "model.safetensors") for f in (encoder, twin))
    assert ours.keys() == theirs.keys()
    name = "esm.embeddings.word_embeddings.weight"
    assert not torch.equal(ours[name], theirs[name])


def test_strict_span_f1_counts_borders_and_types() -> None:
    def document(*spans: tuple[int, int, str]) -> Document:
        return Document("a", "在北京开会了", [Span(a, b, t, 1.0, "x") for a, b, t in spans], {})

    gold = [document((1, 3, "LOC"), (3, 5, "ACT")), document()]
    found = [document((1, 3, "LOC"), (3, 4, "ACT")), document((0, 1, "LOC"))]
    assert span_f1(found, gold) == pytest.approx(200 * 1 / 5)
    assert span_f1(gold, gold) == 100
    assert span_f1([document()], [document()]) == 0


def test_rows_are_kept_as_they_finish(tmp_path: Path) -> None:
    rows = KeptRows(tmp_path / "new" / "rows.json")
    assert rows.get("a") is None
    rows.add("a", {"score": 1.5})
    rows.add("b", {"score": 2.5})
    again = KeptRows(tmp_path / "new" / "rows.json")
    assert again.get("a") == {"key": "a", "score": 1.5}
    (tmp_path / "rows.json").write_text("[{")
    with pytest.raises(HanspanError, match="does not hold rows of a probe"):
        KeptRows(tmp_path / "rows.json")


def test_the_digest_follows_the_weights_and_untrained_rows_the_shape(
    encoder: Path, tmp_path: Path
) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((encoder / name).read_bytes())
    before = [encoder_digest(str(tmp_path), untrained) for untrained in (False, True)]
    assert before == [encoder_digest(str(encoder), untrained) for untrained in (False, True)]
    (tmp_path / "model.safetensors").write_bytes(b"other")
    after = [encoder_digest(str(tmp_path), untrained) for untrained in (False, True)]
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert encoder_digest("owner/name", False) == "owner/name"
    with pytest.raises(HanspanError, match="give an exported encoder"):
        encoder_digest(str(tmp_path.parent), False)


def test_missing_rows_are_a_named_error(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(HanspanError, match="HANSPAN_DATA must name"):
        probe_once(str(encoder), tmp_path, SPANS, 100, 1, tmp_path / "row")


def test_examples_of_fill_mask_are_spread_over_the_text(encoder: Path) -> None:
    text = "\n".join(f"他们说在北京开会了他们说第{n}次在上海开会。" for n in range(9))
    examples = fill_examples(str(encoder), text, 3)
    assert len(examples) == 3
    for example in examples:
        assert example.before + example.truth + example.after in text
        assert len(example.guesses) == 3
        assert 0 <= example.guesses[0][1] <= 1
    with pytest.raises(HanspanError, match="no sentence"):
        fill_examples(str(encoder), "短。", 3)


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe_script", ROOT / "scripts/probe_encoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_resumes_and_draws_the_curve(
    encoder: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    calls: list[tuple[Any, ...]] = []

    def once(source: str, _: Path, probe: ProbeSet, count: int | None, seed: int, work: Path,
             *, fresh: bool, epochs: int, settings: FineTune) -> Score:  # fmt: skip
        if len(calls) == 3:
            calls.append(())
            raise HanspanError("killed")
        calls.append((source, probe.name, count, seed, fresh))
        return Score(50.0 + seed - 40 * fresh, 0.1, 1000)

    monkeypatch.setattr(probes, "probe_once", once)
    monkeypatch.setattr(probes, "latency", lambda *_: 1.0)
    monkeypatch.setenv("HANSPAN_DATA", str(data))
    twin = tmp_path / "later"
    untrained_twin(str(encoder), twin, 3)
    (twin / "README.md").write_text("9,876,543 tokens in 90 steps")
    module = load_script()
    command = ["probe_encoder.py", "--encoders", str(twin), str(encoder), "--tasks", "CLUENER",
               "--labels", "100,1000", "--seeds", "1,2", "--untrained-seeds", "1",
               "--rows", str(tmp_path / "rows.json"), "--json", str(tmp_path / "table.json"),
               "--plot", str(tmp_path / "curve.png")]  # fmt: skip
    monkeypatch.setattr("sys.argv", command)
    assert module.main() == 2
    assert "killed" in capsys.readouterr().err
    assert module.main() == 0
    assert len([c for c in calls if c]) == len(set(calls) - {()}) == 2 * (1 + 2 * 2)
    text = capsys.readouterr().out
    assert text.index("1.2M") < text.index("9.9M")  # by tokens, however they were given
    assert "CLUENER 100" in text
    assert "11.0 (0.0)" in text
    assert "51.5 (0.7)" in text
    assert "26.0" in text  # 15 points above the untrained network
    table = json.loads((tmp_path / "table.json").read_text())
    assert {r["value"] for r in table if r["what"] == "CLUENER 1000"} == {51.5}
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tasks", "CLUENR"], "no task CLUENR; expected of CLUENER,MSRA,THUCNews"),
        (["--labels", "many"], "expected such as --labels 100,all"),
        (["--encoders", "/no/such/folder"], "no such folder"),
        (["--fill-mask", "3"], "no page"),
    ],
)
def test_bad_arguments_are_named_errors(
    arguments: list[str],
    words: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HANSPAN_DATA", str(data))
    rows = ["--rows", str(tmp_path / "rows.json")]
    monkeypatch.setattr("sys.argv", ["probe_encoder.py", *rows, *arguments])
    assert load_script().main() == 2
    assert words in capsys.readouterr().err
