"""A language model as a rule: any endpoint that speaks OpenAI's chat format.

Off unless the rule says ``enabled: true``. Text leaves the machine only for the endpoint that
``url`` names. Answers are kept on disk and asked for once.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hanspan.data import whole
from hanspan.errors import HanspanError
from hanspan.rules.borders import Borders
from hanspan.rules.contract import RuleError, RuleInfo
from hanspan.rules.finders import Finder, Scene
from hanspan.rules.marks import marked
from hanspan.rules.spec import LlmSpec
from hanspan.rules.taggers import cache_folder, segments

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0


class LlmFinder(Finder):
    """Asks for the entities of each piece of text and finds the answers in it again.

    Attributes:
        counts: calls, cached, rubbish, unmatched, retries, over_budget.
    """

    single = True  # the budget holds for the run, so one process asks

    def __init__(self, info: RuleInfo, spec: LlmSpec, base: Path) -> None:
        super().__init__(info)
        self.spec = spec
        self.gives = tuple(spec.labels)
        self.borders = Borders(spec)
        self.counts: Counter[str] = Counter()
        self.spent = 0
        self._folder = (base / spec.cache) if spec.cache else None
        self._system = system_prompt(spec)

    def candidates(self, scene: Scene) -> Iterable[tuple[Any, ...]]:
        if not self.spec.enabled:
            return
        for begin, piece in segments(scene.document.text, self.spec.window):
            if not piece.strip():
                continue
            items = self._ask(piece)
            for start, end, label in locate(piece, items, self.gives, self.counts):
                yield begin + start, begin + end, label

    def report(self) -> list[str]:
        """What the user should know of this run."""
        if not self.spec.enabled:
            return [f"{self.info.where} is off; write 'enabled: true' to ask {self.spec.url}"]
        facts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return [f"{self.info.where}: {facts or 'no calls'}"]

    def _ask(self, piece: str) -> list[Any]:
        place = self._place(piece)
        if place.is_file():
            self.counts["cached"] += 1
            return read_answer(json.loads(place.read_text("utf-8"))["answer"]) or []
        for attempt in range(self.spec.retries + 1):
            size = len(piece) + len(self._system)
            if self.counts["calls"] >= self.spec.max_calls or (
                self.spent + size > self.spec.max_characters
            ):
                self.counts["over_budget"] += 1
                return []
            self.counts["calls"] += 1
            self.counts["retries"] += attempt > 0
            self.spent += size
            answer = self._post(piece, attempt)
            items = None if answer is None else read_answer(answer)
            if items is not None:
                with whole(place) as temporary:
                    temporary.write_text(json.dumps({"answer": answer}), "utf-8")
                return items
            if answer is not None:
                self.counts["rubbish"] += 1
        return []

    def _place(self, piece: str) -> Path:
        if self._folder is None:
            self._folder = cache_folder("llm")
        key = "\0".join((self.spec.url, self.spec.model, self._system, piece))
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / f"{name}.json"

    def _post(self, piece: str, attempt: int) -> str | None:
        """The text of an answer; None where there was none and it is worth asking again."""
        import http.client
        import urllib.error
        import urllib.request

        body = {
            "model": self.spec.model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": self._system},
                {"role": "user", "content": piece},
            ],
        }
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.spec.key_env, "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            self.spec.url.rstrip("/") + "/chat/completions", json.dumps(body).encode(), headers
        )
        last = attempt >= self.spec.retries
        try:
            with urllib.request.urlopen(request, timeout=self.spec.timeout) as reply:
                raw = reply.read(1 << 22)
        except urllib.error.HTTPError as err:
            with err:
                if err.code in _AGAIN and not last:
                    self._wait(attempt, err.headers.get("Retry-After", ""))
                    return None
                hint = f"; is ${self.spec.key_env} set?" if err.code in (401, 403) else ""
                raise RuleError(
                    f"{self.info.where}: {self.spec.url} answered {err.code} {err.reason}{hint}"
                ) from None
        except (OSError, http.client.HTTPException) as err:
            if not last:
                self._wait(attempt, "")
                return None
            raise RuleError(
                f"{self.info.where}: {self.spec.url} cannot be asked ({err}); expected an "
                f"endpoint such as http://127.0.0.1:8000/v1"
            ) from None
        try:
            return str(json.loads(raw)["choices"][0]["message"]["content"])
        except (ValueError, KeyError, IndexError, TypeError):
            self.counts["rubbish"] += 1
            return None

    def _wait(self, attempt: int, asked: str) -> None:
        try:
            seconds = float(asked)
        except ValueError:
            seconds = self.spec.wait * 2**attempt
        time.sleep(min(max(seconds, 0.0), _LONGEST_WAIT))


def system_prompt(spec: LlmSpec) -> str:
    """What the model is told: the labels, the form of the answer, the examples.

    Raises:
        HanspanError: for an example without a ``[[span|LABEL]]``.
    """
    lines = [
        "你是中文信息抽取工具。从用户给出的文本中找出下列类型的实体，逐字照抄原文，不要改写，不要遗漏重复出现的实体。",
        "类型：",
        *(f"- {label}：{what or label}" for label, what in spec.labels.items()),
        '只输出一个 JSON 数组，按出现顺序排列，例如 [{"text": "…", "label": "…"}]；'
        "没有实体时输出 []。",
    ]
    for example in spec.examples:
        text, spans = marked(example)
        if any(label not in spec.labels for _, _, label in spans):
            raise HanspanError(
                f"example {example!r}: expected marks such as [[韩冰|{next(iter(spec.labels))}]]"
            )
        items = [{"text": text[s:e], "label": label} for s, e, label in spans]
        lines += [f"文本：{text}", f"输出：{json.dumps(items, ensure_ascii=False)}"]
    return "\n".join(lines)


def read_answer(answer: str) -> list[Any] | None:
    """The list in an answer, with whatever stands around it; None where there is none."""
    decoder = json.JSONDecoder()
    for index, char in enumerate(answer):
        if char not in "[{":
            continue
        try:
            value, _ = decoder.raw_decode(answer, index)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            if {"text", "label"} <= set(value):
                return [value]
            value = next((v for v in value.values() if isinstance(v, list)), None)
        if isinstance(value, list):
            return value
    return None


def locate(
    text: str, items: Sequence[Any], labels: Iterable[str], counts: Counter[str]
) -> Iterator[tuple[int, int, str]]:
    """Find what was answered in the text: the n-th mention of a string is its n-th place.

    Args:
        text: the piece that was sent.
        items: ``{"text", "label"}``; anything else is counted as unmatched.
        labels: that are allowed.
        counts: ``unmatched`` is counted in.
    """
    allowed = set(labels)
    after: dict[str, int] = {}
    for item in items:
        surface = item.get("text") if isinstance(item, dict) else None
        label = item.get("label") if isinstance(item, dict) else None
        if not isinstance(surface, str) or not surface or label not in allowed:
            counts["unmatched"] += 1
            continue
        start = text.find(surface, after.get(surface, 0))
        if start < 0:
            counts["unmatched"] += 1
            continue
        after[surface] = start + len(surface)
        yield start, start + len(surface), str(label)
