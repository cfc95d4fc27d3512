"""The sparsity of a graph's matrix and of its transpose, sorted once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.nn.conv._cache import TensorCache, is_capturing

# Kernels count a few entries past the end of a row.
_MOST_INT32 = 2**31 - 2**10


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
    _rows: dict[bool, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Transposes."""
        num_rows, num_edges = self.rowptr.numel() - 1, self.col.numel()
        row = torch.repeat_interleave(
            torch.arange(num_rows, device=self.col.device),
            self.rowptr.diff(),
            output_size=num_edges,
        )
        self.perm_t = torch.argsort(self.col, stable=True)
        small = max(num_edges, num_rows, self.num_cols) < _MOST_INT32
        dtype = torch.int32 if small else torch.int64
        self.colptr = _pointers(self.col, self.num_cols).to(dtype)
        self.row = row[self.perm_t].to(dtype)
        # Copies: a view would keep the tensor it was made from, and its cache entry, alive.
        self.rowptr = self.rowptr.to(dtype, copy=True)
        self.col = self.col.to(dtype, copy=True)

    @classmethod
    def from_edges(cls, row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> Adjacency:
        """Sorts edges by row; edges that are sorted already stay where they are.

        While a CUDA graph is captured nothing can be looked at: all are sorted, and what lies
        outside is the device's to refuse.
        """
        capturing = is_capturing(row)
        for index, size in ((row, num_rows), (col, num_cols)):
            if index.numel() and not capturing:
                _check_range(index, size)
        perm = None
        if capturing or bool((row[1:] < row[:-1]).any()):
            perm = torch.argsort(row, stable=True)
            col = col[perm]
        return cls(_pointers(row, num_rows), col, perm, num_cols)

    def side(self, transpose: bool) -> tuple[Tensor, Tensor]:
        """Pointers and indices of the matrix, or of its transpose."""
        return (self.colptr, self.row) if transpose else (self.rowptr, self.col)

    def has_rows(self, transpose: bool) -> bool:
        """Whether :meth:`rows` is there already."""
        return transpose in self._rows

    def rows(self, transpose: bool) -> Any:
        """The same as the Triton kernels take it, made when it is first asked for."""
        found = self._rows.get(transpose)
        if found is None:
            from mdsrec_pyg.nn.conv._triton import Rows

            capturing = is_capturing(self.col)
            found = Rows(*self.side(transpose), whole=capturing)
            if not capturing:
                self._rows[transpose] = found
        return found

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


def _check_range(index: Tensor, size: int) -> None:
    low, high = (int(end) for end in index.aminmax())
    if not 0 <= low <= high < size:
        raise ValueError(
            f"'edge_index' must lie in 0..{size - 1}, the rows of 'x' (got {low} to {high})"
        )


def _pointers(index: Tensor, size: int) -> Tensor:
    if index.is_cuda:  # where bincount waits for the device
        count = index.new_zeros(size).scatter_add_(0, index, torch.ones_like(index))
    else:
        count = torch.bincount(index, minlength=size)
    return F.pad(count.cumsum(0), (1, 0))
