"""The largest scores of each row, with a rule for equal ones, without sorting a catalog."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def top_items(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest scores of each row, best first; equal scores: the lower index first.

    Blocks of scores whose largest is below the k-th largest of all blocks' cannot hold one of
    the k: one pass over the scores, and the rest of the work is on k blocks a row, at most 2k - 1
    where scores are equal, of the square root of N / k scores each.

    Args:
        scores: Numbers ``[B, N]``.
        k: From 1 to ``N``.

    Returns:
        Scores ``[B, k]`` and indices ``[B, k]``.
    """
    num_rows, num_items = scores.shape
    size = max(1, math.isqrt(num_items // k))  # at least k blocks
    whole = num_items // size * size
    largest = scores[:, :whole].unflatten(1, (-1, size)).amax(2)
    if whole < num_items:
        largest = torch.cat([largest, scores[:, whole:].amax(1, keepdim=True)], dim=1)
    bound = largest.topk(k, dim=1).values[:, -1:]  # k blocks, so k scores, are not below it
    # Of the blocks that only just reach it, the first k hold the k lowest of the equal scores:
    # where nearly all are equal, all others would be looked at for nothing.
    equal = largest == bound
    chosen = (largest > bound) | (equal & (equal.cumsum(1, dtype=torch.int32) <= k))
    row, block = chosen.nonzero(as_tuple=True)
    item = block[:, None] * size + torch.arange(size, device=scores.device)  # [blocks, size]
    value = scores[row[:, None], item.clamp(max=num_items - 1)]
    kept = (value >= bound[row]) & (item < num_items)
    row = row[:, None].expand_as(item)[kept]
    return first_of_rows(row, item[kept], value[kept], num_rows, k)


def first_of_rows(
    row: Tensor, item: Tensor, value: Tensor, num_rows: int, k: int
) -> tuple[Tensor, Tensor]:
    """The ``k`` best of candidates that are sorted by row and item; each row has at least ``k``.

    Args:
        row: Row of each candidate ``[P]``.
        item: Item of each candidate ``[P]``.
        value: Score of each candidate ``[P]``.
        num_rows: Number of rows, B.
        k: Items kept a row.

    Returns:
        Scores ``[B, k]`` and items ``[B, k]``; equal scores: the lower item first.
    """
    order = value.argsort(descending=True, stable=True)
    if num_rows > 1:
        order = order[row[order].argsort(stable=True)]
    count = torch.bincount(row, minlength=num_rows)
    start = count.cumsum(0) - count
    best = order[start[:, None] + torch.arange(k, device=row.device)]  # [B, k]
    return value[best], item[best]
