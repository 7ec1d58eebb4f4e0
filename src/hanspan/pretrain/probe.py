"""Supervised probes: how much an encoder gives with few and with many hand labels.

Used to choose objectives, sizes and mixtures, on development files only. A row fine-tunes the
encoder by the package's own training (`hanspan.train`, mode "supervised": bf16 where it is
faster, batches of like length, a checkpoint now and then, so that a killed row goes on) and
scores the trained model on `dev` as a user would run it.
"""

import dataclasses
import hashlib
import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hanspan.data import Document, read_documents, write_documents
from hanspan.errors import HanspanError
from hanspan.evaluate import flat


@dataclass(frozen=True)
class ProbeSet:
    """A reference set: its folder below gold/, and whether it tags spans or sorts documents."""

    name: str
    folder: str
    spans: bool


SETS = (
    ProbeSet("CLUENER", "cluener", True),
    ProbeSet("MSRA", "msra", True),
    ProbeSet("THUCNews", "thucnews_title", False),
)
EPOCHS = {100: 50, 1000: 16, None: 6}
TITLE_EPOCHS = {100: 30, 1000: 12, None: 4}
COMPILED_FROM = 1_000_000
"""Characters to be read from which a compiled step saves more than the compilation costs."""


@dataclass(frozen=True)
class FineTune:
    """How a probe is trained. Rates are those of small models; None lets the training choose."""

    lr: float | None = None
    few_tokens: int = 1024
    """Of a batch with up to 1,000 labels."""
    many_tokens: int = 2048
    """Of a batch with more."""


@dataclass(frozen=True)
class Score:
    """One finished row: percent, minutes of wall clock, tokens a second, settings of the row."""

    score: float
    minutes: float
    tokens_per_s: int


def encoder_digest(source: str, untrained: bool) -> str:
    """What a kept row belongs to: the weights of a folder (of an untrained network its shape)."""
    folder = Path(source)
    file = folder / ("config.json" if untrained else "model.safetensors")
    if not file.is_file():
        if folder.exists():
            raise HanspanError(f"probe: no {file}; give an exported encoder or a Hub name")
        return source
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def load_rows(data: Path, probe: ProbeSet) -> tuple[list[Document], list[Document]]:
    """Supervised rows, of nested spans the longest alone, and development rows of a set."""
    folder = data / "gold" / probe.folder
    found = [sorted(folder.glob(f"{n}.jsonl*")) for n in ("supervised_train", "dev")]
    if not all(found):
        raise HanspanError(
            f"probe: {folder} needs supervised_train.jsonl and dev.jsonl; "
            "HANSPAN_DATA must name the folder above gold/"
        )
    train, dev = (list(read_documents(paths[0])) for paths in found)
    return [d.with_spans(flat(d.spans)) for d in train], dev


def untrained_twin(source: str, folder: Path, seed: int) -> str:
    """Write the same network with stock random weights, and its tokenizer; returns the folder."""
    import transformers

    torch.manual_seed(seed)
    config = transformers.AutoConfig.from_pretrained(source)
    config.dtype = torch.float32
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


def epochs_of(probe: ProbeSet, count: int | None) -> int:
    """Passes over `count` rows (None: all); few rows are read more often."""
    table = EPOCHS if probe.spans else TITLE_EPOCHS
    return table.get(count, table[None])


def probe_once(
    source: str,
    data: Path,
    probe: ProbeSet,
    count: int | None,
    seed: int,
    work: Path,
    *,
    fresh: bool = False,
    epochs: int | None = None,
    settings: FineTune | None = None,
) -> Score:
    """Fine-tune on `count` rows (None: all) chosen by `seed`, and score on dev.

    Args:
        source: a folder or a Hub name.
        data: the folder above gold/.
        probe, count, seed: what is trained on.
        work: gets the row's checkpoints, from which the same call goes on; removed at the end.
        fresh: the same network with random weights instead.
        epochs: in place of `epochs_of`.
        settings: rates and batches.
    """
    from hanspan.extractor import Extractor
    from hanspan.train import train
    from hanspan.train_settings import TrainSettings

    settings = settings or FineTune()
    rows, dev = load_rows(data, probe)
    random.Random(seed).shuffle(rows)
    rows = [dataclasses.replace(d, labels=_topic(d, probe)) for d in rows[:count]]
    epochs = epochs or epochs_of(probe, count)
    characters = epochs * sum(len(d.text) for d in rows)
    work.mkdir(parents=True, exist_ok=True)
    file = work / "rows.jsonl"
    if not file.exists():
        if fresh:
            untrained_twin(source, work / "untrained", seed)
        write_documents(file, rows)  # last: where it lies, all lies
    began = time.monotonic()
    summary = train(
        file,
        work / "run",
        TrainSettings(
            mode="supervised",
            encoder=str(work / "untrained") if fresh else source,
            epochs=epochs,
            lr=settings.lr,
            batch_tokens=settings.many_tokens if len(rows) > 1000 else settings.few_tokens,
            seed=seed,
            held_out=0.0,
            unknown_share=1.0,
            mask_missed=False,
            correct_prior=False,
            compile=characters >= COMPILED_FROM,
            save_every=500,
        ),
    )
    extract = Extractor.from_pretrained(summary.model, "torch")
    found = list(extract.pipe([d.text for d in dev]))
    value = span_f1(found, dev) if probe.spans else topic_accuracy(found, dev)
    minutes = (time.monotonic() - began) / 60
    shutil.rmtree(work)
    return Score(round(value, 2), round(minutes, 2), summary.tokens_per_second)


def _topic(document: Document, probe: ProbeSet) -> dict[str, str]:
    return {} if probe.spans else {"topic": document.labels["topic"]}


def span_f1(found: Sequence[Document], gold: Sequence[Document]) -> float:
    """Strict span F1 over all documents, percent: borders and type must agree."""
    right = wanted = given = 0
    for ours, theirs in zip(found, gold, strict=True):
        one, two = ({(s.start, s.end, s.label) for s in d.spans} for d in (ours, theirs))
        right += len(one & two)
        given += len(one)
        wanted += len(two)
    return 200 * right / max(1, given + wanted)


def topic_accuracy(found: Sequence[Document], gold: Sequence[Document]) -> float:
    """Share of documents with the right topic, percent."""
    right = sum(
        a.labels.get("topic") == b.labels["topic"] for a, b in zip(found, gold, strict=True)
    )
    return 100 * right / max(1, len(gold))


class KeptRows:
    """Finished rows in one JSON file, written after each: a killed table goes on behind them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if path.is_file():
            try:
                self.rows = {r["key"]: r for r in json.loads(path.read_text(encoding="utf-8"))}
            except (ValueError, KeyError, TypeError) as error:
                raise HanspanError(
                    f"probe: {path} does not hold rows of a probe ({error!r}); give another --rows"
                ) from error

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of this key, or None where it has not been run."""
        return self.rows.get(key)

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row, on disk before this returns."""
        from hanspan.data import whole

        self.rows[key] = {"key": key, **row}
        with whole(self.path) as temporary:
            text = json.dumps(list(self.rows.values()), ensure_ascii=False, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")


def parameters(source: str) -> int:
    """How many parameters the encoder has, the masked-language head aside."""
    import transformers

    return sum(p.numel() for p in transformers.AutoModel.from_pretrained(source).parameters())


def latency(source: str, rows: int, length: int, repeats: int = 10) -> float:
    """Milliseconds of one fp32 forward pass of `rows` x `length` tokens; the best of repeats."""
    import transformers

    model = transformers.AutoModel.from_pretrained(source, dtype=torch.float32).eval()
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, 4000, (rows, length)))
    ids %= int(model.config.vocab_size)
    mask = torch.ones_like(ids)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(repeats):
            begin = time.perf_counter()
            model(input_ids=ids, attention_mask=mask)
            best = min(best, time.perf_counter() - begin)
    return 1000 * best
