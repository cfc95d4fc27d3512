"""Who has a modality, and whether its rows are sound."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.graphs.neighbors import row_blocks
from mdsrec_pyg.inspection._rows import filled_rows

__all__ = ["FeatureSummary", "summarize_feature"]

# Rows this many times as long as the median row are called extreme: features of one encoder differ
# by a factor of two or three.
EXTREME = 20.0
SHOWN = 5


@dataclass(frozen=True)
class FeatureSummary:
    """Coverage and soundness of one modality.

    Numbers that are not finite cannot occur: :class:`~mdsrec_pyg.data.ModalFeature` rejects them
    and names row and column.

    Args:
        num_features: Features of an item *F*.
        num_present: Items that have the modality.
        share_items: Their share of all items.
        share_interactions: Their share of the training interactions.
        num_zero: Present items whose row is all zeros.
        num_duplicates: Items whose row, not zeros, is exactly that of an item before it.
        largest_duplicate: Raw ids of the first items of the largest group of equal rows.
        largest_duplicate_size: Items in that group; 0 if all rows differ.
        constant_columns: Columns that have one value in all filled rows, up to rounding.
        zero_columns: Those of them that are zero throughout. They do no harm; some encoders have
            two or three.
        num_extreme: Filled rows that are more than 20 times as long (Euclidean) as the median one.
        max_length_ratio: Length of the longest row over that of the median one.
    """

    num_features: int
    num_present: int
    share_items: float
    share_interactions: float
    num_zero: int
    num_duplicates: int
    largest_duplicate: list[str]
    largest_duplicate_size: int
    constant_columns: list[int]
    zero_columns: list[int]
    num_extreme: int
    max_length_ratio: float


def summarize_feature(
    feature: ModalFeature, train: Interactions, item_ids: NDArray[Any] | None = None
) -> FeatureSummary:
    """Counts what one modality has and lacks.

    Args:
        feature: The features ``[N, F]``.
        train: Training interactions, at least one; ``share_interactions`` is of these.
        item_ids: Raw ids ``[N]``. Default: ``0..N-1``.

    Raises:
        ValueError: The number of items differs.
    """
    if len(feature) != train.num_items:
        raise ValueError(
            f"'feature' must have a row an item ({train.num_items}), got {len(feature)}"
        )
    ids = np.arange(len(feature)) if item_ids is None else item_ids
    filled = filled_rows(feature)
    groups = _equal_rows(feature.x, filled)
    largest = max(groups, key=len, default=[])
    length = torch.linalg.vector_norm(feature.x, dim=1, dtype=torch.float64)[filled]
    ratio = length / length.median() if len(length) else length
    mask = feature.mask.numpy()
    constant, zero = _constant_columns(feature.x, filled)
    return FeatureSummary(
        num_features=feature.num_features,
        num_present=feature.num_present,
        share_items=float(mask.mean()),
        share_interactions=float(mask[train.item_id].mean()),
        num_zero=int((feature.mask & ~filled).sum()),
        num_duplicates=sum(len(group) - 1 for group in groups),
        largest_duplicate=[str(ids[item]) for item in largest[:SHOWN]],
        largest_duplicate_size=len(largest),
        constant_columns=constant,
        zero_columns=zero,
        num_extreme=int((ratio > EXTREME).sum()),
        max_length_ratio=float(ratio.max()) if len(ratio) else 0.0,
    )


def _equal_rows(x: Tensor, filled: Tensor) -> list[list[int]]:
    """Groups of two or more items with exactly the same row, by 16-byte digests."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    rows = x.numpy()
    for item in filled.nonzero()[:, 0].tolist():
        row = rows[item] + 0.0  # -0 and 0 are equal and differ in their bytes
        groups[blake2b(row.tobytes(), digest_size=16).digest()].append(item)
    return [group for group in groups.values() if len(group) > 1]


def _constant_columns(x: Tensor, filled: Tensor) -> tuple[list[int], list[int]]:
    """Columns of one value, and those of them whose value is zero."""
    if int(filled.sum()) < 2:
        return [], []  # one row varies in nothing
    low = torch.full((x.size(1),), torch.inf)
    high = -low
    for rows in row_blocks(len(x), x.size(1), None):
        block = x[rows][filled[rows]]
        if len(block):
            low, high = torch.minimum(low, block.amin(0)), torch.maximum(high, block.amax(0))
    largest = torch.maximum(high.abs(), low.abs())
    constant = high - low <= 1e-6 * largest
    return constant.nonzero()[:, 0].tolist(), (largest == 0).nonzero()[:, 0].tolist()
