"""From item embeddings and a relation graph to graph-enriched items, one table a modality."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj

from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.conv.edge_inputs import EdgeInputs, UnknownWidthError, edge_inputs
from mdsrec_pyg.nn.conv.graph_edges import checked_edges, layer_inputs
from mdsrec_pyg.nn.conv.layer_width import check_layer_width

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
            ``[N, D]`` to ``[N, D]``. Default: :class:`LightGraphConv`. The signature of its
            ``forward`` decides how it gets the weights of the graph: as ``edge_weight`` ``[E]``,
            else as ``edge_attr`` ``[E, 1]``, else inside ``adj_t``; a layer that uses none of them
            sees the edges alone, and a warning says so
            (:func:`~mdsrec_pyg.nn.conv.edge_inputs.edge_weight_use`). The weights are normalized
            already: a :class:`~torch_geometric.nn.conv.GCNConv` with ``normalize=True``, its
            default, does it once more.

        channels: *D*, where it is known: a layer that was built for another width is an error here,
            not when it is used. Default: not asked.

    Raises:
        ValueError: ``num_layers`` is negative, ``conv`` is one layer with parameters for several
            layers, or makes something that does not run on items of that width and weighted edges.
    """

    def __init__(
        self,
        num_layers: int = 1,
        conv: nn.Module | Callable[[], nn.Module] | None = None,
        *,
        channels: int | None = None,
    ) -> None:
        """Makes the layers."""
        super().__init__()
        if num_layers < 0:
            raise ValueError(f"'num_layers' must not be negative (got {num_layers})")
        conv = LightGraphConv if conv is None else conv
        if isinstance(conv, nn.Module):
            if num_layers > 1 and next(conv.parameters(), None) is not None:
                raise ValueError(
                    "'conv' must be a callable that makes a layer, so that each has its own "
                    f"parameters (got one {type(conv).__name__} for num_layers={num_layers})"
                )
            layers = [conv] * num_layers
        else:
            layers = [conv() for _ in range(num_layers)]
        for layer in layers:
            if not isinstance(layer, nn.Module):
                raise ValueError(f"'conv' must make a MessagePassing (got {type(layer).__name__})")
        self.convs = nn.ModuleList(layers)
        self._inputs = _edge_inputs(layers, channels)

    def reset_parameters(self) -> None:
        """Draws the parameters of the layers anew."""
        layers = list(self.convs)
        for conv in self.modules():
            reset = getattr(conv, "reset_parameters", None)
            if reset is not None and (isinstance(conv, MessagePassing) or conv in layers):
                reset()

    def forward(self, x: Tensor, graph: Data | Adj, edge_weight: Tensor | None = None) -> Tensor:
        """Encodes the items.

        Args:
            x: Item embeddings ``[N, D]``.
            graph: The relation graph, with ``edge_index`` and ``edge_weight`` (or ``edge_attr`` of
                one column), or with ``adj_t``; or its ``edge_index`` ``[2, E]``, or the matrix
                ``adj_t`` ``[N, N]``.
            edge_weight: Weights ``[E]`` beside an ``edge_index``; a graph and a matrix bring their
                own. Without any, each edge counts one.

        Returns:
            Mean over the propagated layers ``[N, D]``.

        Raises:
            ValueError: A graph of other items or on another device, ``edge_weight`` beside a graph
                or a matrix, or a layer that does not give one row of the same width an item.
        """
        edge_index, edge_weight = checked_edges(x, graph, edge_weight)
        tables = []
        for position, conv in enumerate(self.convs):
            inputs = self._inputs[position]
            if inputs is None:
                inputs = self._inputs[position] = _warned(conv, edge_inputs(conv, x.size(-1)))
            edges, weights = layer_inputs(inputs, x, edge_index, edge_weight)
            out = conv(x, edges, **weights)
            if not isinstance(out, Tensor) or out.shape != x.shape:
                given = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
                raise ValueError(
                    f"'conv' must keep the shape of the items (expected {list(x.shape)}, "
                    f"{conv} gave {given})"
                )
            tables.append(out)
            x = out
        return torch.stack(tables).mean(dim=0) if len(tables) > 1 else x


def _edge_inputs(layers: list[nn.Module], channels: int | None) -> list[EdgeInputs | None]:
    """How each layer gets the weights; ``None`` where its first use has to show it.

    Raises:
        ValueError: A layer for items of another width than ``channels``.
    """
    found: list[EdgeInputs | None] = []
    warned = set()
    for position, layer in enumerate(layers):
        if position and layer is layers[0]:
            found.append(found[0])
            continue
        try:
            inputs = edge_inputs(layer)
        except UnknownWidthError:
            found.append(None)
            continue
        if channels is not None and not isinstance(layer, LightGraphConv):  # it has no width
            check_layer_width(layer, inputs, channels)
        if (type(layer), inputs.reason) not in warned:  # layers of a kind are named once
            _warned(layer, inputs)
        warned.add((type(layer), inputs.reason))
        found.append(inputs)
    return found


def _warned(conv: nn.Module, inputs: EdgeInputs) -> EdgeInputs:
    if inputs.use == "none":
        warnings.warn(
            f"{type(conv).__name__} does not use the weights of the graph: {inputs.reason}",
            stacklevel=4,
        )
    return inputs
