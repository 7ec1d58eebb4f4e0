"""The loss curve of a run as a picture."""

import json
from pathlib import Path

from hanspan.errors import HanspanError


def draw_log(run: Path, out: Path) -> None:
    """Draw training loss and mean held-out loss of `run`/log.jsonl over tokens into `out`."""
    path = run / "log.jsonl"
    if not path.is_file():
        raise HanspanError(f"pretrain: no {path}; give the folder of a run that has begun")
    try:
        import matplotlib
    except ImportError as error:
        raise HanspanError(
            "pretrain: the picture needs matplotlib; type pip install 'hanspan[report]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    train = [(r["tokens"] / 1e6, r["loss"]) for r in rows if "loss" in r]
    held = [
        (r["tokens"] / 1e6, sum(v[0] for v in r["heldout"].values()) / len(r["heldout"]))
        for r in rows
        if r.get("heldout")
    ]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for points, label in ((train, "training, spans"), (held, "held out, 15 % single characters")):
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="." if points is held else "")
    axes.set_xlabel("million tokens")
    axes.set_ylabel("loss, nats")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
