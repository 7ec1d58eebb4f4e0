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
from hanspan.train_settings import TrainSettings
from hanspan.train_worker import settings_of

sys.path.insert(0, str(Path(__file__).resolve().parent))
from outputs import make_room


def candidate(words: str) -> TrainSettings:
    """Settings of a candidate.

    Raises:
        HanspanError: for wrong words, and for those that the groups would write over.
    """
    settings = settings_of(words.split())
    if settings.hide_rules or settings.hide_mentions:
        raise HanspanError(
            f"candidate {words!r}: found hide_rules or hide_mentions; expected what is hidden in "
            f"the word before the candidates, such as names,mentions=0.3"
        )
    return settings


def main() -> int:
    """Run and print the ranking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("groups")
    parser.add_argument("candidates", nargs="+")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    make_room(parser, "--json", options.json)
    try:
        every: dict[str, list[str] | float] = {**rule_groups(options.out / "weak.rules.json")}
        words = options.groups.split(",")
        for word in words:
            name, _, share = word.partition("=")
            if name == "mentions" and share:
                every[word] = settings_of([f"hide_mentions={share}"]).hide_mentions
        if unknown := set(words) - set(every):
            raise HanspanError(
                f"groups {sorted(unknown)}: no group of rules that find spans is called so; "
                f"expected mentions=SHARE, or some of {', '.join(every)}"
            )
        ranked = choose(
            options.out / "train.jsonl",
            options.out / "choose",
            {given: candidate(given) for given in options.candidates},
            {name: every[name] for name in words},
            progress=lambda done, total, what: print(f"{done} of {total}: {what}", flush=True),
        )
    except HanspanError as err:
        print(f"choose_settings: {err}", file=sys.stderr)
        return 2
    for group in sorted(set(words) - {group for c in ranked for group in c.by_group}):
        print(f"{group}: no span in the held-out documents, so it is left out of the scores")
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
