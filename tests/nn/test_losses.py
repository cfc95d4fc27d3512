from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import SampledCandidates, full_cross_entropy
from mdsrec_pyg.nn.losses.cross_entropy import IGNORED, blocks, cross_entropy_sum, masked_target

N, B, L, D = 11, 7, 4, 3


@pytest.fixture
def batch() -> SequenceBatch:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(L) >= torch.randint(0, L, (B, 1), generator=generator)
    return SequenceBatch(
        item_id=torch.randint(0, N, (B, L), generator=generator) * mask,
        mask=mask,
        user_id=torch.arange(B),
        target=torch.randint(0, N, (B, L), generator=generator) * mask,
        target_mask=mask & (torch.rand(B, L, generator=generator) < 0.8),
    )


class Scorer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.item = nn.Parameter(torch.randn(N, D))
        self.rows: list[int] = []

    def scores(self, batch: SequenceBatch) -> Tensor:
        return self.item[batch.item_id] @ self.item.t()

    def loss_sum(self, batch: SequenceBatch) -> Tensor:
        self.rows.append(len(batch))
        return cross_entropy_sum(self.scores(batch), masked_target(batch))


def test_cross_entropy_by_hand() -> None:
    scores = torch.tensor([[[0.0, 1.0, 2.0], [3.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])
    target = torch.tensor([[1, IGNORED, 2]])
    first = torch.tensor([1, torch.e, torch.e**2]).sum().log() - 1
    assert cross_entropy_sum(scores, target) == pytest.approx(float(first + torch.tensor(3).log()))


def test_masked_target_marks_what_does_not_count(batch: SequenceBatch) -> None:
    target = masked_target(batch)
    assert batch.target is not None
    assert batch.target_mask is not None
    assert torch.equal(target[batch.target_mask], batch.target[batch.target_mask])
    assert (target[~batch.target_mask] == IGNORED).all()


def test_full_cross_entropy_is_the_mean_over_positions(batch: SequenceBatch) -> None:
    model = Scorer()
    loss = full_cross_entropy(model.loss_sum, batch, N)
    assert batch.target is not None
    rows = [
        -torch.log_softmax(model.scores(batch)[b, t], 0)[batch.target[b, t]]
        for b in range(B)
        for t in range(L)
        if batch.target_mask is not None and batch.target_mask[b, t]
    ]
    torch.testing.assert_close(loss, torch.stack(rows).mean())
    assert model.rows == [B]


@pytest.mark.parametrize(("max_scores", "rows"), [(1, 1), (2 * L * N, 2), (4 * L * N, 4)])
def test_blocks_are_exact(batch: SequenceBatch, max_scores: int, rows: int) -> None:
    whole, parts = Scorer(), Scorer()
    loss = full_cross_entropy(whole.loss_sum, batch, N)
    blocked = full_cross_entropy(parts.loss_sum, batch, N, max_scores)
    forward = [min(rows, B - start) for start in range(0, B, rows)]
    assert parts.rows == forward
    torch.testing.assert_close(blocked, loss, rtol=1e-5, atol=1e-6)
    loss.backward()
    blocked.backward()
    assert len(parts.rows) == 2 * len(forward)  # computed again, not kept
    torch.testing.assert_close(parts.item.grad, whole.item.grad, rtol=1e-5, atol=1e-6)


def test_blocks_hold_every_row_once(batch: SequenceBatch) -> None:
    parts = list(blocks(batch, N, 3 * L * N))
    assert [len(part) for part in parts] == [3, 3, 1]
    for name in ("item_id", "mask", "user_id", "target", "target_mask"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(batch, name))


def test_a_batch_without_targets_is_an_error(batch: SequenceBatch) -> None:
    model = Scorer()
    bare = SequenceBatch(batch.item_id, batch.mask, batch.user_id)
    with pytest.raises(ValueError, match="'batch' has no targets: use a SequenceLoader"):
        full_cross_entropy(model.loss_sum, bare, N)
    batch.target_mask = torch.zeros_like(batch.mask)
    with pytest.raises(ValueError, match="no position that counts"):
        full_cross_entropy(model.loss_sum, batch, N)


class TestSampled:
    target = torch.tensor([[3, IGNORED, 0], [7, 3, 10]])

    def probability(self) -> Tensor:
        weight = torch.arange(1.0, N + 1)
        return weight / weight.sum()

    def test_candidates(self) -> None:
        torch.manual_seed(0)
        sample = SampledCandidates(self.target, 4, self.probability())
        assert {0, 3, 7, 10} <= set(sample.item_id.tolist())
        assert len(sample.item_id) == 8  # four targets, four draws
        items = sample.item_id.tolist()
        for column, item in enumerate(items):
            assert sample.column[item] == items.index(item)
            if items.index(item) < column:  # drawn again, or a target
                assert sample.log_p[column] == torch.inf
        assert (sample.column >= 0).sum() == len(set(items))
        counted = self.target != IGNORED
        assert torch.equal(sample.item_id[sample.target[counted]], self.target[counted])
        assert (sample.target[~counted] == IGNORED).all()

    def test_log_p_by_hand(self) -> None:
        torch.manual_seed(1)
        q = self.probability()
        sample = SampledCandidates(self.target, 3, q)
        drawn = sample.log_p.isfinite()
        assert drawn.any()
        assert not drawn.all()  # targets that were not drawn
        want = torch.log(1 - (1 - q[sample.item_id[drawn]]) ** 3)
        torch.testing.assert_close(sample.log_p[drawn], want)

    def test_estimates_the_denominator_without_bias(self) -> None:
        q, generator = self.probability(), torch.Generator().manual_seed(0)
        scores = torch.randn(2, 3, N, generator=generator)
        torch.manual_seed(0)
        total, draws = torch.zeros(2, 3), 4_000
        for _ in range(draws):
            sample = SampledCandidates(self.target, 5, q)
            total += sample.correct(scores[:, :, sample.item_id]).exp().sum(-1)
        counted = self.target != IGNORED
        full = scores.exp().sum(-1)
        torch.testing.assert_close((total / draws)[counted], full[counted], rtol=0.03, atol=0)

    def test_a_target_keeps_its_score_and_others_count_only_if_drawn(self) -> None:
        q = torch.zeros(N)
        q[5] = 1.0
        sample = SampledCandidates(self.target, 1, q)
        assert sample.item_id.tolist() == [0, 3, 7, 10, 5]
        corrected = sample.correct(torch.arange(5.0).expand(2, 3, 5))
        inf = -torch.inf
        assert corrected[0, 0].tolist() == pytest.approx([inf, 1, inf, inf, 4])
        assert corrected[1, 0].tolist() == pytest.approx([inf, inf, 2, inf, 4])

    def test_what_fills_the_shape_is_no_candidate(self) -> None:
        torch.manual_seed(0)
        bare = SampledCandidates(self.target, 4, self.probability())
        torch.manual_seed(0)
        distinct = torch.tensor([0, 3, 7, 10, -1, -1])
        filled = SampledCandidates(self.target, 4, self.probability(), distinct)
        assert len(filled.item_id) == len(bare.item_id) + 2
        scores = torch.randn(2, 3, N)
        losses = [
            cross_entropy_sum(sample.correct(scores[:, :, sample.item_id]), sample.target)
            for sample in (bare, filled)
        ]
        torch.testing.assert_close(*losses)

    def test_scores_of_less_precision_are_corrected(self) -> None:
        sample = SampledCandidates(self.target, 6, self.probability())
        scores = torch.randn(2, 3, len(sample.item_id))
        corrected = sample.correct(scores.bfloat16())
        assert corrected.dtype == torch.float32
        torch.testing.assert_close(corrected, sample.correct(scores), rtol=0.01, atol=0.02)

    def test_probability_decides_what_is_drawn(self) -> None:
        target = torch.full((1, 1), IGNORED)
        torch.manual_seed(0)
        counts = torch.zeros(N)
        for _ in range(300):
            counts[SampledCandidates(target, 1, self.probability()).item_id] += 1
        torch.testing.assert_close(counts / 300, self.probability(), atol=0.07, rtol=0)

    def test_gradient_flows(self) -> None:
        scores = torch.randn(2, 3, N, requires_grad=True)
        torch.manual_seed(0)
        sample = SampledCandidates(self.target, 6, self.probability())
        loss = cross_entropy_sum(sample.correct(scores[:, :, sample.item_id]), sample.target)
        loss.backward()
        assert scores.grad is not None
        assert scores.grad.isfinite().all()
        for b, t in (self.target != IGNORED).nonzero().tolist():
            assert scores.grad[b, t, self.target[b, t]] < 0
        assert not scores.grad[0, 1].any()  # does not count
        outside = torch.ones(N, dtype=torch.bool)
        outside[sample.item_id] = False
        assert not scores.grad[:, :, outside].any()

    def test_error(self) -> None:
        with pytest.raises(ValueError, match=r"'num_negatives' must be at least 1 \(got 0\)"):
            SampledCandidates(self.target, 0, F.softmax(torch.ones(N), 0))
