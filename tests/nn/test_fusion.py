from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mdsrec_pyg.nn import GumbelFusion


@pytest.fixture
def users() -> Tensor:
    return torch.randn(4, 5, 3, 6, generator=torch.Generator().manual_seed(0))


def make(perturb=None, **options) -> GumbelFusion:
    fusion = GumbelFusion(6, 3, **options)
    if perturb is not None:
        perturb(fusion)
    return fusion


@pytest.mark.parametrize("mode", ["gumbel", "softmax", "mean"])
def test_weights_sum_to_one_and_start_equal(users: Tensor, perturb, mode: str) -> None:
    start = make(mode=mode).eval()(users)
    torch.testing.assert_close(start, torch.full((4, 5, 3), 1 / 3))
    weights = make(perturb, mode=mode).train()(users)
    assert weights.shape == (4, 5, 3)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 5))


def test_inference_is_the_softmax_of_the_gate(users: Tensor, perturb) -> None:
    fusion = make(perturb, temperature=0.5).eval()
    logits = torch.cat(users.unbind(2), -1) @ fusion.gate.weight.t() + fusion.gate.bias
    torch.testing.assert_close(fusion.logits(users), logits)
    expected = torch.exp(2 * logits) / torch.exp(2 * logits).sum(-1, keepdim=True)
    torch.testing.assert_close(fusion(users), expected)
    assert torch.equal(fusion(users), fusion(users))


def test_noise_in_training_only(users: Tensor, perturb) -> None:
    fusion = make(perturb)
    assert not torch.equal(fusion(users), fusion(users))
    fusion.eval()
    assert torch.equal(fusion(users), fusion(users))


def test_noise_is_gumbel(perturb) -> None:
    """Argmax of logits plus Gumbel noise falls on m with probability softmax(logits)_m."""
    fusion = make(perturb, temperature=0.01)
    one = torch.randn(6 * 3, generator=torch.Generator().manual_seed(2)).view(1, 3, 6)
    torch.manual_seed(0)
    picked = fusion(one.expand(20_000, 3, 6)).argmax(-1)
    share = torch.bincount(picked, minlength=3) / 20_000
    torch.testing.assert_close(share, fusion.logits(one)[0].softmax(0), atol=0.015, rtol=0)


def test_modes_differ(users: Tensor, perturb) -> None:
    gumbel, softmax, mean = (make(perturb, mode=m) for m in ("gumbel", "softmax", "mean"))
    assert torch.equal(mean(users), torch.full((4, 5, 3), 1 / 3))
    assert torch.equal(softmax(users), softmax.eval()(users))
    assert not torch.allclose(softmax(users), mean(users), atol=1e-2)
    assert torch.equal(gumbel.eval()(users), softmax(users))


@pytest.mark.parametrize("training", [True, False])
def test_a_low_temperature_decides(users: Tensor, perturb, training: bool) -> None:
    strongest = []
    for temperature in (0.05, 1.0, 20.0):
        torch.manual_seed(0)
        fusion = make(perturb, temperature=temperature).train(training)
        strongest.append(fusion(users).max(-1).values.mean().item())
    assert strongest[0] > 0.9
    assert strongest[0] > strongest[1] > strongest[2]
    assert strongest[2] < 0.4


def test_gradient_reaches_gate_and_users(users: Tensor, perturb) -> None:
    fusion = make(perturb)
    users = users.clone().requires_grad_()
    fusion(users)[..., 0].sum().backward()
    assert users.grad is not None
    assert users.grad.any()
    assert fusion.gate.weight.grad is not None
    assert fusion.gate.weight.grad.any()


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"'temperature' must be positive and finite \(got 0\)"):
        make(temperature=0)
    with pytest.raises(ValueError, match="'mode' must be 'gumbel', 'softmax' or 'mean'"):
        make(mode="max")
