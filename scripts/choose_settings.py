"""python scripts/choose_settings.py RUN_OUT GROUP,GROUP 'epochs=3' 'epochs=6 lr=3e-4' [--json FILE]

Rank settings of training without gold: RUN_OUT is the folder of a ``hanspan run`` (train.jsonl and
weak.rules.json are read), the groups are those of its rules, hidden one at a time, mentions=0.3
for a share of all mentions, or words=0.3 for a share of the words of topic rules (weak.jsonl is
read too; ``--rules`` names rules of your own), and each further word is a candidate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hanspan.choose import choose, rule_groups, without_words
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


def what_to_hide(
    out: Path, words: Sequence[str], rules: str | None
) -> dict[str, list[str] | float | Path]:
    """What each word before the candidates hides.

    Raises:
        HanspanError: for a word that nothing is called by, or rules that are not there.
    """
    shares: dict[str, float] = {}
    for word in words:
        name, _, share = word.partition("=")
        if name in ("mentions", "words") and share:
            # Both are a number from 0 to below 1, and settings say what is wrong with another.
            shares[word] = settings_of([f"hide_mentions={share}"]).hide_mentions
    found: dict[str, list[str] | float | Path] = {}
    hidden = {word for word in shares if word.startswith("words=")}
    if spans := set(words) - hidden:
        groups = rule_groups(out / "weak.rules.json")
        if unknown := spans - set(groups) - set(shares):
            raise HanspanError(
                f"groups {sorted(unknown)}: no group of rules that find spans is called so; "
                f"expected mentions=SHARE, words=SHARE, or some of {', '.join(groups)}"
            )
        found = {word: shares.get(word, groups.get(word, [])) for word in words if word in spans}
    for word in sorted(hidden):
        path = out / "choose" / f"{word}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        weak, taught = out / "weak.jsonl", out / "train.jsonl"
        found[word] = without_words(weak, taught, path, shares[word], rules)
    return found


def main() -> int:
    """Run and print the ranking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("groups")
    parser.add_argument("candidates", nargs="+")
    parser.add_argument("--rules", help="set or YAML file that voted, for words=SHARE")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    make_room(parser, "--json", options.json)
    try:
        words = options.groups.split(",")
        candidates = {given: candidate(given) for given in options.candidates}
        every = what_to_hide(options.out, words, options.rules)
        ranked = choose(
            options.out / "train.jsonl",
            options.out / "choose",
            candidates,
            every,
            progress=lambda done, total, what: print(f"{done} of {total}: {what}", flush=True),
        )
    except HanspanError as err:
        print(f"choose_settings: {err}", file=sys.stderr)
        return 2
    for group in sorted(set(words) - {group for c in ranked for group in c.by_group}):
        print(
            f"{group}: no span or changed topic in the held-out documents, so it is left out "
            f"of the scores"
        )
    rows = []
    for choice in ranked:
        parts = [
            f"{group}: {found.recovered:.3f} back"
            + (f" of {found.documents} documents" if found.documents else "")
            + f", {found.agreement:.3f} agreed, {found.whole:.3f} of all"
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
