"""A model as an ONNX graph with both heads, in fp32 and in int8."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hanspan.backends import INPUTS, OUTPUTS
from hanspan.errors import HanspanError

if TYPE_CHECKING:
    from hanspan.model import JointModel

OPSET = 17


def export(model: JointModel, path: Path) -> None:
    """Write the graph ``input_ids, attention_mask -> tag_logits, topic_logits``.

    Batch and length are free. The exporter is torch's older one (``dynamo=False``): of those
    tried it gives the fastest graph, and the only one that quantises in every case.

    Args:
        model: in eval mode, on the CPU.
        path: of the ``.onnx`` file; its folder is made.

    Raises:
        HanspanError: if the package onnx is missing.
    """
    import torch

    _need_onnx()
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = torch.randint(0, 5, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0  # without padding the exporter would drop the mask
    free = {0: "batch", 1: "length"}
    axes = {"input_ids": free, "attention_mask": free, "tag_logits": free}
    with warnings.catch_warnings(), torch.inference_mode(), _eager(model):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (ids, mask), str(path), input_names=INPUTS, output_names=OUTPUTS,
            dynamo=False, opset_version=OPSET, dynamic_axes={**axes, "topic_logits": {0: "batch"}},
        )  # fmt: skip


@contextmanager
def _eager(model: JointModel) -> Iterator[None]:
    """Attention written out: sdpa's graph guards every row against a mask that leaves nothing.

    The graph without these guards is 1.1 to 1.3 times as fast; no row here is wholly masked.
    """
    before = model.config._attn_implementation
    model.encoder.set_attn_implementation("eager")  # type: ignore[operator]
    try:
        yield
    finally:
        model.encoder.set_attn_implementation(before)  # type: ignore[operator]


def quantise(source: Path, target: Path, operators: list[str] | None = None) -> None:
    """Write the graph with int8 weights, one scale a column; activations stay dynamic.

    Args:
        source: fp32 graph.
        target: int8 graph.
        operators: kinds of node to quantise; None takes all that can be, embeddings included.

    Raises:
        HanspanError: if the package onnx is missing.
    """
    import logging

    _need_onnx()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it advises a preprocessing that gains nothing here
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part.") as temporary:
            made = Path(temporary) / "model.onnx"
            quantize_dynamic(
                source, made, weight_type=QuantType.QInt8, per_channel=True,
                op_types_to_quantize=operators,
            )  # fmt: skip
            made.replace(target)
    finally:
        quiet.setLevel(level)


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise HanspanError(
            "found no package onnx, which is needed to write ONNX graphs; type: "
            "pip install 'hanspan[onnx]', or bundle without them: bundle.onnx=false"
        ) from None
