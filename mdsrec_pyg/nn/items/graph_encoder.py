"""From item embeddings and a relation graph to graph-enriched items, one table a modality."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj

from mdsrec_pyg.nn.conv import LightGraphConv

__all__ = ["ItemGraphEncoder"]


class ItemGraphEncoder(nn.Module):
    r"""Propagates the item embeddings over the relation graph of one modality.

    With the light layer of `MDSRec <https://arxiv.org/abs/2412.08103>`_,

    .. math::
        \mathbf{E}_m = \frac{1}{L} \sum_{l=1}^{L} \mathbf{A}_m^l \mathbf{E},

    the mean over the propagated layers, the embeddings themselves left out; one layer gives
    :math:`\mathbf{A}_m \mathbf{E}` exactly, none :math:`\mathbf{E}` itself (the ablation). Any
    other layer takes the place of the product.

    Example:
        >>> encoder = ItemGraphEncoder(conv=lambda: GATv2Conv(64, 64))
        >>> encoder(torch.randn(100, 64), graph).shape
        torch.Size([100, 64])

    Args:
        num_layers: Layers *L*; 0 leaves the graph out.
        conv: A layer, or a callable (a class, a lambda) that makes one for each layer; it maps
            ``[N, D]`` to ``[N, D]``. Default: :class:`LightGraphConv`. A layer whose ``forward``
            takes ``edge_weight`` gets the graph's weights, one with ``edge_dim=1`` gets them as
            ``edge_attr`` ``[E, 1]``, any other sees the edges alone. The weights are normalized
            already: a :class:`~torch_geometric.nn.conv.GCNConv` with ``normalize=True``, its
            default, does it once more.

    Raises:
        ValueError: ``num_layers`` is negative, ``conv`` is one layer with parameters for several
            layers, or makes something else than a MessagePassing.
    """

    def __init__(
        self,
        num_layers: int = 1,
        conv: MessagePassing | Callable[[], MessagePassing] | None = None,
    ) -> None:
        """Makes the layers."""
        super().__init__()
        if num_layers < 0:
            raise ValueError(f"'num_layers' must not be negative (got {num_layers})")
        conv = LightGraphConv if conv is None else conv
        if isinstance(conv, MessagePassing):
            if num_layers > 1 and next(conv.parameters(), None) is not None:
                raise ValueError(
                    "'conv' must be a callable that makes a layer, so that each has its own "
                    f"parameters (got one {type(conv).__name__} for num_layers={num_layers})"
                )
            layers = [conv] * num_layers
        else:
            layers = [conv() for _ in range(num_layers)]
        for layer in layers:
            if not isinstance(layer, MessagePassing):
                raise ValueError(f"'conv' must make a MessagePassing (got {type(layer).__name__})")
        self.convs = nn.ModuleList(layers)
        self._weight_names = [_weight_name(layer) for layer in layers]

    def reset_parameters(self) -> None:
        """Draws the parameters of the layers anew."""
        for conv in self.modules():
            if isinstance(conv, MessagePassing):
                conv.reset_parameters()

    def forward(self, x: Tensor, graph: Data | Adj, edge_weight: Tensor | None = None) -> Tensor:
        """Encodes the items.

        Args:
            x: Item embeddings ``[N, D]``.
            graph: The relation graph, or its ``edge_index`` ``[2, E]``.
            edge_weight: Weights ``[E]`` beside an ``edge_index``; a graph brings its own.

        Returns:
            Mean over the propagated layers ``[N, D]``.

        Raises:
            ValueError: A layer changes the shape, or ``edge_weight`` stands beside a graph.
        """
        edge_index = graph
        if isinstance(graph, Data):
            if edge_weight is not None:
                raise ValueError("'edge_weight' must be left out where 'graph' brings its own")
            edge_index, edge_weight = graph.edge_index, graph.edge_weight
        tables = []
        for conv, name in zip(self.convs, self._weight_names, strict=True):
            out = conv(x, edge_index, **_weights(name, edge_weight))
            if out.shape != x.shape:
                raise ValueError(
                    f"'conv' must keep the shape of the items (expected {list(x.shape)}, "
                    f"{conv} gave {list(out.shape)})"
                )
            tables.append(out)
            x = out
        return torch.stack(tables).mean(dim=0) if len(tables) > 1 else x


def _weight_name(conv: MessagePassing) -> str | None:
    names = inspect.signature(conv.forward).parameters
    if "edge_weight" in names:
        return "edge_weight"
    edge_dim = getattr(conv, "edge_dim", None)
    if "edge_attr" not in names or edge_dim is None:
        return None
    if edge_dim != 1:
        raise ValueError(
            f"'conv' must have edge_dim=1 or None, one weight an edge (got {edge_dim})"
        )
    return "edge_attr"


def _weights(name: str | None, edge_weight: Tensor | None) -> dict[str, Any]:
    if name is None or edge_weight is None:
        return {}
    return {name: edge_weight[:, None] if name == "edge_attr" else edge_weight}
