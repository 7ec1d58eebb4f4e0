"""Curves as pictures: a run's losses and masked accuracy, and a probe's score, over tokens."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hanspan.errors import HanspanError


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise HanspanError(
            "pretrain: a picture needs matplotlib; type pip install 'hanspan[report]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def read_log(run: Path) -> list[dict[str, Any]]:
    """Rows of `run`/log.jsonl; a last line that a kill cut short is left out."""
    path = run / "log.jsonl"
    if not path.is_file():
        raise HanspanError(f"pretrain: no {path}; give the folder of a run that has begun")
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "tokens" in row:
            rows.append(row)
    return rows


def draw_log(run: Path, out: Path, floor: float | None = None) -> None:
    """Draw training loss, mean held-out loss and mean masked accuracy of a run into `out`.

    `floor` is the share of hidden characters that counting neighbours guesses, as a line.
    """
    pyplot = _pyplot()
    rows = read_log(run)
    train = [(r["tokens"] / 1e6, r["loss"]) for r in rows if "loss" in r]
    held = [
        (r["tokens"] / 1e6, *(sum(v[i] for v in r["heldout"].values()) / len(r["heldout"])
                              for i in (0, 1)))
        for r in rows
        if r.get("heldout")
    ]  # fmt: skip
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    if train:
        left.plot(*zip(*train, strict=True), label="training, masked spans", linewidth=1)
    if held:
        tokens, losses, accuracies = zip(*held, strict=True)
        left.plot(tokens, losses, ".-", label="held out, 15 % single characters, mean of sources")
        right.plot(
            tokens, [100 * a for a in accuracies], ".-", label="the network, mean of sources"
        )
    if floor is not None:
        right.axhline(100 * floor, color="gray", linestyle="--", label="counting the neighbours")
    left.set_ylabel("loss, nats")
    right.set_ylabel("held-out masked accuracy, %")
    _finish(pyplot, figure, (left, right), out)


def draw_probes(
    points: Mapping[str, Sequence[tuple[float, float, float]]], unit: str, out: Path
) -> None:
    """Draw probe scores over tokens: by name, (million tokens, mean, spread over seeds)."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, row in points.items():
        tokens, means, spreads = zip(*sorted(row), strict=True)
        axes.errorbar(tokens, means, yerr=spreads, marker=".", capsize=3, label=name)
    axes.set_ylabel(unit)
    _finish(pyplot, figure, (axes,), out)


def _finish(pyplot: Any, figure: Any, panels: Sequence[Any], out: Path) -> None:
    for axes in panels:
        axes.set_xlabel("million tokens")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
