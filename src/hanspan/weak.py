"""The label stage: rules are applied to documents, and every vote is written down.

``weak.jsonl`` holds the documents with all votes as spans (they may overlap) and topic votes in
``meta["topic_votes"]``; ``weak.rules.json`` beside it says what the rules are. When the output
is there already, only rules and documents that changed are done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hanspan.data import ENTITY, NONE, write_rejected
from hanspan.errors import HanspanError
from hanspan.rules import RuleError, RuleSet, load_rules
from hanspan.rules.describe import describe
from hanspan.rules.pieces import Done, cut, join, parts
from hanspan.rules.reuse import find_reuse
from hanspan.rules.work import Job
from hanspan.rules.workers import each

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class LabelSummary:
    """What :func:`label` did.

    Attributes:
        documents: written.
        characters: in them.
        votes: spans of all rules.
        topic_votes: votes for a class.
        reused: documents whose votes were taken over, wholly or in part, from the output that
            was there.
        rules: in the set.
        silent: rules without any vote.
        rejected: rows that could not be read (``on_error="skip"``).
        skipped: rule -> documents on which it failed (``on_error="skip"``).
        seconds: of wall-clock time.
        megabytes: of UTF-8 text.
        notices: such as a lexicon that is missing.
    """

    documents: int
    characters: int
    votes: int
    topic_votes: int
    reused: int
    rules: int
    silent: int
    rejected: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    megabytes: float = 0.0
    notices: tuple[str, ...] = ()


def rules_path(output: str | os.PathLike[str]) -> Path:
    """The place of the rules of a documents file: ``x.jsonl.gz`` -> ``x.rules.json``."""
    path = Path(output)
    return path.with_name(path.name.split(".jsonl")[0].removesuffix(".parquet") + ".rules.json")


def label(
    documents_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    rules: str | os.PathLike[str] | RuleSet | Sequence[Any],
    *,
    labels: Sequence[str] | None = None,
    workers: int = 1,
    on_error: Literal["stop", "skip"] = "stop",
    fresh: bool = False,
    progress: Progress | None = None,
) -> LabelSummary:
    """Apply rules to a file of documents and write all votes.

    Args:
        documents_path: documents; plain ``.jsonl`` is cut into byte ranges for the workers.
        output: documents with votes; ``<output>.rules.json`` is written beside it.
        rules: a shipped set, a YAML file, a RuleSet, or a list of rules.
        labels: entity types of the task, where the rules must not give others.
        workers: processes.
        on_error: ``stop`` at a rule that fails or a row that cannot be read, or ``skip`` it:
            rules are skipped for that document and counted, rows go to ``.rejected.jsonl``.
        fresh: do everything again, whatever the output holds.
        progress: called as (bytes or rows done, total, what).

    Raises:
        RuleError: naming rule, file and line.
        HanspanError: for a missing or damaged file or a row that cannot be read.
    """
    started = time.perf_counter()
    source, output = Path(documents_path), Path(output)
    rule_set = _rule_set(rules)
    _check_labels(rule_set, labels)
    meta = describe(rule_set, labels)
    print_of_input = _fingerprint(source)
    if not fresh:
        done = _unchanged(output, meta, print_of_input)
        if done is not None:
            return done
    reuse = None if fresh else find_reuse(output, rules_path(output), rule_set)
    workers = 1 if rule_set.single else workers
    done_all = Done()
    with parts(output) as folder:
        pieces = cut(source, folder, max(1, workers))
        job = Job(rule_set, on_error == "skip", reuse)
        total = sum(piece.size for piece in pieces)
        seen = 0
        for piece, done_piece in each(job, pieces, workers):
            seen += piece.size
            done_all.add(done_piece)
            if progress is not None:
                progress(seen, total, "bytes" if piece.bytes else "documents")
        if not done_all.documents and not done_all.rejected:
            raise HanspanError(f"{source}: no document found, expected at least one")
        join([piece.part for piece in pieces], output)
    write_rejected(output, sorted(done_all.rejected, key=lambda row: row["line"]))
    summary = LabelSummary(
        documents=done_all.documents,
        characters=done_all.characters,
        votes=sum(done_all.by_rule.values()) - done_all.topic_votes,
        topic_votes=done_all.topic_votes,
        reused=done_all.reused,
        rules=len(rule_set),
        silent=sum(not done_all.by_rule[info.source] for info in rule_set.infos),
        rejected=len(done_all.rejected),
        skipped=dict(done_all.skipped),
        seconds=round(time.perf_counter() - started, 2),
        megabytes=round(done_all.bytes / 1e6, 2),
        notices=(*rule_set.notices, *rule_set.report()),
    )
    for name, row in meta["rules"].items():
        row["votes"] = done_all.by_rule[name]
    meta |= {"input": print_of_input, "failures": done_all.failures, "summary": asdict(summary)}
    _write_json(rules_path(output), meta)
    return summary


def _rule_set(rules: Any) -> RuleSet:
    if isinstance(rules, RuleSet):
        return rules
    if isinstance(rules, (str, os.PathLike)):
        return load_rules(rules)
    return RuleSet.of(rules)


def _check_labels(rule_set: RuleSet, labels: Sequence[str] | None) -> None:
    if labels is None:
        return
    for info in rule_set.infos:
        for found in info.labels:
            if not info.topical and found not in (*labels, ENTITY, NONE):
                raise RuleError(
                    f"{info.where}: found the label {found!r}, expected one of the task's "
                    f"{', '.join(labels)}; override or disable the rule"
                )


def _fingerprint(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise HanspanError(f"{path}: no such file; expected documents to label")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "blake2b").hexdigest()[:32]
    return {"bytes": path.stat().st_size, "hash": digest}


def _unchanged(output: Path, meta: dict[str, Any], source: dict[str, Any]) -> LabelSummary | None:
    """The summary of the last run, where rules and documents are the same as then."""
    try:
        old = json.loads(rules_path(output).read_text("utf-8"))
        if not output.is_file() or not meta["version"] or old["input"] != source:
            return None
        if any(old[key] != meta[key] for key in ("format", "version", "labels", "ruleset")):
            return None
        if old["failures"] or old["summary"]["rejected"]:
            return None
        summary = dict(old["summary"], reused=old["summary"]["documents"], seconds=0.0)
        summary["notices"] = tuple(summary["notices"])
        return LabelSummary(**summary)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_json(path: Path, value: Any) -> None:
    from hanspan.data import whole

    with whole(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


__all__ = ["LabelSummary", "describe", "label", "rules_path"]
