"""Where an encoder comes from: the package, a folder, the Hub, or fresh random weights."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from hanspan.errors import HanspanError
from hanspan.meta import FILE, HAND_BEFORE, ModelMeta

_log = logging.getLogger("hanspan")
RANDOM = {
    "random:tiny": {"layers": 2, "hidden": 64, "heads": 2, "intermediate": 128},
    "random:small": {"layers": 4, "hidden": 192, "heads": 3, "intermediate": 384},
}
"""Shapes of untrained encoders; they need no download and learn little, but they run."""


def embedded_encoder() -> Path | None:
    """Folder of the encoder that ships inside the package, or None."""
    folder = Path(str(resources.files("hanspan") / "assets" / "encoder"))
    return folder if (folder / "config.json").is_file() else None


def resolve_encoder(name: str) -> Path | str:
    """What an encoder's name stands for.

    Args:
        name: ``auto``, ``embedded``, ``random:tiny``, ``random:small``, a folder, or a Hub id.

    Returns:
        A folder, or the name of a random encoder or Hub id as it is.

    Raises:
        HanspanError: if it can be none of these.
    """
    if name == "auto":
        return embedded_encoder() or "random:small"
    if name == "embedded":
        found = embedded_encoder()
        if found is None:
            raise HanspanError(
                "encoder 'embedded': none ships in this build; expected a folder, a Hub id or "
                "'random:small', such as: hanspan run CONFIG train.encoder=random:small"
            )
        return found
    if name.startswith("random:"):
        if name not in RANDOM:
            raise HanspanError(f"encoder {name!r}: expected one of {', '.join(RANDOM)}")
        return name
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        _check_folder(folder)
        return folder
    if name.count("/") > 1 or name.startswith((".", "/", "~")) or not name:
        raise HanspanError(
            f"encoder {name!r}: no such folder; expected a folder, 'owner/name' on the Hub, "
            f"'embedded', or one of {', '.join(RANDOM)}"
        )
    return name


def encoder_files(name: str) -> list[Path]:
    """Weights, config and tokenizer of an encoder that is a folder; else nothing."""
    folder = Path(str(resolve_encoder(name)))
    kinds = {".safetensors", ".json", ".txt", ".model"}
    return sorted(p for p in folder.iterdir() if p.suffix in kinds) if folder.is_dir() else []


def _check_folder(folder: Path) -> None:
    """Raise unless a folder holds a config and weights that can be read without pickle."""
    if not (folder / "config.json").is_file():
        raise HanspanError(f"encoder {folder}: no config.json in this folder")
    if (folder / FILE).is_file() or any(folder.glob("*.safetensors")):
        return
    if any(folder.glob("pytorch_model*.bin")):
        raise HanspanError(_pickle_alone(folder, folder))
    raise HanspanError(f"encoder {folder}: no model.safetensors in this folder")


def _pickle_alone(source: Path | str, out: Path | str) -> str:
    return (
        f"encoder {source}: pytorch_model.bin alone, which is not read, since a pickle may "
        f"run code; if you trust it, write model.safetensors: "
        f'python -c "from transformers import AutoModelForMaskedLM as M, AutoTokenizer as T; '
        f"[a.from_pretrained('{source}').save_pretrained('{out}') for a in (M, T)]\""
    )


def _from_hub(name: str, labels: tuple[str, ...], topics: tuple[str, ...], **options: Any) -> Any:
    """A joint model with an encoder of the Hub; says so if that has only a pickle."""
    from hanspan.hub import file_names
    from hanspan.model import build_model

    try:
        return build_model(name, labels, topics, **options)
    except HanspanError as unreadable:
        try:
            files = file_names(name)
        except HanspanError:
            raise unreadable from None
        if any(file.endswith(".safetensors") for file in files):
            raise
        if not any(Path(file).match("pytorch_model*.bin") for file in files):
            raise HanspanError(
                f"encoder {name}: found neither model.safetensors nor other weights in this "
                f"repository; expected an encoder of transformers"
            ) from None
        folder = name.split("/")[-1]
        raise HanspanError(f"{_pickle_alone(name, folder)}, then give ./{folder}") from None


def open_encoder(
    name: str,
    labels: tuple[str, ...],
    topics: tuple[str, ...],
    *,
    texts: Iterable[str] = (),
    seed: int = 0,
    dropout: float | None = None,
) -> tuple[Any, Any]:
    """A joint model, its heads fresh, and its tokenizer.

    Args:
        name: see :func:`resolve_encoder`; the folder of a trained model of the same labels is
            gone on from, heads and all.
        labels, topics: what the heads tell apart.
        texts: characters of the vocabulary of a random encoder.
        seed: of random weights.
        dropout: of the encoder and the heads; the encoder's own when None.

    Raises:
        HanspanError: if it cannot be found or loaded, or is a model of other labels.
    """
    import torch

    from hanspan.model import build_model, load_tokenizer

    source = resolve_encoder(name)
    torch.manual_seed(seed)
    if isinstance(source, str) and source in RANDOM:
        if name == "auto":
            _log.warning("encoder 'auto': none ships in this build; %s is untrained", source)
        with tempfile.TemporaryDirectory() as folder:
            write_random(source, Path(folder), texts, seed)
            torch.manual_seed(seed)
            model = build_model(folder, labels, topics, dropout=dropout)
            return model, load_tokenizer(folder)
    if (Path(source) / FILE).is_file():
        return _go_on_from(Path(source), labels, topics, dropout)
    if isinstance(source, str):
        model = _from_hub(source, labels, topics, dropout=dropout)
    else:
        model = build_model(source, labels, topics, dropout=dropout)
    tokenizer = load_tokenizer(source)
    check_vocabulary(name, tokenizer, model)
    return model, tokenizer


def check_vocabulary(name: str, tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer with ids that an encoder has no row for.

    Raises:
        HanspanError: naming both sizes.
    """
    highest = max(tokenizer.get_vocab().values(), default=0)
    rows = int(model.encoder.get_input_embeddings().weight.shape[0])
    if highest >= rows:
        raise HanspanError(
            f"encoder {name}: its tokenizer has ids up to {highest}, its embeddings {rows} rows; "
            f"expected the tokenizer that it was trained with"
        )


def _go_on_from(
    folder: Path, labels: tuple[str, ...], topics: tuple[str, ...], dropout: float | None
) -> tuple[Any, Any]:
    """A trained model of the same labels, heads and all."""
    import torch

    from hanspan.model import load_model

    model, tokenizer, meta = load_model(folder)
    if (meta.labels, meta.topics) != (labels, topics):
        raise HanspanError(
            f"encoder {folder}: a model of other labels ({', '.join(meta.labels or meta.topics)}) "
            f"found, {', '.join(labels or topics)} expected; give a plain encoder, or a model of "
            f"the same labels in the same order"
        )
    for module in model.modules():
        if dropout is not None and isinstance(module, torch.nn.Dropout):
            module.p = dropout
    return model, tokenizer


_MISSING = (
    "_raise_exceptions_for_missing_entries",
    "_raise_exceptions_for_connection_errors",
    "_raise_exceptions_for_gated_repo",
)


def had_hand_labels(source: str | Path) -> bool:
    """Whether hand labels taught, or chose, the trained model (folder or Hub id) gone on from."""
    folder = Path(source)
    if source in RANDOM:
        return False
    if not folder.is_dir():
        from transformers.utils import cached_file

        missing = dict.fromkeys(_MISSING, False)
        folder = Path(cached_file(str(source), FILE, **missing) or folder / FILE).parent
    if not (folder / FILE).is_file():
        return False
    own = ModelMeta.read(folder).extra
    return any(
        extra.get("mode", "weak") != "weak"
        or extra.get("selection") == "gold"
        or bool(extra.get(HAND_BEFORE))
        for extra in (own, own.get("made_from", {}))
    )


def usual_rate(config: Any, random: bool) -> float:
    """Peak learning rate where the settings name none, by the width of the encoder."""
    width = int(getattr(config, "hidden_size", 768))
    return 1e-3 if random or width <= 320 else 3e-4 if width <= 512 else 5e-5


def write_random(name: str, folder: Path, texts: Iterable[str], seed: int) -> None:
    """Write an untrained encoder with a character vocabulary of ``texts``, in stock layout."""
    from safetensors.torch import save_file

    from hanspan.pretrain.network import NetworkSettings, build_network
    from hanspan.pretrain.tokenizer import build_vocab, save_tokenizer

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    # A character seen once stays unknown, so that [UNK] gets a trained embedding.
    vocab = build_vocab(counts, size=4096, min_count=2)
    network = build_network(
        NetworkSettings(arch="modernbert", vocab_size=len(vocab), **RANDOM[name]), seed
    )
    # Under torchrun save_pretrained writes in one process only; here each needs its own.
    network.config.architectures = [type(network).__name__]
    network.config.to_json_file(folder / "config.json", use_diff=False)
    state = {k: v.clone() for k, v in network.state_dict().items() if "decoder.weight" not in k}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    save_tokenizer(vocab, folder)


def shown_name(wanted: str, source: str) -> str:
    """The encoder's name for cards: no path of this machine.

    Args:
        wanted: as the settings name it.
        source: what :func:`resolve_encoder` made of it.
    """
    if source in RANDOM or not Path(source).is_dir():
        return source
    return "embedded" if wanted in ("auto", "embedded") else Path(source).resolve().name


def check_length(config: Any, wanted: int) -> None:
    """Refuse windows that are longer than an encoder's positions.

    Raises:
        HanspanError: naming both lengths.
    """
    limit = int(getattr(config, "max_position_embeddings", None) or wanted)
    if wanted > limit:
        raise HanspanError(
            f"train.max_length={wanted} found, at most {limit} expected by this encoder"
        )
