"""Settings of a rule -> a checked spec; everything that is wrong, at once, with lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from hanspan.rules.source import RawRule
from hanspan.rules.spec import KINDS, Spec


def near(word: str, names: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a name is near."""
    close = difflib.get_close_matches(word, list(names), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def validate(data: dict[str, Any], raw: RawRule, errors: list[str]) -> Spec | None:
    """Check the settings of one rule.

    Args:
        data: the settings, with the words of files in place.
        raw: the rule as it stands, for lines.
        errors: one message is added for each thing that is wrong.
    """

    def complain(where: tuple[Any, ...], what: str) -> None:
        line = raw.source.line("rules", raw.name, *where)
        errors.append(f"{raw.source.path}: line {line}: rule {raw.name!r}: {what}")

    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found = f"unknown kind {kind!r}" if kind else "no 'kind:'"
        complain(
            ("kind",),
            f"found {found}, expected one of {', '.join(KINDS)}{near(str(kind), KINDS)}",
        )
        return None
    model = KINDS[kind]
    try:
        return model.model_validate(data)
    except ValidationError as err:
        seen = set()
        for item in err.errors(include_url=False):
            path = tuple(p for p in item["loc"] if p not in ("dict[str,tuple[str, ...]]",))
            name = ".".join(str(p) for p in path) or "settings"
            if item["type"] == "extra_forbidden":
                what = f"no such key {path[-1]!r} for the kind {kind}" + near(
                    str(path[-1]), model.model_fields
                )
            elif item["type"] == "missing":
                what = f"{name} is missing"
            else:
                found = repr(item.get("input"))
                found = found if len(found) < 80 else found[:77] + "..."
                what = f"{name}: {item['msg'].removeprefix('Value error, ')} (found {found})"
            if (path, what) not in seen:
                seen.add((path, what))
                complain(path, what)
        return None
