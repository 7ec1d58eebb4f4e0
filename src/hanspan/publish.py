"""What goes to the Hub beside models: a Space to try one, and data sets of weak labels."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hanspan.bundle import EXAMPLES
from hanspan.card import table
from hanspan.data import SUFFIXES, read_documents
from hanspan.errors import HanspanError
from hanspan.hub import commit

SPACE_SUFFIX = "-demo"


def space_files(model_id: str, revision: str | None, version: str) -> dict[str, bytes]:
    """The files of a Gradio Space for a model on the Hub.

    Args:
        model_id: ``owner/name``.
        revision: commit to pin, or None for the newest.
        version: of hanspan that the Space installs.
    """
    template = resources.files("hanspan").joinpath("assets", "space", "app.py.txt")
    app = template.read_text("utf-8").replace("MODEL_ID", model_id)
    app = app.replace("REVISION_OR_NONE", repr(revision))
    app = app.replace("EXAMPLE_TEXTS", repr(list(EXAMPLES)))
    title = model_id.split("/")[1]
    readme = (
        f"---\ntitle: {json.dumps(title)}\nsdk: gradio\napp_file: app.py\nmodels:\n"
        f"- {model_id}\nlicense: apache-2.0\n---\n\nA page to try {model_id}.\n"
    )
    wanted = f"hanspan[hub]=={version}\ngradio>=6,<7\n"
    files = {"app.py": app, "README.md": readme, "requirements.txt": wanted}
    return {name: text.encode() for name, text in files.items()}


def push_space(
    model_id: str,
    *,
    revision: str | None = None,
    private: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Make or renew the Space ``OWNER/NAME-demo`` of a model; returns its commit.

    Raises:
        HanspanError: as :func:`hanspan.hub.push`.
    """
    from importlib.metadata import version

    return commit(
        dict(space_files(model_id, revision, version("hanspan"))),
        model_id + SPACE_SUFFIX,
        kind="space",
        sdk="gradio",
        private=private,
        message="Space made by hanspan",
        endpoint=endpoint,
        token=token,
    )


def push_dataset(
    files: Sequence[str | os.PathLike[str]],
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    license: str = "other",
    sources: Sequence[str] = (),
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Put documents with weak labels on the Hub as a data set with a card, in one commit.

    Args:
        files: documents (``train.jsonl`` and the like); each becomes a split of its name.
        repo_id: ``owner/name``.
        license: of the TEXTS, as the Hub spells it; ``other`` where you have not looked.
        sources: where the texts come from, for the card.
        private, revision, endpoint, token: as in :func:`hanspan.hub.push`.

    Returns:
        The address of the commit.

    Raises:
        HanspanError: for a file that is missing or damaged; nothing was then sent.
    """
    content: dict[str, Path | bytes] = {}
    splits: list[dict[str, Any]] = []
    for file in map(Path, files):
        suffix = next((end for end in SUFFIXES if file.name.endswith(end)), None)
        if suffix is None:
            raise HanspanError(
                f"{file}: unknown kind of file; expected one of {', '.join(SUFFIXES)}"
            )
        name = file.name.removesuffix(suffix)
        place = f"data/{name}{suffix}"
        if place in content or any(split["name"] == name for split in splits):
            raise HanspanError(f"{file}: found two files named {name}; expected different names")
        splits.append({"name": name, "path": place, **count(file)})
        content[place] = file
        rules = file.with_name(f"{name}.rules.json")
        if rules.is_file():
            content[f"data/{rules.name}"] = rules
    if not splits:
        raise HanspanError("found no file; expected documents, such as train.jsonl")
    content["README.md"] = data_card(repo_id, splits, license, sources).encode()
    return commit(
        content, repo_id, kind="dataset", private=private, revision=revision,
        message="Weak labels made by hanspan", endpoint=endpoint, token=token,
    )  # fmt: skip


def count(path: Path) -> dict[str, Any]:
    """Documents, characters, spans by label and by rule, and topics of a file."""
    labels: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    topics: Counter[str] = Counter()
    documents = characters = 0
    for document in read_documents(path):
        documents, characters = documents + 1, characters + len(document.text)
        for span in document.spans:
            labels[span.label] += 1
            rules.update(source for source in span.source.split("+") if source)
        if "topic" in document.labels:
            topics[document.labels["topic"]] += 1
    return {
        "documents": documents, "characters": characters, "labels": labels, "rules": rules,
        "topics": topics,
    }  # fmt: skip


def data_card(
    name: str, splits: Sequence[dict[str, Any]], license: str, sources: Sequence[str]
) -> str:
    """The README of a data set: what is in it, and that no person labelled it."""
    import yaml

    head = {
        "language": ["zh"],
        "license": license,
        "task_categories": ["token-classification", "text-classification"],
        "tags": ["hanspan", "weak-supervision", "ner"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": s["name"], "path": s["path"]} for s in splits],
            }
        ],
    }
    totals = [[s["name"], s["documents"], s["characters"], sum(s["labels"].values())]
              for s in splits]  # fmt: skip
    labels: Counter[str] = sum((s["labels"] for s in splits), Counter())
    topics: Counter[str] = sum((s["topics"] for s in splits), Counter())
    rules: Counter[str] = sum((s["rules"] for s in splits), Counter())
    parts = [
        f"---\n{yaml.safe_dump(head, allow_unicode=True, sort_keys=False)}---",
        f"# {name.split('/')[1]}",
        "Chinese texts with named entities and topics that RULES found; no person labelled them. "
        "A span is what the rules agree on, with a score; text without a span is not known to be "
        "without entities.",
        table(["split", "documents", "characters", "spans"], totals),
        f'```python\nfrom datasets import load_dataset\n\ndata = load_dataset("{name}")\n```',
        "Offsets count code points of `text`, half open.",
        "## Types\n\n" + table(["type", "spans"], labels.most_common()) if labels else "",
        "## Topics\n\n" + table(["topic", "documents"], topics.most_common()) if topics else "",
        "## Rules\n\n" + table(["rule", "spans"], rules.most_common(40)) if rules else "",
        "## Texts\n\n" + "\n".join(f"- {source}" for source in sources) if sources else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
