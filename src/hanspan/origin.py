"""What a model was made from, read off the files that lie beside its run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_SUMMARY = ("documents", "characters", "epochs", "steps")
_SETTINGS = ("mode", "seed", "seeds", "rounds", "max_length")


def made_from(run: Path) -> dict[str, str | int | float]:
    """Plain facts for ``hanspan.json`` and the card; what is not there is left out.

    Args:
        run: the folder of ``hanspan train``; ``train.json`` in it, and ``train.jsonl``,
            ``weak.rules.json`` and ``train.labelmodel.json`` beside it, are looked at.
    """
    facts: dict[str, Any] = {}
    summary = _read(run / "train.json")
    facts |= {key: summary[key] for key in _SUMMARY if key in summary}
    if "encoder" in summary:  # a folder's own name: where it lay is nobody's business
        name = str(summary["encoder"])
        facts["encoder"] = name if name.count("/") == 1 and name[0] not in "./~" else (
            Path(name).name
        )  # fmt: skip
    settings = summary.get("settings") or {}
    facts |= {key: settings[key] for key in _SETTINGS if key in settings}
    if settings.get("select") == "gold":
        facts["selection"] = "gold"
    rules = next((_read(p) for p in _beside(run, "*.rules.json")), {})
    if "ruleset" in rules:
        facts["rules"] = f"{Path(str(rules['ruleset'])).name} {rules.get('version', '')}".strip()
    label_model = next((_read(p) for p in _beside(run, "*.labelmodel.json")), {})
    if "method" in label_model:
        facts["label model"] = label_model["method"]
    if data := next(iter(_beside(run, "train.jsonl")), None):
        with data.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
        facts["training data"] = f"blake2b {digest.hexdigest()}"
    return {key: value for key, value in facts.items() if isinstance(value, (str, int, float))}


def _beside(run: Path, pattern: str) -> list[Path]:
    return [*sorted(run.glob(pattern)), *sorted(run.resolve().parent.glob(pattern))]


def _read(path: Path) -> dict[str, Any]:
    try:
        row = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}
