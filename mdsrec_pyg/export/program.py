"""The program that is exported: histories in, the best items and their scores out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Program"]


class Program(nn.Module):
    r"""The k best items of histories, in operators of fixed shapes only.

    Args:
        scores: A module from item ids :math:`(B, L)` and mask :math:`(B, L)` to scores
            :math:`(B, N)`.
        num_items: N.
        k: Items a history.
        exclude_seen: Whether items of the history are left out. Where fewer than ``k`` are left,
            the last scores are minus infinity.

    Shapes:
        - **input:** item ids :math:`(B, L)`, int64, left-padded, newest last; mask :math:`(B, L)`,
          bool, True where an item stands. L may be longer than what the model reads.
        - **output:** items :math:`(B, k)`, int64, best first, equal scores by the lower index;
          their scores :math:`(B, k)`, float32.

    Raises:
        ValueError: ``k`` is below 1 or above N.
    """

    def __init__(self, scores: nn.Module, num_items: int, k: int, exclude_seen: bool) -> None:
        super().__init__()
        if not 1 <= k <= num_items:
            raise ValueError(f"'k' must be from 1 to the number of items, {num_items} (got {k})")
        self.scores, self.num_items = scores, num_items
        self.k, self.exclude_seen = k, exclude_seen
        #: ONNX's TopK promises the lower index among equal scores, PyTorch's promises nothing.
        self.stable_topk = False

    def forward(self, item_id: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Items and their scores."""
        scores = self.scores(item_id, mask).float()
        if self.exclude_seen:
            # Added, not put: of padding, which may name any item, zero is added.
            seen = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(mask, -torch.inf)
            scores = scores.scatter_add(1, item_id, seen)
        if self.stable_topk:
            score, item = scores.topk(self.k, dim=1)
            return item, score
        item = largest(scores, self.k)
        return item, scores.gather(1, item)

    def extra_repr(self) -> str:
        """Shows the settings."""
        return f"num_items={self.num_items}, k={self.k}, exclude_seen={self.exclude_seen}"


def largest(scores: Tensor, k: int) -> Tensor:
    """Indices of the k largest scores of each row, best first; equal scores: the lower index.

    Score and index become one whole number, of which no two are equal: the bits of a float rank
    as the float does, those of a negative one backward.

    Args:
        scores: float32 ``[B, N]``, no NaN.
        k: From 1 to N.
    """
    bits = (scores + 0.0).view(torch.int32)  # -0. is 0.
    rank = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    size = scores.size(1)
    last = torch.arange(size - 1, -1, -1, device=scores.device)  # the lower index is the larger
    key = (rank << 32) | last
    return size - 1 - (key.topk(k, dim=1).values & 0xFFFFFFFF)
