"""Light graph convolution with a fast path on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptTensor, SparseTensor
from torch_geometric.utils import spmm

from mdsrec_pyg.nn.conv._propagate import KERNELS, Adjacency, Propagate, TensorCache

__all__ = ["LightGraphConv"]

_LAYOUTS = (torch.strided, torch.sparse_csr)
_MESSAGES = ("message", "aggregate", "update", "message_and_aggregate")
_HOOKS = [
    f"_{name}_forward_{kind}"
    for name in ("propagate", "message", "aggregate", "message_and_aggregate")
    for kind in ("pre_hooks", "hooks")
]


class LightGraphConv(MessagePassing):
    r"""Sums the neighbors, weighted, and does nothing else.

    The light graph convolution of `"LightGCN: Simplifying and Powering Graph Convolution Network
    for Recommendation" <https://arxiv.org/abs/2002.02126>`_ over a graph that is normalized
    already; the same as :class:`torch_geometric.nn.conv.LGConv` with ``normalize=False``.

    .. math::
        \mathbf{x}^{\prime}_i = \sum_{j \in \mathcal{N}(i)} e_{j,i} \, \mathbf{x}_j

    What it needs of a graph (the CSR form and its transpose) is kept as long as ``edge_index`` and
    ``edge_weight`` are the same unchanged tensors: pass the same ones at every step. Float16 and
    bfloat16 inputs are summed in float32. Weights that need a gradient may change at every step:
    they are put in the transpose's order each time, and their gradient costs one more product
    (benchmarks/README.md has the figures).

    Args:
        kernel: ``'embedding_bag'`` (CPU), ``'sparse_csr'`` (CPU and CUDA), ``'triton'`` (CUDA,
            needs triton, which comes with torch there) or ``'message_passing'``, PyG's own.
            Default: the fastest that is right for the input, see :meth:`path`.
        **kwargs: Arguments of :class:`torch_geometric.nn.conv.MessagePassing`.

    Shapes:
        - **input:** node features :math:`(N, D)`, edge indices :math:`(2, E)`, edge weights
          :math:`(E)` *(optional)*; instead of indices and weights, the transposed adjacency matrix
          :math:`(N, N)` as a CSR tensor of torch or a ``SparseTensor`` of torch-sparse
        - **output:** node features :math:`(N, D)`

    Raises:
        ValueError: An unknown ``kernel`` or one that cannot take the input, indices outside of
            ``x``, weights that do not fit the edges, or ``edge_weight`` beside a matrix, which has
            its own.
    """

    def __init__(self, kernel: str | None = None, **kwargs: Any) -> None:
        """Takes the arguments of MessagePassing."""
        names = [*KERNELS, "message_passing"]
        if kernel is not None and kernel not in names:
            raise ValueError(f"'kernel' must be one of {names} or None (got {kernel!r})")
        kwargs.setdefault("aggr", "add")
        super().__init__(**kwargs)
        self.kernel = kernel
        self._graphs = TensorCache()

    def forward(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Tensor:
        """Propagates once."""
        path = self.path(x, edge_index, edge_weight)
        if path == "message_passing":
            # propagate_type: (x: Tensor, edge_weight: OptTensor)
            return self.propagate(edge_index, x=x, edge_weight=edge_weight)
        return self._multiply(x, edge_index, edge_weight, path)

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        """Weighs a neighbor."""
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(self, adj_t: Adj, x: Tensor) -> Tensor:
        """Sums the weighted neighbors at once."""
        return spmm(adj_t, x, reduce=self.aggr)

    def path(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> str:
        """Says which implementation :meth:`forward` takes for this input.

        Returns:
            The ``kernel`` that was asked for. By default ``'embedding_bag'`` on the CPU and
            ``'sparse_csr'`` on other devices: no buffer of one row an edge, the transpose is kept
            for the gradient. ``'message_passing'``, PyG's own, where messages are looked at or
            changed (hooks, explanations, a subclass with its own ``message``), and for other
            aggregations, inputs of other than two dimensions, and sparse layouts other than CSR.
        """
        matrix = isinstance(edge_index, SparseTensor) or edge_index.layout != torch.strided
        if matrix and edge_weight is not None:
            raise ValueError("'edge_weight' must be None beside a matrix, whose values are used")
        plain = (
            x.dim() == 2
            and self.aggr in ("add", "sum")
            and self.node_dim in (-2, 0)
            and self.decomposed_layers == 1
            and (self.flow == "source_to_target" or not matrix)
            and (isinstance(edge_index, SparseTensor) or edge_index.layout in _LAYOUTS)
            and not self._is_watched()
        )
        if self.kernel in KERNELS and (not plain or x.device.type not in KERNELS[self.kernel]):
            raise ValueError(
                f"kernel={self.kernel!r} must get a plain sum over a two-dimensional input on "
                f"{' or '.join(KERNELS[self.kernel])} (got aggr={self.aggr!r}, 'x' of shape "
                f"{list(x.shape)} on {x.device.type}, or messages that are looked at)"
            )
        if not plain:
            return "message_passing"
        default = "embedding_bag" if x.device.type == "cpu" else "sparse_csr"
        return self.kernel or default

    def _is_watched(self) -> bool:
        changed = any(getattr(type(self), n) is not getattr(LightGraphConv, n) for n in _MESSAGES)
        hooks = any(getattr(self, name) for name in _HOOKS)
        return changed or hooks or bool(self.explain)

    @torch.compiler.disable
    def _multiply(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor, kernel: str) -> Tensor:
        adj, weight, key = self._adjacency(x, edge_index, edge_weight)
        out_dtype = x.dtype if weight is None else torch.promote_types(x.dtype, weight.dtype)
        dtype = torch.promote_types(out_dtype, torch.float32)
        value = value_t = None
        if weight is not None and weight.requires_grad and torch.is_grad_enabled():
            value = weight.to(dtype) if adj.perm is None else weight.to(dtype)[adj.perm]
        elif weight is not None:
            value, value_t = adj.weight(weight, key, dtype)
        return Propagate.apply(x.to(dtype), value, value_t, adj, kernel).to(out_dtype)

    def _adjacency(
        self, x: Tensor, edge_index: Adj, edge_weight: OptTensor
    ) -> tuple[Adjacency, OptTensor, Tensor]:
        """The structure, the weights in the order of the input, and what they are kept under."""
        if isinstance(edge_index, SparseTensor):
            rowptr, col, value = edge_index.csr()
            sizes = edge_index.sparse_sizes()
            _check_size(sizes, x)
            # Both arrays decide: another matrix may share one of them.
            graphs = self._graphs.get(col, None, TensorCache)
            adj = graphs.get(rowptr, sizes, lambda: Adjacency(rowptr, col, None, sizes[1]))
            return adj, value, col if value is None else value
        if edge_index.layout == torch.sparse_csr:
            _check_size(tuple(edge_index.shape), x)
            parts = edge_index.crow_indices(), edge_index.col_indices()
            adj = self._graphs.get(edge_index, None, lambda: Adjacency(*parts, None, x.size(0)))
            return adj, edge_index.values(), edge_index
        plain = edge_index.as_tensor() if isinstance(edge_index, EdgeIndex) else edge_index
        target, source = (1, 0) if self.flow == "source_to_target" else (0, 1)
        adj = self._graphs.get(
            plain,
            (x.size(0), self.flow),
            lambda: Adjacency.from_edges(plain[target], plain[source], x.size(0)),
        )
        if edge_weight is None:
            return adj, None, plain
        if edge_weight.numel() != adj.col.numel():
            raise ValueError(
                f"'edge_weight' must have one weight an edge ({adj.col.numel()}), "
                f"got {list(edge_weight.shape)}"
            )
        return adj, edge_weight.reshape(-1), edge_weight


def _check_size(size: tuple[int, ...], x: Tensor) -> None:
    if size[1] != x.size(0):
        raise ValueError(
            f"'x' must have one row a column of the matrix (expected {size[1]}, got {x.size(0)})"
        )
