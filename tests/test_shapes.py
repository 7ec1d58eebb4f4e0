"""Fixed batch shapes and the compiled encoder: the same training, only faster."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hanspan.encoders import open_encoder  # noqa: E402
from hanspan.rows import TokenBudget  # noqa: E402
from hanspan.shapes import compiled_encoder, fixed_length, fixed_lengths  # noqa: E402


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(16, 400), st.booleans())
def test_every_row_comes_once_an_epoch_and_full_batches_have_one_size(
    lengths: list[int], budget: int, fixed: bool
) -> None:
    ladder = fixed_lengths(60) if fixed else ()
    sampler = TokenBudget(lengths, budget, 3, ladder)
    batches = list(sampler)
    assert sorted(i for batch in batches for _, i in batch) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    if fixed:
        short = 0
        for batch in batches:
            longest = max(lengths[i] for _, i in batch)
            short += len(batch) != max(1, budget // fixed_length(longest, ladder))
        # Besides what the last class leaves over, only rows carried up a class make odd batches.
        assert short <= len(ladder)


def test_lengths_reach_the_longest() -> None:
    assert fixed_lengths(48) == (32, 48)
    assert fixed_lengths(50) == (32, 48, 50)
    assert fixed_length(33, (32, 48)) == 48
    assert fixed_length(49, (32, 48)) == 49


def test_compiled_encoder_gives_equal_logits_and_gradients_and_is_taken_off() -> None:
    model, _ = open_encoder(
        "random:tiny", ("PER",), ("a", "b"), texts=["北京"], seed=1, dropout=0.0
    )
    model.train()
    ids = torch.randint(5, 9, (2, 16), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0

    def step() -> tuple[Any, list[Any]]:
        model.zero_grad()
        tags, topics = model(ids, mask)
        (tags[mask.bool()].square().sum() + topics.square().sum()).backward()
        grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        return tags.detach()[mask.bool()], grads

    names = list(model.state_dict())
    before = model.encoder.config._attn_implementation
    tags, grads = step()
    with compiled_encoder(model, {(2, 16)}):
        quick_tags, quick_grads = step()
        assert list(model.state_dict()) == names
    assert "forward" not in model.encoder.__dict__
    assert model.encoder.config._attn_implementation == before
    np.testing.assert_allclose(quick_tags, tags, atol=1e-5)
    for quick, plain in zip(quick_grads, grads, strict=True):
        torch.testing.assert_close(quick, plain, atol=1e-4, rtol=1e-3)
