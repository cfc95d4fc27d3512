"""Edges of an item graph as tables: weights by source and target, neighbors by source; sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data


class EdgeTable(nn.Module):
    """Looks edge weights up by source and target.

    Args:
        graph: An item graph with non-negative weights.
    """

    key: Tensor
    weight: Tensor
    total: Tensor

    def __init__(self, graph: Data) -> None:
        super().__init__()
        self.num_nodes = num_nodes(graph)
        source, target = graph.edge_index
        key, order = torch.sort(source * self.num_nodes + target)
        self.register_buffer("key", key, persistent=False)
        self.register_buffer("weight", graph.edge_weight[order], persistent=False)
        total = graph.edge_weight.new_zeros(self.num_nodes)
        total.index_add_(0, source, graph.edge_weight)
        self.register_buffer("total", total, persistent=False)  # of each source

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Weights of the edges from ``source`` to ``target``, zero where there is none."""
        return lookup(self.key, source * self.num_nodes + target, self.weight)


def lookup(keys: Tensor, wanted: Tensor, values: Tensor) -> Tensor:
    """Values of the wanted keys among sorted keys, zero where a key is not there."""
    if not len(keys):
        return values.new_zeros(wanted.shape)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return values[place] * (keys[place] == wanted)


def num_nodes(graph: Data) -> int:
    """Number of nodes of a graph; an error where it is not stated."""
    size = graph.num_nodes
    if size is None:
        raise ValueError("'num_nodes' must be set on every item graph (got None)")
    return int(size)


def join(graphs: Sequence[Data]) -> Data:
    """Disjoint union: the nodes of graph f are shifted by f * N."""
    size = num_nodes(graphs[0])
    index = [graph.edge_index + f * size for f, graph in enumerate(graphs)]
    weight = torch.cat([graph.edge_weight for graph in graphs])
    return Data(
        edge_index=torch.cat(index, dim=1), edge_weight=weight, num_nodes=size * len(graphs)
    )


def neighbor_table(graph: Data) -> tuple[Tensor, Tensor]:
    """Outgoing edges of each node as a table: targets and weights [N, H].

    Nodes with fewer than H edges are padded with edges of weight zero to themselves.
    """
    size = num_nodes(graph)
    source, order = torch.sort(graph.edge_index[0], stable=True)
    target, weight = graph.edge_index[1][order], graph.edge_weight[order]
    degree = torch.bincount(source, minlength=size)
    device = source.device
    column = torch.arange(len(source), device=device) - (degree.cumsum(0) - degree)[source]
    width = max(int(degree.max()), 1)
    neighbor = torch.arange(size, device=device)[:, None].repeat(1, width)
    value = torch.zeros(size, width, dtype=weight.dtype, device=device)
    neighbor[source, column] = target
    value[source, column] = weight
    return neighbor, value


def sum_at(place: Tensor, value: Tensor, size: int) -> Tensor:
    """Sums values [V] by place, [size], always in the same order."""
    total = value.new_zeros(size)
    if value.device.type == "cpu":
        return total.index_add_(0, place, value)
    # On a GPU index_add_ sums in any order; there index_put_ sorts first.
    return total.index_put_((place,), value, accumulate=True)


def cast_votes(
    tables: Iterable[nn.Module], item_id: Tensor, mask: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Every vote of histories: places ``row * N + item`` and votes, [V], unordered.

    Only the edges out of the history's items are looked at, whatever the size of the graphs.

    Args:
        tables: An :class:`EdgeTable` a modality.
        item_id: Histories [B, L].
        mask: Where an item stands [B, L].
        weights: What a vote counts [B, M, 1, L].
    """
    row, step = mask.nonzero(as_tuple=True)
    keys, votes = [], []
    for m, table in enumerate(tables):
        edges, weight = table.get_buffer("key"), table.get_buffer("weight")
        num_items = len(table.get_buffer("total"))
        first = item_id[row, step] * num_items  # an item's edges have these keys ...
        start = torch.searchsorted(edges, first)
        count = torch.searchsorted(edges, first + num_items) - start  # ... up to here
        voter = torch.repeat_interleave(count)
        skipped = start - (count.cumsum(0) - count)
        edge = torch.arange(len(voter), device=voter.device) + skipped[voter]
        keys.append(edges[edge] + (row * num_items - first)[voter])
        votes.append(weight[edge] * weights[row, m, 0, step][voter])
    return torch.cat(keys), torch.cat(votes)
