"""Choosing the model of classes without gold: hidden rules judge, as for spans."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hanspan.labelmodel.topic_skene import TopicSkene
from hanspan.labelmodel.topics import TopicModel, TopicVote, TopicVoter, winner
from hanspan.labelmodel.votes import Names

Votes = tuple[TopicVote, ...]
FOLDS = 4
ENOUGH = 200
SIGMAS = 3.0


def choose_topics(counts: Mapping[Votes, int], names: Names) -> tuple[str, str]:
    """ "vote" or "dawid-skene", and why.

    A hidden vote tests the models where a rule that is left votes for the same class; each model
    then agrees or not. Dawid-Skene is taken when it agrees clearly more often.

    Args:
        counts: distinct sets of votes with their counts.
        names: classes, rules and groups.
    """
    load: dict[int, int] = {}
    for votes, times in counts.items():
        for _, rule, _ in votes:
            load[names.groups[rule]] = load.get(names.groups[rule], 0) + times
    first = {
        g: min(n for n, x in zip(names.rules, names.groups, strict=True) if x == g) for g in load
    }
    order = sorted(load, key=lambda g: (-load[g], first[g]))
    diff: list[float] = []
    weight: list[float] = []
    for fold in range(min(FOLDS, len(order))):
        hidden = set(order[fold::FOLDS])
        left: dict[Votes, int] = {}
        cases: list[tuple[Votes, set[int], int]] = []
        for votes, times in counts.items():
            rest = tuple(v for v in votes if names.groups[v[1]] not in hidden)
            left[rest] = left.get(rest, 0) + times
            offered = {topic for topic, _, _ in rest}
            asked = {t for t, r, _ in votes if names.groups[r] in hidden} & offered
            if asked:
                cases.append((rest, asked, times))
        if not cases:
            continue
        models: tuple[TopicModel, TopicModel] = (TopicVoter(names), TopicSkene(names).fit(left))
        for rest, asked, times in cases:
            plain, learned = (winner(model.predict(rest)) for model in models)
            diff.append(float(learned in asked) - float(plain in asked))
            weight.append(times)
    evidence = int(sum(weight))
    if evidence < ENOUGH:
        return "vote", f"vote: only {evidence} hidden votes test the models, {ENOUGH} are needed"
    d, w = np.array(diff), np.array(weight)
    mean = float((d * w).sum() / w.sum())
    error = float(np.sqrt((w * (d - mean) ** 2).sum())) / float(w.sum())
    z = mean / error if error > 0 else 0.0
    told = f"dawid-skene {mean:+.1%} ({z:+.1f} standard errors)"
    if mean > 0 and z >= SIGMAS:
        return "dawid-skene", f"dawid-skene: hidden rules agree more often: {told}"
    return "vote", f"vote: hidden rules do not clearly prefer another: {told}"
