"""Loss pieces against values worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch")

from hanspan.losses import (  # noqa: E402
    allowance,
    broken_pairs,
    missed_mentions,
    soft_cross_entropy,
    tag_loss,
    weighted_mean,
)


def test_soft_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]])  # probabilities 1/4, 3/4
    hard = soft_cross_entropy(logits, torch.tensor([[0.0, 1.0]]))
    soft = soft_cross_entropy(logits, torch.tensor([[0.5, 0.5]]))
    assert float(hard) == pytest.approx(math.log(4 / 3))
    assert float(soft) == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(4 / 3))
    assert float(soft_cross_entropy(logits, torch.zeros(1, 2))) == 0.0


def test_weighted_mean_by_hand() -> None:
    values, weights = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 0.5, 0.0])
    assert float(weighted_mean(values, weights)) == pytest.approx(2 / 1.5)
    assert float(weighted_mean(values, torch.zeros(3))) == 0.0


def logits_of(probs: list[list[float]]) -> "torch.Tensor":
    return torch.tensor([probs]).clamp(min=1e-9).log()


#                 O    B    I    E    S    B    I    E    S
SURE_FIRST = [0.1, 0.8, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
LESS_FIRST = [0.3, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
SURE_OTHER = [0.2, 0.0, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.4]
QUIET = [0.9, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_missed_mentions_drops_what_is_sure_and_allowed() -> None:
    logits = logits_of([LESS_FIRST, SURE_FIRST, SURE_OTHER, QUIET])
    every = torch.ones(1, 4, dtype=torch.bool)
    plenty = torch.tensor([9.0, 9.0])
    drop = missed_mentions(logits, every, 0.6, plenty)
    assert drop.tolist() == [[True, True, True, False]]
    one_each = missed_mentions(logits, every, 0.6, torch.tensor([1.0, 1.0]))
    assert one_each.tolist() == [[False, True, True, False]]  # the surest of each type
    rare = missed_mentions(logits, every, 0.6, torch.tensor([9.0, 0.0]))
    assert rare.tolist() == [[True, True, False, False]]  # no label, no leave to drop
    higher = missed_mentions(logits, every, 0.75, plenty)
    assert higher.tolist() == [[False, True, True, False]]
    trusted = missed_mentions(logits, ~every, 0.0, plenty)
    assert not trusted.any()


def test_a_rare_type_is_due_less_than_one_a_batch() -> None:
    expected = torch.tensor([0.02, 1.5, 0.0, 3.0])
    drawn = torch.stack([allowance(expected, (7, step)) for step in range(4000)])
    assert (drawn == drawn.floor()).all()
    assert drawn.mean(0).tolist() == pytest.approx(expected.tolist(), abs=0.05)
    assert drawn[:, 0].sum() < 200  # rounded up it would be 4,000
    assert set(drawn[:, 1].tolist()) == {1.0, 2.0}
    assert torch.equal(allowance(expected, (7, 5)), drawn[5])


def test_tag_loss_leaves_dropped_characters_out() -> None:
    logits = logits_of([SURE_FIRST, QUIET]).requires_grad_()
    targets = torch.zeros(1, 2, 9)
    targets[..., 0] = 1.0
    weights, droppable = torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool)
    plain, none = tag_loss(logits, targets, weights, droppable)
    assert plain.item() == pytest.approx((-math.log(0.1) - math.log(0.9)) / 2, rel=1e-4)
    assert float(none) == 0
    masked, dropped = tag_loss(
        logits, targets, weights, droppable, threshold=0.6, allowance=torch.tensor([5.0, 5.0])
    )
    assert masked.item() == pytest.approx(-math.log(0.9), rel=1e-4)
    assert float(dropped) == 1
    masked.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad[0, 0].abs().sum()) == 0.0


def test_gradients_stay_finite_for_extreme_logits() -> None:
    logits = torch.tensor([[[1e4, -1e4, 0.0, 0.0, 0.0]] * 3]).requires_grad_()
    targets = torch.eye(5)[torch.tensor([[1, 0, 2]])]
    loss, _ = tag_loss(
        logits,
        targets,
        torch.ones(1, 3),
        torch.ones(1, 3, dtype=torch.bool),
        threshold=0.5,
        allowance=torch.ones(1),
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_broken_pairs_sums_over_all_pairs_that_may_stand() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 9)
    weights = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0, 1.0]])

    def stands(a: int, b: int) -> bool:
        """O B I E S B I E S, one pair by the words of the rule."""
        inside = a > 0 and (a - 1) % 4 in (0, 1)
        goes_on = b > 0 and (b - 1) % 4 in (1, 2)
        same = a > 0 and b > 0 and (a - 1) // 4 == (b - 1) // 4
        return (inside and goes_on and same) or (not inside and not goes_on)

    probs = logits.softmax(-1)
    costs = []
    for row in range(2):
        for at in range(4):
            if weights[row, at] and weights[row, at + 1]:
                fits = sum(
                    float(probs[row, at, a] * probs[row, at + 1, b])
                    for a in range(9)
                    for b in range(9)
                    if stands(a, b)
                )
                costs.append(-math.log(fits))
    assert float(broken_pairs(logits, weights)) == pytest.approx(sum(costs) / len(costs), rel=1e-4)
    whole = torch.full((1, 3, 9), -30.0)
    whole[0, 0, 1] = whole[0, 1, 2] = whole[0, 2, 3] = 30.0  # B I E
    assert float(broken_pairs(whole, torch.ones(1, 3))) == pytest.approx(0.0, abs=1e-5)
    assert float(broken_pairs(whole[:, [0, 2, 1]], torch.ones(1, 3))) > 5
    assert float(broken_pairs(whole[:, :1], torch.ones(1, 1))) == 0.0


def test_where_pairs_fit_the_best_tags_spell_whole_spans() -> None:
    from hanspan.decode import decode, spans_to_tags

    torch.manual_seed(1)
    logits = torch.randn(1, 40, 9).requires_grad_()
    step = torch.optim.Adam([logits], lr=0.1)

    def broken() -> int:
        values = logits.detach()[0].numpy()
        spans = decode([values], scores=False)[0]
        path = spans_to_tags(40, [(s.start, s.end, s.label) for s in spans])
        return int((values.argmax(-1) != path).sum())

    assert broken() > 10
    for _ in range(400):
        step.zero_grad()
        broken_pairs(logits, torch.ones(1, 40)).backward()
        step.step()
    assert broken() <= 1  # a pair of equal weights may stay
