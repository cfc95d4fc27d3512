from __future__ import annotations

import pytest
import torch

from mdsrec_pyg.nn.dropout import Dropout


@pytest.mark.parametrize("p", [0.3, 0.5, 0.001, 0.999])
def test_share_and_scale(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 301, requires_grad=True)
    out = Dropout(p)(x)
    kept = out != 0
    assert (~kept).double().mean().item() == pytest.approx(p, abs=1 / 256)
    assert out[kept].unique().numel() == 1
    assert out.mean().item() == pytest.approx(1, abs=0.01 if p < 0.9 else 0.1)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out)


def test_elements_are_independent_of_each_other() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(4096, 24)) != 0).double()
    correlation = torch.corrcoef(kept.t()) - torch.eye(24)
    assert correlation.abs().max() < 0.08  # five standard deviations


def test_seed_and_evaluation() -> None:
    x, drop = torch.ones(7, 3), Dropout(0.3)
    torch.manual_seed(1)
    first, second = drop(x), drop(x)
    torch.manual_seed(1)
    assert torch.equal(drop(x), first)
    assert not torch.equal(first, second)
    assert torch.equal(drop.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
