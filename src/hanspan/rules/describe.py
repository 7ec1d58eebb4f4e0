"""What a rule set says of itself in ``weak.rules.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hanspan.rules.ruleset import RuleSet

FORMAT = 1


def describe(rule_set: RuleSet, labels: Sequence[str] | None = None) -> dict[str, Any]:
    """What ``weak.rules.json`` says of a rule set: labels, topics, and each rule's settings."""
    rows = {}
    for info in rule_set.infos:
        rows[info.source] = {
            "kind": info.kind,
            "group": info.group,
            "priority": info.priority,
            "weight": info.weight,
            "labels": list(info.labels),
            "after": info.after,
            "topical": info.topical,
            "hash": rule_set.hashes.get(info.name, ""),
        }
    return {
        "format": FORMAT,
        "ruleset": rule_set.name,
        "version": rule_set.version,
        "labels": list(labels or rule_set.labels),
        "topics": list(rule_set.topics),
        "rules": rows,
    }
