"""Numbers by hand."""

import math

import pytest
import torch

from webfarer.algo import nll, warmup_cosine


def test_nll_is_a_sum_and_what_to_divide_it_by():
    # By hand: 0.5 + 0.25 from the first row, 2.0 from the second; three tokens.
    logprobs_BT = torch.tensor([[-0.5, -9.0, -0.25], [-2.0, -9.0, -9.0]])
    mask_BT = torch.tensor([[1, 0, 1], [1, 0, 0]])
    total, count = nll(logprobs_BT, mask_BT)
    assert total.item() == pytest.approx(2.75)
    assert count.item() == 3


def test_nll_weighs_sequences_in_the_sum_and_the_normaliser():
    # By hand: 2 x 0.75 + 0.5 x 2.0 = 2.5; 2 x 2 + 0.5 x 1 = 4.5.
    logprobs_BT = torch.tensor([[-0.5, -9.0, -0.25], [-2.0, -9.0, -9.0]])
    mask_BT = torch.tensor([[1, 0, 1], [1, 0, 0]])
    total, count = nll(logprobs_BT, mask_BT, torch.tensor([2.0, 0.5]))
    assert total.item() == pytest.approx(2.5)
    assert count.item() == pytest.approx(4.5)


def test_micro_batches_add_up_to_the_whole():
    logprobs_BT = -torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    mask_BT = (torch.arange(24).view(4, 6) % 5 < 2).int()
    total, count = nll(logprobs_BT, mask_BT)
    halves = [nll(logprobs_BT[rows], mask_BT[rows]) for rows in (slice(0, 1), slice(1, 4))]
    assert sum(half[0] for half in halves).item() == pytest.approx(total.item())
    assert sum(half[1] for half in halves).item() == count.item()


def test_what_is_masked_has_no_say_and_no_gradient_even_where_it_is_infinite():
    logprobs_BT = torch.tensor([[-1.0, -math.inf, math.nan]], requires_grad=True)
    total, _ = nll(logprobs_BT, torch.tensor([[1, 0, 0]]))
    total.backward()
    assert total.item() == 1.0
    assert logprobs_BT.grad is not None
    assert logprobs_BT.grad.tolist() == [[-1.0, 0.0, 0.0]]


def test_nll_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match="mask_BT"):
        nll(torch.zeros(2, 3), torch.zeros(2, 4))


def test_warmup_then_cosine():
    # By hand, for warm-up 2 of 6 steps, peak 1, floor 0.2: half of the peak, the peak, then
    # 0.2 + 0.8 x (1 + cos(pi x k / 4)) / 2 for k = 0, 1, 2, 3.
    rates = [warmup_cosine(step, 2, 6, 1.0, 0.2) for step in range(6)]
    root = math.sqrt(0.5)
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.6 + 0.4 * root, 0.6, 0.6 - 0.4 * root])
    assert warmup_cosine(6, 2, 6, 1.0, 0.2) == pytest.approx(0.2)


def test_schedule_edges():
    assert warmup_cosine(0, 0, 1, 3.0, 0.0) == 3.0
    assert warmup_cosine(0, 1, 1, 3.0, 0.0) == 3.0
    with pytest.raises(ValueError, match="warm-up"):
        warmup_cosine(0, 5, 4, 1.0, 0.0)
