"""What the attention sees of an item's interest center."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.nn.precision import full_precision

CENTER_FORMS = ("mean", "projected", "soft", "embedding")


class CenterEncoder(nn.Module):
    r"""What the attention sees of an item's interest center.

    With :math:`a(i)` the center of item :math:`i`:

    - ``'mean'``: :math:`\mathbf{c}_i` is the mean of :math:`\mathbf{e}_j` over the items
      :math:`j` of the same center; it is differentiable and follows training.
    - ``'projected'``: :math:`\mathbf{W} \boldsymbol{\mu}_{a(i)}`, the k-means center itself.
    - ``'soft'``: :math:`\sum_k \pi_{ik} \mathbf{W} \boldsymbol{\mu}_k` with :math:`\pi_i` the
      softmax of the cosine affinities to all centers, divided by ``softness``.
    - ``'embedding'``: a free vector for each center.

    Items without the modality share one center of their own.

    Args:
        centers: A fitted :class:`InterestCenters`.
        channels: D.
        form: One of the four above. (default: ``'mean'``)
        softness: Temperature of ``'soft'``. (default: ``0.1``)

    Shapes:
        - **input:** item embeddings :math:`(N, D)` (read by ``'mean'`` only)
        - **output:** center embedding of every item :math:`(N, D)`

    Raises:
        ValueError: An unknown form, or a softness that is not positive.
    """

    labels: Tensor
    features: Tensor
    assignment: Tensor

    def __init__(
        self,
        centers: InterestCenters,
        channels: int,
        form: str = "mean",
        *,
        softness: float = 0.1,
    ) -> None:
        super().__init__()
        if form not in CENTER_FORMS:
            raise ValueError(f"'form' must be one of {CENTER_FORMS} (got {form!r})")
        self.form, self._softness = form, softness
        # Neither is an option of the model: names with _ do not count as such in a checkpoint.
        self._num_members = len(centers.labels_)
        self.num_groups = centers.num_centers + 1  # the last one: items without the modality
        self.register_buffer("labels", centers.labels_.clone())
        if form in ("projected", "soft"):
            features = F.pad(centers.directions(), (0, 0, 0, 1))  # [K + 1, F]
            self.register_buffer("features", features, persistent=False)
            self.projection = nn.Linear(features.size(1), channels)
        if form == "soft":
            if not 0 < softness < math.inf:
                raise ValueError(f"'softness' must be positive and finite (got {softness})")
            assignment = self._soft(self.labels, centers.affinity_)  # [N, K + 1]
            self.register_buffer("assignment", assignment, persistent=False)
        if form == "embedding":
            self.weight = nn.Parameter(torch.empty(self.num_groups, channels))
        self.reset_parameters()

    def _soft(self, labels: Tensor, affinity: Tensor) -> Tensor:
        """Shares of the centers in each item; an item without the modality has its own."""
        soft = F.pad(torch.softmax(affinity / self._softness, dim=-1), (0, 1))
        own = F.one_hot(labels, self.num_groups).to(soft.dtype)
        return torch.where((labels < self.num_groups - 1)[:, None], soft, own)

    def set_members(self, num_members: int) -> None:
        """Says whose mean a center is: the first items; those that came later only look at it."""
        self._num_members = num_members

    def extend(self, labels: Tensor, affinity: Tensor) -> None:
        """Takes in further items: they see the centers, whose means stay those of the others.

        Args:
            labels: Center of each item, Long tensor [n].
            affinity: Cosines with the centers, [n, K].
        """
        labels = labels.to(self.labels)
        self.labels = torch.cat([self.labels, labels])
        if self.form == "soft":
            soft = self._soft(labels, affinity.to(self.assignment))
            self.assignment = torch.cat([self.assignment, soft])

    def reset_parameters(self) -> None:
        """Small random vectors, as for the item embeddings."""
        if self.form in ("projected", "soft"):
            self.projection.reset_parameters()
        if self.form == "embedding":
            nn.init.normal_(self.weight, std=0.02)

    def table(self, x: Tensor) -> Tensor:
        """Embeddings of the centers themselves, [K + 1, D]."""
        if self.form == "embedding":
            return self.weight
        if self.form in ("projected", "soft"):
            return self.projection(self.features)
        x, labels = x[: self._num_members], self.labels[: self._num_members]
        if x.device.type != "cpu":
            member = self._members(x.dtype)[: self._num_members]
            with full_precision(x.device):
                return member.t() @ x / member.sum(0).clamp(min=1)[:, None]
        total = x.new_zeros(self.num_groups, x.size(1)).index_add(0, labels, x)
        ones = torch.ones(()).expand(len(x))
        count = torch.zeros(self.num_groups).index_add(0, labels, ones)
        return total / count.clamp(min=1)[:, None].to(x.dtype)

    def _members(self, dtype: torch.dtype) -> Tensor:
        """1 where an item belongs to a group, [N, K + 1].

        On a GPU products with it take the place of sums by label: those add in any order, and few
        groups of many items each are what they are slowest at.
        """
        group = torch.arange(self.num_groups, device=self.labels.device)
        return (self.labels[:, None] == group).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Center embedding of every item, [N, D]."""
        table = self.table(x)
        if self.form == "soft":
            return self.assignment.to(table.dtype) @ table  # [N, K + 1] @ [K + 1, D]
        if table.device.type == "cpu":  # the gradient takes half the time of an index's
            return F.embedding(self.labels, table)
        with full_precision(table.device):
            return self._members(table.dtype) @ table

    def extra_repr(self) -> str:
        """Shows the settings."""
        return f"form={self.form!r}, num_groups={self.num_groups}"
