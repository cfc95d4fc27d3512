"""Feature rows brought to one form, in blocks: whose rows count, and which direction they have."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.neighbors import row_blocks, unit_rows


def filled_rows(feature: ModalFeature) -> Tensor:
    """True where the item has the modality and its row is not all zeros, bool ``[N]``."""
    return feature.mask & feature.x.any(dim=1)


def scaled_unit_rows(feature: ModalFeature, known: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """Standardizes over the filled rows of the items ``known`` ``[N]``, then scales to length one.

    The same as :func:`~mdsrec_pyg.data.standardize` and then ``unit_rows``, but that holds the
    whole array in float64, which is 1 GB for 100,000 items of 1,280 features. Rows of zeros count
    as missing here. Without a known item that is filled, all filled rows are the base.

    Returns:
        Unit rows, float32 ``[N, F]``, zero where missing, and who has one, bool ``[N]``.
    """
    filled = filled_rows(feature)
    fit = filled & torch.from_numpy(known)
    fit = fit if fit.any() else filled
    mean, std = _mean_and_std(feature.x, fit)
    x = torch.zeros_like(feature.x)
    for rows in row_blocks(len(x), x.size(1), None):
        x[rows] = ((feature.x[rows] - mean) / std).float()
    return unit_rows(ModalFeature(x, filled))


def _mean_and_std(x: Tensor, fit: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of the rows ``fit``, float64 ``[F]``."""
    count = max(int(fit.sum()), 1)
    mean = torch.zeros(x.size(1), dtype=torch.float64)
    square = torch.zeros_like(mean)
    for rows in row_blocks(len(x), x.size(1), None):
        mean += x[rows][fit[rows]].double().sum(0) / count
    for rows in row_blocks(len(x), x.size(1), None):
        square += (x[rows][fit[rows]] - mean).square().sum(0) / count
    std = square.sqrt()
    return mean, std.masked_fill(std <= 1e-6 * mean.abs(), 1.0)  # as in standardize


def sample(values: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most ``size`` of the values, drawn without repetition, in their order."""
    if len(values) <= size:
        return values
    return values[np.sort(rng.choice(len(values), size, replace=False))]
