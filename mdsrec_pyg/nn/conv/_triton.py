"""Triton kernels for sparse times dense on CUDA: some rows a program, no atomics, no order lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["PIECE", "Rows", "Tiling", "tiling"]

#: Entries of a row that one program sums; of longer rows each piece has its own program.
PIECE = 64
# Columns that a program holds of a row; wider tables take several programs a row.
_MOST_COLUMNS = 128
_SUMS = {torch.float32: tl.float32, torch.float64: tl.float64}


@dataclass(frozen=True)
class Tiling:
    """What one program of a kernel takes on.

    Args:
        rows: Rows of the matrix.
        columns: Columns of the table, a power of two.
        steps: Neighbors of each row before the program looks whether a row is longer.
        num_warps: Warps of 32 threads.
    """

    rows: int
    columns: int
    steps: int
    num_warps: int


@triton.jit(do_not_specialize=["num_rows"])
def _row_sums(
    first: tl.tensor,
    last: tl.tensor,
    col: tl.tensor,
    value: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    HAS_VALUE: tl.constexpr,
    SUM: tl.constexpr,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
) -> None:
    """Sums the weighted rows of ``x`` that each row of the matrix points at, in their order."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = column < CHANNELS
    edge = tl.load(first + row, mask=row < num_rows, other=0)
    end = tl.load(last + row, mask=row < num_rows, other=0)
    longest = tl.max(end - edge)
    total = tl.zeros([ROWS, COLUMNS], dtype=SUM)
    done = 0
    while done < longest:  # range() over what was loaded is more than the interpreter takes
        for _ in tl.static_range(STEPS):
            there = edge < end
            source = tl.load(col + edge, mask=there, other=0).to(tl.int64)
            part = tl.load(x + source * CHANNELS + column, mask=there & inside, other=0.0).to(SUM)
            if HAS_VALUE:
                part *= tl.load(value + edge, mask=there, other=0.0).to(SUM)
            total += part
            edge += 1
        done += STEPS
    place = row.to(tl.int64) * CHANNELS + column
    tl.store(out + place, total, mask=(row < num_rows) & inside)


@triton.jit(do_not_specialize=["num_rows"])
def _edge_sums(
    first: tl.tensor,
    last: tl.tensor,
    col: tl.tensor,
    rows: tl.tensor,
    grad: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    HAS_ROWS: tl.constexpr,
    SUM: tl.constexpr,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEPS: tl.constexpr,
) -> None:
    """The inner product of a row of ``grad`` and one of ``x`` for each entry of the matrix."""
    piece = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    edge = tl.load(first + piece, mask=piece < num_rows, other=0)
    end = tl.load(last + piece, mask=piece < num_rows, other=0)
    row = piece.to(tl.int64)
    if HAS_ROWS:
        row = tl.load(rows + piece, mask=piece < num_rows, other=0).to(tl.int64)
    longest = tl.max(end - edge)
    done = 0
    while done < longest:
        for _ in tl.static_range(STEPS):
            there = edge < end
            source = tl.load(col + edge, mask=there, other=0).to(tl.int64)
            total = tl.zeros([ROWS], dtype=SUM)
            for start in tl.static_range(0, CHANNELS, COLUMNS):
                column = start + tl.arange(0, COLUMNS)
                mask = there[:, None] & (column < CHANNELS)[None, :]
                a = tl.load(grad + row[:, None] * CHANNELS + column[None, :], mask=mask, other=0.0)
                b = tl.load(x + source[:, None] * CHANNELS + column[None, :], mask=mask, other=0.0)
                total += tl.sum(a.to(SUM) * b.to(SUM), axis=1)
            tl.store(out + edge, total, mask=there)
            edge += 1
        done += STEPS


def tiling(channels: int, mean: int) -> Tiling:
    """What a program takes on, for a table of some width and rows of a mean length.

    Four rows of up to 64 columns, two of more: benchmarks/README.md has the times of others.
    """
    columns = min(_MOST_COLUMNS, max(16, triton.next_power_of_2(channels)))
    return Tiling(2, columns, min(max(mean, 2), 20), 1)


class Rows:
    """The rows of a matrix as the kernels take them: whole, or in pieces where they are long.

    A row of thousands of entries, such as a popular item's in a transpose, would keep one program
    at work while all others are done. Beyond :data:`PIECE` entries it is cut: each piece is summed
    by a program of its own, and then the sums of the pieces, in their order.

    Args:
        rowptr: Where each row's entries start ``[rows + 1]``, int32 or int64.
        col: Column of each entry ``[E]``.
        whole: Whether to cut nothing, and so not to wait for the device.
    """

    def __init__(self, rowptr: Tensor, col: Tensor, whole: bool = False) -> None:
        """Cuts long rows."""
        self.num_rows, self.col = rowptr.numel() - 1, col
        self.first, self.last = rowptr[:-1], rowptr[1:]
        self.mean = -(-col.numel() // max(self.num_rows, 1))
        self.row_of: Tensor | None = None
        self.long: Tensor | None = None
        self.pieces: Rows | None = None
        self._compiled: dict[Any, Any] = {}
        if not whole and col.numel() and int((self.last - self.first).max()) > PIECE:
            self._cut()

    def _cut(self) -> None:
        """First pieces stand at the place of their row, all others behind."""
        degree = self.last - self.first
        self.long = (degree > PIECE).nonzero().view(-1)
        count = (degree[self.long].long() + PIECE - 1).div(PIECE, rounding_mode="floor")
        ptr = F.pad(count.cumsum(0), (1, 0))
        nth_row = torch.arange(len(count), device=count.device).repeat_interleave(count)
        place = torch.arange(len(nth_row), device=count.device)
        nth = place - ptr[nth_row]
        further = self.num_rows + place - nth_row - 1
        self.pieces = Rows(ptr, torch.where(nth > 0, further, self.long[nth_row]))
        row = self.long[nth_row][nth > 0]
        start = self.first[row] + PIECE * nth[nth > 0].to(self.first.dtype)
        length = (torch.cat([self.last, self.last[row]]) - torch.cat([self.first, start])).clamp(
            max=PIECE
        )
        self.first = torch.cat([self.first, start])
        self.last = self.first + length
        self.row_of = torch.cat([torch.arange(self.num_rows, device=row.device), row])

    def sums(self, value: Tensor | None, x: Tensor, out_dtype: torch.dtype) -> Tensor:
        """The matrix times ``x``; deterministic, and without a buffer of one row an edge.

        Args:
            value: Weight of each entry ``[E]``; ``None``: ones.
            x: Dense matrix ``[N, D]``, contiguous.
            out_dtype: Type of the result; the sums are in float32 at least.
        """
        dtype = torch.promote_types(torch.promote_types(out_dtype, x.dtype), torch.float32)
        if value is not None:
            dtype = torch.promote_types(dtype, value.dtype)
        num_rows, channels = self.first.numel(), x.size(1)
        whole = self.pieces is None
        out = x.new_empty(num_rows, channels, dtype=out_dtype if whole else dtype)
        if out.numel():
            tables = (x if value is None else value, x, out)
            self._launch(_row_sums, tables, value is not None, dtype, channels)
        if self.pieces is None or self.long is None:
            return out
        sums = self.pieces.sums(None, out, dtype)
        return out[: self.num_rows].index_copy_(0, self.long, sums).to(out_dtype)

    def products(self, grad: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Inner products of a row of each of two tables, sampled at the entries ``[E]``.

        Args:
            grad: Table ``[rows, D]``, contiguous.
            x: Table ``[N, D]``, contiguous.
            dtype: In what the products are summed, float32 or float64.
        """
        out = x.new_empty(self.col.numel(), dtype=dtype)
        if out.numel():
            rows = self.col if self.row_of is None else self.row_of
            tables = (rows, grad, x, out)
            self._launch(_edge_sums, tables, self.row_of is not None, dtype, x.size(1))
        return out

    def _launch(
        self, kernel: Any, tables: tuple[Tensor, ...], flag: bool, dtype: torch.dtype, channels: int
    ) -> None:
        """Launches a kernel, and keeps what was compiled: Triton looks it up more slowly.

        What decides how a kernel is compiled is in the key; what is of this matrix never changes.
        """
        device = tables[-1].device
        if device.type == "cuda" and device.index != torch.cuda.current_device():
            with torch.cuda.device(device):
                return self._launch(kernel, tables, flag, dtype, channels)
        key = (kernel, flag, channels, *[(t.dtype, t.data_ptr() % 16) for t in tables])
        num_rows = self.first.numel()
        args = (self.first, self.last, self.col, *tables, num_rows)
        known = self._compiled.get(key)
        if known is not None:
            compiled, grid, constants = known
            compiled[grid](*args, *constants)
            return None
        tile = tiling(channels, self.mean)
        tiles = 1 if kernel is _edge_sums else triton.cdiv(channels, tile.columns)
        grid = (triton.cdiv(num_rows, tile.rows), tiles, 1)
        constants = (flag, _SUMS[dtype], channels, tile.rows, tile.columns, tile.steps)
        compiled = kernel[grid](*args, *constants, num_warps=tile.num_warps)
        if compiled is not None:  # the interpreter compiles nothing
            self._compiled[key] = compiled, grid, constants
        return None
