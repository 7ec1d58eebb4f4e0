"""``hanspan.json``: what a model folder says about itself beyond the stock files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hanspan.data import whole
from hanspan.errors import HanspanError
from hanspan.soft import bioes_tags

FORMAT = 1
FILE = "hanspan.json"
HAND_BEFORE = "encoder had hand labels"
"""Key of ``extra``: hand labels had a part in the model that the encoder was taken from."""
BY_HAND = ("mode", "selection", HAND_BEFORE)
"""Keys of ``extra`` that tell of hand labels."""


@dataclass(frozen=True)
class ModelMeta:
    """Labels and inference settings of a model.

    Attributes:
        labels: entity types, in the order of the tags.
        topics: document classes; may be empty.
        max_length: tokens of one window, special tokens included.
        overlap: tokens that two neighbouring windows of a long text share.
        temperature: tag logits are divided by it before scores are taken.
        topic_temperature: the same for topic logits.
        thresholds: spans of a type with a lower score are dropped; types not named keep all.
        folders: "one" if both heads lie in the root folder, "two" if topics are in ``topic/``,
            "none" if there is no topic head.
        extra: other JSON values (how it was made).
    """

    labels: tuple[str, ...]
    topics: tuple[str, ...] = ()
    max_length: int = 256
    overlap: int = 32
    temperature: float = 1.0
    topic_temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    folders: str = "none"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tags(self) -> list[str]:
        """``O`` and the B-, I-, E-, S- tags, in the order of the tag logits."""
        return bioes_tags(self.labels)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write ``hanspan.json`` into ``folder``."""
        row = {"format": FORMAT, **asdict(self)}
        with whole(Path(folder) / FILE) as temporary:
            temporary.write_text(json.dumps(row, ensure_ascii=False, indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> ModelMeta:
        """Read ``hanspan.json`` of a model folder.

        Raises:
            HanspanError: if it is missing, damaged or of a newer format.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise HanspanError(
                f"{folder}: no {FILE} found; expected a model folder made by 'hanspan train' "
                f"or 'hanspan bundle'"
            )
        try:
            row = json.loads(path.read_text("utf-8"))
            made = row.pop("format", None)
            if made != FORMAT:
                raise HanspanError(
                    f"{path}: format {made!r} found, {FORMAT} expected; "
                    f"update hanspan: pip install -U hanspan"
                )
            known = {key: row[key] for key in cls.__dataclass_fields__ if key in row}
            known["labels"] = tuple(known["labels"])
            known["topics"] = tuple(known.get("topics", ()))
            return cls(**known)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as err:
            raise HanspanError(f"{path}: damaged ({err}); make the folder again") from None
