"""Edges of an item graph as a table: the targets and weights of each voter."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data


class EdgeTable(nn.Module):
    """The outgoing edges of each voter side by side.

    Args:
        target: Candidates that each voter votes for, ``[R, H]``.
        weight: Weights of these edges, not negative, ``[R, H]``; an edge of weight zero only fills
            its row.
    """

    target: Tensor
    weight: Tensor

    def __init__(self, target: Tensor, weight: Tensor) -> None:
        super().__init__()
        # Half the memory: a table of training has a row for each interaction.
        self.register_buffer("target", target.int(), persistent=False)
        self.register_buffer("weight", weight, persistent=False)

    @classmethod
    def from_graph(cls, graph: Data) -> EdgeTable:
        """The table of an item graph: item i is voter i."""
        size = num_nodes(graph)
        source, order = torch.sort(graph.edge_index[0], stable=True)
        target, weight = graph.edge_index[1][order], graph.edge_weight[order]
        degree = torch.bincount(source, minlength=size)
        device = source.device
        column = torch.arange(len(source), device=device) - (degree.cumsum(0) - degree)[source]
        width = max(int(degree.max()), 1)
        place = source, column
        targets = torch.zeros(size, width, dtype=torch.int32, device=device)
        weights = torch.zeros(size, width, dtype=weight.dtype, device=device)
        return cls(
            targets.index_put_(place, target.int()), weights.index_put_(place, weight.detach())
        )

    def forward(self, voter: Tensor) -> tuple[Tensor, Tensor]:
        """Candidates and weights ``[*, H]`` of voters ``[*]``."""
        return self.target[voter].long(), self.weight[voter]

    def between(self, voter: Tensor, candidate: Tensor) -> Tensor:
        """Weights of single edges, zero where there is none; voters and candidates broadcast."""
        target, weight = self(voter)
        return (weight * (target == candidate[..., None])).sum(-1)


def num_nodes(graph: Data) -> int:
    """Number of nodes of a graph; an error where it is not stated."""
    size = graph.num_nodes
    if size is None:
        raise ValueError("'num_nodes' must be set on every item graph (got None)")
    return int(size)
