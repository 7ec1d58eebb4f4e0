"""The picture of a report, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

_COLOURS = ("#9db4c0", "#5b8e7d", "#c8553d", "#f28f3b", "#588b8b")


def f1_plot(systems: Mapping[str, Mapping[str, Any]]) -> str | None:
    """F1 by label for each system, with the 95 % interval of the whole, as an SVG element.

    Args:
        systems: name to ``Report.as_dict()``.

    Returns:
        None where matplotlib is not installed (``pip install 'hanspan[report]'``).
    """
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        return None
    entities = {name: report["entities"] for name, report in systems.items()}
    labels = [
        label
        for label in next(iter(entities.values()))["by_label"]
        if any(e["by_label"].get(label, {}).get("support") for e in entities.values())
    ]
    figure = Figure(figsize=(max(6.0, 0.75 * (len(labels) + 1) + 1.5), 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    width = 0.8 / max(1, len(entities))
    for place, (name, entity) in enumerate(entities.items()):
        values = [100 * entity["f1"]]
        values += [100 * entity["by_label"].get(label, {}).get("f1", 0.0) for label in labels]
        at = [i - 0.4 + width * (place + 0.5) for i in range(len(values))]
        colour = _COLOURS[place % len(_COLOURS)]
        axes.bar(at, values, width, label=name, color=colour)
        low, high = (100 * side for side in entity["f1_interval_95"])
        axes.plot([at[0], at[0]], [low, high], color="#222", linewidth=1)
    axes.set_xticks(range(len(labels) + 1), ["all", *labels], fontsize=8)
    axes.set_ylim(0, 100)
    axes.set_ylabel("F1, strict")
    axes.grid(axis="y", color="#ddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, ncols=len(entities), loc="upper center",
                bbox_to_anchor=(0.5, 1.14))  # fmt: skip
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
