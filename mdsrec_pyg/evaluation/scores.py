"""What ranking for evaluation and for recommendation have in common."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def seen_items(
    ptr: NDArray[np.int64], items: NDArray[np.int64], rows: slice, num_items: int
) -> tuple[Tensor, Tensor]:
    """Distinct (row, item) pairs of the histories ``rows``; row 0 is the first of them."""
    length = np.diff(ptr[rows.start : rows.stop + 1])
    row = np.repeat(np.arange(len(length)), length)
    pair = np.unique(row * num_items + items[ptr[rows.start] : ptr[rows.stop]])
    return torch.from_numpy(pair // num_items), torch.from_numpy(pair % num_items)


def check_scores(model: torch.nn.Module, scores: Tensor, shape: tuple[int, int]) -> None:
    """Raises an error that names the model if its scores have a wrong shape or are NaN."""
    name = type(model).__name__
    if scores.shape != shape:
        raise ValueError(f"{name}.score must return shape {shape} (got {tuple(scores.shape)})")
    if scores.amax().isnan():  # NaN is the largest; one pass, nothing of [B, N] is made
        row = int(scores.isnan().any(1).nonzero()[0])
        raise ValueError(
            f"{name}.score must return numbers (got NaN, first in row {row} of a batch): the model "
            "has diverged or its input is broken"
        )
