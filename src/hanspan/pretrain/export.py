"""A trained run to a stock folder: fp16 safetensors, tokenizer, config, card."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hanspan.errors import HanspanError
from hanspan.pretrain.checkpoint import load_weights, read_header
from hanspan.pretrain.corpus import Shards
from hanspan.pretrain.heldout import cached_floor, heldout_scores, score_table
from hanspan.pretrain.network import build_network
from hanspan.pretrain.sampling import mixture
from hanspan.quiet import quietly

if TYPE_CHECKING:
    from hanspan.pretrain.settings import PretrainSettings


def load_network(
    settings: "PretrainSettings", shards: Shards, checkpoint: Path
) -> tuple[Any, dict[str, Any]]:
    """The network with the weights of a checkpoint, fp32, for evaluation; and the progress.

    Raises:
        HanspanError: for a checkpoint of another network, or of another vocabulary than the
            shards', whose tokenizer would give the weights wrong ids.
    """
    from safetensors.torch import load_file

    progress, saved = read_header(checkpoint)
    network = settings.run.network
    if saved["network"] != json.loads(json.dumps(vars(network))):
        raise HanspanError(
            f"pretrain: {checkpoint} holds {saved['network']}, the config says {vars(network)}; "
            "give the config that the run was made with"
        )
    if saved["vocab"] != shards.vocab:
        raise HanspanError(
            f"pretrain: the weights in {checkpoint} are for vocabulary {saved['vocab']}, the "
            f"tokenizer in {shards.folder} has {shards.vocab}; give corpus.shards=FOLDER of the "
            "shards that the run was made with"
        )
    if missing := sorted({*(progress.get("run") or {}).get("weights", ())} - {*shards.train}):
        raise HanspanError(
            f"pretrain: {checkpoint} was trained on sources {', '.join(missing)} too, which "
            f"{shards.folder} has not; give corpus.shards=FOLDER of the shards that the run was "
            "made with"
        )
    model = build_network(network, seed=0)
    load_weights(checkpoint, load_file(checkpoint), model)
    return model.eval(), progress


def export_encoder(settings: "PretrainSettings", shards: Shards, run: Path, out: Path) -> None:
    """Write `out` whole or not at all from the checkpoint of `run`.

    The folder loads by AutoTokenizer, AutoModel and AutoModelForMaskedLM; the weights are fp16
    and should be loaded with dtype=float32 on a CPU. An `out` that holds something else than a
    model is a HanspanError.
    """
    if (
        out.exists()
        and not (out / "config.json").is_file()
        and (not out.is_dir() or any(out.iterdir()))
    ):
        raise HanspanError(
            f"pretrain: {out} holds something else than a model; it would be lost: give a folder "
            "that is new, empty, or an earlier export"
        )
    model, progress = load_network(settings, shards, run / "checkpoint.safetensors")
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    _restore(model.half().float(), buffers)
    rows = settings.run.heldout_rows
    scores = heldout_scores(model, shards, rows)  # of the weights as they will be read
    table = score_table(scores, cached_floor(shards, rows), shards)
    unscored = {n: int(ids.size) for n, ids in shards.train.items() if n not in scores}
    _restore(model.half(), buffers)
    temporary = out.with_name(out.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    quietly(lambda: model.save_pretrained(temporary))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(shards.folder / name, temporary / name)
    (temporary / "README.md").write_text(
        card(settings, shards, table, progress, model, unscored), encoding="utf-8"
    )
    for file in temporary.iterdir():
        file.chmod(0o644)
    quietly(lambda: _check(temporary))
    shutil.rmtree(out, ignore_errors=True)
    temporary.rename(out)


def _restore(model: Any, buffers: dict[str, torch.Tensor]) -> None:
    """Put buffers back in full precision: rotary frequencies lose too much in 16 bits."""
    for name, buffer in buffers.items():
        owner, _, leaf = name.rpartition(".")
        model.get_submodule(owner)._buffers[leaf] = buffer


def _check(folder: Path) -> None:
    """Load the folder as a stranger would: offsets of one character, finite scores."""
    import transformers

    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = transformers.AutoModelForMaskedLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True
    )
    text = "合肥 A1\n[SEP]😀"
    encoded = tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
    offsets = encoded.pop("offset_mapping")[0, 1:-1].tolist()
    with torch.no_grad():
        finite = bool(model(**encoded).logits.isfinite().all())
    if offsets != [[i, i + 1] for i in range(len(text))] or not finite:
        raise HanspanError(
            f"pretrain: {folder} does not load as it was saved; expected one token a character "
            "and finite scores; install transformers 5 and export again"
        )


def _rate(schedule: dict[str, Any], tokens: int) -> str:
    """What the learning rate did up to ``tokens``."""
    begin, length = schedule["decay_from"], schedule["decay_tokens"]
    fallen = tokens - begin if begin is not None and length else 0
    if fallen <= 0:
        return "the rate has not fallen"
    return f"the rate fell over the last {fallen:,} of them"


def card(
    settings: "PretrainSettings",
    shards: Shards,
    table: list[tuple[Any, ...]],
    progress: dict[str, Any],
    model: Any,
    unscored: dict[str, int],
) -> str:
    """The README.md of the folder; every figure comes from the run's own files.

    What the checkpoint says of its run goes before the config, which may have been changed, and
    knows nothing of a branch's decay. `unscored`: training characters of the sources of which no
    text was held out.
    """
    run = progress.get("run") or asdict(settings.run)
    network, masks, optim = settings.run.network, run["masks"], run["optim"]
    parameters = sum(p.numel() for p in model.parameters())
    sizes = {name: int(ids.size) for name, ids in shards.train.items()}
    shares = mixture(run["weights"], sizes, run["temperature"])
    state = _rate(run["schedule"], progress["tokens"])
    lines = [
        "---",
        "language: zh",
        "license: apache-2.0",
        "library_name: transformers",
        "pipeline_tag: fill-mask",
        "---",
        "",
        "# hanspan embedded encoder",
        "",
        f"A small Chinese encoder: {type(model).__name__}, {network.layers} layers of "
        f"{network.hidden}, {network.vocab_size:,} characters, {parameters / 1e6:.2f} M "
        "parameters, rotary positions. One token a code point; weights fp16, to be loaded as "
        "fp32 on a CPU.",
        "",
        "```python",
        "from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline",
        "tokenizer = AutoTokenizer.from_pretrained(FOLDER, split_special_tokens=False)",
        'fill = pipeline("fill-mask", model=FOLDER, tokenizer=tokenizer)',
        'fill("合肥市政协主[MASK]韩冰")',
        "```",
        "",
        "`split_special_tokens=False` is for fill-mask alone: by default a literal `[MASK]` in a "
        "text is six characters, so that no page can inject a marker.",
        "",
        "## How it was trained",
        "",
        f"Masked characters in spans (mean {masks['mean_span']:g}, {masks['rate']:.0%} of all), "
        f"{'Muon and AdamW' if optim['optimizer'] == 'muon' else 'AdamW'} at {optim['lr']:g}; "
        f"{progress['tokens']:,} tokens in "
        f"{progress['step']:,} steps and {progress['seconds'] / 3600:.2f} hours on "
        f"{'a shared CPU' if run['device'] == 'cpu' else run['device']}; {state}. Windows of "
        + ", ".join(f"{w['length']} ({w['share']:.0%})" for w in run["windows"])
        + " tokens.",
        "",
        "Accuracy on held-out text with 15 % single characters hidden, beside what counting the "
        "two neighbours guesses on the same characters:",
        "",
        "| source | share of windows | characters | loss, nats | accuracy | neighbour counts |",
        "|---|---|---|---|---|---|",
    ]
    for name, characters, loss, accuracy, floor in table:
        share = f"{shares[name]:.0%}" if name in shares else ""
        lines.append(
            f"| {name} | {share} | {characters:,} | {loss:.2f} | {accuracy:.1%} | {floor:.1%} |"
        )
    for name, characters in unscored.items():
        share = f"{shares[name]:.0%}" if name in shares else ""
        lines.append(f"| {name}, none held out | {share} | {characters:,} | | | |")
    sources = [s for s in settings.corpus.sources if s.name in sizes]
    lines += [
        "",
        "Sources: "
        + "; ".join(f"{s.name}: {s.about or ', '.join(s.files)}" for s in sources)
        + ". Of labelled files the text alone was read; repeated and nearly repeated paragraphs "
        "and sentences of development files were taken out before.",
        "",
        "Batches began at "
        + ", ".join(
            f"{run['micro_tokens'] * count * progress.get('world', 1):,} tokens a step"
            + (f" from {at:,} tokens on" if at else "")
            for at, count in run["ramp"]
            if at < progress["tokens"]
        )
        + f"; {run['schedule']['warmup_steps']} steps of warm-up, weight decay "
        f"{optim['weight_decay']:g}, gradients clipped at {optim['clip']:g}, seed {run['seed']}. "
        "The weights are published under Apache-2.0 without the texts.",
        "",
        "## Known gaps",
        "",
        *([settings.corpus.note.strip(), ""] if settings.corpus.note.strip() else []),
        "Characters outside the vocabulary are one [UNK] each. It repeats the views and the slant "
        "of its sources.",
    ]
    return "\n".join(lines) + "\n"
