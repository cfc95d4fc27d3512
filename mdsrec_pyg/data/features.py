"""Frozen features of the items in one modality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ModalFeature"]

# Rounding alone makes a constant feature vary by about 1e-7 of its value.
CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class ModalFeature:
    """Features of all items in one modality; an item may lack the modality.

    Args:
        x: Features, float32 ``[N, F]``. Half and double precision are converted. What stands in
            the rows of missing items is never looked at: they are set to zero.
        mask: True where the item has the modality, bool ``[N]``. Default: all have it.

    Raises:
        ValueError: Wrong type or shape, or NaN or infinity in the row of a present item.
    """

    x: Tensor
    mask: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Converts, sets missing rows to zero and checks."""
        x = torch.as_tensor(self.x)
        if x.dim() != 2 or 0 in x.shape:
            raise ValueError(f"'x' must have shape [N, F], both positive (got {tuple(x.shape)})")
        if not x.is_floating_point():
            raise ValueError(f"'x' must hold floating-point numbers (got {x.dtype})")
        full = self.mask is None
        mask = torch.ones(len(x), dtype=torch.bool) if full else torch.as_tensor(self.mask)
        if mask.dtype != torch.bool or mask.shape != x.shape[:1]:
            raise ValueError(
                f"'mask' must be bool of shape ({len(x)},) (got {mask.dtype} of shape "
                f"{tuple(mask.shape)})"
            )
        x = x.to(torch.float32)
        if not mask.all():
            x = x.masked_fill(~mask[:, None], 0.0)
        finite = x.isfinite()
        if not finite.all():
            row, column = (~finite).nonzero()[0].tolist()
            raise ValueError(
                f"'x' must hold finite float32 numbers (got {self.x[row][column]} in row {row}, "
                f"column {column})"
            )
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "mask", mask)

    def __len__(self) -> int:
        """Number of items."""
        return self.x.size(0)

    def __repr__(self) -> str:
        """Shape and number of items that have the modality."""
        return f"ModalFeature({len(self):,} x {self.num_features}, present={self.num_present:,})"

    @property
    def num_features(self) -> int:
        """Number of features *F* of an item."""
        return self.x.size(1)

    @property
    def num_present(self) -> int:
        """Number of items that have the modality."""
        return int(self.mask.sum())

    def take(self, index: Tensor | NDArray[np.int64]) -> ModalFeature:
        """The items ``index`` ``[n]``, in that order."""
        index = torch.as_tensor(index, dtype=torch.long)
        return ModalFeature(self.x[index], self.mask[index])


def fitted_items(feature: ModalFeature, train_items: NDArray[np.bool_] | Tensor | None) -> Tensor:
    """Items that have the modality and are known in training, bool ``[N]``.

    Raises:
        ValueError: ``train_items`` is not bool of shape ``[N]``, or no item is left.
    """
    fit = feature.mask
    if train_items is not None:
        known = torch.as_tensor(train_items)
        if known.dtype != torch.bool or known.shape != fit.shape:
            raise ValueError(
                f"'train_items' must be bool of shape ({len(feature)},) (got {known.dtype} of "
                f"shape {tuple(known.shape)})"
            )
        fit = fit & known
    if not fit.any():
        raise ValueError("'train_items' must hold an item that has the modality (got none)")
    return fit
