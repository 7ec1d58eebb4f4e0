"""A few fixed shapes of batches, and an encoder compiled for just those.

A compiled step is faster, but each new shape compiles anew. So rows are padded to one of a few
lengths, a full batch of each length has one size, and what does not fill a batch runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hanspan.joint import JointModel

_LADDER = (32, 48, 64, 96, 128, 192, 256, 384, 512)


def fixed_lengths(longest: int) -> tuple[int, ...]:
    """The lengths that rows of up to ``longest`` tokens, special ones included, are padded to."""
    return (*(length for length in _LADDER if length < longest), longest)


def fixed_length(length: int, lengths: tuple[int, ...]) -> int:
    """The first of ``lengths`` that holds ``length``, or ``length`` itself where none does."""
    return next((fixed for fixed in lengths if fixed >= length), length)


@contextmanager
def compiled_encoder(model: JointModel, shapes: set[tuple[int, int]]) -> Iterator[None]:
    """Within, training passes of the encoder over batches of ``shapes`` are compiled.

    Args:
        model: its weights and their names stay as they are.
        shapes: (rows, tokens) of full batches; others, and passes without gradient, run plain.
    """
    encoder: Any = model.encoder
    plain: Callable[..., Any] = encoder.forward
    before = encoder.config._attn_implementation

    def forward(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        wanted = encoder.training and torch.is_grad_enabled() and tuple(input_ids.shape) in shapes
        run = quick if wanted else plain
        return run(input_ids=input_ids, attention_mask=attention_mask)

    quick = torch.compile(plain, dynamic=False)
    torch._dynamo.config.recompile_limit = max(
        torch._dynamo.config.recompile_limit, 2 * len(shapes)
    )
    try:
        # Plain products: within a compiled step they are faster here than the fused kernel.
        encoder.set_attn_implementation("eager")
        encoder.forward = forward
        yield
    finally:
        del encoder.forward
        encoder.set_attn_implementation(before)
