"""Votes over graphs that were fitted without the voter's fold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.nn.votes.edge_table import EdgeTable, join, num_nodes
from mdsrec_pyg.nn.votes.leave_one_user_out import distinct_items
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes


class CrossFittedVotes(TrainingVotes):
    """Votes over graphs fitted without the voter's fold, for graphs without an exact inverse.

    Args:
        folds: For each fold the graphs (one a modality) fitted on all other users.
        user_fold: Fold of each user, Long tensor [U].
        interactions: The training interactions that the folds are parts of.
    """

    user_fold: Tensor

    def __init__(
        self,
        folds: Sequence[Sequence[Data]],
        user_fold: Tensor,
        interactions: Interactions,
    ) -> None:
        super().__init__()
        self.fitted_on = _digest(interactions)
        self.num_items = num_nodes(folds[0][0])
        self.edges = nn.ModuleList(
            EdgeTable(join([graphs[m] for graphs in folds])) for m in range(len(folds[0]))
        )
        self.register_buffer("user_fold", user_fold, persistent=False)

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the folds were fitted on other interactions than these."""
        if train.num_users != len(self.user_fold):
            raise ValueError(
                f"'train' must have the {len(self.user_fold):,} users that the relations were "
                f"fitted on (got {train.num_users:,})"
            )
        if _digest(train) != self.fitted_on:
            raise ValueError(
                "'train' must hold the interactions that the relations were fitted on, or a user's "
                f"own are in the graphs that they train on (got {len(train):,} interactions, and "
                "other pairs of user and item)"
            )

    def _shifted(self, item_id: Tensor, user_id: Tensor) -> Tensor:
        """The items as nodes of the graph that the users are not in."""
        fold = self.user_fold[user_id].view(-1, *[1] * (item_id.dim() - 1))
        return item_id + fold * self.num_items

    def pairs(self, source: Tensor, target: Tensor, user_id: Tensor) -> Tensor:
        """Votes of items [B, L] for items [B, T]: [B, M, T, L]."""
        source_ = self._shifted(source, user_id)[:, None, :]
        target_ = self._shifted(target, user_id)[:, :, None]
        return torch.stack([edges(source_, target_) for edges in self.edges], dim=1)

    def totals(self, source: Tensor, user_id: Tensor) -> Tensor:
        """All votes of items [B, L] together: [B, M, L]."""
        source = self._shifted(source, user_id)
        return torch.stack([edges.get_buffer("total")[source] for edges in self.edges], dim=1)


def _digest(interactions: Interactions) -> str:
    """The distinct pairs of user and item as one number."""
    user, item, _ = distinct_items(interactions)
    digest = hashlib.sha256(f"{interactions.num_users} {interactions.num_items}".encode())
    digest.update((user * interactions.num_items + item).numpy().tobytes())
    return digest.hexdigest()
