"""Where the ONNX graphs of a bundle lie, and what goes in and out of them."""

from __future__ import annotations

from pathlib import Path

INT8 = "onnx/model_int8.onnx"
FP32 = "onnx/model.onnx"
INPUTS = ["input_ids", "attention_mask"]
OUTPUTS = ["tag_logits", "topic_logits"]


def onnx_file(folder: Path, precision: str = "auto") -> Path | None:
    """The graph of a bundle: int8 where it is shipped, else fp32; None if there is none.

    Args:
        folder: the bundle.
        precision: ``auto``, ``int8`` or ``fp32``.
    """
    names = {"auto": (INT8, FP32), "int8": (INT8,), "fp32": (FP32,)}[precision]
    return next((folder / name for name in names if (folder / name).is_file()), None)
