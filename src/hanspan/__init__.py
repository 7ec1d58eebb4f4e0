"""hanspan: from raw Chinese text and a handful of rules to a measured, published model.

The public names are imported when they are first used, so that ``import hanspan`` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanspan.data import Document, Span, read_documents, write_documents
    from hanspan.errors import ConfigError, HanspanError
    from hanspan.extractor import Extractor
    from hanspan.labelmodel import answering
    from hanspan.rules import load_rules, rule, topic_rule

__version__ = "0.1.0"

_HOME = {
    "ConfigError": "hanspan.errors",
    "Document": "hanspan.data",
    "Extractor": "hanspan.extractor",
    "HanspanError": "hanspan.errors",
    "Span": "hanspan.data",
    "answering": "hanspan.labelmodel",
    "load_rules": "hanspan.rules",
    "read_documents": "hanspan.data",
    "rule": "hanspan.rules",
    "topic_rule": "hanspan.rules",
    "write_documents": "hanspan.data",
}

__all__ = [
    "ConfigError",
    "Document",
    "Extractor",
    "HanspanError",
    "Span",
    "answering",
    "load_rules",
    "read_documents",
    "rule",
    "topic_rule",
    "write_documents",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hanspan' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
