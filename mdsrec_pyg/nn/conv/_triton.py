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
# The best of 36 tilings on an H200, or within 6 % of it, at 23,000 and 1,000,000 rows of 10 and 20
# neighbors, with 64 and 128 columns: benchmarks/results/2026-11-27-kernel-tilings-nvidia-h200.json.
_TILE_BYTES = 2048
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
    piece = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    edge = tl.load(first + piece, mask=piece < num_rows, other=0)
    end = tl.load(last + piece, mask=piece < num_rows, other=0)
    row = piece.to(tl.int64)
    if HAS_ROWS:
        row = tl.load(rows + piece, mask=piece < num_rows, other=0).to(tl.int64)
    grad += row * CHANNELS
    column = tl.arange(0, COLUMNS)[None, :]
    inside = column < CHANNELS
    a = tl.load(grad + column, mask=(edge < end) & inside, other=0.0).to(SUM)
    longest = tl.max(end - edge)
    done = 0
    while done < longest:
        for _ in tl.static_range(STEPS):
            there = edge < end
            source = tl.load(col + edge, mask=there, other=0).to(tl.int64) * CHANNELS
            b = tl.load(x + source + column, mask=there & inside, other=0.0)
            total = tl.sum(a * b.to(SUM), axis=1, keep_dims=True)
            for start in tl.static_range(COLUMNS, CHANNELS, COLUMNS):
                mask = there & (column + start < CHANNELS)
                c = tl.load(grad + start + column, mask=mask, other=0.0).to(SUM)
                b = tl.load(x + source + start + column, mask=mask, other=0.0)
                total += tl.sum(c * b.to(SUM), axis=1, keep_dims=True)
            tl.store(out + edge, total, mask=there)
            edge += 1
        done += STEPS


def tiling(channels: int, itemsize: int) -> Tiling:
    """What a program takes on: one warp, 2 KiB of the table at a step.

    Args:
        channels: Columns of the table.
        itemsize: Bytes of a number of it.
    """
    columns = min(_MOST_COLUMNS, max(16, triton.next_power_of_2(channels)))
    rows = max(1, _TILE_BYTES // (columns * itemsize))
    return Tiling(rows, columns, steps=4, num_warps=1)


@dataclass(frozen=True)
class _Launch:
    """A compiled kernel, its grid bound, and what stays the same for one matrix.

    Triton's own way to a kernel looks at each argument anew, which takes longer than a launch.
    """

    runner: Any
    dtype: torch.dtype
    pointers: tuple[int, ...]
    constants: tuple[Any, ...]

    def __call__(self, *tables: Tensor) -> None:
        self.runner(*self.pointers, *[t.data_ptr() for t in tables], *self.constants)


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
        self.row_of: Tensor | None = None
        self.long: Tensor | None = None
        self.pieces: Rows | None = None
        self._launches: dict[tuple[Any, ...], _Launch] = {}
        self._only_device = torch.cuda.device_count() <= 1
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
        table = x if value is None else value
        known = self._known(x, table, out_dtype, value is None)
        if known is not None:
            out = x.new_empty(self.first.numel(), x.size(1), dtype=known.dtype)
            known(table, x, out)
        else:
            out = self._first_sums(value, x, out_dtype)
        if self.pieces is None or self.long is None:
            return out
        sums = self.pieces.sums(None, out, out.dtype)
        return out[: self.num_rows].index_copy_(0, self.long, sums).to(out_dtype)

    def _first_sums(self, value: Tensor | None, x: Tensor, out_dtype: torch.dtype) -> Tensor:
        sum_dtype = torch.promote_types(torch.promote_types(out_dtype, x.dtype), torch.float32)
        if value is not None:
            sum_dtype = torch.promote_types(sum_dtype, value.dtype)
        dtype = out_dtype if self.pieces is None else sum_dtype
        out = x.new_empty(self.first.numel(), x.size(1), dtype=dtype)
        if out.numel():
            table = x if value is None else value
            key = _kind(x, table, out_dtype, value is None)
            self._launch(key, _row_sums, (table, x, out), value is not None, sum_dtype)
        return out

    def products(self, grad: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Inner products of a row of each of two tables, sampled at the entries ``[E]``.

        Args:
            grad: Table ``[rows, D]``, contiguous.
            x: Table ``[N, D]``, contiguous.
            dtype: In what the products are summed, float32 or float64.
        """
        out = x.new_empty(self.col.numel(), dtype=dtype)
        if not out.numel():
            return out
        rows = self.col if self.row_of is None else self.row_of
        tables = (rows, grad, x, out)
        known = self._known(x, grad, dtype, None)
        if known is not None:
            known(*tables)
        else:
            self._launch(
                _kind(x, grad, dtype, None), _edge_sums, tables, self.row_of is not None, dtype
            )
        return out

    def _known(
        self, x: Tensor, other: Tensor, dtype: torch.dtype, ones: bool | None
    ) -> _Launch | None:
        """The launch of this kind, where it is right for what lies in ``x`` and ``other``."""
        known = self._launches.get(_kind(x, other, dtype, ones))
        if known is None or (x.data_ptr() | other.data_ptr()) % 16:
            return None
        return known if self._only_device or _is_current(x) else None

    def _launch(
        self,
        key: tuple[Any, ...],
        kernel: Any,
        tables: tuple[Tensor, ...],
        flag: bool,
        dtype: torch.dtype,
    ) -> None:
        """Compiles a kernel, launches it, and keeps it for calls of this kind."""
        x, out = tables[-2:]
        if x.is_cuda and not _is_current(x):
            with torch.cuda.device(x.device):
                return self._launch(key, kernel, tables, flag, dtype)
        channels, num_rows = x.size(1), self.first.numel()
        tile = tiling(channels, x.element_size())
        tiles = 1 if kernel is _edge_sums else triton.cdiv(channels, tile.columns)
        grid = (triton.cdiv(num_rows, tile.rows), tiles, 1)
        constants = (flag, _SUMS[dtype], channels, tile.rows, tile.columns, tile.steps)
        matrix = (self.first, self.last, self.col)
        compiled = kernel[grid](*matrix, *tables, num_rows, *constants, num_warps=tile.num_warps)
        # The interpreter compiles nothing; where a table lies is part of what is compiled.
        if compiled is not None and not any(t.data_ptr() % 16 for t in tables):
            pointers = tuple(t.data_ptr() for t in matrix)
            runner = compiled[grid]
            self._launches[key] = _Launch(runner, out.dtype, pointers, (num_rows, *constants))
        return None


def _kind(x: Tensor, other: Tensor, dtype: torch.dtype, ones: bool | None) -> tuple[Any, ...]:
    """All that decides which kernel is compiled and may differ from call to call."""
    return x.size(1), x.dtype, other.dtype, dtype, ones


def _is_current(x: Tensor) -> bool:
    return x.device.index == torch.cuda.current_device()
