"""A model called with batches: what it returns is checked, and one bad input costs one item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["FaultTolerant", "fits_half"]

# Items without features in a row after which it is the model that fails, not its inputs.
MOST_FAILURES = 32

# The smallest normal and the largest number of half precision.
SMALLEST, LARGEST = 2.0**-14, 65504.0

# Not an input's fault: too little memory, or a disk.
FOR_ALL = (MemoryError, torch.OutOfMemoryError, OSError)


def fits_half(x: NDArray[Any]) -> bool:
    """Whether half precision holds rows ``[n, F]`` as well as it holds anything.

    In a row whose largest number is normal there, no number moves by more than 2^-11 of that one;
    in others small ones are rounded to zero or large ones to infinity.
    """
    largest = np.abs(x).max(axis=1, initial=0.0)
    return bool(((largest == 0) | ((largest >= SMALLEST) & (largest <= LARGEST))).all())


class FaultTolerant:
    """Calls a model; an item that it fails on is reported, and the others go on.

    A batch that fails is tried again item by item. Where each of them passes alone, where what
    fails is memory or a disk, or where 32 items fail in a row, the error is raised.

    Args:
        model: A callable from a list of *B* inputs to features ``[B, F]``.
        what: What the inputs are called.
    """

    def __init__(self, model: Callable[[Any], Any], what: str) -> None:
        self.model, self.what = model, what
        self.in_a_row = 0

    def __call__(
        self, inputs: Sequence[Any], items: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], dict[int, str]]:
        """The items that have features ``[n]``, those ``[n, F]``, and why the others have none."""
        try:
            features = self.model(list(inputs))
        except FOR_ALL:
            raise
        except Exception as error:
            return self._one_by_one(inputs, items, error)
        return self._checked(features, items)

    def _one_by_one(
        self, inputs: Sequence[Any], items: NDArray[np.int64], error: Exception
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], dict[int, str]]:
        if len(items) == 1:
            self._fail(error)
            reason = f"the model failed: {type(error).__name__}, {error}"
            return items[:0], np.empty((0, 0), np.float32), {int(items[0]): reason}
        parts = [self([given], items[place : place + 1]) for place, given in enumerate(inputs)]
        reasons = {row: reason for _, _, part in parts for row, reason in part.items()}
        if not reasons:
            raise error  # none of the items is to blame
        rows = [row for row, _, _ in parts if len(row)]
        if not rows:
            return items[:0], np.empty((0, 0), np.float32), reasons
        features = [x for row, x, _ in parts if len(row)]
        widths = {x.shape[1] for x in features}
        if len(widths) > 1:
            raise ValueError(
                f"'model' must return the same number of features each time (got {sorted(widths)})"
            )
        return np.concatenate(rows), np.concatenate(features), reasons

    def _checked(
        self, features: Any, items: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], dict[int, str]]:
        size = len(items)
        if isinstance(features, torch.Tensor):
            features = features.detach().cpu()
            if features.dtype == torch.bfloat16:  # unknown to NumPy
                features = features.float()
        x = np.asarray(features)
        if x.ndim != 2 or len(x) != size or x.shape[1] < 1 or x.dtype.kind not in "fiu":
            raise ValueError(
                f"'model' must return numbers of shape ({size}, F) for {size} {self.what} (got "
                f"{x.dtype} of shape {x.shape})"
            )
        with np.errstate(over="ignore", under="ignore"):
            single = x.astype(np.float32)
        finite = np.isfinite(single)
        lost = (x != 0).any(1) & ~(single != 0).any(1)
        bad = ~finite.all(1) | lost
        reasons = {}
        for place in range(size):
            if not bad[place]:
                self.in_a_row = 0
                continue
            wrong = (x[place] != 0) if lost[place] else ~finite[place]
            column = int(wrong.argmax())
            reason = (
                f"features beyond float32: {x[place, column]} in column {column} "
                "(dtype='float32' or 'bfloat16' helps where half precision overflows in the model)"
            )
            reasons[int(items[place])] = reason
            self._fail(ValueError(reason))
        return items[~bad], single[~bad], reasons

    def _fail(self, error: Exception) -> None:
        self.in_a_row += 1
        if self.in_a_row >= MOST_FAILURES:
            raise ValueError(
                f"'model' failed on {self.in_a_row} {self.what} in a row: {error}"
            ) from error
