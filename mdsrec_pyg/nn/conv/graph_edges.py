"""Edges and weights of an item graph, whichever way PyG keeps them, as a layer takes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.typing import Adj, OptTensor, SparseTensor
from torch_geometric.utils import to_edge_index, to_torch_csr_tensor

from mdsrec_pyg.nn.conv.edge_inputs import EdgeInputs

__all__ = ["checked_edges", "graph_edges", "layer_inputs"]


def graph_edges(graph: Data) -> tuple[Adj, OptTensor]:
    """Edges of a graph and their weights.

    Args:
        graph: With ``edge_index`` and ``edge_weight`` ``[E]`` or, where there is none,
            ``edge_attr`` ``[E]`` or ``[E, 1]``; or with ``adj_t``, as
            :class:`~torch_geometric.transforms.ToSparseTensor` leaves it.

    Returns:
        ``edge_index`` and the weights, ``None`` where the graph has none; or the matrix ``adj_t``,
        whose values are the weights, and ``None``.

    Raises:
        ValueError: No edges, or edge features of several columns and no ``edge_weight``.
    """
    edge_index, adj_t = graph.get("edge_index"), graph.get("adj_t")
    weight = _weight(graph)
    if adj_t is not None and (edge_index is None or weight is None):
        if weight is None:
            return adj_t, None
        edge_index = _unpacked(adj_t)[0]  # ToSparseTensor without attr: the weights stay beside
    if edge_index is None:
        raise ValueError(f"'graph' must have 'edge_index' or 'adj_t' (got {sorted(graph.keys())})")
    return edge_index, weight


def _weight(graph: Data) -> OptTensor:
    weight = graph.get("edge_weight")
    if weight is not None:
        return weight
    weight = graph.get("edge_attr")
    return None if weight is None else _column(weight, "edge_attr")


def _column(weight: Tensor, name: str) -> Tensor:
    if weight.dim() == 1:
        return weight
    if weight.dim() != 2 or weight.size(1) != 1:
        raise ValueError(
            "'graph' must have one weight an edge, as 'edge_weight' [E] or 'edge_attr' [E, 1] "
            f"(got {name!r} of shape {list(weight.shape)})"
        )
    return weight[:, 0]


def checked_edges(x: Tensor, graph: Data | Adj, edge_weight: OptTensor) -> tuple[Adj, OptTensor]:
    """Edges and weights of a graph, ``edge_index`` or matrix over the items ``x`` ``[N, D]``.

    Raises:
        ValueError: Something else, other items, another device, weights that do not fit the edges,
            or ``edge_weight`` beside what brings its own.
    """
    if not isinstance(graph, (Data, Tensor, SparseTensor)):
        raise ValueError(
            f"'graph' must be a Data, an 'edge_index' or a matrix (got {type(graph).__name__})"
        )
    own = isinstance(graph, Data) or _is_matrix(graph)
    if own and edge_weight is not None:
        raise ValueError("'edge_weight' must be left out where 'graph' brings its own")
    size = None
    edge_index = graph
    if isinstance(graph, Data):
        size = graph.num_nodes if graph.x is not None or "num_nodes" in graph else None
        edge_index, edge_weight = graph_edges(graph)
    if _is_matrix(edge_index):
        size = int(edge_index.size(1))
        if edge_index.dim() > 2:  # values [E, 1]
            edge_index, edge_weight = _unpacked(edge_index)
    elif edge_weight is not None and edge_weight.numel() != edge_index.size(1):
        raise ValueError(
            f"'edge_weight' must have one weight an edge ({edge_index.size(1)}), "
            f"got {list(edge_weight.shape)}"
        )
    if size is not None and size != x.size(-2):
        raise ValueError(f"'graph' must have the items of 'x' ({x.size(-2)}), got {size} nodes")
    device = edge_index.device() if isinstance(edge_index, SparseTensor) else edge_index.device
    if device != x.device:
        raise ValueError(f"'graph' must be on the device of 'x', {x.device} (got {device})")
    if edge_weight is not None and edge_weight.device != x.device:
        raise ValueError(
            f"'edge_weight' must be on the device of 'x', {x.device} (got {edge_weight.device})"
        )
    return edge_index, edge_weight


def _is_matrix(edge_index: Adj) -> bool:
    """Whether a sparse matrix stands for the edges."""
    return isinstance(edge_index, SparseTensor) or edge_index.layout != torch.strided


def _unpacked(adj_t: Adj) -> tuple[Tensor, OptTensor]:
    """Edges ``[2, E]`` and weights ``[E]`` of a transposed adjacency matrix, by target."""
    if isinstance(adj_t, SparseTensor):
        target, source, weight = adj_t.coo()
        index = torch.stack([source, target])
    else:
        index, weight = to_edge_index(adj_t)
        index = index.flip(0)
    return index, None if weight is None else _column(weight, "adj_t")


def layer_inputs(
    inputs: EdgeInputs, x: Tensor, edge_index: Adj, edge_weight: OptTensor
) -> tuple[Adj, dict[str, Any]]:
    """What a layer gets after ``x``: its edges, and its weights by keyword.

    Without weights each edge counts one: weights of ones go to a layer that cannot do without.
    """
    matrix = _is_matrix(edge_index)
    if matrix and not inputs.takes_matrix:
        edge_index, edge_weight = _unpacked(edge_index)
    elif matrix:
        return edge_index, {}
    if edge_weight is None and (inputs.required or inputs.use in ("edge_attr", "adj_t")):
        edge_weight = x.new_ones(edge_index.size(1))
    if inputs.use == "adj_t":
        return to_torch_csr_tensor(edge_index.flip(0), edge_weight, (x.size(0), x.size(0))), {}
    if inputs.use == "none" or edge_weight is None:
        return edge_index, {}
    if inputs.use == "edge_attr":
        edge_weight = edge_weight.view(-1, 1)
    elif edge_weight.dim() > 1:  # one dimension stays the same object: layers may cache by it
        edge_weight = edge_weight.view(-1)
    return edge_index, {inputs.use: edge_weight}
