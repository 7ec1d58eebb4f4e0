"""What runs a model: ONNX Runtime without torch, or torch.

A backend is a ``hanspan.encode.Forward``: ``(input_ids, attention_mask) -> (tag_logits,
topic_logits)`` in NumPy arrays.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from hanspan.encode import Forward
from hanspan.errors import HanspanError
from hanspan.graphs import INPUTS, OUTPUTS
from hanspan.meta import ModelMeta


def onnx_forward(path: Path, meta: ModelMeta, threads: int | None = None) -> Forward:
    """A graph in ONNX Runtime.

    Args:
        path: the ``.onnx`` file.
        meta: what the outputs must look like.
        threads: of one call; None takes ``OMP_NUM_THREADS``, or all cores.

    Raises:
        HanspanError: if the graph cannot be loaded or has other inputs or outputs.
    """
    session = _session(path, threads)
    names = [item.name for item in session.get_inputs()]
    outputs = {item.name: item.shape[-1] for item in session.get_outputs()}
    expected = {"tag_logits": len(meta.tags), "topic_logits": len(meta.topics)}
    if set(names) != set(INPUTS) or any(outputs.get(name) != n for name, n in expected.items()):
        raise HanspanError(
            f"{path}: graph with inputs {names} and outputs {outputs} found; expected {INPUTS} "
            f"and {expected} as hanspan.json says; make the bundle again: hanspan bundle RUN DIR"
        )

    sessions = {os.getpid(): session}

    def forward(ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = os.getpid()
        if own not in sessions:  # forked: the parent's threads are not here
            sessions[own] = _session(path, threads)
        try:
            tags, topics = sessions[own].run(OUTPUTS, {"input_ids": ids, "attention_mask": mask})
        except Exception as err:  # such as a token that the graph's vocabulary lacks
            raise HanspanError(
                f"{path}: the graph fails ({str(err).splitlines()[0]:.120}); expected one that "
                f"fits tokenizer.json and max_length; make the bundle again: hanspan bundle RUN DIR"
            ) from None
        return np.asarray(tags), np.asarray(topics)

    return forward


def _session(path: Path, threads: int | None) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Lengths change from batch to batch: the arena would grow to the sum of all shapes seen.
    options.enable_mem_pattern = False
    # Without VNNI two products of int8 are added in 16 bits, which overflow; no effect with it.
    options.add_session_config_entry("session.x64quantprecision", "1")
    # This fused node takes ten times as long as the two that it replaces (1.25 to 1.32).
    slower = ["SkipLayerNormFusion"]
    try:
        return ort.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=slower
        )
    except Exception as err:  # onnxruntime raises many types of its own
        raise HanspanError(
            f"{path}: ONNX Runtime cannot load it ({str(err).splitlines()[0]:.160}); "
            f"make the bundle again: hanspan bundle RUN DIR"
        ) from None


def torch_forward(folder: Path, device: str | None = None) -> Forward:
    """The stock model folder in torch, on a GPU where there is one.

    Raises:
        HanspanError: if torch and transformers are not installed.
    """
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as err:
        raise HanspanError(
            f"backend torch: found no {err.name}; type: pip install 'hanspan[train]', or use the "
            f"onnx backend"
        ) from None
    from hanspan.model import forward_fn, load_model

    model = load_model(folder)[0].eval()
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return forward_fn(model)
