"""What a worker does with one piece: read, let the rules vote, write."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from hanspan.data import Document
from hanspan.rules.contract import RuleInfo
from hanspan.rules.pieces import Done, Piece, read_piece
from hanspan.rules.reuse import Reuse, Reuser
from hanspan.rules.ruleset import RuleSet

Row = tuple[int, int, str, str, float]
"""Start, end, label, source, score."""


@dataclass(frozen=True)
class Job:
    """What every piece needs.

    Attributes:
        rules: the set.
        skip: whether a failing rule is passed over.
        reuse: the votes of an earlier run, or None.
    """

    rules: RuleSet
    skip: bool
    reuse: Reuse | None


class Labeller:
    """Labels one piece after the other.

    Args:
        job: what every piece needs.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._render = Renderer()
        self._sources = [info.source for info in job.rules.infos]
        self._reuser = None if job.reuse is None else Reuser(job.reuse, job.rules)

    def label(self, piece: Piece) -> Done:
        """Label one piece and write its part.

        Raises:
            HanspanError: for a rule that fails or a row that cannot be read, unless skipped.
        """
        done = Done()
        job, rules, sources, reuser = self._job, self._job.rules, self._sources, self._reuser

        def skip(info: RuleInfo, document: Document, err: Exception) -> None:
            done.skipped[info.name] += 1
            done.failures.setdefault(info.name, str(err))

        teller = skip if job.skip else None
        reading = nullcontext() if reuser is None else reuser.reading()
        with piece.part.open("wb") as stream, reading:
            for document in read_piece(piece, done.rejected if job.skip else None):
                old = None if reuser is None else reuser.old(document)
                if reuser is None or old is None:
                    votes, found = rules.votes(document, skip=teller)
                    rows = {(s, e, label, sources[n], score) for s, e, label, n, score in votes}
                    topics = [(t.label, t.score, t.source) for t in found]
                else:
                    rows, topics = reuser.update(document, old, teller)
                    done.reused += 1
                done.documents += 1
                done.characters += len(document.text)
                done.topic_votes += len(topics)
                done.by_rule.update(row[3] for row in rows)
                done.by_rule.update(topic[2] for topic in topics)
                done.bytes += self._render.write(stream, document, sorted(rows), sorted(topics))
        return done


class Renderer:
    """Writes documents with many votes as JSON, faster than through Span objects."""

    def __init__(self) -> None:
        self._tails: dict[tuple[str, str, float], str] = {}

    def write(
        self,
        stream: Any,
        document: Document,
        rows: Iterable[Row],
        topics: Iterable[tuple[str, float, str]],
    ) -> int:
        """Write one line.

        Returns:
            UTF-8 bytes of its text.
        """
        tails, spans = self._tails, []
        for start, end, label, source, score in rows:
            tail = tails.get((label, source, score))
            if tail is None:
                if len(tails) > 100_000:  # scores of taggers may all differ
                    tails.clear()
                item: dict[str, Any] = {"label": label}
                if score != 1.0:
                    item["score"] = round(score, 6)
                item["source"] = source
                tail = tails[label, source, score] = json.dumps(item, ensure_ascii=False)[1:]
            spans.append(f'{{"start": {start}, "end": {end}, {tail}')
        rest: dict[str, Any] = {}
        if document.labels:
            rest["labels"] = dict(document.labels)
        meta = {k: v for k, v in document.meta.items() if k != "topic_votes"}
        votes = [
            {"label": label, "score": round(score, 4), "source": source}
            for label, score, source in topics
        ]
        if votes:
            meta["topic_votes"] = votes
        if meta:
            rest["meta"] = meta
        end_of_line = ", " + json.dumps(rest, ensure_ascii=False)[1:] if rest else "}"
        text = json.dumps(document.text, ensure_ascii=False)
        line = (
            f'{{"id": {json.dumps(document.id, ensure_ascii=False)}, "text": {text}, '
            f'"spans": [{", ".join(spans)}]{end_of_line}\n'
        )
        try:
            stream.write(line.encode())
        except UnicodeEncodeError:  # a lone surrogate
            stream.write(json.dumps(json.loads(line)).encode() + b"\n")
        return len(document.text.encode("utf-8", "surrogatepass"))
