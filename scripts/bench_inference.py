"""How fast a bundle reads, beside stock transformers, jieba's tagger and the cores' own limit.

    python scripts/bench_inference.py [--model DIR] [--texts FILE] [--threads 1] [--quick]
        [--json FILE]

Same weights, same texts, one run. Without --model: the embedded model, or else a network of the
embedded encoder's shape with random weights, whose speed is that of a trained one; without
--texts: pieces of the sample inside the package, of 10 to 400 characters. "limit" is what ONNX
Runtime's int8 matrix product reaches here on one large product, divided by the products that the
model needs for a character. Few networks can come near it: with inputs and outputs in fp32, as
between two layers, a product of the model's own shapes is much slower, so "ceiling" is what those
products alone would allow if all else took no time. With one thread the seconds are those of the
CPU, so that other work on the machine does not count. Memory and cold start are those of
processes of their own.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

COLD = """
import sys, time
start = time.perf_counter()
from hanspan.infer import Extractor
extract = Extractor.from_pretrained(sys.argv[1], "onnx", threads=int(sys.argv[2]))
extract("江城市副市长林知远在数字农业论坛上表示，今年全市粮食产量预计增长3.5%。")
print(time.perf_counter() - start)
"""
# VmHWM and not ru_maxrss, which a child takes over from its parent.
MEMORY = """
import sys
from hanspan.infer import predict
predict(sys.argv[1], sys.argv[2], model=sys.argv[3], backend="onnx")
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", help="a bundle or a folder with one (Hub names work too)")
    parser.add_argument("--texts", type=Path, help="documents to read in place of the sample")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer texts and repeats")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if args.threads == 1:
        CLOCK[0] = time.process_time

    from hanspan.errors import HanspanError

    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(args, Path(folder))
    except HanspanError as err:
        print(f"bench_inference: {err}", file=sys.stderr)
        return 2
    print(f"\n{'what':<46}{'hanspan':>10} {'unit':<8}{'peer':<30}{'its value':>10}{'target':>9}")
    for row in rows:
        peer = "" if row["peer_value"] is None else f"{row['peer_value']:,.4g}"
        target = "" if row["target"] is None else f"{row['target']:g}"
        value = f"{row['value']:,.4g}"
        print(
            f"{row['what']:<46}{value:>10} {row['unit']:<8}{row['peer']:<30}{peer:>10}{target:>9}"
        )
    if args.json:
        args.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 0


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """All rows of the table."""
    from hanspan.extractor import Extractor
    from hanspan.locate import find_model

    model = find_model(args.model) if args.model else embedded_or_random(folder)
    texts = gather(args.texts, 150 if args.quick else 600)
    repeats = 2 if args.quick else 3
    characters = sum(map(len, texts))
    say(f"{len(texts)} texts, {characters} characters, {args.threads} thread(s), {model.name}")
    rows: list[dict[str, Any]] = []

    def row(what: str, value: float, unit: str, peer: str = "", peer_value: float | None = None,
            target: float | None = None) -> None:  # fmt: skip
        rows.append({"what": what, "value": value, "unit": unit, "peer": peer,
                     "peer_value": peer_value, "target": target})  # fmt: skip

    extract = Extractor.from_pretrained(model, "onnx", threads=args.threads)
    ours = characters / best(lambda: drain(extract.pipe(texts)), repeats)
    say(f"hanspan {ours:,.0f} characters a second")
    exact = None
    if (model / "onnx" / "model.onnx").is_file():
        fp32 = Extractor.from_pretrained(model, "onnx", precision="fp32", threads=args.threads)
        exact = characters / best(lambda: drain(fp32.pipe(texts)), repeats)
    pipe, peers = stock(whole(model, folder), extract.meta.max_length, args.threads), {}
    for size in (1, 8, 64):
        few = texts[: max(30, len(texts) // (4 if size == 1 else 2))]
        part = sum(map(len, few))
        peers[size] = part / best(functools.partial(pipe, few, batch_size=size), 1)
        say(f"transformers pipeline, batch {size}: {peers[size]:,.0f}")
    top = max(peers, key=lambda size: peers[size])
    row("stream, int8", ours, "chars/s", f"transformers pipeline, batch {top}", peers[top])
    row("stream, int8 over the pipeline's best", ours / peers[top], "times", target=4)
    row("stream, int8 over the pipeline as it comes", ours / peers[1], "times", target=4)
    if exact is not None:
        row("stream, fp32 graph", exact, "chars/s", f"transformers pipeline, batch {top}",
            peers[top])  # fmt: skip
    if (tagger := jieba_speed(texts)) is not None:
        row("stream, int8", ours, "chars/s", "jieba.posseg", tagger)
    if (limits := int8_limit(model, texts, extract.meta.max_length, args.threads)) is not None:
        limit, ceiling = limits
        row("stream, int8", ours, "chars/s", "the cores' int8 limit", limit)
        row("stream, share of the int8 limit", 100 * ours / limit, "%", target=40)
        row("stream, int8", ours, "chars/s", "its products alone, fp32 in and out", ceiling)
        row("stream, share of that ceiling", 100 * ours / ceiling, "%")
    sentence = "江城市副市长林知远在数字农业论坛上表示，今年全市粮食产量预计增长3.5%。"
    count = 30 if args.quick else 100
    mine = 1000 * median(lambda: extract(sentence), count)
    theirs = 1000 * median(lambda: pipe(sentence), count)
    row("one sentence of 36 characters, median", mine, "ms", "transformers pipeline", theirs)
    row("one sentence, share of the pipeline's time", 100 * mine / theirs, "%", target=50)
    cold = min(float(run(COLD, model, args.threads)) for _ in range(2 if args.quick else 3))
    row("cold start to the first answer", cold, "s", target=2)
    small, large = (peak(model, folder, texts, times) for times in (1, 10))
    row("peak memory, predict", large, "MB", target=700)
    row("more memory over 10 times the text", large - small, "MB", target=50)
    return rows


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


def drain(stream: Any) -> None:
    """Run a stream to its end."""
    for _ in stream:
        pass


CLOCK: list[Callable[[], float]] = [time.perf_counter]


def best(work: Callable[[], Any], repeats: int) -> float:
    """Least seconds of some runs."""
    times = []
    for _ in range(repeats):
        start = CLOCK[0]()
        work()
        times.append(CLOCK[0]() - start)
    return min(times)


def median(work: Callable[[], Any], repeats: int) -> float:
    """Median seconds of some runs, after three that are not counted."""
    for _ in range(3):
        work()
    return statistics.median(best(work, 1) for _ in range(repeats))


def gather(path: Path | None, count: int) -> list[str]:
    """Texts of mixed lengths, 10 to 400 characters, in a fixed order."""
    from importlib import resources

    from hanspan.data import read_documents
    from hanspan.errors import HanspanError

    source = path or Path(str(resources.files("hanspan") / "assets" / "sample" / "dev.jsonl"))
    whole = "\n".join(document.text for document in read_documents(source))
    if len(whole) < 2000:
        raise HanspanError(f"{source}: {len(whole)} characters found; expected at least 2000")
    rng = random.Random(0)
    texts = []
    for _ in range(count):
        length = int(10 * 40 ** rng.random())  # as many short ones as long ones, by octave
        start = rng.randrange(len(whole) - length)
        texts.append(whole[start : start + length])
    return texts


def embedded_or_random(folder: Path) -> Path:
    """The embedded model, or a bundle of its shape with random weights."""
    from hanspan.errors import HanspanError
    from hanspan.locate import embedded

    try:
        return embedded()
    except HanspanError:
        say("no embedded model: random weights in the shape of the embedded encoder")
    import torch
    from transformers.utils import logging

    from hanspan.bundle import bundle
    from hanspan.encoders import embedded_encoder
    from hanspan.labels import LABEL_SETS
    from hanspan.meta import ModelMeta
    from hanspan.model import build_model, load_tokenizer, save_model
    from hanspan.pretrain.network import NetworkSettings, build_network
    from hanspan.pretrain.tokenizer import build_vocab, save_tokenizer

    source = embedded_encoder()
    if source is None:
        source = folder / "encoder"
        vocab = build_vocab({}, size=8192)
        shape = {"layers": 6, "hidden": 256, "heads": 4, "intermediate": 1024}
        network = build_network(NetworkSettings(arch="esm", vocab_size=len(vocab), **shape), 0)
        logging.disable_progress_bar()
        network.save_pretrained(source)
        save_tokenizer(vocab, source)
    news = LABEL_SETS["news"]
    torch.manual_seed(0)
    model = build_model(source, news.entities, news.topics)
    outside = [m for m in model.token_head.modules() if isinstance(m, torch.nn.Linear)][-1]
    outside.bias.data[0] = 3.0  # most characters are outside, as in a trained model
    meta = ModelMeta(news.entities, news.topics)
    save_model(model, load_tokenizer(source), folder / "run" / "model", meta)
    bundle(folder / "run", folder / "random-bundle")
    if not (folder / "random-bundle" / "onnx" / "model_int8.onnx").is_file():
        # Random logits lie close together, so few spans agree; its speed is what is asked here.
        from hanspan.onnx_export import quantise

        graphs = folder / "random-bundle" / "onnx"
        quantise(graphs / "model.onnx", graphs / "model_int8.onnx")
    return folder / "random-bundle"


def whole(model: Path, folder: Path) -> Path:
    """The model as a folder that stock transformers loads, where its weights lie in a graph."""
    if (model / "model.safetensors").is_file():
        return model
    from hanspan.model import load_model, save_model

    network, tokenizer, meta = load_model(model)
    save_model(network, tokenizer, folder / "whole", meta)
    return folder / "whole"


def stock(model: Path, length: int, threads: int) -> Callable[..., Any]:
    """The transformers pipeline on the same folder, with overlapping windows for long texts."""
    import torch
    from transformers import pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    stride = min(32, length // 4)
    pipe = pipeline("token-classification", str(model), aggregation_strategy="simple",
                    stride=stride, device="cpu")  # fmt: skip

    def work(texts: Any, batch_size: int = 1) -> Any:
        with torch.inference_mode():
            return pipe(texts, batch_size=batch_size)

    return work


def jieba_speed(texts: Sequence[str]) -> float | None:
    """Characters a second of jieba's part-of-speech tagger (dictionary loaded before)."""
    try:
        import jieba.posseg
    except ImportError:
        return None
    import logging

    jieba.setLogLevel(logging.ERROR)
    list(jieba.posseg.cut("热身"))
    few = texts[: len(texts) // 2]
    return sum(map(len, few)) / best(lambda: [list(jieba.posseg.cut(text)) for text in few], 1)


def int8_limit(
    model: Path, texts: Sequence[str], window: int, threads: int
) -> tuple[float, float] | None:
    """Characters a second if the model were nothing but int8 products: limit and ceiling.

    The products a token needs are the sizes of the graph's weight matrices (embeddings, which
    are looked up, left out) and, in attention, two of hidden x length a layer. The limit does
    them all at the speed of one large product; the ceiling leaves attention out and does each
    matrix in its own shape, for 512 tokens, fp32 in and out.
    """
    try:
        import onnx
    except ImportError:
        return None
    import numpy as np

    from hanspan.onnx_export import export

    config = json.loads((model / "config.json").read_text("utf-8"))
    source = model / "onnx" / "model.onnx"
    with tempfile.TemporaryDirectory() as folder:
        if not source.is_file():  # a small bundle has the int8 graph alone
            from hanspan.model import load_model

            source = Path(folder) / "model.onnx"
            export(load_model(model)[0], source)
        graph = onnx.load(source).graph
    used = {
        name for node in graph.node if node.op_type in ("MatMul", "Gemm") for name in node.input
    }
    shapes = [
        (int(item.dims[0]), int(item.dims[1])) for item in graph.initializer
        if item.name in used and len(item.dims) == 2
    ]  # fmt: skip
    weights = sum(int(np.prod(shape)) for shape in shapes)
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    total = sum(map(len, texts))
    # A character of a text of n characters attends to n others: 2 n hidden products a layer.
    pairs = sum(len(text) * min(len(text), window) for text in texts)
    attention = 2 * hidden * layers * pairs / total
    side = 1024
    speed = side**3 / product_time(side, side, side, threads, bare=True)
    say(f"int8 products: {speed / 1e9:,.0f} thousand million a second; "
        f"{(weights + attention) / 1e6:.2f} million a character")  # fmt: skip
    times = {shape: product_time(512, *shape, threads, bare=False) for shape in set(shapes)}
    for (rows, columns), seconds in sorted(times.items()):
        say(f"  512x{rows}x{columns}, fp32 in and out: {512 * rows * columns / seconds / 1e9:,.0f}")
    return speed / (weights + attention), 512 / sum(times[shape] for shape in shapes)


def product_time(rows: int, inner: int, columns: int, threads: int, bare: bool) -> float:
    """Seconds of one int8 product in ONNX Runtime: bare, or with fp32 in and out."""
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    values = rng.integers(-127, 127, (inner, columns)).astype(np.int8)
    made = [helper.make_tensor("b", TensorProto.INT8, values.shape, values.tobytes(), raw=True)]
    scales = np.full(columns, 0.01, np.float32)
    kinds, node = (TensorProto.UINT8, TensorProto.INT32), helper.make_node
    a = rng.integers(0, 255, (rows, inner)).astype(np.uint8 if bare else np.float32)
    if bare:
        nodes = [node("MatMulInteger", ["a", "b"], ["c"])]
    else:
        kinds = (TensorProto.FLOAT, TensorProto.FLOAT)
        made += [helper.make_tensor("s", TensorProto.FLOAT, [columns], scales.tobytes(), raw=True)]
        names = ["a", "b", "s"]
        nodes = [node("DynamicQuantizeMatMul", names, ["c"], domain="com.microsoft")]
    ends = [
        helper.make_tensor_value_info("a", kinds[0], [rows, inner]),
        helper.make_tensor_value_info("c", kinds[1], [rows, columns]),
    ]
    graph = helper.make_graph(nodes, "limit", ends[:1], ends[1:], made)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    built = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        built.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    session.run(None, {"a": a})
    return best(lambda: session.run(None, {"a": a}), 30)


def run(code: str, *words: object) -> str:
    """Standard output of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


def peak(model: Path, folder: Path, texts: Sequence[str], times: int) -> float:
    """Peak megabytes of predict over ``texts``, so many times over."""
    from hanspan.data import Document, write_documents

    source = folder / f"texts-{times}.jsonl"
    write_documents(
        source, (Document(f"{n}-{i}", text) for n in range(times) for i, text in enumerate(texts))
    )
    return float(run(MEMORY, source, folder / f"out-{times}.jsonl", model))


if __name__ == "__main__":
    sys.exit(main())
