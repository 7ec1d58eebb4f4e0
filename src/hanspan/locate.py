"""Where a model lies: in the package, in a folder, or on the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from hanspan.errors import HanspanError

EMBEDDED = Path(__file__).with_name("assets") / "model"
"""The bundle inside the package; a build may carry none."""


def embedded() -> Path:
    """The folder of the model inside the package.

    Raises:
        HanspanError: if this build of the package carries none.
    """
    if not (EMBEDDED / "hanspan.json").is_file():
        raise HanspanError(
            "found no model inside this package and none was named; expected one: "
            "hanspan predict IN OUT --model DIR (or OWNER/NAME on the Hub), in Python "
            "Extractor.from_pretrained(DIR)"
        )
    return EMBEDDED


def find_model(
    model: str | os.PathLike[str] | None,
    *,
    backend: str = "auto",
    revision: str | None = None,
    precision: str = "auto",
) -> Path:
    """The folder of a model: a path, a name on the Hub, or None for the embedded one.

    From the Hub only what the backend and precision need is fetched.

    Raises:
        HanspanError: if there is no such model, or what is there is refused.
    """
    if model is None:
        return embedded()
    folder = Path(model)
    if folder.is_dir():
        # A run of 'hanspan train' keeps its model one folder below.
        inner = folder / "model"
        return inner if (inner / "hanspan.json").is_file() else folder
    from hanspan import hub

    name = os.fspath(model)
    if not hub.is_id(name):
        raise HanspanError(
            f"{name}: no such folder; expected a bundle or model folder, or owner/name on the Hub"
        )
    if backend != "torch":
        wanted = {"int8": [hub.INT8_FILES], "fp32": [hub.FP32_FILES]}.get(
            precision, [hub.INT8_FILES, hub.FP32_FILES]
        )
        for only in wanted:
            found = hub.pull(name, revision, only=only)
            if (found / only[-1]).is_file():
                return found
    return hub.pull(name, revision)


def hub_blobs(folder: Path) -> Path | None:
    """Where the links of the Hub's cache point, if ``folder`` is a snapshot in it."""
    blobs = folder.parent.parent / "blobs"
    return blobs if folder.parent.name == "snapshots" and blobs.is_dir() else None
