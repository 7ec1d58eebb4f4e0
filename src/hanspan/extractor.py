"""The Extractor: text in, a Document with spans and topic out.

Loads a bundle or a model folder from disk or the Hub. The ONNX backend needs onnxruntime and
numpy, and tokenizers for other tokenizers than the package's own; torch is imported only for the
torch backend. All decoding is that of ``hanspan.encode``, the same that training scores itself
with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from hanspan.chunks import chunks, in_order, joined, pieces
from hanspan.data import Document, Span
from hanspan.decode import softmax
from hanspan.encode import Forward, Tagged, TextEncoder, emissions, scores_by_topic, tag_texts
from hanspan.errors import HanspanError
from hanspan.guard import check_folder
from hanspan.locate import find_model, hub_blobs
from hanspan.meta import ModelMeta

Rules = Callable[[Document], Document]
"""Puts the votes of rules on a document; comes from the caller, infer knows no rules. Where it has
``labels``, names of types are checked against these too."""
Thresholds = Mapping[str, float] | float | None
"""Least score by label, or for all."""

_TOKENS_PER_TEXT = 64
_CPU_TOKENS, _GPU_TOKENS = 512, 1 << 16
"""Tokens of one call of the model: on a CPU more leave its caches (4096: 1.7 times slower)."""
_WEAKEST = 5


class Extractor:
    """Finds spans and the topic of texts of any length.

    Safe to call from several threads at once: it holds no state between calls. After a fork the
    ONNX backend loads its graph anew in the child, as ONNX Runtime's threads do not survive one.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        forward: Forward,
        meta: ModelMeta,
        *,
        backend: str = "",
        rules: Rules | None = None,
        most_tokens: int = _CPU_TOKENS,
    ) -> None:
        self.encoder = encoder
        self.forward = forward
        self.meta = meta
        self.backend = backend
        self.rules = rules
        self.most_tokens = most_tokens

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | None = None,
        backend: str = "auto",
        revision: str | None = None,
        *,
        precision: str = "auto",
        threads: int | None = None,
        device: str | None = None,
        rules: Rules | None = None,
    ) -> Extractor:
        """Load a model.

        Args:
            model: a folder, ``owner/name`` on the Hub, or None for the embedded one.
            backend: ``onnx``, ``torch``, or ``auto``: torch where a GPU is to be had and torch
                is already imported, else ONNX if the bundle has it, else torch.
            revision: branch, tag or commit on the Hub.
            precision: ``int8``, ``fp32`` or ``auto`` (int8 where shipped); of ONNX.
            threads: of ONNX Runtime; None takes ``OMP_NUM_THREADS``, or all cores.
            device: of torch.
            rules: puts the spans of rules on a document, which then go before the model's
                (:mod:`hanspan.merge`): ``answering(load_rules("news"))``.

        Raises:
            HanspanError: if there is no such model, or a bundle is damaged or hostile.
        """
        from hanspan.backends import onnx_forward, torch_forward
        from hanspan.graphs import onnx_file

        if backend not in ("auto", "onnx", "torch") or precision not in ("auto", "int8", "fp32"):
            raise HanspanError(
                f"backend {backend!r}, precision {precision!r}: expected auto, onnx or torch, "
                f"and auto, int8 or fp32"
            )
        folder = find_model(model, backend=backend, revision=revision, precision=precision)
        meta = check_folder(folder, links_into=hub_blobs(folder))
        graph = onnx_file(folder, precision)
        if backend == "auto":
            weights = (folder / "model.safetensors").is_file()
            backend = "onnx" if graph and not (weights and _gpu_in_use()) else "torch"
        if backend == "onnx" and graph is None:
            raise HanspanError(
                f"{folder}: found no ONNX graph (precision {precision}); expected one made by "
                f"'hanspan bundle RUN DIR'; or use --backend torch"
            )
        most = _CPU_TOKENS * (threads or 1)
        if backend == "onnx" and graph is not None:
            forward = onnx_forward(graph, meta, threads)
        else:
            if graph is None and not (folder / "model.safetensors").is_file():
                raise HanspanError(
                    f"{folder}: found neither model.safetensors nor an ONNX graph; expected a "
                    f"bundle"
                )
            forward = torch_forward(folder, device)
            most = _GPU_TOKENS if (device or "").startswith("cuda") or _gpu_in_use() else most
        encoder = _encoder(folder)
        return cls(encoder, forward, meta, backend=backend, rules=rules, most_tokens=most)

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the model's memory; the Extractor cannot be used afterwards."""
        self.forward = _closed

    @property
    def labels(self) -> tuple[str, ...]:
        """Entity types, in the order of the model."""
        return self.meta.labels

    @property
    def topics(self) -> tuple[str, ...]:
        """Classes of a document."""
        return self.meta.topics

    def __call__(self, text: str | Document, **options: Any) -> Document:
        """Spans and topic of one text; options as in :meth:`pipe`."""
        return next(self.pipe([text], **options))

    extract = __call__

    def pipe(
        self,
        texts: Iterable[str | Document],
        batch_size: int = 64,
        *,
        labels: Collection[str] | None = None,
        thresholds: Thresholds = None,
        rules: str | None = None,
        topic_scores: bool = False,
        values: bool = False,
        workers: int = 1,
    ) -> Iterator[Document]:
        """Spans and topics of many texts, in their order, in memory that does not grow.

        Args:
            texts: strings or Documents; id, labels and meta of a Document are kept.
            batch_size: how many texts of ordinary length go through the model at once, at most;
                on a CPU it takes fewer where that is faster.
            labels: only spans of these types.
            thresholds: least score of what model or rules find, by label or for all; over those
                of the bundle, which are for the model.
            rules: ``on``, where rules are sure they go before the model (:mod:`hanspan.merge`);
                ``off``; ``only``, the model is not asked. Without it ``on`` if the Extractor was
                given rules.
            topic_scores: put the probability of each topic into ``meta["topic_scores"]``.
            values: put normalised values into ``meta["values"]`` (:mod:`hanspan.values`).
            workers: threads that read; more than one pays with ``threads=1`` and many texts.

        Raises:
            HanspanError: for an option that is not known.
        """
        keep = frozenset({labels} if isinstance(labels, str) else labels or ())
        rules = rules or ("off" if self.rules is None else "on")
        types = self._types(rules)
        _check_labels(keep, types)
        meta = replace(self.meta, thresholds=self._limits(thresholds, types))
        if rules not in ("on", "off", "only"):
            raise HanspanError(f"rules={rules!r}: expected on, off or only")
        if rules != "off" and self.rules is None:
            raise HanspanError(
                f"rules={rules!r}: found no rules; expected Extractor.from_pretrained(..., "
                f"rules=CALLABLE), or --rules with the name of a set"
            )
        budget = self._budget(batch_size)

        def work(chunk: list[Document]) -> list[Document]:
            found: Iterable[Tagged | None] = [None] * len(chunk)
            if rules != "only":
                found = self._tag([document.text for document in chunk], meta, budget)
            return [
                self._finish(document, tagged, keep, thresholds, rules, topic_scores, values)
                for document, tagged in zip(chunk, found, strict=True)
            ]

        for done in in_order(work, chunks(texts), workers):
            yield from done

    def _budget(self, batch_size: int) -> int:
        return min(max(1, batch_size) * _TOKENS_PER_TEXT, self.most_tokens)

    def _tag(self, texts: list[str], meta: ModelMeta, budget: int) -> Iterator[Tagged]:
        parts = [list(pieces(text)) for text in texts]
        flat = [piece for part in parts for piece in part]
        found = tag_texts(flat, self.encoder, self.forward, meta, batch_tokens=budget)
        for part in parts:
            yield joined(list(islice(found, len(part))), list(map(len, part)))

    def sureness(
        self, texts: Iterable[str | Document], batch_size: int = 64
    ) -> Iterator[tuple[Document, float]]:
        """Each text with how sure the model is of its least sure characters.

        It is the mean, over the five least sure tokens, of the probability of the best tag:
        1.0 where nothing is doubtful, and low where a span or its border is.
        """
        for chunk in chunks(texts):
            rows = emissions(
                [document.text for document in chunk], self.encoder, self.forward, self.meta,
                batch_tokens=self._budget(batch_size),
            )  # fmt: skip
            for document, (_, logits, _) in zip(chunk, rows, strict=True):
                best = softmax(logits / self.meta.temperature).max(-1, initial=0.0)
                weakest = np.sort(best)[:_WEAKEST]
                yield document, round(float(weakest.mean()), 4) if len(weakest) else 1.0

    def _finish(
        self,
        document: Document,
        tagged: Tagged | None,
        keep: frozenset[str],
        thresholds: Thresholds,
        rules: str,
        topic_scores: bool,
        values: bool,
    ) -> Document:
        labels, meta = dict(document.labels), dict(document.meta)
        spans = tagged.spans if tagged else ()
        named, sure = None, 0.0
        if tagged is not None and self.meta.topics:
            named = labels["topic"] = self.meta.topics[int(tagged.topic_probs.argmax())]
            sure = float(tagged.topic_probs.max())
            if topic_scores:
                meta["topic_scores"] = scores_by_topic(self.meta, tagged.topic_probs)
        if rules != "off" and self.rules is not None:
            from hanspan.merge import merge, settled_topic

            votes = self.rules(replace(document, spans=(), labels={}, meta={}))
            spans = merge(spans, votes.spans)
            spans = tuple(span for span in spans if not _faint(span, thresholds))
            own, score = votes.labels.get("topic"), votes.meta.get("topic_score")
            if own is None:
                own, score = _loudest(votes)
            if topic := settled_topic(named, sure, own, score):
                labels["topic"] = topic
        if keep:
            spans = tuple(span for span in spans if span.label in keep)
        done = Document(document.id, document.text, spans, labels, meta)
        if values:
            from hanspan.values import with_values

            done = with_values(done)
        return done

    def _types(self, rules: str) -> tuple[str, ...] | None:
        """Types that an answer may hold; None where the rules do not tell theirs."""
        if rules == "off" or self.rules is None:
            return self.meta.labels
        more = getattr(self.rules, "labels", None)
        return None if more is None else tuple(dict.fromkeys((*self.meta.labels, *more)))

    def _limits(self, given: Thresholds, types: tuple[str, ...] | None) -> dict[str, float]:
        if given is None:
            return dict(self.meta.thresholds)
        if isinstance(given, (int, float)):
            given = dict.fromkeys(self.meta.labels, float(given))
        _check_labels(given, types)
        if bad := {key: value for key, value in given.items() if not 0 <= value <= 1}:
            raise HanspanError(f"thresholds {bad}: expected numbers from 0 to 1")
        return {**self.meta.thresholds, **given}


def _check_labels(names: Collection[str], types: tuple[str, ...] | None) -> None:
    if types is not None and (unknown := set(names) - set(types)):
        raise HanspanError(f"labels {sorted(unknown)}: expected some of {', '.join(types)}")


def _faint(span: Span, thresholds: Thresholds) -> bool:
    """Whether the score of a span is below what was asked for."""
    if isinstance(thresholds, Mapping):
        thresholds = thresholds.get(span.label)
    return span.score < (thresholds or 0.0)


def _loudest(votes: Document) -> tuple[str | None, float]:
    """The topic that unweighed votes of rules gave most weight, and its share; a tie has none."""
    weights: dict[str, float] = {}
    for vote in votes.meta.get("topic_votes", ()):
        weights[vote["label"]] = weights.get(vote["label"], 0.0) + vote.get("score", 1.0)
    if not weights:
        return None, 0.0
    best = max(weights, key=lambda topic: weights[topic])
    tied = list(weights.values()).count(weights[best]) > 1
    return best, 0.0 if tied else weights[best] / sum(weights.values())


def _encoder(folder: Path) -> TextEncoder:
    """The tokenizer; a damaged one makes its library panic, which is no Exception."""
    from hanspan.chartokens import CharTokenizer

    try:
        if (own := CharTokenizer.from_folder(folder)) is not None:
            return TextEncoder(cast(Any, own))
        return TextEncoder.from_folder(folder)
    except ImportError:
        raise HanspanError(
            f"{folder}: found no package tokenizers, which this model's tokenizer needs; type: "
            f"pip install 'hanspan[tokenizers]'"
        ) from None
    except (HanspanError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as err:
        raise HanspanError(
            f"{folder / 'tokenizer.json'}: cannot be used ({type(err).__name__}); expected the "
            f"tokenizer of a model folder"
        ) from None


def _closed(ids: Any, mask: Any) -> Any:
    raise HanspanError("this Extractor is closed; expected an open one: Extractor.from_pretrained")


def _gpu_in_use() -> bool:
    torch = sys.modules.get("torch")
    return bool(torch is not None and torch.cuda.is_available())
