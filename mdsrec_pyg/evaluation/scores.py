"""What ranking for evaluation and for recommendation have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class DivergedError(ValueError, FloatingPointError):
    """Scores or vectors are no numbers: a wrong input, and to who trains, a loss of precision."""


def seen_items(
    ptr: NDArray[np.int64], items: NDArray[np.int64], rows: slice, num_items: int
) -> tuple[Tensor, Tensor]:
    """Distinct (row, item) pairs of the histories ``rows``; row 0 is the first of them."""
    length = np.diff(ptr[rows.start : rows.stop + 1])
    row = np.repeat(np.arange(len(length)), length)
    pair = np.unique(row * num_items + items[ptr[rows.start] : ptr[rows.stop]])
    return torch.from_numpy(pair // num_items), torch.from_numpy(pair % num_items)


def check_scores(
    model: torch.nn.Module, scores: Tensor, shape: tuple[int, int], name: Callable[[int], str]
) -> None:
    """Raises an error that names model and user if its scores have a wrong shape or are NaN.

    Args:
        model: What scored.
        scores: Its answer.
        shape: What the answer must have.
        name: The user of a row.
    """
    if scores.shape != shape:
        kind = type(model).__name__
        raise ValueError(f"{kind}.score must return shape {shape} (got {tuple(scores.shape)})")
    if scores.amax().isnan():  # NaN is the largest; one pass, nothing of [B, N] is made
        raise diverged(model, name(int(scores.amax(1).isnan().nonzero()[0])))


def diverged(model: torch.nn.Module, user: str) -> DivergedError:
    """The error for a model whose scores are NaN."""
    return DivergedError(
        f"{type(model).__name__}.score must return numbers (got NaN, first for user {user}): the "
        "model has diverged or its input is broken"
    )
