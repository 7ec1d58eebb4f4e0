"""A model as an ONNX graph with both heads, in fp32 and in int8."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hanspan.errors import HanspanError
from hanspan.graphs import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from hanspan.joint import JointModel

OPSET = 17
_ORT = "com.microsoft"
"""ONNX Runtime's own operators, which every build of it has."""


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
    with warnings.catch_warnings(), torch.inference_mode(), _attention(model) as opsets:
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (ids, mask), str(path), input_names=INPUTS, output_names=OUTPUTS,
            dynamo=False, opset_version=OPSET, custom_opsets=opsets,
            dynamic_axes={**axes, "topic_logits": {0: "batch"}},
        )  # fmt: skip
    _name_weights(model, path)


def _name_weights(model: JointModel, path: Path) -> None:
    """Give matrices the names they have in the model, by which :func:`weights_of` finds them.

    The exporter turns a matrix round for its product and numbers it; the node keeps the place.
    """
    import onnx

    graph = onnx.load(path)
    _unshare(graph)
    known = set(model.state_dict())
    names = {}
    for node in graph.graph.node:
        place = node.name.removeprefix("/").rpartition("/")[0].replace("/", ".")
        if node.op_type == "MatMul" and f"{place}.weight" in known:
            names[node.input[1]] = f"{place}.weight"
    for item in graph.graph.initializer:
        item.name = names.get(item.name, item.name)
    for node in graph.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    onnx.save(graph, path)


def _unshare(graph: Any) -> None:
    """Give each weight its own array: the exporter keeps equal ones once, with Identity nodes.

    Heads that have hardly been trained are equal.
    """
    import onnx

    arrays = {item.name: item for item in graph.graph.initializer}
    nodes = graph.graph.node
    for node in [node for node in nodes if node.op_type == "Identity"]:
        if node.input[0] in arrays:
            own = onnx.TensorProto()
            own.CopyFrom(arrays[node.input[0]])
            own.name = node.output[0]
            graph.graph.initializer.append(own)
            nodes.remove(node)


def weights_of(path: Path) -> dict[str, NDArray[np.floating]]:
    """The weights inside a graph of :func:`export` or :func:`quantise`, in float32.

    Args:
        path: the graph; of an int8 one the weights are what its steps stand for.

    Returns:
        Arrays under the names of ``JointModel.state_dict()``, in torch's shapes.

    Raises:
        HanspanError: if the package onnx is missing.
    """
    _need_onnx("read the weights of a graph")
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    turned = set()
    for node in graph.node:
        flags = {item.name: item.i for item in node.attribute}
        if node.op_type in ("MatMul", "MatMulInteger") or (
            node.op_type == "Gemm" and not flags.get("transB", 0)
        ):
            turned.add(node.input[1])
    found: dict[str, NDArray[np.floating]] = {}
    for name, array in arrays.items():
        base, _, kind = name.rpartition("_")
        if kind == "quantized":
            zero, scale = arrays[f"{base}_zero_point"], arrays[f"{base}_scale"]
            value = (array.astype(np.float32) - zero) * scale
        elif name.endswith((".weight", ".bias")):
            base, value = name, array.astype(np.float32)
        else:
            continue
        found[base] = value.T if name in turned and value.ndim == 2 else value
    return found


def _attention(model: JointModel) -> AbstractContextManager[dict[str, int]]:
    """How attention is written while the block runs; yields the operator sets it needs."""
    config = model.config
    rotary = getattr(config, "position_embedding_type", "") == "rotary"
    plain = not getattr(config, "is_decoder", False)
    return _fused(model) if config.model_type == "esm" and rotary and plain else _eager(model)


@contextmanager
def _eager(model: JointModel) -> Iterator[dict[str, int]]:
    """Attention written out: sdpa's graph guards every row against a mask that leaves nothing.

    The graph without these guards is 1.1 to 1.3 times as fast; no row here is wholly masked.
    """
    before = model.config._attn_implementation
    model.encoder.set_attn_implementation("eager")  # type: ignore[operator]
    try:
        yield {}
    finally:
        model.encoder.set_attn_implementation(before)  # type: ignore[operator]


@contextmanager
def _fused(model: JointModel) -> Iterator[dict[str, int]]:
    """ESM's attention as ONNX Runtime's own rotary and attention nodes: a sixth more speed.

    Written out, each layer is some forty nodes that copy and turn what two nodes take as it is.
    """
    import torch

    config = model.config
    heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    steps = torch.arange(0, width, 2, dtype=torch.float32) / width
    positions = torch.arange(config.max_position_embeddings, dtype=torch.float32)
    angles = positions[:, None] / config.rope_theta**steps
    tables = (torch.zeros(1, dtype=torch.int64), angles.cos(), angles.sin())

    class Attention(torch.autograd.Function):
        """Only the shape matters while tracing; the graph is what ``symbolic`` says."""

        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, v: Any, mask: Any, *tables: Any) -> Any:
            return q + k + v

        @staticmethod
        def symbolic(g: Any, q: Any, k: Any, v: Any, mask: Any, *tables: Any) -> Any:
            kind, turn = q.type(), f"{_ORT}::RotaryEmbedding"
            q, k = (g.op(turn, x, *tables, num_heads_i=heads).setType(kind) for x in (q, k))
            none = g.op("prim::Constant")
            none.setType(torch._C.OptionalType.ofTensor())
            attend = f"{_ORT}::MultiHeadAttention"
            return g.op(attend, q, k, v, none, mask, num_heads_i=heads).setType(kind)

    masks: list[Any] = []

    def keep_mask(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        masks[:] = [kwargs["attention_mask"].to(torch.int32)]

    def forward(layer: Any, states: Any) -> tuple[Any, None]:
        parts = (layer.query(states), layer.key(states), layer.value(states))
        return Attention.apply(*parts, masks[0], *tables), None

    layers = [m for m in model.encoder.modules() if type(m).__name__ == "EsmSelfAttention"]
    hook = model.encoder.register_forward_pre_hook(keep_mask, with_kwargs=True)
    for layer in layers:
        layer.forward = lambda states, layer=layer, **_: forward(layer, states)
    try:
        yield {_ORT: 1}
    finally:
        hook.remove()
        for layer in layers:
            del layer.forward


def quantise(source: Path, target: Path, operators: list[str] | None = None) -> None:
    """Write the graph with int8 weights, one scale a column; activations stay dynamic.

    The first product keeps its weights in float: what comes from the embeddings has the widest
    range, and a fifth of a megabyte brings most of the lost answers back.

    Args:
        source: fp32 graph.
        target: int8 graph.
        operators: kinds of node to quantise; None takes all that can be, embeddings included.

    Raises:
        HanspanError: if the package onnx is missing.
    """
    import logging

    _need_onnx()
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = onnx.load(source, load_external_data=False).graph.node
    first = [node.name for node in nodes if node.op_type == "MatMul"][:1]

    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it advises a preprocessing that gains nothing here
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part.") as temporary:
            made = Path(temporary) / "model.onnx"
            quantize_dynamic(
                source, made, weight_type=QuantType.QInt8, per_channel=True,
                op_types_to_quantize=operators, nodes_to_exclude=first,
            )  # fmt: skip
            made.replace(target)
    finally:
        quiet.setLevel(level)


def _need_onnx(what: str = "write ONNX graphs") -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise HanspanError(
            f"found no package onnx, which is needed to {what}; type: pip install 'hanspan[onnx]'"
            + (", or bundle without them: bundle.onnx=false" if what.startswith("write") else "")
        ) from None
