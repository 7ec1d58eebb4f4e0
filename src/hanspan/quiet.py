"""Loading with transformers without its bars, load reports and warnings, for either wing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def quietly(work: Callable[[], T]) -> T:
    """Run ``work`` without transformers' bars and load reports, and without the Hub's warnings."""
    from logging import CRITICAL, getLogger

    from transformers.utils import logging

    hub = getLogger("huggingface_hub")
    before, hub_before = logging.get_verbosity(), hub.level
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.setLevel(CRITICAL)
    try:
        return work()
    finally:
        logging.set_verbosity(before)
        hub.setLevel(hub_before)
