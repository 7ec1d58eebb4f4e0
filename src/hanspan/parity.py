"""Checks that a model gives the same answers in stock classes, in torch and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hanspan.errors import HanspanError
from hanspan.graphs import FP32, INT8
from hanspan.meta import ModelMeta

MOST_LOGIT_DIFFERENCE = 1e-3
PIPELINE = "stock pipeline against hanspan, spans that agree"
_PIPELINE_TEXTS = 24
LEAST_INT8_AGREEMENT = 0.97
"""Share of spans (as F1 against torch) below which the int8 graph is not packed."""


def check_stock(folder: Path, texts: Sequence[str], checks: dict[str, str]) -> int:
    """Load a folder in stock transformers classes and compare with ours.

    Returns:
        The number of weights.

    Raises:
        HanspanError: if a class does not load it, or logits differ.
    """
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoTokenizer,
    )
    from transformers.utils import logging

    from hanspan.encode import TextEncoder, collate
    from hanspan.model import load_model

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, _, meta = load_model(folder)
    encoder = TextEncoder.from_folder(folder)
    size = meta.max_length - encoder.special
    rows = [encoded.ids[:size] for encoded in encoder.encode(list(texts[:4]))]
    ids, mask = (torch.from_numpy(array) for array in collate(rows, encoder))
    options: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
    options |= {"dtype": torch.float32, "local_files_only": True}
    try:
        stock = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        token = AutoModelForTokenClassification.from_pretrained(folder, **options).eval()
        topic = None
        if meta.topics:
            inner = folder / "topic" if meta.folders == "two" else folder
            topic = AutoModelForSequenceClassification.from_pretrained(inner, **options).eval()
    except (OSError, ValueError, RuntimeError) as err:
        raise HanspanError(f"{folder}: stock transformers cannot load it ({err})") from None
    with torch.inference_mode():
        tags, topics = model(ids, mask)
        worst = (token(ids, mask).logits[..., : len(meta.tags)] - tags)[mask.bool()].abs().max()
        if topic is not None:
            first = len(meta.tags) if meta.folders == "one" else 0
            stock_topics = topic(ids, mask).logits[:, first : first + len(meta.topics)]
            worst = torch.maximum(worst, (stock_topics - topics).abs().max())
    same = [stock(text)["input_ids"] for text in texts[:4]]
    ours = [[*encoder.prefix, *row.ids.tolist(), *encoder.suffix] for row in encoder.encode(
        list(texts[:4]))]  # fmt: skip
    if float(worst) > MOST_LOGIT_DIFFERENCE or same != ours:
        raise HanspanError(
            f"stock transformers gives other {'tokens' if same != ours else 'logits'} than hanspan "
            f"(difference {float(worst):.2g}); this model cannot be packed"
        )
    checks["stock transformers classes, largest difference of a logit"] = f"{float(worst):.1e}"
    if meta.labels:
        short = [text[: size // 2] for text in texts[:_PIPELINE_TEXTS]]
        checks[PIPELINE] = _pipeline_agreement(token, stock, model, encoder, meta, short)
    return sum(weight.numel() for weight in model.parameters())


def _pipeline_agreement(
    token: Any, stock: Any, model: Any, encoder: Any, meta: ModelMeta, texts: Sequence[str]
) -> str:
    """How many spans the stock pipeline shares with our decode; it knows no valid paths."""
    from transformers import pipeline

    from hanspan.encode import tag_texts
    from hanspan.model import forward_fn

    ner = pipeline(
        "token-classification", model=token, tokenizer=stock, aggregation_strategy="simple",
        device="cpu",
    )  # fmt: skip
    theirs = [{(g["start"], g["end"], g["entity_group"]) for g in ner(text)} for text in texts]
    open_meta = replace(meta, thresholds={})
    tagged = tag_texts(texts, encoder, forward_fn(model), open_meta, scores=False)
    ours = [{(span.start, span.end, span.label) for span in row.spans} for row in tagged]
    return f"{agreement(ours, theirs):.2%} of {sum(map(len, ours))}"


def add_onnx(folder: Path, texts: Sequence[str], checks: dict[str, str]) -> None:
    """Write both graphs; int8 stays only where it agrees with fp32.

    Raises:
        HanspanError: if the fp32 graph does not give the spans of torch.
    """
    from hanspan.backends import onnx_forward
    from hanspan.encode import TextEncoder, tag_texts
    from hanspan.model import forward_fn, load_model
    from hanspan.onnx_export import export, quantise

    model, _, meta = load_model(folder)
    encoder = TextEncoder.from_folder(folder)
    export(model, folder / FP32)

    def spans(forward: Any) -> list[set[tuple[int, int, str]]]:
        tagged = tag_texts(texts, encoder, forward, meta, scores=False)
        return [{(span.start, span.end, span.label) for span in row.spans} for row in tagged]

    exact = onnx_forward(folder / FP32, meta, 1)
    ids = np.random.default_rng(0).integers(0, 5, (3, 7))
    mask = np.ones_like(ids)
    mask[0, 4:] = 0
    pairs = zip(forward_fn(model)(ids, mask), exact(ids, mask), strict=True)
    worst = max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)
    truth, found = spans(forward_fn(model)), spans(exact)
    agree = agreement(truth, found)
    if worst > MOST_LOGIT_DIFFERENCE or agree < 0.999:
        raise HanspanError(
            f"the ONNX graph differs from torch (logits by {worst:.2g}, spans agree in "
            f"{agree:.1%}); bundle without it: bundle.onnx=false"
        )
    count = sum(map(len, truth))
    checks["ONNX fp32 against torch, spans that agree"] = f"{agree:.2%} of {count}"
    for operators in (None, ["MatMul"]):
        quantise(folder / FP32, folder / INT8, operators)
        agree = agreement(truth, spans(onnx_forward(folder / INT8, meta, 1)))
        if agree >= LEAST_INT8_AGREEMENT:
            checks["ONNX int8 against torch, spans that agree"] = f"{agree:.2%} of {count}"
            return
    (folder / INT8).unlink()
    checks["ONNX int8"] = f"not packed: only {agree:.2%} of {count} spans agree with torch"


def agreement(truth: Sequence[set[Any]], found: Sequence[set[Any]]) -> float:
    """F1 of two lists of sets; 1.0 where both are empty."""
    both = sum(len(a & b) for a, b in zip(truth, found, strict=True))
    total = sum(map(len, truth)) + sum(map(len, found))
    return 2 * both / total if total else 1.0
