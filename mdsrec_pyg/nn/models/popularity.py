"""Popularity: every user gets the items most often bought."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdsrec_pyg.configs import check_finite
from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn.history_bias import taken_keys
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.config import MDSRecConfig
from mdsrec_pyg.nn.models.dense import DensePopularity

__all__ = ["Popularity"]


class Popularity(Recommender):
    r"""Scores an item by its number of training interactions.

    .. math::
        s(u, j) = \log(1 + n_j) + \gamma [j \in \mathcal{H}_u]

    Args:
        interactions: The training part.
        history_bias: :math:`\gamma`, for all items that were taken, as the other models have it.
            (default: ``0.0``)
        max_length: Number of history steps that it is given to. (default: ``50``)
    """

    export_form = DensePopularity
    supports_training = False
    log_count: Tensor

    def __init__(
        self,
        interactions: Interactions,
        *,
        history_bias: float = 0.0,
        max_length: int = MDSRecConfig.max_length,
    ) -> None:
        super().__init__(interactions.num_items, max_length)
        check_finite(history_bias=history_bias)
        self.history_bias = history_bias
        self.item_counts = interactions.item_counts()
        counts = torch.from_numpy(interactions.item_counts())
        self.register_buffer("log_count", torch.log1p(counts.float()))

    def hyperparameters(self) -> dict[str, Any]:
        """Size and options; the counts are a table."""
        names = ("num_items", "history_bias", "max_length")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_hyperparameters(cls, hyperparameters: dict[str, Any], **own_parts: Any) -> Popularity:
        """A model whose counts are still to come."""
        options = dict(hyperparameters)
        none = np.empty(0, dtype=np.int64)
        nobody = Interactions.from_arrays(none, none, num_items=options.pop("num_items"))
        return cls(nobody, **options, **own_parts)

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """The same scores for everybody, up to the history bias, [B, N]."""
        scores = self.log_count.repeat(len(batch), 1)
        if self.history_bias:
            scores.view(-1)[taken_keys(batch, self.num_items)] += self.history_bias
        return scores
