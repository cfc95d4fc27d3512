from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import full_cross_entropy
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
