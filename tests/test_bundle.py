"""The bundle: whole or not at all, read by stock transformers, hostile ones refused."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import shutil
import struct
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from hanspan.bundle import bundle
from hanspan.card import card, metadata
from hanspan.errors import HanspanError
from hanspan.extractor import Extractor
from hanspan.guard import check_folder
from hanspan.parity import agreement


def texts(count: int = 40, seed: int = 3) -> list[str]:
    rng = random.Random(seed)
    return [tiny.sentence(rng, 2)[0][: tiny.MAX_LENGTH - 2] for _ in range(count)]


@pytest.mark.parametrize("kind", ["esm", "bert", "modern"])
def test_stock_pipelines_give_our_spans_and_topic(kind: str) -> None:
    from transformers import pipeline

    folder = tiny.bundle_folder(kind)
    ner = pipeline("token-classification", str(folder), aggregation_strategy="simple")
    where = {"model_kwargs": {"subfolder": "topic"}} if kind != "esm" else {}
    topic = pipeline("text-classification", str(folder), **where)
    extract = Extractor.from_pretrained(folder, "torch")
    same = total = 0
    for text in texts():
        doc = extract(text)
        ours = {(span.start, span.end, span.label) for span in doc.spans}
        stock = {(group["start"], group["end"], group["entity_group"]) for group in ner(text)}
        same, total = same + len(ours & stock), total + len(ours | stock)
        assert (
            topic(text, truncation=True, max_length=tiny.MAX_LENGTH)[0]["label"]
            == (doc.labels["topic"])
        )
    assert total > 50
    assert same / total >= 0.99


def test_a_bundle_holds_what_the_card_lists_and_nothing_else(tmp_path: Path) -> None:
    summary = bundle(tiny.run_folder(), tmp_path / "out")
    names = set(summary.files)
    assert names == {
        "README.md", "config.json", "hanspan.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "onnx/model.onnx", "onnx/model_int8.onnx",
    }  # fmt: skip
    assert sum(summary.files.values()) == sum(
        path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    listed = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert all(name in listed for name in names - {"README.md"})


@pytest.mark.parametrize("kind", ["esm", "bert", "modern"])
def test_the_graph_gives_torchs_logits_and_leaves_the_model_as_it_was(
    kind: str, tmp_path: Path
) -> None:
    import numpy as np
    import onnx

    from hanspan.backends import onnx_forward
    from hanspan.model import forward_fn, load_model
    from hanspan.onnx_export import export

    model, _, meta = load_model(tiny.bundle_folder(kind))
    rng = np.random.default_rng(5)
    ids = rng.integers(5, 5 + len(tiny.CHARS), (3, tiny.MAX_LENGTH))
    mask = np.ones_like(ids)
    mask[0, 4:] = mask[1, 17:] = 0
    before = forward_fn(model)(ids, mask)
    export(model, tmp_path / "model.onnx")
    after = forward_fn(model)(ids, mask)
    graph = onnx_forward(tmp_path / "model.onnx", meta, 1)(ids, mask)
    live = mask.astype(bool)
    assert np.array_equal(before[0][live], after[0][live])
    assert np.abs(graph[0] - before[0])[live].max() < 1e-4
    assert np.abs(graph[1] - before[1]).max() < 1e-4
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    fused = {"MultiHeadAttention", "RotaryEmbedding"}
    assert kinds & fused == (fused if kind == "esm" else set())


@pytest.mark.parametrize("kind", ["esm", "bert", "modern"])
def test_a_graph_gives_the_weights_back(kind: str, tmp_path: Path) -> None:
    import numpy as np

    from hanspan.model import load_model
    from hanspan.onnx_export import weights_of

    folder = tiny.bundle_folder(kind)
    truth = {key: value.numpy() for key, value in load_model(folder)[0].state_dict().items()}
    exact = weights_of(folder / "onnx" / "model.onnx")
    rounded = weights_of(folder / "onnx" / "model_int8.onnx")
    matrices = {name for name in truth if truth[name].ndim == 2}
    unused = {"encoder.contact_head.regression.weight"}  # of ESM; no logit depends on it
    assert matrices - set(exact) <= unused
    assert set(exact) <= set(truth)
    assert set(exact) == set(rounded)
    for name, value in exact.items():
        assert np.array_equal(value, truth[name]), name
        scale = float(np.abs(truth[name]).max())
        assert float(np.abs(rounded[name] - truth[name]).max(initial=0)) <= scale / 100, name


@pytest.mark.parametrize("kind", ["esm", "bert", "modern"])
def test_a_model_that_was_hardly_trained_is_exported_too(kind: str, tmp_path: Path) -> None:
    """Equal weights, as in fresh heads and norms, are one array to the exporter."""
    import numpy as np
    import onnxruntime
    import torch

    from hanspan.model import build_model
    from hanspan.onnx_export import export, weights_of

    torch.manual_seed(0)
    model = build_model(None, tiny.LABELS, tiny.TOPICS, tiny.config(kind)).eval()
    truth = model.state_dict()
    for name, value in truth.items():
        other = name.replace("token_head", "topic_head")
        if other in truth and truth[other].shape == value.shape:
            truth[other].copy_(value)
    export(model, tmp_path / "model.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    found = weights_of(tmp_path / "model.onnx")
    matrices = {name for name in truth if truth[name].ndim == 2}
    assert matrices - set(found) <= {"encoder.contact_head.regression.weight"}
    assert all(np.array_equal(value, truth[name].numpy()) for name, value in found.items())


@pytest.mark.parametrize("kind", ["esm", "bert"])
def test_a_small_bundle_answers_alike_in_half_the_bytes(kind: str, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import load_file
    from transformers import AutoModelForTokenClassification

    full = bundle(tiny.run_folder(kind), tmp_path / "full")
    small = bundle(tiny.run_folder(kind), tmp_path / "small", small=True)
    weights = "model.safetensors"
    assert small.files[weights] < 0.6 * full.files[weights]
    assert set(full.files) - set(small.files) == {"onnx/model.onnx"}
    assert set(small.files) <= set(full.files)
    exact, halved = (load_file(tmp_path / name / weights) for name in ("full", "small"))
    assert {halved[name].dtype for name in exact if exact[name].ndim > 1} == {np.dtype("float16")}
    # The frequencies of rotary positions among them: the graph computes these in full precision.
    assert all(np.array_equal(halved[n], exact[n]) for n in exact if exact[n].ndim == 1)
    stock = AutoModelForTokenClassification.from_pretrained(tmp_path / "small")
    assert str(stock.dtype) == "torch.float32"
    found = [
        [document.spans for document in Extractor.from_pretrained(folder, backend).pipe(texts())]
        for folder, backend in ((full.folder, "torch"), (small.folder, "torch"),
                                (small.folder, "onnx"))
    ]  # fmt: skip
    spans = [[{(s.start, s.end, s.label) for s in row} for row in document] for document in found]
    assert agreement(spans[0], spans[1]) >= 0.99
    assert agreement(spans[0], spans[2]) >= 0.97


@pytest.mark.parametrize("kind", ["esm", "bert"])
def test_a_graph_alone_is_a_model_and_becomes_a_whole_one_again(kind: str, tmp_path: Path) -> None:
    few = bundle(tiny.run_folder(kind), tmp_path / "few", graph_only=True)
    assert set(few.files) == {
        "README.md", "config.json", "hanspan.json", "tokenizer.json", "tokenizer_config.json",
        "onnx/model_int8.onnx",
    }  # fmt: skip
    card = (tmp_path / "few" / "README.md").read_text("utf-8")
    assert "safetensors" not in card
    assert "hanspan bundle THIS_FOLDER NEW_FOLDER" in card
    whole = bundle(tmp_path / "few", tmp_path / "whole")
    assert set(whole.files) == set(bundle(tiny.run_folder(kind), tmp_path / "full").files)
    answers = [
        [{(s.start, s.end, s.label) for s in document.spans} for document in extract.pipe(texts())]
        for extract in (
            Extractor.from_pretrained(tiny.bundle_folder(kind), "torch"),
            Extractor.from_pretrained(few.folder, "torch"),
            Extractor.from_pretrained(few.folder),
            Extractor.from_pretrained(whole.folder, "torch"),
        )
    ]
    assert min(agreement(answers[0], other) for other in answers[1:]) >= 0.97
    assert answers[1] == answers[3]


def test_a_broken_run_leaves_the_older_bundle_as_it_was(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny.run_folder(), run)
    bundle(run, tmp_path / "out", onnx=False)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    weights = run / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(HanspanError):
        bundle(run, tmp_path / "out", onnx=False)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    weights.unlink()
    with pytest.raises(HanspanError, match=r"no model\.safetensors; expected a finished run"):
        bundle(run, tmp_path / "new", onnx=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_without_torch_it_says_what_to_type(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.run_folder()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HanspanError, match=rf"found no {package}.*hanspan\[train,onnx\]"):
        bundle(run, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(HanspanError, match="a folder that is no bundle"):
        bundle(tiny.run_folder(), tmp_path / "mine", onnx=False)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


REPORT = {
    "format": 1,
    "task": "news",
    "facts": {"gold": "sample/dev.jsonl", "documents": "23", "date": "2026-01-01", "commit": "abc"},
    "systems": {
        "student": {
            "entities": {
                "f1": 0.51234, "precision": 0.6, "recall": 0.45, "f1_interval_95": [0.4, 0.6],
                "by_label": {
                    "PER": {"f1": 0.7, "precision": 0.7, "recall": 0.7, "support": 9},
                    "LOC": {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 0},
                },
            },
            "topics": {"accuracy": 0.8, "macro_f1": 0.7},
        }
    },
}  # fmt: skip


def test_card_figures_come_from_the_report(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    quoting = copy.deepcopy(REPORT)
    quoting["systems"]["student"]["examples"] = [{"context": "a line of the gold"}]
    file.write_text(json.dumps(quoting))
    bundle(tiny.run_folder(), tmp_path / "out", onnx=False, report=file, name="news-model")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    index = head["model-index"][0]
    assert index["name"] == "news-model"
    values = {m["name"]: m["value"] for result in index["results"] for m in result["metrics"]}
    assert values["f1 (strict)"] == 0.5123
    assert values["f1 PER (strict)"] == 0.7
    assert "f1 LOC (strict)" not in values
    assert values["accuracy"] == 0.8
    assert "| student | 0.600 | 0.450 | 0.512 | 0.400 to 0.600 | 0.800 |" in text
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == REPORT


def test_the_hub_client_reads_the_card() -> None:
    from huggingface_hub import ModelCard

    facts = {
        "name": "m", "labels": ["PER"], "topics": [], "max_length": 64, "folders": "none",
        "version": "1", "report": REPORT,
    }  # fmt: skip
    read = ModelCard(card(facts)).data
    assert read.model_name == "m"
    assert {result.metric_value for result in read.eval_results} >= {0.5123, 0.8}
    assert metadata(facts)["pipeline_tag"] == "token-classification"


def test_a_bundle_says_what_it_was_made_from(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(tiny.run_folder(), out / "run")
    settings = {"mode": "weak", "seed": 7, "secret": "no"}
    summary = {"documents": 48, "encoder": "/home/someone/enc", "settings": settings}
    (out / "run" / "train.json").write_text(json.dumps(summary))
    (out / "weak.rules.json").write_text('{"ruleset": "news", "version": "733c"}')
    (out / "train.jsonl").write_text("{}\n")
    bundle(out / "run", out / "bundle", onnx=False)
    facts = json.loads((out / "bundle" / "hanspan.json").read_text())["extra"]["made_from"]
    digest = facts.pop("training data")
    assert facts == {
        "documents": 48, "encoder": "enc", "mode": "weak", "seed": 7, "rules": "news 733c",
    }  # fmt: skip
    card = (out / "bundle" / "README.md").read_text("utf-8")
    assert f"| training data | {digest} |" in card
    assert "someone" not in card
    (out / "train.jsonl").write_text("{} \n")
    bundle(out / "run", out / "bundle", onnx=False)
    again = json.loads((out / "bundle" / "hanspan.json").read_text())
    assert again["extra"]["made_from"]["training data"] != digest
    out.joinpath("bundle").rename(tmp_path / "moved")
    bundle(tmp_path / "moved", tmp_path / "again", onnx=False)
    moved = json.loads((tmp_path / "again" / "hanspan.json").read_text())
    assert moved["extra"]["made_from"] == again["extra"]["made_from"]


def test_name_and_card_say_that_gold_chose(tmp_path: Path) -> None:
    shutil.copytree(tiny.run_folder(), tmp_path / "run")
    about = {"settings": {"mode": "weak", "select": "gold"}}
    (tmp_path / "run" / "train.json").write_text(json.dumps(about))
    bundle(tmp_path / "run", tmp_path / "goldfish", onnx=False)
    text = (tmp_path / "goldfish" / "README.md").read_text("utf-8")
    assert "# goldfish-selected-by-gold" in text
    assert "Hand labels chose which epoch was kept." in text
    bundle(tmp_path / "goldfish", tmp_path / "x", onnx=False, name="x-selected-by-gold")
    assert "# x-selected-by-gold\n" in (tmp_path / "x" / "README.md").read_text("utf-8")


def test_agreement_is_f1() -> None:
    assert agreement([set()], [set()]) == 1.0
    assert agreement([{1, 2}, {3}], [{1}, {4}]) == pytest.approx(0.4)


# Hostile bundles: each is the good one with one thing changed.


def _json(name: str, **changes: object):
    def change(folder: Path) -> None:
        row = json.loads((folder / name).read_text("utf-8"))
        row.update(changes)
        (folder / name).write_text(json.dumps(row), "utf-8")

    return change


def _header(make):
    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        path.write_bytes(make(data, size))

    return change


def _lie(data: bytes, size: int) -> bytes:
    header = json.loads(data[8 : 8 + size])
    name = next(key for key in header if key != "__metadata__")
    header[name]["shape"] = [2**40]
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + data[8 + size :]


def _file(name: str, content: bytes = b"x"):
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return change


def _link(name: str, target: str):
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return change


def _external(folder: Path) -> None:
    """A graph whose weights lie in a file of the attacker's choice."""
    import onnx

    model = onnx.load(folder / "onnx" / "model.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    (folder / "onnx" / "model.onnx").write_bytes(model.SerializeToString())


def _pattern(folder: Path) -> None:
    path = folder / "tokenizer.json"
    row = json.loads(path.read_text("utf-8"))
    row["pre_tokenizer"] = {
        "type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": False,
    }  # fmt: skip
    path.write_text(json.dumps(row), "utf-8")


HOSTILE = {
    "a pickle": _file("pytorch_model.bin"),
    "code": _file("modeling.py"),
    "code below": _file("topic/evil.py"),
    "a link out": _link("vocab.txt", "/etc/hostname"),
    "a link inside": _link("README.md", "config.json"),
    "a linked folder": _link("onnx2", "/etc"),
    "remote code": _json("config.json", auto_map={"AutoModel": "x.Y"}),
    "remote tokenizer": _json("tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y", None]}),
    "a later format": _json("hanspan.json", format=2),
    "format true": _json("hanspan.json", format=True),
    "labels of another type": _json("hanspan.json", labels="PER"),
    "markup as a label": _json("hanspan.json", labels=["<script>alert(1)</script>"]),
    "a label twice": _json("hanspan.json", labels=["PER", "PER"]),
    "64 labels": _json("hanspan.json", labels=[f"L{i}" for i in range(64)]),
    "a huge window": _json("hanspan.json", max_length=10**9),
    "no window": _json("hanspan.json", max_length=0),
    "overlap as large": _json("hanspan.json", overlap=24),
    "temperature 0": _json("hanspan.json", temperature=0),
    "a threshold for nobody": _json("hanspan.json", thresholds={"XXX": 0.5}),
    "thresholds as a list": _json("hanspan.json", thresholds=[0.5]),
    "no JSON": _file("hanspan.json", b"{"),
    "deep JSON": _file("hanspan.json", b"[" * 200_000),
    "two megabytes of JSON": _file("hanspan.json", b" " * (2 << 20)),
    "no UTF-8": _file("hanspan.json", b"\xff\xfe{}"),
    "a huge header": _header(lambda data, size: struct.pack("<Q", 2**62) + data[8:]),
    "a header beyond the file": _header(lambda data, size: struct.pack("<Q", len(data)) + data[8:]),
    "a lying shape": _header(_lie),
    "a cut file": _header(lambda data, size: data[:-1]),
    "a longer file": _header(lambda data, size: data + b"code"),
    "an empty file": _header(lambda data, size: b""),
    "weights elsewhere": _external,
    "an exponential pattern": _pattern,
    "another tokenizer model": _file("tokenizer.json", b'{"model": {"type": "Python"}}'),
    "a list as tokenizer": _file("tokenizer.json", b"[]"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bundles_are_refused_in_one_line(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny.bundle_folder(), folder)
    check_folder(folder)  # the good one passes, so what follows is due to the change
    HOSTILE[what](folder)
    with pytest.raises(HanspanError) as caught:
        Extractor.from_pretrained(folder)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def _places(value: object, path: tuple = ()) -> list[tuple]:
    """Paths of all keys and items of a JSON value, of long lists and objects the first few."""
    inner = list(value.items()) if isinstance(value, dict) else (
        list(enumerate(value)) if isinstance(value, list) else [])  # fmt: skip
    found = [(*path, key) for key, _ in inner[:8]]
    return found + [deep for key, item in inner[:8] for deep in _places(item, (*path, key))]


ODD = [None, True, -1, 0, 2**70, 1e308, "", "x", "[UNK]", [], {}, [1], {"a": 1}, "\x00" * 5]


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_with_anything_changed_it_is_read_or_refused(data: st.DataObject) -> None:
    """No traceback of a library, and no panic of one, whatever the two JSON files say."""
    name = data.draw(st.sampled_from(["tokenizer.json", "hanspan.json"]))
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "bundle"
        shutil.copytree(tiny.bundle_folder(), folder)
        row = json.loads((folder / name).read_text("utf-8"))
        path = data.draw(st.sampled_from(_places(row)))
        inside = row
        for key in path[:-1]:
            inside = inside[key]
        if data.draw(st.booleans()):
            inside[path[-1]] = data.draw(st.sampled_from(ODD))
        else:
            del inside[path[-1]]
        (folder / name).write_text(json.dumps(row), "utf-8")
        with contextlib.suppress(HanspanError):
            doc = Extractor.from_pretrained(folder)("甲丙戊在，子卯[SEP] 😀\n木木木" * 3)
            assert all(span.end <= len(doc.text) for span in doc.spans)
