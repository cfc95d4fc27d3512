"""Feature rows brought to one form, in blocks: whose rows count, and which direction they have."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.scaling import FeatureScaler
from mdsrec_pyg.graphs.neighbors import unit_rows


def filled_rows(feature: ModalFeature) -> Tensor:
    """True where the item has the modality and its row is not all zeros, bool ``[N]``."""
    return feature.mask & feature.x.any(dim=1)


def scaled_unit_rows(feature: ModalFeature, known: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """Standardizes over the filled rows of the items ``known`` ``[N]``, then scales to length one.

    Rows of zeros count as missing here. Without a known item that is filled, all filled rows are
    the base.

    Returns:
        Unit rows, float32 ``[N, F]``, zero where missing, and who has one, bool ``[N]``.
    """
    filled = filled_rows(feature)
    if not filled.any():
        return torch.zeros_like(feature.x), filled
    fit = filled & torch.from_numpy(known)
    sound = ModalFeature(feature.x, filled)
    return unit_rows(FeatureScaler().fit_transform(sound, fit if fit.any() else None))


def sample(values: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most ``size`` of the values, drawn without repetition, in their order."""
    if len(values) <= size:
        return values
    return values[np.sort(rng.choice(len(values), size, replace=False))]
