"""The sampled softmax: what is drawn, its correction, and the cross-entropy over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.nn import SampledCandidates
from mdsrec_pyg.nn.losses import (
    SHARED_BY,
    linear_cross_entropy,
    num_groups,
    sampled_cross_entropy,
)

N, P, D, H = 11, 5, 3, 4
TARGET = torch.tensor([3, 0, 7, 3, 10])


def probability() -> Tensor:
    weight = torch.arange(1.0, N + 1)
    return weight / weight.sum()


def draw(
    num_negatives: int, groups: int = 1, seed: int = 0, q: Tensor | None = None
) -> SampledCandidates:
    torch.manual_seed(seed)
    return SampledCandidates(num_negatives, probability() if q is None else q, groups)


def given(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Users, items, targets, history (the target is in it, too) and its biases."""
    generator = torch.Generator().manual_seed(seed)
    history = torch.randint(0, N, (P, H), generator=generator)
    history[:, 0] = TARGET
    parts = (torch.randn(*size, generator=generator) for size in ((P, D), (N, D), (P, H)))
    users, items, bias = parts
    return users, items, TARGET, history, bias


class TestCandidates:
    def test_each_group_has_its_own(self) -> None:
        sample = draw(20, groups=3)
        assert sample.item_id.shape == sample.log_p.shape == (3, 20)
        assert not torch.equal(sample.item_id[0], sample.item_id[1])
        columns = sample.column(torch.arange(N).expand(3, 2, N))
        for items, log_p, column in zip(sample.item_id, sample.log_p, columns[:, 1], strict=True):
            found = items.tolist()
            assert found == sorted(found)
            for place, item in enumerate(found):
                assert (log_p[place] == torch.inf) == (found.index(item) < place)
            want = [found.index(item) if item in found else 20 for item in range(N)]
            assert column.tolist() == want
        assert (columns == 20).any()

    def test_positions_share_a_draw_in_groups(self) -> None:
        found = [num_groups(p) for p in (1, 2, SHARED_BY, SHARED_BY + 1, 10 * SHARED_BY)]
        assert found == [1, 1, 1, 2, 10]

    def test_log_p_by_hand(self) -> None:
        sample = draw(3, groups=2, seed=1)
        first = sample.log_p.isfinite()
        want = torch.log(1 - (1 - probability()[sample.item_id[first]]) ** 3)
        torch.testing.assert_close(sample.log_p[first], want)

    @pytest.mark.parametrize("groups", [1, P])
    def test_estimates_the_denominator_without_bias(self, groups: int) -> None:
        scores = torch.randn(P, N, generator=torch.Generator().manual_seed(0))
        own = scores.gather(1, TARGET[:, None]).view(groups, -1)
        target, total, draws = TARGET.view(groups, -1), torch.zeros(P), 4_000
        table = scores.view(groups, -1, N)
        torch.manual_seed(0)
        for _ in range(draws):
            sample = SampledCandidates(5, probability(), groups)
            drawn = sample.item_id[:, None].expand(-1, table.size(1), -1)
            terms = sample.correct(table.gather(2, drawn), own, target)
            total += terms.exp().sum(-1).flatten()
        torch.testing.assert_close(total / draws, scores.exp().sum(-1), rtol=0.03, atol=0)

    def test_a_target_keeps_its_score_and_is_no_negative(self) -> None:
        sample = draw(1, q=F.one_hot(torch.tensor(3), N).float())
        own, inf = torch.arange(5.0)[None], -torch.inf
        corrected = sample.correct(torch.full((1, P, 1), 9.0), own, TARGET[None])
        want = [[[0, inf], [1, 9], [2, 9], [3, inf], [4, 9]]]
        torch.testing.assert_close(corrected, torch.tensor(want, dtype=torch.float32))

    def test_scores_of_less_precision_are_corrected(self) -> None:
        sample, scores, target = draw(6), torch.randn(1, P, 6), TARGET[None]
        corrected = sample.correct(scores.bfloat16(), scores[..., 0].bfloat16(), target)
        assert corrected.dtype == torch.float32
        want = sample.correct(scores, scores[..., 0], target)
        torch.testing.assert_close(corrected, want, rtol=0.01, atol=0.02)

    def test_probability_decides_what_is_drawn(self) -> None:
        torch.manual_seed(0)
        counts = torch.zeros(N)
        for _ in range(300):
            counts[SampledCandidates(1, probability()).item_id[0]] += 1
        torch.testing.assert_close(counts / 300, probability(), atol=0.07, rtol=0)

    def test_error(self) -> None:
        with pytest.raises(ValueError, match=r"'num_negatives' must be at least 1 \(got 0\)"):
            SampledCandidates(0, probability())


def by_hand(
    parts: tuple[Tensor, ...], sample: SampledCandidates, num_negatives: int, shared_by: int
) -> Iterator[Tensor]:
    users, items, target, history, bias = parts
    for p in range(P):
        scores = users[p] @ items.t()
        for item, value in zip(history[p].tolist(), bias[p], strict=True):
            scores[item] += value
        z, group = scores[target[p]].exp(), p // shared_by
        for item in set(sample.item_id[group].tolist()) - {int(target[p])}:
            z = z + scores[item].exp() / (1 - (1 - probability()[item]) ** num_negatives)
        yield z.log() - scores[target[p]]


class TestCrossEntropy:
    @pytest.mark.parametrize("shared_by", [2, 64])
    @pytest.mark.parametrize("with_history", [True, False])
    def test_everything_drawn_is_the_full_softmax(self, with_history: bool, shared_by: int) -> None:
        users, items, target, history, bias = given()
        extra: Any = (history, bias) if with_history else (None, None)
        sample = draw(2_000, num_groups(P, shared_by), q=torch.full((N,), 1 / N))
        weight = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5])
        for x in (users, items, bias):
            x.requires_grad_()
        grads = []
        for loss in (
            sampled_cross_entropy(
                users, items, target, extra[0], extra[1], sample, weight, shared_by
            ),
            linear_cross_entropy(users, items, target, extra[0], extra[1], weight=weight),
        ):
            wanted = (users, items, bias) if with_history else (users, items)
            grads.append([loss.detach(), *torch.autograd.grad(loss, wanted)])
        for found, want in zip(*grads, strict=True):
            torch.testing.assert_close(found, want)

    @pytest.mark.parametrize("shared_by", [1, 2, 3, P, 64])
    def test_by_hand(self, shared_by: int) -> None:
        parts, groups = given(shared_by), num_groups(P, shared_by)
        sample = draw(4, groups, seed=shared_by)
        want = torch.stack(list(by_hand(parts, sample, 4, shared_by)))
        found = sampled_cross_entropy(*parts, sample, shared_by=shared_by)
        torch.testing.assert_close(found, want.sum())
        weight = torch.arange(1.0, P + 1)
        found = sampled_cross_entropy(*parts, sample, weight, shared_by)
        torch.testing.assert_close(found, (want * weight).sum())
        # The bias of what was not drawn goes nowhere.
        assert (sample.column(parts[3].expand(groups, P, H)) == 4).any()

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

    def test_an_autocast_rounds_the_vectors_only(self) -> None:
        parts, sample = given(), draw(4)
        users, items = (part.bfloat16().float() for part in parts[:2])
        want = sampled_cross_entropy(users, items, *parts[2:], sample)
        with torch.autocast("cpu", torch.bfloat16):
            found = sampled_cross_entropy(*parts, sample)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, want, rtol=0.01, atol=0.01)
