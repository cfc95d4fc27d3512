"""Cross-entropy of a model's own scores over the catalog, whole or in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.data.batch import LossPositions
from mdsrec_pyg.nn.losses.linear import most_scores

IGNORED = -100  # F.cross_entropy's own mark for positions without a target


def targets(batch: SequenceBatch) -> tuple[Tensor, Tensor]:
    """Targets [B, L] and which of them count [B, L]; an error where the batch has none."""
    if batch.target is None or batch.target_mask is None:
        raise ValueError("'batch' has no targets: use a SequenceLoader, not an evaluation batch")
    return batch.target, batch.target_mask


def masked_target(batch: SequenceBatch) -> Tensor:
    """Targets [B, L] with the positions that do not count marked as ignored."""
    target, counts = targets(batch)
    return target.masked_fill(~counts, IGNORED)


def loss_positions(batch: SequenceBatch) -> LossPositions:
    """Where the batch counts: what was collated, else looked for here; an error where nowhere."""
    found = batch.positions
    if found is None:
        _, counts = targets(batch)
        place = counts.flatten().nonzero()[:, 0]
        count = torch.tensor(float(len(place)), device=place.device)
        found = LossPositions(place, count, number=len(place))
    if found.number == 0:
        raise ValueError("'batch' has no position that counts in the loss")
    return found


def count_positions(batch: SequenceBatch) -> Tensor:
    """Number of positions that count, a scalar; an error where there are none for a mean."""
    return loss_positions(batch).count


def cross_entropy_sum(scores: Tensor, target: Tensor) -> Tensor:
    """Sum of the cross-entropy over all positions that count, in float32.

    Scores that an autocast has rounded to bfloat16 stay as coarse as they are: make them by
    :func:`~mdsrec_pyg.nn.losses.linear.inner_products`.

    Args:
        scores: [B, L, N].
        target: [B, L], ignored positions marked.
    """
    return F.cross_entropy(
        scores.flatten(0, 1).float(), target.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def blocks(batch: SequenceBatch, num_items: int, max_scores: int) -> Iterator[SequenceBatch]:
    """Cuts a batch into blocks of sequences that need at most ``max_scores`` scores each.

    A single sequence is never cut, so a block may hold up to L x N scores.
    """
    rows = max(1, max_scores // max(1, batch.item_id.size(1) * num_items))
    for start in range(0, len(batch), rows):
        part = slice(start, start + rows)
        yield SequenceBatch(
            item_id=batch.item_id[part],
            mask=batch.mask[part],
            user_id=batch.user_id[part],
            target=None if batch.target is None else batch.target[part],
            target_mask=None if batch.target_mask is None else batch.target_mask[part],
        )


def full_cross_entropy(
    loss_sum: Callable[[SequenceBatch], Tensor],
    batch: SequenceBatch,
    num_items: int,
    max_scores: int | None = None,
) -> Tensor:
    r"""Mean cross-entropy over the whole catalog at every position that counts.

    .. math::
        \mathcal{L} = -\frac{1}{P} \sum_{p=1}^{P} \log
        \frac{\exp s(p, y_p)}{\sum_{j=1}^{N} \exp s(p, j)}

    For scores of any kind; inner products have a faster form,
    :func:`~mdsrec_pyg.nn.losses.linear.linear_cross_entropy`.
    Where all scores fit into ``max_scores`` this is one plain pass. Beyond that the batch is
    taken in blocks whose scores are computed again in the backward pass (gradient
    checkpointing): exact, in the memory of one block.

    Args:
        loss_sum: Sum of the losses of (a part of) a batch.
        batch: A batch with targets.
        num_items: N.
        max_scores: Most scores held at once; beyond, each is computed twice. Default: see
            :func:`~mdsrec_pyg.nn.losses.linear.most_scores`.
    """
    positions = count_positions(batch)
    max_scores = most_scores(batch.mask.device) if max_scores is None else max_scores
    parts = list(blocks(batch, num_items, max_scores))
    if len(parts) == 1:
        return loss_sum(batch) / positions
    losses = [checkpoint(loss_sum, part, use_reentrant=False) for part in parts]
    return torch.stack(losses).sum() / positions
