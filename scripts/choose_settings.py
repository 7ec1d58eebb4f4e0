"""python scripts/choose_settings.py RUN_OUT GROUP,GROUP 'epochs=3' 'epochs=6 lr=3e-4' [--json FILE]

Rank settings of training without gold: RUN_OUT is the folder of a ``hanspan run`` (train.jsonl and
weak.rules.json are read), the groups are those of its rules, hidden one at a time, or mentions=0.3
for a share of all mentions, and each further word is a candidate.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hanspan.choose import choose, rule_groups
from hanspan.errors import HanspanError
from hanspan.train_worker import settings_of


def main() -> int:
    """Run and print the ranking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("groups")
    parser.add_argument("candidates", nargs="+")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        every: dict[str, list[str] | float] = {**rule_groups(options.out / "weak.rules.json")}
        words = options.groups.split(",")
        for word in words:
            name, _, share = word.partition("=")
            if name == "mentions" and share:
                every[word] = settings_of([f"hide_mentions={share}"]).hide_mentions
        if unknown := set(words) - set(every):
            raise HanspanError(
                f"groups {sorted(unknown)}: expected mentions=SHARE, or some of {', '.join(every)}"
            )
        ranked = choose(
            options.out / "train.jsonl",
            options.out / "choose",
            {given: settings_of(given.split()) for given in options.candidates},
            {name: every[name] for name in words},
            progress=lambda done, total, what: print(f"{done} of {total}: {what}", flush=True),
        )
    except HanspanError as err:
        print(f"choose_settings: {err}", file=sys.stderr)
        return 2
    rows = []
    for choice in ranked:
        parts = [
            f"{group}: {found.recovered:.3f} back, {found.agreement:.3f} agreed, "
            f"{found.whole:.3f} of all"
            for group, found in choice.by_group.items()
        ]
        print(f"{choice.score:.4f}  {choice.name}  {'; '.join(parts)}")
        rows.append({"what": f"hidden {options.groups}: {choice.name}", "value": choice.score,
                     "unit": "score", "peer": ranked[-1].name, "peer_value": ranked[-1].score,
                     "target": None})  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
