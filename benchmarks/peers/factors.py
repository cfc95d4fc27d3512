"""Scores that are products of given vectors: the same for every library."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn.models import Recommender


class Factors(Recommender):
    """Scores every item by the product of its vector with the user's.

    Args:
        users: Vectors [U, D].
        items: Vectors [N, D].
        known: Items that have a vector, bool [N]; others come last, all alike. Default: all.
    """

    users: Tensor
    items: Tensor
    unknown: Tensor | None

    def __init__(self, users: Tensor, items: Tensor, known: Tensor | None = None) -> None:
        super().__init__(len(items), max_length=1)
        self.register_buffer("users", users)
        self.register_buffer("items", items)
        self.register_buffer("unknown", None if known is None or known.all() else ~known)

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """Scores [B, N]."""
        scores = self.users[batch.user_id] @ self.items.t()  # [B, D] @ [D, N] -> [B, N]
        if self.unknown is not None:
            scores[:, self.unknown] = -torch.inf
        return scores
