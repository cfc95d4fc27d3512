"""Trainable item vectors: ID embeddings and projected modal features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdsrec_pyg.configs import check_finite


class ItemIDs(nn.Module):
    """One free vector an item.

    Args:
        num_items: N.
        channels: D.
        std: Standard deviation at the start. PyTorch's default of 1 makes the inner products
            huge and costs much accuracy; SASRec's own is .02. (default: ``0.02``)
    """

    def __init__(self, num_items: int, channels: int, std: float = 0.02) -> None:
        super().__init__()
        if not 0 <= std < math.inf:
            raise ValueError(f"'std' must be finite and not negative (got {std})")
        self.std = std
        self.weight = nn.Parameter(torch.empty(num_items, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal with a small deviation."""
        nn.init.normal_(self.weight, std=self.std)

    def forward(self) -> Tensor:
        """Item vectors [N, D]."""
        return self.weight

    def extend(self, num_items: int) -> None:
        """Takes in further items, whose vectors are zero: nobody has trained them."""
        with torch.no_grad():
            weight = torch.cat([self.weight, self.weight.new_zeros(num_items, self.weight.size(1))])
        self.weight = nn.Parameter(weight, requires_grad=self.weight.requires_grad)


class FeatureProjection(nn.Module):
    r"""Projects the frozen features of one modality, :math:`s \cdot \mathbf{W} \mathbf{x}_i`.

    Rows of zeros (items without the modality) stay zero, and are left out of the product.

    Args:
        x: Scaled features [N, F].
        channels: D.
        scale: s; the projection starts beside ID embeddings of deviation .02, which a full-size
            one would drown. (default: ``0.1``)

    Shapes:
        - **output:** item vectors :math:`(N, D)`
    """

    x: Tensor
    present: Tensor | None

    def __init__(self, x: Tensor, channels: int, scale: float = 0.1) -> None:
        super().__init__()
        check_finite(scale=scale)
        self.scale = scale
        self.num_items = len(x)
        # On the meta device nothing can be looked at: the contents are loaded later.
        present = None if x.is_meta or x.any(1).all() else x.any(1).nonzero()[:, 0]
        self.register_buffer("x", x if present is None else x[present], persistent=False)
        self.register_buffer("present", present, persistent=False)
        self.linear = nn.Linear(x.size(1), channels, bias=False)

    def forward(self) -> Tensor:
        """Projected features [N, D]."""
        projected = self.scale * self.linear(self.x)
        if self.present is None:
            return projected
        table = projected.new_zeros(self.num_items, projected.size(1))
        return table.index_copy(0, self.present, projected)

    def extend(self, x: Tensor) -> None:
        """Takes in further items: scaled features [n, F], rows of zeros where they are missing."""
        x = x.to(self.x)
        there = x.any(1)
        if self.present is not None or not there.all():
            old = self.present
            if old is None:
                old = torch.arange(self.num_items, device=x.device)
            self.present = torch.cat([old, self.num_items + there.nonzero()[:, 0]])
        self.x = torch.cat([self.x, x[there]])
        self.num_items += len(x)


def project_features(features: Sequence[Tensor], channels: int) -> nn.ModuleList:
    """One :class:`FeatureProjection` a modality."""
    return nn.ModuleList(FeatureProjection(x, channels) for x in features)
