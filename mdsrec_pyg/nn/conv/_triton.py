"""A Triton kernel for sparse times dense on CUDA: one program a row, no atomics."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Neighbors and columns that a program holds at once.
_MOST_EDGES = 32
_MOST_COLUMNS = 128


@triton.jit
def _row_sum(
    rowptr: Any,
    col: Any,
    value: Any,
    x: Any,
    out: Any,
    channels: Any,
    HAS_VALUE: tl.constexpr,
    EDGES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Sums the weighted rows of ``x`` that one row of the matrix points at, in a fixed order."""
    row = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < channels
    first = tl.load(rowptr + row)
    last = tl.load(rowptr + row + 1)
    total = tl.zeros([EDGES, COLUMNS], dtype=out.dtype.element_ty)
    for start in range(first, last, EDGES):
        edge = start + tl.arange(0, EDGES)
        there = edge < last
        source = tl.load(col + edge, mask=there, other=0).to(tl.int64)
        place = source[:, None] * channels + column[None, :]
        part = tl.load(x + place, mask=there[:, None] & inside[None, :], other=0.0)
        if HAS_VALUE:
            part *= tl.load(value + edge, mask=there, other=0.0)[:, None]
        total += part
    place = row.to(tl.int64) * channels + column
    tl.store(out + place, tl.sum(total, axis=0), mask=inside)


def row_sums(rowptr: Tensor, col: Tensor, value: Tensor | None, x: Tensor) -> Tensor:
    """A CSR matrix times ``x``; deterministic, and without a buffer of one row an edge.

    Args:
        rowptr: Where each row's entries start ``[rows + 1]``, int32 or int64.
        col: Column of each entry ``[E]``.
        value: Weight of each entry ``[E]``; ``None``: ones.
        x: Dense matrix ``[N, D]``, contiguous, float32 or float64.
    """
    num_rows, channels = rowptr.numel() - 1, x.size(1)
    out = x.new_empty(num_rows, channels)
    if not out.numel():
        return out
    # As many neighbors at once as a row has on average, so that few lanes idle.
    mean = max(1, -(-col.numel() // num_rows))
    edges = min(_MOST_EDGES, triton.next_power_of_2(mean))
    columns = min(_MOST_COLUMNS, triton.next_power_of_2(channels))
    grid = (num_rows, triton.cdiv(channels, columns))
    with torch.cuda.device_of(x):
        _row_sum[grid](
            rowptr,
            col,
            x if value is None else value,
            x,
            out,
            channels,
            HAS_VALUE=value is not None,
            EDGES=edges,
            COLUMNS=columns,
            num_warps=2,
        )
    return out
