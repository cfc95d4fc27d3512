"""What training over learned relation graphs needs: votes that the voter's own history is not in.

Each training pair co-occurred at least in its own sequence, so a learned graph holds its target.
In training, each user therefore votes over graphs without the user: a table has a row for each
voter in each such graph, and all else is as it is at inference.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.nn.votes.edge_table import EdgeTable


class TrainingVotes(nn.Module):
    """Edges of graphs that have not seen the user who votes.

    Args:
        tables: One :class:`~mdsrec_pyg.nn.votes.edge_table.EdgeTable` a modality; their rows are
            what :meth:`voters` points to.
    """

    def __init__(self, tables: Sequence[EdgeTable]) -> None:
        super().__init__()
        self.tables = nn.ModuleList(tables)

    def voters(self, item_id: Tensor, user_id: Tensor) -> Tensor:
        """Rows of the tables that stand for items [B, L] of training users [B]: [B, L]."""
        raise NotImplementedError

    def check(self, train: Interactions) -> None:
        """Raises a ValueError where the graphs were fitted on other interactions than these."""
        raise NotImplementedError


def distinct_items(interactions: Interactions) -> tuple[Tensor, Tensor, Tensor]:
    """User and item of each distinct pair, sorted, and where each user begins, [users + 1]."""
    rows = interactions.to_csr()
    rows.sort_indices()
    start = torch.from_numpy(rows.indptr).long()
    user = torch.repeat_interleave(torch.arange(len(start) - 1), start.diff())
    return user, torch.from_numpy(rows.indices).long(), start
