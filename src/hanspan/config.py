"""A YAML file becomes checked settings; every mistake is listed at once.

Each message names file, line and key, what was found and what was expected, and the nearest
valid key where one was misspelt.
"""

from __future__ import annotations

import difflib
import os
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hanspan.data import SUFFIXES
from hanspan.errors import ConfigError, HanspanError
from hanspan.labels import LABEL_SETS
from hanspan.sources import TEXT_SUFFIXES
from hanspan.train_settings import TrainSettings

Lines = dict[tuple[str | int, ...], int]


class Section(BaseModel):
    """Settings of one stage; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSettings(Section):
    """What is looked for."""

    name: str = "news"
    """Name of the task; it names the model."""
    label_set: str | None = None
    """A label set that ships, such as ``news``; gives labels and topics in one word."""
    labels: tuple[str, ...] = ()
    """Entity types, in the order of the model's outputs."""
    topics: tuple[str, ...] = ()
    """Classes of a document; leave out for no topic head."""

    @model_validator(mode="after")
    def _check(self) -> TaskSettings:
        if self.label_set is not None and self.label_set not in LABEL_SETS:
            raise ValueError(
                f"label_set {self.label_set!r} is not there; expected one of {sorted(LABEL_SETS)}"
            )
        if self.label_set is None and not self.labels and not self.topics:
            raise ValueError("no labels found; give label_set, or labels and topics")
        return self

    def entity_labels(self) -> tuple[str, ...]:
        """Labels as given, else those of the label set."""
        return self.labels or (LABEL_SETS[self.label_set].entities if self.label_set else ())

    def topic_labels(self) -> tuple[str, ...]:
        """Topics as given, else those of the label set."""
        return self.topics or (LABEL_SETS[self.label_set].topics if self.label_set else ())


class PageInput(Section):
    """One input, with the number of documents that is taken from each of its files."""

    path: str
    """A file, folder or pattern; ``${HANSPAN_DATA}`` and ``sample:`` are understood."""
    limit: int | None = Field(default=None, ge=1)
    """At most so many documents a file, drawn by the seed; all when left out."""


class PagesSettings(Section):
    """Raw pages and corpora to documents."""

    input: tuple[PageInput, ...] = ()
    """What is read; a plain path stands for one without limit."""
    exclude: tuple[str, ...] = ()
    """Document files whose texts must not occur: a document that holds a sentence of theirs is
    dropped. Only their text is read. A missing file is passed over with a notice."""

    @field_validator("input", mode="before")
    @classmethod
    def _plain_paths(cls, value: Any) -> Any:
        items = [value] if isinstance(value, (str, dict)) else value
        if not isinstance(items, (list, tuple)):
            return items
        return [{"path": item} if isinstance(item, str) else item for item in items]


class LabelSettings(Section):
    """Rules to votes."""

    rules: str = "news"
    """A rule set that ships, or a YAML file."""
    workers: int = Field(default=1, ge=1)
    """Processes."""
    on_error: typing.Literal["stop", "skip"] = "stop"
    """What a failing rule does."""


class AggregateSettings(Section):
    """Votes to soft labels."""

    method: typing.Literal["vote", "dawid-skene", "hmm", "auto"] = "vote"
    """The label model."""
    calibrate: bool = False
    """Fit the probabilities to what hidden rules say; "auto" always does."""


class EvaluateSettings(Section):
    """Measuring on gold; training never sees it."""

    gold: str | None = None
    """Documents with hand labels; without it, or where it is not there, the stage is left out."""
    map: dict[str, str] = Field(default_factory=dict)
    """Renames labels on both sides; an empty name drops the label."""


class BundleSettings(Section):
    """The packaged model."""

    onnx: bool = True
    """Write ONNX files, fp32 and int8."""
    small: bool = False
    """Half-precision weights; of the graphs int8 alone."""
    graph_only: bool = False
    """The int8 graph without weights for torch."""


class PredictSettings(Section):
    """A last look: the bundle applied to text."""

    input: tuple[str, ...] = ()
    """Files to predict; without it the stage takes the documents of this run."""
    backend: typing.Literal["auto", "torch", "onnx"] = "auto"
    """What computes."""

    @field_validator("input", mode="before")
    @classmethod
    def _one_path(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class Config(Section):
    """All settings of a run."""

    task: TaskSettings
    out: str
    """Folder of all outputs."""
    seed: int = 7
    """Of everything that is drawn."""
    pages: PagesSettings
    label: LabelSettings = LabelSettings()
    aggregate: AggregateSettings = AggregateSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    bundle: BundleSettings = BundleSettings()
    predict: PredictSettings = PredictSettings()


def parse_yaml(text: str, name: str) -> tuple[dict[str, Any], Lines]:
    """Data of a YAML mapping and the line of each key path.

    Raises:
        ConfigError: for broken YAML, a key given twice, or a top level that is no mapping.
    """
    lines: Lines = {}
    seen: set[int] = set()

    def note(node: yaml.Node, at: tuple[str | int, ...]) -> None:
        if id(node) in seen:  # an alias: walked once, so that nested aliases cannot explode
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*at, index)] = item.start_mark.line + 1
                note(item, (*at, index))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                path = (*at, key.value)
                line = key.start_mark.line + 1
                if path in lines:
                    raise ConfigError(
                        f"{name}:{line}: {'.'.join(map(str, path))}: given twice, "
                        f"first in line {lines[path]}; expected once"
                    )
                lines[path] = line
                note(value, path)

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{name}: empty; expected settings such as 'task:' and 'out:'")
        note(node, ())
        data = loader.construct_document(node)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(err, "problem", None) or str(err).splitlines()[0]
        raise ConfigError(f"{name}{line}: not YAML: {problem}") from None
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: found {type(data).__name__}, expected a mapping of sections")
    return data, lines


def _override(data: dict[str, Any], setting: str) -> None:
    key, found, value = setting.partition("=")
    if not found or not key:
        raise ConfigError(f"{setting!r}: expected key.path=value, such as train.epochs=3")
    *parents, last = key.split(".")
    place = data
    for part in parents:
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{setting!r}: {part!r} holds a value, expected a section")
        place = inner
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        place[last] = value


def _section(model: Any, loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The settings class that a key path lies in, through tuples and optional types."""
    for part in loc:
        if isinstance(part, int):
            continue
        fields = getattr(model, "model_fields", None)
        if fields is None or part not in fields:
            return None
        model = fields[part].annotation
        while typing.get_origin(model) in (tuple, list, typing.Union, types.UnionType):
            model = next(
                (a for a in typing.get_args(model) if hasattr(a, "model_fields")), type(None)
            )
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _message(error: Any, name: str, lines: Lines, given: Mapping[str, str]) -> str:
    loc = tuple(error["loc"])
    key = ".".join(map(str, loc))
    where = name
    if key in given:
        where = "command line"
    else:
        for size in range(len(loc), 0, -1):
            if loc[:size] in lines:
                where = f"{name}:{lines[loc[:size]]}"
                break
    if error["type"] == "extra_forbidden":
        section = _section(Config, loc[:-1])
        names = list(section.model_fields) if section else []
        near = difflib.get_close_matches(str(loc[-1]), names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}"
        return f"{where}: {key}: no such key; {hint}"
    if error["type"] == "missing":
        return f"{where}: {key}: not found; this key must be given"
    said = error["msg"].removeprefix("Value error, ")
    found = "" if isinstance(error["input"], (dict, list)) else f", found {error['input']!r}"
    return f"{where}: {key}: {said[:1].lower()}{said[1:]}{found}"


def load_config(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Config:
    """Read a config file; later ``key.path=value`` settings win.

    Raises:
        ConfigError: with one line a mistake.
    """
    path = Path(path)
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], 1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise ConfigError(f"{path}: no such config; expected a YAML file{hint}")
    if path.name.lower().endswith((*SUFFIXES, *TEXT_SUFFIXES)):
        raise ConfigError(
            f"{path}: found a file of texts, expected a config (.yaml) that names the texts it "
            f"reads under 'pages:' -> 'input:'; see configs/quickstart.yaml"
        )
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: not UTF-8 ({err.reason} at byte {err.start})") from None
    data, lines = parse_yaml(text, str(path))
    overrides = list(overrides)
    for setting in overrides:
        _override(data, setting)
    given = dict(setting.partition("=")[::2] for setting in overrides)
    try:
        return Config.model_validate(data)
    except ValidationError as err:
        messages = [_message(e, str(path), lines, given) for e in err.errors()]
        raise ConfigError("\n".join(messages)) from None


def dump_config(config: Config) -> str:
    """The resolved settings as YAML, with every default written out."""
    return yaml.safe_dump(
        config.model_dump(mode="json"), allow_unicode=True, sort_keys=False, width=100
    )


def expand(path: str) -> list[Path]:
    """Files that a path of a config means.

    ``${NAME}`` is taken from the environment, ``sample:x`` is the sample inside the package,
    and ``*``, ``?`` and ``[`` are patterns (sorted by name).

    Raises:
        HanspanError: for an unset variable, or when nothing is there.
    """

    def variable(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if not value:
            raise HanspanError(
                f"{path}: {match[1]} is not set; expected the data folder in it, "
                f"such as: {match[1]}=../data hanspan run CONFIG"
            )
        return value

    full = re.sub(r"\$\{(\w+)\}", variable, path)
    if full.startswith("sample:"):
        full = str(resources.files("hanspan") / "assets" / "sample" / full.removeprefix("sample:"))
    if any(sign in full for sign in "*?["):
        place = Path(full)
        root = next(p for p in place.parents if not any(sign in str(p) for sign in "*?["))
        found = sorted(root.glob(str(place.relative_to(root))))
        if not found:
            raise HanspanError(f"{full}: no file matches; expected at least one")
        return found
    if not Path(full).exists():
        raise HanspanError(f"{full}: no such file or folder; expected something to read")
    return [Path(full)]
