"""What may lie in a bundle, and what it may say: hostile ones are refused.

A bundle comes from other people: everything here is read as bytes and JSON, with limits, before
any library is given a file of it. Stdlib only.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hanspan.errors import HanspanError
from hanspan.meta import FILE, FORMAT, ModelMeta

_FILES = re.compile(
    r"(?:(?:topic/)?(?:config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json"
    r"|(?:topic/)?(?:model\.safetensors|vocab\.txt)"
    r"|onnx/[\w.-]{1,80}\.onnx|[\w.-]{1,80}\.rules\.json|hanspan\.json|report\.json|config\.yaml"
    r"|README\.md|LICENSE(?:\.\w{1,8})?|NOTICE|\.gitattributes|report/[\w.-]{1,80}\.(?:png|svg))"
)
_IGNORED = {".git", ".cache"}
_MAX_FILES = 200
_MAX_BYTES = {".json": 64 << 20, ".safetensors": 8 << 30, ".onnx": 2 << 30}
_SMALL = {FILE: 1 << 20, "config.json": 1 << 20, "tokenizer_config.json": 8 << 20}
_HEADER = 16 << 20
_LABEL = re.compile(r"[^\s\x00-\x1f\x7f<>\"&]{1,64}")
_DTYPES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip


def _bad(where: Path, found: str, expected: str) -> HanspanError:
    return HanspanError(f"{where}: found {found}; expected {expected}; this bundle is refused")


def load_json(path: Path) -> Any:
    """A JSON file of a bundle, read with a limit on its size and nesting.

    Raises:
        HanspanError: if it is missing, too large, not UTF-8 or not JSON.
    """
    limit = _SMALL.get(path.name, _MAX_BYTES[".json"])
    try:
        if path.stat().st_size > limit:
            raise _bad(path, f"{path.stat().st_size} bytes", f"at most {limit}")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise _bad(path.parent, f"no {path.name}", "a bundle made by 'hanspan bundle'") from None
    except (ValueError, RecursionError, OSError) as err:
        raise _bad(path, f"no readable JSON ({type(err).__name__})", "a JSON object") from None


def _strings(path: Path, row: Mapping[str, Any], key: str, most: int) -> tuple[str, ...]:
    value = row.get(key, [])
    good = (
        isinstance(value, list)
        and len(value) <= most
        and all(isinstance(item, str) and _LABEL.fullmatch(item) for item in value)
        and len(set(value)) == len(value)
    )
    if not good:
        raise _bad(path, f"{key} = {value!r:.80}", f"at most {most} different short names")
    return tuple(value)


def check_meta(row: Any, path: Path) -> None:
    """Check the contents of a ``hanspan.json``.

    Args:
        row: the JSON value.
        path: names the file in errors.

    Raises:
        HanspanError: for the first key that is missing or wrong.
    """
    if not isinstance(row, dict):
        raise _bad(path, type(row).__name__, "a JSON object")
    version = row.get("format")
    if version != FORMAT or isinstance(version, bool):
        raise _bad(path, f"format {version!r:.40}", f"format {FORMAT} (pip install -U hanspan)")
    labels, topics = _strings(path, row, "labels", 63), _strings(path, row, "topics", 1000)
    if not labels and not topics:
        raise _bad(path, "neither labels nor topics", "at least one")
    length, overlap = row.get("max_length", 256), row.get("overlap", 32)
    if not _whole(length) or not 8 <= length <= 8192:
        raise _bad(path, f"max_length {length!r:.40}", "a whole number from 8 to 8192")
    if not _whole(overlap) or not 0 <= overlap < length - 2:
        raise _bad(path, f"overlap {overlap!r:.40}", "a whole number below max_length - 2")
    for key in ("temperature", "topic_temperature"):
        heat = row.get(key, 1.0)
        if not _number(heat) or not 0.01 <= heat <= 100:
            raise _bad(path, f"{key} {heat!r:.40}", "a number from 0.01 to 100")
    limits = row.get("thresholds", {})
    if not isinstance(limits, dict) or not all(
        key in labels and _number(value) and 0 <= value <= 1 for key, value in limits.items()
    ):
        raise _bad(path, f"thresholds {limits!r:.80}", "a number from 0 to 1 for known labels")
    if row.get("folders", "none") not in ("one", "two", "none"):
        raise _bad(path, f"folders {row['folders']!r:.40}", "one, two or none")
    if not isinstance(row.get("extra", {}), dict):
        raise _bad(path, "no object under 'extra'", "an object")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def files(folder: Path) -> Iterator[str]:
    """Names of the files of a folder, relative, with ``/``, sorted; links are not followed."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _IGNORED)
        inside = Path(base).relative_to(folder)
        found += [(inside / name).as_posix() for name in [*names, *folders]]
        if len(found) > _MAX_FILES:
            raise _bad(folder, f"more than {_MAX_FILES} files", "a bundle")
    for name in sorted(found):
        if (folder / name).is_symlink() or not (folder / name).is_dir():
            yield name


def allowed(name: str) -> bool:
    """Whether a file of this relative name may lie in a bundle."""
    return _FILES.fullmatch(name) is not None


def check_folder(folder: Path, *, links_into: Path | None = None) -> ModelMeta:
    """Look at everything in a bundle before anything of it is run.

    Args:
        folder: the bundle.
        links_into: links may point below this folder and nowhere else (the Hub's cache keeps
            each file as a link); None refuses every link.

    Returns:
        What its ``hanspan.json`` says.

    Raises:
        HanspanError: naming the file, what is wrong and what was expected.
    """
    if not folder.is_dir():
        raise HanspanError(
            f"{folder}: no such folder; expected a bundle; "
            f"type 'hanspan bundle RUN {folder}' to make one"
        )
    for name in files(folder):
        path = folder / name
        if path.is_symlink():
            home = path.resolve()
            if links_into is None or not home.is_relative_to(links_into.resolve()):
                raise _bad(path, "a link", "a plain file")
        if not path.is_file():
            raise _bad(path, "something that is no file", "a plain file")
        if not allowed(name):
            raise _bad(path, "a file that is no part of a bundle", "weights, JSON, ONNX and card")
        size, limit = path.stat().st_size, _MAX_BYTES.get(path.suffix, 64 << 20)
        if size > limit:
            raise _bad(path, f"{size} bytes", f"at most {limit}")
        if path.suffix == ".safetensors":
            check_safetensors(path)
        elif path.suffix == ".onnx":
            check_onnx(path)
    check_meta(load_json(folder / FILE), folder / FILE)
    for inside in (folder, folder / "topic"):
        for name in ("config.json", "tokenizer_config.json"):
            if (inside / name).exists():
                _check_config(inside / name)
        if (inside / "tokenizer.json").exists():
            _check_tokenizer(inside / "tokenizer.json")
    return ModelMeta.read(folder)


def _check_config(path: Path) -> None:
    row = load_json(path)
    if not isinstance(row, dict):
        raise _bad(path, type(row).__name__, "a JSON object")
    for key in ("auto_map", "quantization_config", "custom_pipelines"):
        if row.get(key):
            raise _bad(path, f"the key {key!r}", "a stock model that runs no code of its own")


def _check_tokenizer(path: Path) -> None:
    row = load_json(path)
    model = row.get("model") if isinstance(row, dict) else None
    kind = model.get("type", "WordPiece") if isinstance(model, dict) else None
    if kind not in ("WordLevel", "WordPiece", "BPE", "Unigram"):
        raise _bad(path, f"a model of type {kind!r:.40}", "WordLevel, WordPiece, BPE or Unigram")
    for pattern in _patterns({key: value for key, value in row.items() if key != "model"}):
        if len(pattern) > 400 or _NESTED.search(pattern):
            raise _bad(path, f"the pattern {pattern!r:.60}", "patterns that run in linear time")


_NESTED = re.compile(r"[+*}]\)*[^()|]*\)[+*{]|\\[1-9k]")


def _patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("Regex"), str):
            yield value["Regex"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _patterns(item)


def check_safetensors(path: Path) -> None:
    """Check the header of a safetensors file against its size and its own shapes.

    Raises:
        HanspanError: if the header is too large, no JSON, or says what is not there.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 10 or not 2 <= length <= min(_HEADER, size - 8):
            raise _bad(path, f"a header of {length} bytes in {size}", "a safetensors file")
        try:
            header = json.loads(stream.read(length))
            rows = [row for name, row in header.items() if name != "__metadata__"]
            spans = [_tensor(row) for row in rows]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError) as err:
            raise _bad(path, f"a broken header ({type(err).__name__})", "tensors") from None
    at = 0
    for start, end, expected in sorted(spans):
        if start != at or end - start != expected:
            raise _bad(path, f"a header that lies about bytes {start}:{end}", "honest offsets")
        at = end
    if at != size - 8 - length:
        raise _bad(path, f"{size - 8 - length} bytes of tensors", f"the {at} of its header")


def _tensor(row: Mapping[str, Any]) -> tuple[int, int, int]:
    """Start, end and bytes by shape and type; -1 bytes for a shape that cannot be."""
    start, end = (int(number) for number in row["data_offsets"])
    shape = [int(number) for number in row["shape"]]
    expected = _DTYPES[row["dtype"]] * math.prod(shape) if all(n >= 0 for n in shape) else -1
    return start, end, expected


def check_onnx(path: Path) -> None:
    """Refuse a graph that reads other files (external data may name any path).

    Raises:
        HanspanError: if the graph names external data.
    """
    # Protobuf: TensorProto.external_data holds entries whose key (field 1) is "location".
    if path.stat().st_size == 0:
        raise _bad(path, "an empty file", "a graph")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b"\n\x08location") >= 0:
            raise _bad(path, "weights in another file", "a graph that holds its weights")
