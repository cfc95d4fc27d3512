"""One score from the votes over all graphs, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mdsrec_pyg.nn import VoteFusion

VOTES = torch.tensor([[0.2, 0.0], [0.1, 0.3], [0.0, 0.0]])
LARGEST = torch.tensor([[0.2, 0.0], [0.05, 0.25], [0.0, 0.0]])


def moved(**options: Any) -> VoteFusion:
    fusion = VoteFusion(2, **options)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return fusion


def test_scores_by_hand() -> None:
    fusion = VoteFusion(2, hidden=2, scale=4.0)
    assert fusion.inner is not None
    assert fusion.outer is not None
    with torch.no_grad():
        fusion.inner.weight.copy_(torch.tensor([[1.0, -2.0, 0.0, 0.5], [0.0, 1.0, -1.0, 0.0]]))
        fusion.inner.bias.copy_(torch.tensor([0.5, -0.25]))
        fusion.outer.weight.copy_(torch.tensor([[2.0, -3.0]]))

    def e(x: float) -> float:
        return math.log(1 + x / 0.003)

    want = []
    for (v1, v2), (t1, t2) in zip(VOTES.tolist(), LARGEST.tolist(), strict=True):
        first = max(0.0, e(v1) - 2 * e(v2) + 0.5 * e(t2) + 0.5) - 0.5
        second = max(0.0, e(v2) - e(t1) - 0.25) - 0.0
        want.append(4.0 / 2 * (v1 + v2) + 2 * first - 3 * second)
    assert len({round(score, 3) for score in want}) == 3
    assert fusion(VOTES, LARGEST).tolist() == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("hidden", [0, 32])
def test_without_evidence_the_score_is_exactly_zero(hidden: int) -> None:
    """Among candidates with evidence, too, and it moves nothing that is learned."""
    fusion, some = moved(hidden=hidden), torch.rand(50, 2, generator=torch.manual_seed(0))
    some[::5] = 0.0
    score = fusion(some, some)
    assert score[::5].tolist() == [0.0] * 10
    assert score[some.any(1)].all()
    score[::5].sum().backward()
    assert not any(p.grad.any() for p in fusion.parameters() if p.grad is not None)


def test_hidden_0_is_the_plain_sum_and_all_start_there() -> None:
    plain = VoteFusion(2, hidden=0)
    assert [name for name, _ in plain.named_parameters()] == ["log_scale"]
    want = 10.0 * VOTES.mean(1)
    torch.testing.assert_close(plain(VOTES, LARGEST), want)
    torch.testing.assert_close(VoteFusion(2)(VOTES, LARGEST), want)
    fusion = moved()
    assert not torch.allclose(fusion(VOTES, LARGEST)[:2], want[:2])
    fusion.reset_parameters()
    torch.testing.assert_close(fusion(VOTES, LARGEST), want)


def test_every_input_and_every_option_counts() -> None:
    fusion = moved()
    score = fusion(VOTES, LARGEST)
    for m in range(2):
        more = VOTES.clone()
        more[:, m] += 0.1
        assert ((fusion(more, LARGEST) - score).abs() > 1e-3).all()
        more = LARGEST.clone()
        more[:, m] += 0.1
        assert ((fusion(VOTES, more) - score).abs() > 1e-3).any()
    torch.testing.assert_close(
        VoteFusion(2, scale=3.0)(VOTES, LARGEST), 0.3 * VoteFusion(2)(VOTES, LARGEST)
    )
    fusion = VoteFusion(3, hidden=7)
    assert fusion.inner is not None
    assert fusion.inner.weight.shape == (7, 6)
    assert "num_modalities=3, hidden=7" in repr(fusion)


def test_gradients_at_the_start_let_the_network_learn() -> None:
    fusion = VoteFusion(2)
    fusion(VOTES, LARGEST).sum().backward()
    assert fusion.outer is not None
    assert fusion.outer.weight.grad is not None
    assert fusion.outer.weight.grad.any()
    assert fusion.log_scale.grad is not None
    assert fusion.log_scale.grad > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_modalities": 0}, r"'num_modalities' must be at least 1 \(got 0\)"),
        ({"num_modalities": 2, "hidden": -1}, r"'hidden' must not be negative \(got -1\)"),
        ({"num_modalities": 2, "scale": 0.0}, r"'scale' must be positive \(got 0.0\)"),
        ({"num_modalities": 2, "scale": float("nan")}, "'scale' must be finite"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VoteFusion(**options)
