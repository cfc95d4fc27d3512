"""All the ways of computing y = A x over an item graph that benchmarks/propagation.py compares."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data
from torch_geometric.nn import LGConv, MessagePassing
from torch_geometric.typing import WITH_TORCH_SCATTER, WITH_TORCH_SPARSE
from torch_geometric.utils import scatter

from mdsrec_pyg.nn import LightGraphConv

OURS = "LightGraphConv edge_index"

Propagation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Method:
    """One way of propagating.

    Args:
        make: Prepares a graph (not timed): gives the function from x [N, D] to A x.
        devices: Where it runs.
        dtypes: In what.
        edge_buffer: Whether it holds a row of D numbers an edge, so that it needs much memory.
        exact: Whether it must agree with the others; a user's own layer need not.
    """

    make: Callable[[Data, int], Propagation]
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)
    edge_buffer: bool = False
    exact: bool = True


def csr(graph: Data, index: torch.dtype = torch.int64) -> Tensor:
    """The matrix A as a CSR tensor: rows are targets, columns are sources."""
    source, target = graph.edge_index  # sorted by target
    count = torch.bincount(target, minlength=graph.num_nodes)
    rowptr = F.pad(count.cumsum(0), (1, 0)).to(index)
    size = (graph.num_nodes, graph.num_nodes)
    return torch.sparse_csr_tensor(rowptr, source.to(index), graph.edge_weight, size)


def transposed(graph: Data) -> Data:
    """The graph of A^T, sorted by its targets."""
    order = torch.argsort(graph.edge_index[0], stable=True)
    index = graph.edge_index.flip(0)[:, order]
    return Data(edge_index=index, edge_weight=graph.edge_weight[order], num_nodes=graph.num_nodes)


def _layer(conv: MessagePassing, adjacency: Callable[[Data], Any]) -> Callable[..., Propagation]:
    def make(graph: Data, channels: int) -> Propagation:
        adj = adjacency(graph)
        weight = graph.edge_weight if adj is graph.edge_index else None
        return lambda x: conv(x, adj, weight)

    return make


def _edge_index(graph: Data) -> Tensor:
    index: Tensor = graph.edge_index
    return index


def _sparse_tensor(graph: Data) -> Any:
    from torch_sparse import SparseTensor

    source, target = graph.edge_index
    size = (graph.num_nodes, graph.num_nodes)
    adj = SparseTensor(row=target, col=source, value=graph.edge_weight, sparse_sizes=size)
    adj.storage.rowptr(), adj.storage.csr2csc(), adj.storage.colptr()  # what its gradient needs
    return adj


def _torch_sparse(graph: Data, channels: int) -> Propagation:
    from torch_sparse import matmul

    adj = _sparse_tensor(graph)
    return lambda x: matmul(adj, x)


class _CachedTranspose(torch.autograd.Function):
    """CSR times dense; the gradient multiplies by a transpose that was made before."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.transpose = transpose
        product: Tensor = matrix @ x
        return product

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transpose @ grad, None, None


def _csr_cached(graph: Data, channels: int) -> Propagation:
    matrix, transpose = csr(graph, torch.int32), csr(transposed(graph), torch.int32)
    return lambda x: _CachedTranspose.apply(x, matrix, transpose)


def _csr_product(graph: Data, channels: int) -> Propagation:
    matrix = csr(graph)
    return lambda x: matrix @ x


def _coo_product(graph: Data, channels: int) -> Propagation:
    matrix = csr(graph).to_sparse_coo().coalesce()
    return lambda x: torch.sparse.mm(matrix, x)


def _edge_index_matmul(graph: Data, channels: int) -> Propagation:
    size = (graph.num_nodes, graph.num_nodes)
    index = EdgeIndex(graph.edge_index.flip(0), sparse_size=size, sort_order="row")
    index.validate().fill_cache_()
    weight = graph.edge_weight
    return lambda x: index.matmul(x, weight)


def _embedding_bag(graph: Data, channels: int) -> Propagation:
    matrix = csr(graph, torch.int32)
    col, rowptr, value = matrix.col_indices(), matrix.crow_indices(), matrix.values()
    return lambda x: F.embedding_bag(
        col, x, rowptr, mode="sum", per_sample_weights=value, include_last_offset=True
    )


def _gather_scatter(graph: Data, channels: int) -> Propagation:
    source, target = graph.edge_index
    weight = graph.edge_weight[:, None]
    return lambda x: scatter(x[source] * weight, target, 0, graph.num_nodes, reduce="sum")


def _gather_segment(graph: Data, channels: int) -> Propagation:
    from torch_scatter import segment_csr

    source, rowptr = graph.edge_index[0], csr(graph).crow_indices()
    weight = graph.edge_weight[:, None]
    return lambda x: segment_csr(x[source] * weight, rowptr, reduce="sum")


class _Scipy(torch.autograd.Function):
    """scipy's CSR product; the gradient by a transpose that was made before."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Any, transpose: Any) -> Tensor:
        ctx.transpose = transpose
        return torch.from_numpy(matrix @ x.detach().numpy())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return torch.from_numpy(ctx.transpose @ grad.numpy()), None, None


def _scipy(graph: Data, channels: int) -> Propagation:
    source, target = graph.edge_index.numpy()
    size = (graph.num_nodes, graph.num_nodes)
    matrix = sp.csr_matrix((graph.edge_weight.numpy(), (target, source)), shape=size)
    transpose = matrix.T.tocsr()
    return lambda x: _Scipy.apply(x, matrix, transpose)


def _trainable(graph: Data, channels: int) -> Propagation:
    weight = graph.edge_weight.clone().requires_grad_()
    conv, index = LightGraphConv(), graph.edge_index
    return lambda x: conv(x, index, weight)


def methods() -> dict[str, Method]:
    """All methods whose libraries are installed, ours first."""
    light = LGConv(normalize=False)
    cpu, cuda = ("cpu",), ("cuda",)
    triton = LightGraphConv(kernel="triton")
    found = {
        OURS: Method(_layer(LightGraphConv(), _edge_index)),
        "LightGraphConv triton": Method(_layer(triton, _edge_index), devices=cuda),
        "LightGraphConv trainable weights": Method(_trainable),
        "LGConv edge_index": Method(_layer(light, _edge_index), edge_buffer=True),
        "LGConv torch CSR": Method(_layer(light, csr)),
        "torch CSR @": Method(_csr_product),
        "torch CSR int32, cached transpose": Method(_csr_cached),
        "torch.sparse.mm COO": Method(_coo_product),
        "EdgeIndex.matmul": Method(_edge_index_matmul),
        "F.embedding_bag": Method(_embedding_bag, dtypes=(torch.float32,)),
        "scipy CSR": Method(_scipy, devices=cpu),
        "gather and scatter": Method(_gather_scatter, edge_buffer=True),
    }
    if WITH_TORCH_SCATTER:
        found["torch_scatter.segment_csr"] = Method(_gather_segment, edge_buffer=True)
    if WITH_TORCH_SPARSE:
        found["torch_sparse.matmul"] = Method(_torch_sparse)
        found["LGConv SparseTensor"] = Method(_layer(light, _sparse_tensor))
    return found


def own_layer(text: str) -> Method:
    """A user's layer, ``module:Class``, from the installed packages or the folder we stand in.

    Raises:
        SystemExit: There is no such class, or it is no MessagePassing.
    """
    module, _, name = text.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        layer: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"--layer must be module:Class (got {text!r}: {error})") from None
    if not (inspect.isclass(layer) and issubclass(layer, MessagePassing)):
        raise SystemExit(f"--layer must name a MessagePassing (got {text!r})")
    needed = [
        item.name
        for item in list(inspect.signature(layer.__init__).parameters.values())[1:]
        if item.default is item.empty and item.kind == item.POSITIONAL_OR_KEYWORD
    ]

    def make(graph: Data, channels: int) -> Propagation:
        # Layers that ask for sizes, such as GCNConv(in_channels, out_channels), keep the width.
        conv: Any = layer(*[channels] * len(needed))
        conv = conv.to(graph.edge_weight.device)
        takes_weight = "edge_weight" in inspect.signature(conv.forward).parameters
        weight = (graph.edge_weight,) if takes_weight else ()
        return lambda x: conv(x, graph.edge_index, *weight)

    return Method(make, edge_buffer=True, exact=False)
