"""The sampled softmax: what is drawn, its correction, and the cross-entropy over it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.nn import SampledCandidates
from mdsrec_pyg.nn.losses import linear_cross_entropy, sampled_cross_entropy

N, P, D, H = 11, 5, 3, 4
TARGET = torch.tensor([3, 0, 7, 3, 10])


def probability() -> Tensor:
    weight = torch.arange(1.0, N + 1)
    return weight / weight.sum()


def draw(num_negatives: int, seed: int = 0, q: Tensor | None = None) -> SampledCandidates:
    torch.manual_seed(seed)
    return SampledCandidates(num_negatives, probability() if q is None else q)


def given(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Users, items, targets, history (the target is in it, too) and its biases."""
    generator = torch.Generator().manual_seed(seed)
    history = torch.randint(0, N, (P, H), generator=generator)
    history[:, 0] = TARGET
    parts = (torch.randn(*size, generator=generator) for size in ((P, D), (N, D), (P, H)))
    users, items, bias = parts
    return users, items, TARGET, history, bias


class TestCandidates:
    def test_a_column_is_where_an_item_first_stands(self) -> None:
        sample = draw(20)
        items = sample.item_id.tolist()
        assert len(items) == 20
        for column, item in enumerate(items):
            assert sample.column[item] == items.index(item)
            assert (sample.log_p[column] == torch.inf) == (items.index(item) < column)
        assert (sample.column >= 0).sum() == len(set(items)) < 20

    def test_log_p_by_hand(self) -> None:
        sample = draw(3, seed=1)
        first = sample.log_p.isfinite()
        want = torch.log(1 - (1 - probability()[sample.item_id[first]]) ** 3)
        torch.testing.assert_close(sample.log_p[first], want)

    def test_estimates_the_denominator_without_bias(self) -> None:
        scores = torch.randn(P, N, generator=torch.Generator().manual_seed(0))
        own, total, draws = scores.gather(1, TARGET[:, None])[:, 0], torch.zeros(P), 4_000
        torch.manual_seed(0)
        for _ in range(draws):
            sample = SampledCandidates(5, probability())
            total += sample.correct(scores[:, sample.item_id], own, TARGET).exp().sum(-1)
        torch.testing.assert_close(total / draws, scores.exp().sum(-1), rtol=0.03, atol=0)

    def test_a_target_keeps_its_score_and_is_no_negative(self) -> None:
        sample = draw(1, q=F.one_hot(torch.tensor(3), N).float())
        own, inf = torch.arange(5.0), -torch.inf
        corrected = sample.correct(torch.full((P, 1), 9.0), own, TARGET)
        want = [[0, inf], [1, 9], [2, 9], [3, inf], [4, 9]]
        torch.testing.assert_close(corrected, torch.tensor(want, dtype=torch.float32))

    def test_scores_of_less_precision_are_corrected(self) -> None:
        sample, scores = draw(6), torch.randn(P, 6)
        corrected = sample.correct(scores.bfloat16(), scores[:, 0].bfloat16(), TARGET)
        assert corrected.dtype == torch.float32
        want = sample.correct(scores, scores[:, 0], TARGET)
        torch.testing.assert_close(corrected, want, rtol=0.01, atol=0.02)

    def test_probability_decides_what_is_drawn(self) -> None:
        torch.manual_seed(0)
        counts = torch.zeros(N)
        for _ in range(300):
            counts[SampledCandidates(1, probability()).item_id] += 1
        torch.testing.assert_close(counts / 300, probability(), atol=0.07, rtol=0)

    def test_error(self) -> None:
        with pytest.raises(ValueError, match=r"'num_negatives' must be at least 1 \(got 0\)"):
            SampledCandidates(0, probability())


class TestCrossEntropy:
    @pytest.mark.parametrize("with_history", [True, False])
    def test_everything_drawn_is_the_full_softmax(self, with_history: bool) -> None:
        users, items, target, history, bias = given()
        extra = (history, bias) if with_history else (None, None)
        sample = draw(5_000, q=torch.full((N,), 1 / N))
        weight = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5])
        for x in (users, items, bias):
            x.requires_grad_()
        grads = []
        for loss in (
            sampled_cross_entropy(users, items, target, *extra, sample, weight),
            linear_cross_entropy(users, items, target, *extra, weight=weight),
        ):
            wanted = (users, items, bias) if with_history else (users, items)
            grads.append([loss.detach(), *torch.autograd.grad(loss, wanted)])
        for found, want in zip(*grads, strict=True):
            torch.testing.assert_close(found, want)

    @pytest.mark.parametrize("seed", range(5))
    def test_by_hand(self, seed: int) -> None:
        users, items, target, history, bias = given(seed)
        sample, total = draw(4, seed), 0.0
        for p in range(P):
            scores = users[p] @ items.t()
            for item, value in zip(history[p].tolist(), bias[p], strict=True):
                scores[item] += value
            z = scores[target[p]].exp()
            for item in set(sample.item_id.tolist()) - {int(target[p])}:
                z = z + scores[item].exp() / (1 - (1 - probability()[item]) ** 4)
            total = total + z.log() - scores[target[p]]
        found = sampled_cross_entropy(users, items, target, history, bias, sample)
        torch.testing.assert_close(found, torch.as_tensor(total))
        outside = sample.column[history] < 0
        assert outside.any()  # the bias of what was not drawn goes nowhere

    def test_only_what_was_drawn_and_the_targets_learn(self) -> None:
        users, items, target, _, _ = given()
        items.requires_grad_()
        sample = draw(2)
        sampled_cross_entropy(users, items, target, None, None, sample).backward()
        assert items.grad is not None
        assert items.grad.isfinite().all()
        learns = torch.zeros(N, dtype=torch.bool)
        learns[sample.item_id] = learns[target] = True
        assert not learns.all()
        assert torch.equal(items.grad.any(1), learns)
