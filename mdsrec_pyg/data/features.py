"""Frozen features of the items in one modality."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ModalFeature"]

# Rounding alone makes a constant feature vary by about 1e-7 of its value.
CONSTANT = 1e-6

#: Bytes that a sparse matrix of features may take as a dense one.
MAX_DENSE = 4 * 2**30


@dataclass(frozen=True, eq=False)
class ModalFeature:
    """Features of all items in one modality; an item may lack the modality.

    Args:
        x: Features, float32 ``[N, F]``: a tensor, an array, a table, or a sparse matrix of SciPy or
            PyTorch that takes at most 4 GiB as a dense one. Half precision, bfloat16 and double
            precision are converted. What stands in the rows of missing items is never looked at:
            they are set to zero.
        mask: True where the item has the modality, bool ``[N]``. Default: all have it.

    Raises:
        ValueError: Wrong type or shape, NaN or infinity in the row of a present item, or a row that
            is not zero and would become so in float32.
    """

    x: Tensor
    mask: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Converts, sets missing rows to zero and checks."""
        given = as_dense(self.x)
        if given.dim() != 2 or 0 in given.shape:
            raise ValueError(
                f"'x' must have shape [N, F], both positive (got {tuple(given.shape)})"
            )
        if not given.is_floating_point():
            raise ValueError(f"'x' must hold floating-point numbers (got {given.dtype})")
        full = self.mask is None
        mask = torch.ones(len(given), dtype=torch.bool) if full else torch.as_tensor(self.mask)
        if mask.dtype != torch.bool or mask.shape != given.shape[:1]:
            raise ValueError(
                f"'mask' must be bool of shape ({len(given)},) (got {mask.dtype} of shape "
                f"{tuple(mask.shape)})"
            )
        x = given.to(torch.float32)
        if not mask.all():
            x = x.masked_fill(~mask[:, None], 0.0)
        _check_values(given, x, mask)
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


def as_dense(x: Any, name: str = "'x'") -> Tensor:
    """Numbers in any of the forms that people hold them in, as a dense tensor.

    Args:
        x: A tensor, an array, a table, nested lists, or a sparse matrix of SciPy or PyTorch.
        name: What messages call it.

    Raises:
        ValueError: It holds something else than numbers, its masked entries have no value, or a
            sparse matrix is too large as a dense one.
    """
    if isinstance(x, Tensor):
        if x.is_meta or x.is_nested or x.is_quantized:
            kinds = {"without values": x.is_meta, "nested": x.is_nested, "quantized": True}
            kind = next(kind for kind, holds in kinds.items() if holds)
            raise ValueError(f"{name} must be a tensor of numbers (got one that is {kind})")
        if x.layout != torch.strided:
            _check_dense_size(tuple(x.shape), name)
            x = x.to_dense()
        return x.detach()
    if sp.issparse(x):
        _check_dense_size(x.shape, name)
        x = x.toarray()
    elif isinstance(x, np.ma.MaskedArray) and np.ma.getmaskarray(x).any():
        raise ValueError(f"{name} must have no masked entries: NumPy keeps no values for them")
    try:
        array = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, and what is no array
        raise ValueError(f"{name} must be an array of numbers ({error})") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold numbers (got {array.dtype} of shape {array.shape}, from a "
            f"{type(x).__name__})"
        )
    if array.dtype.itemsize > 8:  # extended precision is unknown to PyTorch
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
    # PyTorch reads neither another byte order nor negative strides.
    return torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))


def _check_dense_size(shape: tuple[int, ...], name: str) -> None:
    size = 4 * math.prod(shape)
    if size > MAX_DENSE:
        raise ValueError(
            f"{name} must take at most {MAX_DENSE:,} bytes as a dense matrix of float32 (got a "
            f"sparse one of shape {tuple(shape)}, {size:,} bytes): reduce it before, for example "
            "by sklearn.decomposition.TruncatedSVD"
        )


def _check_values(given: Tensor, x: Tensor, mask: Tensor) -> None:
    """Raises a ValueError where float32 does not hold what was given."""
    finite = x.isfinite()
    if not finite.all():
        row, column = (~finite).nonzero()[0].tolist()
        raise ValueError(
            f"'x' must hold finite float32 numbers (got {given[row, column].item()} in row {row}, "
            f"column {column})"
        )
    if given.dtype == torch.float64:
        lost = given.any(1) & ~x.any(1) & mask
        if lost.any():
            row = int(lost.nonzero()[0])
            raise ValueError(
                f"'x' must hold numbers that float32 holds (row {row} would become zeros, its "
                f"largest is {given[row].abs().max().item():g}: scale the features)"
            )


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
