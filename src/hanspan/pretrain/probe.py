"""Supervised probes: how much an encoder gives with few and with many hand labels.

Used to choose objectives, sizes and mixtures, on development files only. The stock token and
sequence classification heads of transformers are fine-tuned on `supervised_train` rows and
scored on `dev`.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hanspan.data import Document, read_documents
from hanspan.decode import decode, spans_to_tags
from hanspan.errors import HanspanError


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


@dataclass(frozen=True)
class FineTune:
    """How a probe is trained; the rate is that of small models, ten times a base model's."""

    lr: float = 4e-4
    rows: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.01
    longest: int = 256


def load_rows(data: Path, probe: ProbeSet) -> tuple[list[Document], list[Document]]:
    """Supervised rows and development rows of a set."""
    folder = data / "gold" / probe.folder
    found = [sorted(folder.glob(f"{n}.jsonl*")) for n in ("supervised_train", "dev")]
    if not all(found):
        raise HanspanError(
            f"probe: {folder} needs supervised_train.jsonl and dev.jsonl; "
            "HANSPAN_DATA must name the folder above gold/"
        )
    train, dev = (list(read_documents(paths[0])) for paths in found)
    return train, dev


def build_model(source: str, probe: ProbeSet, labels: int, *, fresh: bool, seed: int) -> Any:
    """A stock classification model: the encoder's weights, or the same network untrained."""
    import transformers

    torch.manual_seed(seed)
    auto: Any = (
        transformers.AutoModelForTokenClassification
        if probe.spans
        else transformers.AutoModelForSequenceClassification
    )
    config = transformers.AutoConfig.from_pretrained(source, num_labels=labels)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.1)
    if fresh:
        config.dtype = torch.float32
        return auto.from_config(config)
    return auto.from_pretrained(source, config=config, dtype=torch.float32)


@dataclass
class Row:
    """A tokenized document: ids with markers, the offsets of its units, its target(s)."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    target: Any


def tokenize(
    tokenizer: Any, documents: Sequence[Document], probe: ProbeSet, labels: list[str], longest: int
) -> list[Row]:
    """Rows for training and scoring; a span that is no whole number of tokens is left out."""
    rows = []
    index = {label: i for i, label in enumerate(labels)}
    for document in documents:
        encoded = tokenizer(
            document.text, truncation=True, max_length=longest, return_offsets_mapping=True
        )
        offsets = [tuple(o) for o in encoded["offset_mapping"]][1:-1]
        if probe.spans:
            starts = {a: i for i, (a, _) in enumerate(offsets)}
            ends = {b: i + 1 for i, (_, b) in enumerate(offsets)}
            spans = [
                (starts[s.start], ends[s.end], index[s.label])
                for s in document.spans
                if s.start in starts and s.end in ends
            ]
            target: Any = [-100, *spans_to_tags(len(offsets), spans).tolist(), -100]
        else:
            target = index[document.labels["topic"]]
        rows.append(Row(encoded["input_ids"], offsets, target))
    return rows


def _batches(rows: list[Row], size: int, rng: random.Random) -> Iterator[list[Row]]:
    """Rows of similar length together, in random order."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    pool = size * 32
    batches = []
    for begin in range(0, len(order), pool):
        part = sorted(order[begin : begin + pool], key=lambda i: len(rows[i].ids))
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    rng.shuffle(batches)
    for batch in batches:
        yield [rows[i] for i in batch]


def _tensors(batch: list[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(r.ids) for r in batch)
    ids = torch.full((len(batch), width), pad)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for i, row in enumerate(batch):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
    return ids, mask


def _autocast() -> Any:
    on = torch.cpu._is_avx512_bf16_supported()
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=on)


def fine_tune(
    model: Any, rows: list[Row], epochs: int, pad: int, settings: FineTune, seed: int
) -> None:
    """Train in place: AdamW, warm-up, linear decay to zero."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    steps = epochs * -(-len(rows) // settings.rows)
    warm = max(1, round(settings.warmup * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / warm, max(0.0, (steps - s) / max(1, steps - warm)))
    )
    model.train()
    for _ in range(epochs):
        for batch in _batches(rows, settings.rows, rng):
            ids, mask = _tensors(batch, pad)
            with _autocast():
                logits = model(input_ids=ids, attention_mask=mask).logits.float()
            if isinstance(batch[0].target, list):
                target = torch.full(ids.shape, -100)
                for i, row in enumerate(batch):
                    target[i, : len(row.target)] = torch.tensor(row.target)
                logits, target = logits.flatten(0, 1), target.flatten()
            else:
                target = torch.tensor([r.target for r in batch])
            loss = torch.nn.functional.cross_entropy(logits, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()


@torch.no_grad()
def score(
    model: Any, rows: list[Row], documents: Sequence[Document], labels: list[str], pad: int
) -> float:
    """Strict span F1 over all rows, or accuracy, in percent."""
    model.eval()
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
    right = predicted = gold = 0
    for begin in range(0, len(order), 64):
        part = order[begin : begin + 64]
        ids, mask = _tensors([rows[i] for i in part], pad)
        with _autocast():
            logits = model(input_ids=ids, attention_mask=mask).logits.float().numpy()
        if not isinstance(rows[0].target, list):
            right += sum(int(logits[k].argmax()) == rows[i].target for k, i in enumerate(part))
            continue
        units = [logits[k, 1 : 1 + len(rows[i].offsets)] for k, i in enumerate(part)]
        for i, spans in zip(part, decode(units, scores=False), strict=True):
            offsets = rows[i].offsets
            found = {(offsets[s.start][0], offsets[s.end - 1][1], labels[s.label]) for s in spans}
            wanted = {(s.start, s.end, s.label) for s in documents[i].spans}
            right += len(found & wanted)
            predicted += len(found)
            gold += len(wanted)
    if not isinstance(rows[0].target, list):
        return 100 * right / len(rows)
    return 200 * right / max(1, predicted + gold)


def probe_once(
    source: str,
    data: Path,
    probe: ProbeSet,
    count: int | None,
    seed: int,
    *,
    fresh: bool = False,
    epochs: int | None = None,
    settings: FineTune | None = None,
) -> float:
    """Fine-tune on `count` rows (None: all) chosen by `seed`; the dev score in percent."""
    import transformers

    settings = settings or FineTune()
    train, dev = load_rows(data, probe)
    if probe.spans:
        labels = sorted({s.label for d in train for s in d.spans})
    else:
        labels = sorted({d.labels["topic"] for d in train})
    random.Random(seed).shuffle(train)
    train = train[:count]
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    outputs = 1 + 4 * len(labels) if probe.spans else len(labels)
    model = build_model(source, probe, outputs, fresh=fresh, seed=seed)
    table = EPOCHS if probe.spans else TITLE_EPOCHS
    epochs = epochs or table.get(count, table[None])
    pad = tokenizer.pad_token_id or 0
    rows = tokenize(tokenizer, train, probe, labels, settings.longest)
    fine_tune(model, rows, epochs, pad, settings, seed)
    return score(model, tokenize(tokenizer, dev, probe, labels, settings.longest), dev, labels, pad)


def latency(source: str, rows: int, length: int, repeats: int = 10) -> float:
    """Milliseconds of one fp32 forward pass of `rows` x `length` tokens; the best of repeats."""
    import time

    import transformers

    model = transformers.AutoModel.from_pretrained(source, dtype=torch.float32).eval()
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, 4000, (rows, length)))
    mask = torch.ones_like(ids)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(repeats):
            begin = time.perf_counter()
            model(input_ids=ids, attention_mask=mask)
            best = min(best, time.perf_counter() - begin)
    return 1000 * best
