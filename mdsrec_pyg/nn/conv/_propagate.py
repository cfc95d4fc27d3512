"""Sparse times dense over one graph again and again: kernel, gradient, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

T = TypeVar("T")

#: How a matrix can be multiplied, and where. On the CPU a sum of bags is several times faster than
#: PyTorch's own CSR product (benchmarks/propagation.py); there is no such kernel on CUDA.
KERNELS = {
    "embedding_bag": ("cpu",),
    "sparse_csr": ("cpu", "cuda"),
    "triton": ("cuda",),
}


class TensorCache:
    """Keeps what was derived from a tensor until the tensor changes or is gone.

    An entry is valid for the same tensor object at the same version and address, so that a new
    tensor, an in-place change and a swapped storage are all noticed. It does not keep the tensor
    alive. A write that PyTorch does not see (through NumPy, or ``tensor.data``) goes unnoticed.
    """

    def __init__(self) -> None:
        """Starts empty."""
        self._entries: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __len__(self) -> int:
        """Number of tensors alive with an entry."""
        return len(self._entries)

    def __reduce__(self) -> tuple[type[TensorCache], tuple[()]]:
        """Copies and pickles start empty: weak references belong to one process."""
        return TensorCache, ()

    def get(self, key: Tensor, options: Hashable, build: Callable[[], T]) -> T:
        """Returns the entry of ``key`` for these ``options``, built if there is no valid one."""
        if key.is_inference():  # has no version
            return build()
        pointer = key.data_ptr() if key.layout == torch.strided else 0
        stamp = (key._version, pointer, options)
        entry: tuple[Any, T] | None = self._entries.get(key)
        if entry is None or entry[0] != stamp:
            # Made under inference_mode, it could not be saved for a later backward.
            with torch.inference_mode(False), torch.no_grad():
                entry = (stamp, build())
            self._entries[key] = entry
        return entry[1]


@dataclass(eq=False)
class Adjacency:
    """The sparsity of a matrix and of its transpose in CSR form, in int32 where that is enough.

    Args:
        rowptr: Where each row's entries start ``[rows + 1]``.
        col: Column of each entry ``[E]``.
        perm: Entry of the input that stands at each position ``[E]``. ``None``: unchanged.
        num_cols: Number of columns.
    """

    rowptr: Tensor
    col: Tensor
    perm: Tensor | None
    num_cols: int
    colptr: Tensor = field(init=False)
    row: Tensor = field(init=False)
    perm_t: Tensor = field(init=False)
    weights: TensorCache = field(init=False, default_factory=TensorCache)

    def __post_init__(self) -> None:
        """Transposes."""
        num_rows = self.rowptr.numel() - 1
        row = torch.repeat_interleave(
            torch.arange(num_rows, device=self.col.device), self.rowptr.diff()
        )
        self.perm_t = torch.argsort(self.col, stable=True)
        small = max(self.col.numel(), num_rows, self.num_cols) < 2**31
        dtype = torch.int32 if small else torch.int64
        self.colptr = _pointers(self.col, self.num_cols).to(dtype)
        self.row = row[self.perm_t].to(dtype)
        # Copies: a view would keep the tensor it was made from, and its cache entry, alive.
        self.rowptr = self.rowptr.to(dtype, copy=True)
        self.col = self.col.to(dtype, copy=True)

    @classmethod
    def from_edges(cls, row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> Adjacency:
        """Sorts edges by row; edges that are sorted already stay where they are."""
        for index, size in ((row, num_rows), (col, num_cols)):
            if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < size:
                raise ValueError(
                    f"'edge_index' must lie in 0..{size - 1}, the rows of 'x' "
                    f"(got {int(index.min())} to {int(index.max())})"
                )
        perm = None
        if bool((row[1:] < row[:-1]).any()):
            perm = torch.argsort(row, stable=True)
            col = col[perm]
        return cls(_pointers(row, num_rows), col, perm, num_cols)

    def weight(self, edge_weight: Tensor, key: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Fixed weights in the order of the rows and of the columns, kept while ``key`` lasts."""

        def build() -> tuple[Tensor, Tensor]:
            value = edge_weight.detach().to(dtype, copy=True)
            value = value if self.perm is None else value[self.perm]
            return value, value[self.perm_t]

        return self.weights.get(key, dtype, build)


def of_edges(
    cache: TensorCache, edge_index: Tensor, num_rows: int, num_cols: int, reverse: bool
) -> Adjacency:
    """The matrix whose rows are the targets of edges, or the sources where ``reverse``."""
    row, col = (0, 1) if reverse else (1, 0)

    def build() -> Adjacency:
        if edge_index.dim() != 2 or edge_index.size(0) != 2:
            raise ValueError(f"'edge_index' must have shape [2, E] (got {list(edge_index.shape)})")
        return Adjacency.from_edges(edge_index[row], edge_index[col], num_rows, num_cols)

    return cache.get(edge_index, (num_rows, num_cols, reverse), build)


def result_types(x: Tensor, edge_weight: Tensor | None) -> tuple[torch.dtype, torch.dtype]:
    """In what the sum is returned, and in what it is computed: float32 at least."""
    out = x.dtype if edge_weight is None else torch.promote_types(x.dtype, edge_weight.dtype)
    return out, torch.promote_types(out, torch.float32)


def _pointers(index: Tensor, size: int) -> Tensor:
    count = torch.bincount(index, minlength=size)
    return F.pad(count.cumsum(0), (1, 0))


class Propagate(torch.autograd.Function):
    r"""Computes :math:`\mathbf{A} \mathbf{x}`, and :math:`\mathbf{A}^{\top} \mathbf{g}` backward.

    The gradient with respect to :math:`A_{ij}` is :math:`\mathbf{g}_i^{\top} \mathbf{x}_j`,
    sampled at the edges, and only where it is asked for. With ``create_graph`` both are computed
    edge by edge, so that they can be differentiated again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        value: Tensor | None,
        value_t: Tensor | None,
        adj: Adjacency,
        kernel: str,
    ) -> Tensor:
        """Multiplies; ``value`` in the order of the rows, ``None`` for ones."""
        ctx.adj, ctx.kernel = adj, kernel
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, value, value_t)
        return multiply(adj.rowptr, adj.col, value, x, kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """Multiplies by the transpose."""
        adj: Adjacency = ctx.adj
        x, value, value_t = ctx.saved_tensors
        grad_x = grad_value = None
        if torch.is_grad_enabled():  # create_graph
            grad_x, grad_value = _edge_by_edge(adj, grad, x, value)
            return grad_x, grad_value, None, None, None
        grad = grad.contiguous()
        if ctx.needs_input_grad[0]:
            if value is not None and value_t is None:
                value_t = value[adj.perm_t]
            grad_x = multiply(adj.colptr, adj.row, value_t, grad, ctx.kernel)
        if ctx.needs_input_grad[1]:
            grad_value = edge_products(adj, grad, x)
        return grad_x, grad_value, None, None, None


def _edge_by_edge(
    adj: Adjacency, grad: Tensor, x: Tensor | None, value: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The gradients by operations that have gradients; ``x`` where the weights want one."""
    row = torch.repeat_interleave(adj.rowptr.diff(), output_size=adj.col.numel())
    message = grad[row]
    weighted = message if value is None else value[:, None] * message
    grad_x = grad.new_zeros(adj.num_cols, grad.size(1)).index_add(0, adj.col, weighted)
    return grad_x, None if x is None else (message * x[adj.col]).sum(dim=1)


def edge_products(adj: Adjacency, rows: Tensor, cols: Tensor) -> Tensor:
    """Inner products of a row of each of two tables, sampled at the entries of the matrix."""
    empty = _csr(adj.rowptr, adj.col, rows.new_zeros(adj.col.numel()), cols.size(0))
    product: Tensor = torch.sparse.sampled_addmm(empty, rows, cols.t()).values()
    return product


def multiply(rowptr: Tensor, col: Tensor, value: Tensor | None, x: Tensor, kernel: str) -> Tensor:
    """A CSR matrix times ``x``, without a buffer of one row an edge, by one of ``KERNELS``."""
    x = x.detach().contiguous()  # bags of a tensor that wants a gradient take a slower path
    if kernel == "embedding_bag":
        return F.embedding_bag(
            col, x, rowptr, mode="sum", per_sample_weights=value, include_last_offset=True
        )
    if kernel == "triton":
        from mdsrec_pyg.nn.conv._triton import row_sums

        return row_sums(rowptr, col, value, x)
    value = x.new_ones(col.numel()) if value is None else value
    with torch.autocast(x.device.type, enabled=False):
        product: Tensor = _csr(rowptr, col, value, x.size(0)) @ x
    return product


def _csr(rowptr: Tensor, col: Tensor, value: Tensor, num_cols: int) -> Tensor:
    size = (rowptr.numel() - 1, num_cols)
    return torch.sparse_csr_tensor(rowptr, col, value, size, check_invariants=False)
