"""One file a checkpoint: weights and optimizer state as safetensors, counters in its header.

Written under a temporary name and renamed, so that a kill leaves the last whole one.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hanspan.errors import HanspanError


def _flatten(model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Any]:
    tensors = {f"model/{n}": p.detach() for n, p in model.named_parameters()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optim/{number}/{index}/{key}"] = torch.as_tensor(value)
    return {name: t.cpu().contiguous() for name, t in tensors.items()}


def save_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    progress: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Write `path` whole or not at all. `progress` and `settings` must be JSON values."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    header = {"progress": json.dumps(progress), "settings": json.dumps(settings, sort_keys=True)}
    temporary = path.with_name(path.name + ".part")
    try:
        save_file(_flatten(model, optimizers), temporary, metadata=header)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # the disk is full, most often
        temporary.unlink(missing_ok=True)
        raise HanspanError(
            f"pretrain: {path} cannot be written ({error}); the one before it is whole: make room "
            "and type the same command"
        ) from error


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Progress and settings of a checkpoint, without its tensors."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise HanspanError(f"pretrain: no checkpoint {path}; give a run folder that holds one")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
        return json.loads(header["progress"]), json.loads(header["settings"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise HanspanError(
            f"pretrain: {path} is not a whole checkpoint ({error}); copy a "
            "checkpoint-TOKENS.safetensors in its place, or remove the folder to begin again"
        ) from error


def _differences(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: str = "") -> list[str]:
    """One text for each setting that is not the same, keys within keys joined by dots."""
    found = []
    for key in sorted(saved.keys() | wanted.keys()):
        old, new = saved.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{where}{key}.")
        elif old != new:
            found.append(f"{where}{key}: checkpoint {old!r}, now {new!r}")
    return found


def load_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Restore model and optimizers in place and return the progress.

    The settings that decide the numbers must be those of the checkpoint: a difference is an
    error that names each, never a silent fresh start.
    """
    from safetensors.torch import load_file

    progress, saved = read_header(path)
    wanted = json.loads(json.dumps(settings))
    known = {name: value for name, value in wanted.items() if name in saved}  # newer keys are not
    changed = _differences(saved, known)
    if changed:
        raise HanspanError(
            f"pretrain: {path} was made with other settings ({'; '.join(changed)}); "
            "give the old settings, or another run folder"
        )
    tensors = load_file(path)
    load_weights(path, tensors, model)
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        prefix = f"optim/{number}/"
        for name, tensor in tensors.items():
            if name.startswith(prefix):
                index, key = name.removeprefix(prefix).split("/")
                state.setdefault(int(index), {})[key] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return progress


def load_weights(path: Path, tensors: Mapping[str, torch.Tensor], model: torch.nn.Module) -> None:
    """Copy the weights of a checkpoint into `model`; `path` is for the message."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            tensor = tensors.get(f"model/{name}")
            if tensor is None or tensor.shape != p.shape:
                found = "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
                raise HanspanError(
                    f"pretrain: {path} holds {found} for {name}, the network expects "
                    f"{tuple(p.shape)}; put an earlier checkpoint in its place"
                )
            p.copy_(tensor)
