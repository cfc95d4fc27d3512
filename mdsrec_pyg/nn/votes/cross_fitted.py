"""Votes over graphs that were fitted without the voter's fold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.nn.votes.edge_table import EdgeTable, num_nodes
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes, distinct_items


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
        super().__init__([_joined([graphs[m] for graphs in folds]) for m in range(len(folds[0]))])
        self.fitted_on = _digest(interactions)
        self.num_items = num_nodes(folds[0][0])
        self.register_buffer("user_fold", user_fold, persistent=False)

    def voters(self, item_id: Tensor, user_id: Tensor) -> Tensor:
        """Rows of the items [B, L] in the graphs that the users are not in."""
        return item_id + self.user_fold[user_id][:, None] * self.num_items

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


def _joined(graphs: Sequence[Data]) -> EdgeTable:
    """The tables of the folds, one below the other."""
    tables = [EdgeTable.from_graph(graph) for graph in graphs]
    width = max(table.target.size(1) for table in tables)
    parts = [
        [F.pad(part, (0, width - part.size(1))) for part in (table.target, table.weight)]
        for table in tables
    ]
    target, weight = (torch.cat(column) for column in zip(*parts, strict=True))
    return EdgeTable(target, weight)


def _digest(interactions: Interactions) -> str:
    """The distinct pairs of user and item as one number."""
    user, item, _ = distinct_items(interactions)
    digest = hashlib.sha256(f"{interactions.num_users} {interactions.num_items}".encode())
    digest.update((user * interactions.num_items + item).numpy().tobytes())
    return digest.hexdigest()
