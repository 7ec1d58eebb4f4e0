"""Choose between settings without gold: by what a student finds of rules it never saw.

Each candidate is trained once for each thing that is hidden. With a group of rules hidden, its
score is the harmonic mean of two shares on held-out text: hidden spans that came back, and
agreement with the rules that were shown. The first alone would favour a student that calls
everything an entity; the second alone one that copies its rules. With a share of all mentions
hidden, each type is still shown, so what else the student finds can count as wrong: the score is
F1 against all spans there, hidden ones included. Entities that no rule knows count as wrong too,
so it leans to students that say little: compare by it what leaves the number of found spans
nearly alone. Of topics, words are hidden: rules vote without a share of their words, the student
learns from that, and its score is how often it names the topic that all words give where the rest
gave none or another. There is one topic a document, so saying much or little gains nothing. The
mean over what was hidden ranks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hanspan.errors import HanspanError
from hanspan.hidden import groups_of, is_drawn
from hanspan.train_settings import TrainSettings

_FIGURES = ("recovered", "agreement", "whole")
Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Found:
    """What one student found on held-out text; see :func:`hanspan.agreement.of_hidden`.

    ``documents`` tells of how many ``recovered`` is a share, where topics were hidden.
    """

    recovered: float
    agreement: float
    whole: float
    score: float
    documents: int | None = None


@dataclass(frozen=True)
class Choice:
    """Score of one candidate, and the figures behind it by what was hidden."""

    name: str
    score: float
    by_group: Mapping[str, Found]


def rule_groups(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Rules that find spans by group, read from a ``weak.rules.json``; no others can be hidden.

    Raises:
        HanspanError: if the file is missing, is no such file, or has rules of topics alone.
    """
    path = Path(path)
    if not path.is_file():
        raise HanspanError(
            f"{path}: no such file; expected the rules file that 'hanspan label' writes"
        )
    try:
        found = groups_of(json.loads(path.read_text("utf-8"))["rules"])
    except (json.JSONDecodeError, KeyError, AttributeError, TypeError) as err:
        raise HanspanError(f"{path}: damaged or no rules file ({err})") from None
    if not found:
        raise HanspanError(
            f"{path}: found rules of topics alone; groups of rules, and mentions, hide spans "
            f"only. To choose for topics, expected a share of the words of their rules, such as "
            f"words=0.3"
        )
    return found


def without_words(
    weak_path: str | os.PathLike[str],
    train_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    share: float,
    rules: str | None = None,
) -> Path:
    """Vote once more without a share of the words of topic rules, and aggregate as before.

    Args:
        weak_path: ``weak.jsonl``, with its rules file beside it.
        train_path: ``train.jsonl`` made of it, with its label model beside it, which is applied.
        output: the documents with the new weak labels; the new votes come beside it.
        share: of the words, each by its text alone.
        rules: a shipped set or a YAML file; by default the shipped set that the rules file names.

    Returns:
        ``output``, for :func:`choose`.

    Raises:
        HanspanError: if there are no such rules, they are not those of ``weak_path``, or none of
            their topic rules has a word to hide.
    """
    from hanspan.labelmodel.aggregate import aggregate, model_path
    from hanspan.labelmodel.votes import read_rules_meta, rules_path
    from hanspan.rules import load_rules
    from hanspan.weak import label

    weak_path, output = Path(weak_path), Path(output)
    meta = read_rules_meta(rules_path(weak_path))
    try:
        every = load_rules(rules or str(meta.get("ruleset")))
    except HanspanError as err:
        hint = "" if rules else "; for rules of your own, expected --rules FILE.yaml"
        raise HanspanError(f"{weak_path}: {err}{hint}") from None
    if every.version != meta.get("version"):
        raise HanspanError(
            f"{weak_path}: its votes are not by the rules {rules or every.name!r} as they are now; "
            f"expected the set that made them (--rules), or 'hanspan label' and 'hanspan "
            f"aggregate' once more"
        )
    fewer = every.counting(lambda word: not is_drawn(word, share))
    if fewer.version == every.version:
        raise HanspanError(
            f"{weak_path}: of the words of topic rules in {every.name!r} a share of {share:g} "
            f"holds none; expected rules with words, or a greater share"
        )
    votes = output.with_name(f"votes-{output.name}")
    label(weak_path, votes, fewer, on_error="skip")  # those that failed before do so again
    aggregate(votes, output, model=model_path(train_path))
    return output


def harmonic(one: float, two: float) -> float:
    """Harmonic mean; 0 where either is 0."""
    return 2 * one * two / (one + two) if one and two else 0.0


def choose(
    train_path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    candidates: Mapping[str, TrainSettings],
    groups: Mapping[str, Sequence[str] | float | Path],
    *,
    progress: Progress | None = None,
) -> list[Choice]:
    """Train each candidate with each group hidden, and rank them.

    Args:
        train_path: documents with weak labels, as :func:`hanspan.train.train` takes them.
        folder: of the runs; a run that is there already is not done again.
        candidates: settings by name; they need ``held_out`` above 0.
        groups: what to hide, by name: rules (see :func:`rule_groups`), a share of mentions, or
            what :func:`without_words` made of the same documents.
        progress: called as (done, trainings, text).

    Returns:
        The candidates, best first. A group without held-out spans, or topics that change, says
        nothing and is left out.

    Raises:
        HanspanError: if there is nothing to choose by.
    """
    from hanspan.agreement import of_topics
    from hanspan.train import train
    from hanspan.train_data import files_digest

    if not candidates or not groups:
        raise HanspanError("nothing to choose by; expected at least one candidate and one group")
    for name, settings in candidates.items():
        if not settings.held_out:
            raise HanspanError(f"candidate {name!r}: found held_out=0, expected a share above 0")
        if settings.mode != "weak":
            raise HanspanError(
                f"candidate {name!r}: found mode={settings.mode}; expected mode=weak, for hand "
                f"labels have no part in a choice without gold"
            )
        if settings.replace_from and any(isinstance(g, Sequence) for g in groups.values()):
            raise HanspanError(
                f"candidate {name!r}: found replace_from, whose lists may name what a hidden group "
                f"of rules would find; expected mentions=SHARE, which hides them from lists too"
            )
    found: dict[str, dict[str, Found]] = {name: {} for name in candidates}
    total = len(candidates) * len(groups)
    for number, (name, settings) in enumerate(candidates.items()):
        for at, (group, what) in enumerate(groups.items()):
            if progress:
                progress(number * len(groups) + at, total, f"{name} without {group}")
            run = Path(folder) / name / group.replace(":", "-")
            shown = what if isinstance(what, Path) else train_path
            share = what if isinstance(what, float) else 0.0
            rules = () if isinstance(what, (float, Path)) else tuple(what)
            hidden = settings.model_copy(update={"hide_rules": rules, "hide_mentions": share})
            row = _earlier(run, hidden, files_digest(shown, hidden))
            if row is None:
                summary = train(shown, run, hidden)
                row = {key: getattr(summary, key) for key in _FIGURES}
            count = None
            if words := shown is what:
                row, count = of_topics(run / "model", shown, train_path, settings.held_out)
            recovered, agreement, whole = (row[key] for key in _FIGURES)
            if recovered is not None:
                agreement, whole = agreement or 0.0, whole or 0.0
                score = recovered if words else whole if share else harmonic(recovered, agreement)
                found[name][group] = Found(recovered, agreement, whole, score, count)
    if not any(found.values()):
        raise HanspanError(
            f"{train_path}: none of {', '.join(groups)} has a span, or a topic that changes, in "
            f"the held-out documents; expected more text, or held_out above 0"
        )
    choices = []
    for name, by_group in found.items():
        scores = [one.score for one in by_group.values()]
        choices.append(Choice(name, round(sum(scores) / max(1, len(scores)), 4), by_group))
    return sorted(choices, key=lambda choice: -choice.score)


def _earlier(run: Path, settings: TrainSettings, files: str) -> dict[str, float | None] | None:
    """Figures of a run that ended, equal in settings and in the files that it read."""
    path = run / "train.json"
    if not path.is_file():
        return None
    row = json.loads(path.read_text("utf-8"))
    same = row["settings"] == settings.model_dump(mode="json") and row.get("files") == files
    return {key: row[key] for key in _FIGURES} if same else None
