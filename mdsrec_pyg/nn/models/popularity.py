"""Popularity: every user gets the items most often bought."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn.models.base import Recommender

__all__ = ["Popularity"]


class Popularity(Recommender):
    r"""Scores an item by its number of training interactions, :math:`s(u, j) = \log(1 + n_j)`.

    Args:
        interactions: The training part.
    """

    supports_training = False
    log_count: Tensor

    def __init__(self, interactions: Interactions) -> None:
        super().__init__(interactions.num_items, max_length=1)
        counts = torch.from_numpy(interactions.item_counts())
        self.register_buffer("log_count", torch.log1p(counts.float()))

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """The same scores for everybody, [B, N]."""
        return self.log_count.expand(len(batch), -1)
