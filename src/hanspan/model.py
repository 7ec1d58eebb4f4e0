"""The student: one encoder, a tag head and a topic head, all of stock transformers classes.

The two stock classes (token and sequence classification) are built as usual; the encoder is
then taken out of both, run once, and its output handed to each stock head. So any AutoModel
architecture works, and the folder that is saved loads in stock classes with equal logits.

Layout: where the architecture names its two heads apart (ESM, ELECTRA, ...) one folder with one
label list holds both; a head's rows for the other head's labels have weight 0 and bias -80, so
that softmax and sigmoid give them nothing. Elsewhere (BERT, ModernBERT, ...) the topic model is a
second stock folder, ``topic/``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from hanspan.encode import Forward
from hanspan.errors import HanspanError
from hanspan.graphs import onnx_file
from hanspan.joint import JointModel
from hanspan.meta import ModelMeta
from hanspan.quiet import quietly

_log = logging.getLogger("hanspan")
_DROPOUTS = (
    "hidden_dropout_prob",
    "mlp_dropout",
    "embedding_dropout",
    "classifier_dropout",
)
NEVER = -80.0
"""Bias of a head's rows for labels of the other head; exp(-80) is 2e-35."""


def _last_linear(head: nn.Module) -> nn.Linear:
    """The layer of a head that makes the logits."""
    base = getattr(head, getattr(head, "base_model_prefix", ""), None)
    # XLM-R and CamemBERT name the classifier before the encoder.
    inner = set(base.modules()) if isinstance(base, nn.Module) else set()
    return [m for m in head.modules() if isinstance(m, nn.Linear) and m not in inner][-1]


def _auto(kind: str, source: Path, config: Any) -> Any:
    auto = getattr(transformers, kind)
    return auto.from_pretrained(source, config=config, dtype=torch.float32, use_safetensors=True)


def _with_head(
    kind: str, source: str | Path | None, config: Any, theirs: Sequence[str] = ()
) -> Any:
    """A stock model whose fresh layers before the logits start at 1/sqrt(inputs).

    With the usual 0.02 a narrow topic head starts so quiet that it learns late. The source's own
    head stays only where its labels (``theirs``) are those of ``config``.

    Raises:
        ValueError: if weights of the encoder itself do not fit.
    """
    auto, fresh = getattr(transformers, kind), set()
    if source is None:
        model = auto.from_config(config)
    else:
        model, info = auto.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # of a head; for the rest see below
        )
        fresh = set(info["missing_keys"])
        for key, *_ in info["mismatched_keys"]:
            if key.startswith(f"{model.base_model_prefix}."):
                raise ValueError(f"weights of another shape than its config.json says: {key}")
    last = _last_linear(model)
    where = next(name for name, module in model.named_modules() if module is last)
    ours, loaded = list(config.id2label.values()), source is not None
    other = list(theirs) not in (ours, stock_names(ours))  # our own folders have the second
    if strange := loaded and other and f"{where}.weight" not in fresh:
        _log.warning(
            "encoder %s: found a head for %s; ours is for %s, so it begins anew",
            source, _shortened(theirs), _shortened(ours),
        )  # fmt: skip
        for values in last.parameters():
            nn.init.normal_(values, std=0.02)
    for name, module in model.named_modules():
        inside = name.startswith(f"{model.base_model_prefix}.")
        known = loaded and f"{name}.weight" not in fresh and not strange
        if isinstance(module, nn.Linear) and not inside and not known and module is not last:
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    return model


def _shortened(names: Sequence[str]) -> str:
    return ", ".join([*map(str, names[:6]), *(["…"] if names[6:] else [])])


def build_model(
    source: str | Path | None,
    labels: tuple[str, ...],
    topics: tuple[str, ...],
    config: Any = None,
    *,
    dropout: float | None = None,
) -> JointModel:
    """A joint model with fresh heads.

    Args:
        source: folder or Hub id of a pretrained encoder; None for random weights of ``config``.
        labels: entity types.
        topics: document classes; may be empty.
        config: a transformers config; required when ``source`` is None.
        dropout: of the encoder and the heads; the config's own when None. Never of attention
            weights, which would rule out the fused kernels.

    Raises:
        HanspanError: if the encoder cannot be loaded or has no stock head classes.
    """
    tags = ModelMeta(labels, topics).tags

    def heads() -> JointModel:
        base = config if source is None else transformers.AutoConfig.from_pretrained(source)
        for key in _DROPOUTS if dropout is not None else ():
            if isinstance(getattr(base, key, None), (int, float)):
                setattr(base, key, dropout)
        _fuse_gelu(base)
        theirs = list((base.id2label or {}).values())
        named = _with_labels(base, tags)
        token = _with_head("AutoModelForTokenClassification", source, named, theirs)
        topic = None
        if topics:
            named = _with_labels(base, list(topics))
            topic = _with_head("AutoModelForSequenceClassification", source, named, theirs)
        return JointModel(token, topic, len(tags))

    try:
        return quietly(heads)
    except (OSError, ValueError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:300]
        if isinstance(err, OSError) and not Path(str(source)).is_dir():
            reason = "no such folder, and the Hub cannot be reached or does not have it"
        raise HanspanError(
            f"encoder {str(source)!r} cannot be loaded ({reason}); expected a folder or Hub id "
            f"with config.json and model.safetensors, or 'embedded'"
        ) from None


def _fuse_gelu(config: Any) -> None:
    """Give ESM torch's GELU, the same function in one kernel: a fifth less time a step."""
    if getattr(config, "model_type", "") == "esm":
        from transformers.models.esm import modeling_esm

        modeling_esm.gelu = nn.functional.gelu


def _with_labels(config: Any, names: list[str]) -> Any:
    import copy

    named = copy.deepcopy(config)
    named.id2label = dict(enumerate(names))
    named.label2id = {name: number for number, name in enumerate(names)}
    # transformers refuses to load this word beside one label alone.
    named.problem_type = "single_label_classification" if len(names) > 1 else None
    return named


def save_model(
    model: JointModel, tokenizer: Any, folder: str | os.PathLike[str], meta: ModelMeta
) -> None:
    """Write a model folder that stock transformers loads.

    Args:
        model: heads in the order of ``meta.labels`` and ``meta.topics``.
        tokenizer: a transformers fast tokenizer.
        folder: made if needed; files of an earlier model in it are replaced.
        meta: written as ``hanspan.json`` (``folders`` is set here).
    """
    folder = Path(folder)
    encoder = {f"{model.prefix}.{k}": v for k, v in model.encoder.state_dict().items()}
    token = dict(model.token_head.state_dict())
    tags = meta.tags
    kind = "none" if model.topic_head is None else "one" if model.one_folder else "two"
    names = stock_names(tags)
    if model.topic_head is not None:
        topic = dict(model.topic_head.state_dict())
        if kind == "one":
            names = [*names, *meta.topics]
            _pad_rows(model.token_head, token, 0, len(meta.topics))
            _pad_rows(model.topic_head, topic, len(tags), 0)
            token |= topic
        else:
            inner = folder / "topic"
            state = {**encoder, **topic}
            _write(
                inner,
                state,
                _with_labels(model.topic_head.config, list(meta.topics)),
                model.topic_head,
                tokenizer,
                meta.max_length,
            )
    state = {**encoder, **token}
    config = _with_labels(model.config, names)
    _write(folder, state, config, model.token_head, tokenizer, meta.max_length)
    replace(meta, folders=kind).write(folder)


def stock_names(tags: list[str]) -> list[str]:
    """Tag names for config.json, where E- reads I- and S- reads B-.

    The stock token-classification pipeline knows B- and I- alone; so its groups are our spans.
    """
    swap = {"E-": "I-", "S-": "B-"}
    return [swap.get(tag[:2], tag[:2]) + tag[2:] for tag in tags]


def _pad_rows(head: nn.Module, state: dict[str, Tensor], before: int, after: int) -> None:
    last = _last_linear(head)
    name = next(name for name, module in head.named_modules() if module is last)
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    if bias is None:
        raise HanspanError(f"head layer {name!r} has no bias; expected one to hold both label sets")
    state[f"{name}.weight"] = nn.functional.pad(weight, (0, 0, before, after))
    state[f"{name}.bias"] = nn.functional.pad(bias, (before, after), value=NEVER)


def _write(
    folder: Path, state: dict[str, Tensor], config: Any, head: Any, tokenizer: Any, length: int
) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = _with_labels(config, list(config.id2label.values()))
    config.architectures = [type(head).__name__]
    config.dtype = "float32"
    config.save_pretrained(folder)
    save_file(
        {
            name: value.detach().float().contiguous().cpu().clone()
            if value.is_floating_point()
            else value.detach().contiguous().cpu().clone()
            for name, value in state.items()
        },
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    save_tokenizer(tokenizer, folder, length)


def save_tokenizer(tokenizer: Any, folder: Path, length: int) -> None:
    """Save so that transformers 4 and 5 load the same pipeline (v5's own class name fails in 4)."""
    import copy

    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.model_max_length = length
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", "utf-8")


def load_tokenizer(source: str | Path) -> Any:
    """The stock fast tokenizer of a folder or Hub id.

    Raises:
        HanspanError: if there is none.
    """
    try:
        tokenizer = quietly(lambda: transformers.AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError, KeyError) as err:
        reason = " ".join(str(err).split())[:300]
        raise HanspanError(f"tokenizer of {str(source)!r} cannot be loaded ({reason})") from None
    if not getattr(tokenizer, "is_fast", False):
        raise HanspanError(
            f"{str(source)!r} has a slow tokenizer; expected one with tokenizer.json, which alone "
            f"keeps character offsets"
        )
    return tokenizer


def load_model(folder: str | os.PathLike[str]) -> tuple[JointModel, Any, ModelMeta]:
    """Read a folder that :func:`save_model` wrote: ``(model in eval mode, tokenizer, meta)``.

    A bundle that has its weights in an ONNX graph alone is read from there.

    Raises:
        HanspanError: if the folder is missing, incomplete, or its heads do not fit its labels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HanspanError(f"{folder}: no such folder; expected a model folder")
    meta = ModelMeta.read(folder)
    tokenizer = load_tokenizer(folder)
    graph = onnx_file(folder)
    if graph is not None and not (folder / "model.safetensors").is_file():
        return quietly(lambda: _from_graph(folder, graph, meta)).eval(), tokenizer, meta

    def heads() -> JointModel:
        config = transformers.AutoConfig.from_pretrained(folder)
        _fuse_gelu(config)
        token = _auto("AutoModelForTokenClassification", folder, config)
        topic = None
        if meta.folders == "one":
            topic = _auto("AutoModelForSequenceClassification", folder, config)
        elif meta.folders == "two":
            inner = folder / "topic"
            own = transformers.AutoConfig.from_pretrained(inner)
            topic = _auto("AutoModelForSequenceClassification", inner, own)
        n_tags = len(meta.tags)
        _keep_rows(token, 0, n_tags)
        if topic is not None:
            first = n_tags if meta.folders == "one" else 0
            _keep_rows(topic, first, first + len(meta.topics))
        return JointModel(token, topic, n_tags)

    try:
        model = quietly(heads)
    except (OSError, ValueError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:300]
        raise HanspanError(f"{folder}: cannot be loaded ({reason})") from None
    return model.eval(), tokenizer, meta


_WITHOUT_GRADIENT = ("contact_head", "inv_freq")
"""In names of weights that no logit depends on, and of tables that are made anew."""


def _from_graph(folder: Path, graph: Path, meta: ModelMeta) -> JointModel:
    """A model of a bundle without ``model.safetensors``, its weights those of a graph."""
    from hanspan.onnx_export import weights_of

    config = transformers.AutoConfig.from_pretrained(folder)
    _fuse_gelu(config)
    tags, topics = meta.tags, list(meta.topics)
    token = transformers.AutoModelForTokenClassification.from_config(
        _with_labels(config, stock_names(tags))
    )
    topic = None
    if topics:
        named = _with_labels(config, topics)
        topic = transformers.AutoModelForSequenceClassification.from_config(named)
    model = JointModel(token, topic, len(tags))
    weights = {name: torch.from_numpy(value.copy()) for name, value in weights_of(graph).items()}
    try:
        missing, unknown = model.load_state_dict(weights, strict=False)
    except RuntimeError as err:
        raise HanspanError(f"{graph}: other shapes than config.json says ({err})") from None
    missing = [n for n in missing if not any(part in n for part in _WITHOUT_GRADIENT)]
    if missing or unknown:
        raise HanspanError(
            f"{graph}: found no weights named {', '.join([*missing, *unknown][:3])}, ...; expected "
            f"a graph that 'hanspan bundle' of this version wrote, or model.safetensors beside it"
        )
    return model


def _keep_rows(model: Any, first: int, last: int) -> None:
    linear = _last_linear(model)
    if linear.out_features < last:
        raise HanspanError(
            f"head with {linear.out_features} outputs found, {last} expected by hanspan.json"
        )
    if (first, last) != (0, linear.out_features):
        linear.weight = nn.Parameter(linear.weight.detach()[first:last].clone())
        linear.bias = nn.Parameter(linear.bias.detach()[first:last].clone())
        linear.out_features = last - first
    names = [model.config.id2label[i] for i in range(first, last)]
    model.config = _with_labels(model.config, names)
    model.num_labels = last - first


def forward_fn(model: JointModel, *, bf16: bool = False) -> Forward:
    """The model as a function of NumPy arrays, for :func:`hanspan.encode.tag_texts`."""
    device = next(model.parameters()).device

    def forward(
        ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            tags, topics = model(
                torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
            )
        return tags.float().cpu().numpy(), topics.float().cpu().numpy()

    return forward
