"""`configs/pretrain.yaml` to settings: every key checked, all mistakes reported at once."""

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hanspan.errors import ConfigError
from hanspan.pretrain.corpus import Source
from hanspan.pretrain.run_settings import RunSettings


@dataclass(frozen=True)
class CorpusSettings:
    """The mixing table and how shards are made."""

    sources: tuple[Source, ...]
    shards: str
    data: str | None = None
    vocab_size: int = 8192
    heldout_one_in: int = 40
    heldout_limit: int = 40_000
    note: str = ""
    """What the card says of licences and gaps of these sources."""

    def weights(self) -> dict[str, float]:
        """Share of windows by source."""
        return {s.name: s.weight for s in self.sources}


@dataclass(frozen=True)
class PretrainSettings:
    """One file: where the corpus comes from, where the run goes, and the run itself."""

    corpus: CorpusSettings
    folder: str
    run: RunSettings
    threads: int = 0

    def problems(self) -> list[str]:
        """Values that no run can work with, one line each."""
        corpus, names = self.corpus, [s.name for s in self.corpus.sources]
        wrong = {
            f"threads: {self.threads} is below 0": self.threads < 0,
            "corpus.sources: two have the same name": len(set(names)) < len(names),
            "corpus.sources: a name is a part of a file name, without / and not empty": any(
                not name or "/" in name for name in names
            ),
            f"corpus.heldout_one_in: {corpus.heldout_one_in} is below 1": corpus.heldout_one_in < 1,
        }
        found = [text for text, is_wrong in wrong.items() if is_wrong]
        return found + [f"run.{p}" for p in self.run.problems()]


def load_settings(path: Path, overrides: typing.Sequence[str] = ()) -> PretrainSettings:
    """Read a YAML file and apply overrides such as `run.optim.lr=2e-3`."""
    if not path.is_file():
        raise ConfigError(f"pretrain: no config {path}; the usual one is configs/pretrain.yaml")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(tree, dict):
            raise ConfigError(f"pretrain: {path} must hold corpus:, folder: and run:")
        for item in overrides:
            key, equals, value = item.partition("=")
            if not equals:
                raise ConfigError(f"pretrain: {item!r} is not key.path=value")
            _set(tree, key.split("."), yaml.safe_load(value))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"pretrain: {path} or an override is not YAML ({error})") from error
    run = tree.get("run") or {}
    corpus = tree.get("corpus")
    sources = corpus.get("sources") if isinstance(corpus, dict) else None
    if isinstance(run, dict) and isinstance(sources, list):
        run.setdefault(
            "weights", {s.get("name"): s.get("weight") for s in sources if isinstance(s, dict)}
        )
        tree["run"] = run
    problems: list[str] = []
    settings = _build(PretrainSettings, tree, "", problems)
    if not problems:
        problems = settings.problems()
    if problems:
        raise ConfigError(f"pretrain: {path}:\n" + "\n".join(f"  {p}" for p in problems))
    return typing.cast(PretrainSettings, settings)


def _set(tree: Any, keys: list[str], value: Any) -> None:
    whole = ".".join(keys)
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"pretrain: override {whole}: {key} holds {tree!r}, no keys below it; lists are "
                "given whole, such as 'run.ramp=[[0,1]]'"
            )
    tree[keys[-1]] = value


def _build(kind: Any, value: Any, where: str, problems: list[str]) -> Any:
    """`value` as an instance of `kind`; what does not fit is added to `problems`."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where, problems)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _build(next(a for a in args if a is not type(None)), value, where, problems)
    if origin is tuple:
        if not isinstance(value, list):
            problems.append(f"{where}: {value!r} is not a list")
            return ()
        inner = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(inner) != len(value):
            problems.append(f"{where}: {value!r} must have {len(inner)} entries")
            return ()
        return tuple(
            _build(k, v, f"{where}[{i}]", problems)
            for i, (k, v) in enumerate(zip(inner, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, dict):
            problems.append(f"{where}: {value!r} is not a mapping")
            return {}
        return {str(k): _build(args[1], v, f"{where}.{k}", problems) for k, v in value.items()}
    if kind is float and isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 3e-3 as text
        except ValueError:
            pass
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        problems.append(f"{where}: {value!r} is not {kind.__name__}")
    return value


def _build_dataclass(kind: Any, value: Any, where: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        problems.append(f"{where or 'file'}: expected keys, found {value!r}")
        return None
    hints = typing.get_type_hints(kind)
    before = len(problems)
    given = {}
    for key, part in value.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, 1)
            problems.append(f"{path}: unknown key" + (f"; did you mean {near[0]}?" if near else ""))
        else:
            given[key] = _build(hints[key], part, path, problems)
    for field in dataclasses.fields(kind):
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and field.name not in value:
            problems.append(f"{where + '.' if where else ''}{field.name}: missing")
    return kind(**given) if len(problems) == before else None
