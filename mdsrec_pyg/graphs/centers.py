"""Interest centers: k-means on a modality's features, and what the attention sees of them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

#: K, where nothing else is said.
NUM_CENTERS = 32

# Items labeled at once, and numbers of their features: at most 64 MB.
_BLOCK, _NUMBERS = 2**15, 2**24
_MAX_ITEMS = 50_000

# Features between 2^-20 and 2^20 have squares, and sums of these, well inside float32.
_ORDINARY = 20


class InterestCenters:
    r"""k-means centers of a modality's features (MDSRec, interest centers).

    Args:
        num_centers: K. (default: ``32``)
        random_state: Seed of k-means. (default: ``0``)
        n_init: Restarts of k-means, the best is kept. (default: ``3``)
        max_items: Items that the centers are fitted on, drawn by ``random_state`` where there are
            more; all are labeled. A few dozen centers are means of thousands of items by then, so
            that more items change them little. (default: ``50000``, or ``num_centers`` if more)

    Attributes:
        centers_: Float tensor [K, F].
        labels_: Long tensor [N], the center of each item; ``num_centers`` (one more than the
            last center) where the item lacks the modality.
        affinity_: Float tensor [N, K], cosine of each item and each center, both seen from the
            mean of the centers; zero where the item lacks the modality.

    Raises:
        ValueError: ``num_centers`` is below 1, or ``max_items`` below ``num_centers``; in
            :meth:`fit`: more centers than items.
    """

    centers_: Tensor
    labels_: Tensor
    affinity_: Tensor

    def __init__(
        self,
        num_centers: int = NUM_CENTERS,
        random_state: int = 0,
        *,
        n_init: int = 3,
        max_items: int | None = None,
    ) -> None:
        if num_centers < 1:
            raise ValueError(f"'num_centers' must be at least 1 (got {num_centers})")
        if max_items is None:
            max_items = max(_MAX_ITEMS, num_centers)
        if max_items < num_centers:
            raise ValueError(
                f"'max_items' must not be below 'num_centers', {num_centers} (got {max_items})"
            )
        self.num_centers = num_centers
        self.random_state = random_state
        self.n_init = n_init
        self.max_items = max_items

    def fit(
        self, x: Tensor, mask: Tensor | None = None, items: Tensor | None = None
    ) -> InterestCenters:
        """Fits the centers and labels every item.

        Args:
            x: Features [N, F].
            mask: Bool tensor [N], False where the item lacks the modality.
            items: Bool tensor [N]: the items that the centers may be fitted on (those of the
                training part); the others are only labeled. All by default.
        """
        present = torch.ones(len(x), dtype=torch.bool) if mask is None else mask
        fit_on = present if items is None else present & items
        num_fit = int(fit_on.sum())
        if num_fit < self.num_centers:
            raise ValueError(
                f"'num_centers' must not exceed the number of items with the modality "
                f"(got num_centers={self.num_centers}, items={num_fit})"
            )
        kmeans = KMeans(
            self.num_centers,
            n_init=self.n_init,
            random_state=self.random_state,
            copy_x=False,  # the sample is a copy
        )
        sample = _floats(x[self._sample(fit_on.cpu()).to(x.device)])
        exponent = _exponent(sample)
        kmeans.fit(_scaled(sample, exponent))
        centers = torch.from_numpy(kmeans.cluster_centers_).float()
        self.centers_ = torch.from_numpy(_scaled(centers.numpy(), -exponent))
        self.labels_ = torch.full((len(x),), self.num_centers, dtype=torch.long)
        self.affinity_ = torch.zeros(len(x), self.num_centers)
        middle, directions = centers.mean(0), self.directions()
        step = min(_BLOCK, max(1, _NUMBERS // x.size(1)))
        for block in present.cpu().nonzero()[:, 0].split(step):
            values = _scaled(_floats(x[block.to(x.device)]), exponent)
            self.labels_[block] = torch.from_numpy(kmeans.predict(values)).long()
            away = F.normalize(torch.from_numpy(values) - middle, dim=-1)
            self.affinity_[block] = away @ directions.t()
        used = len(np.unique(kmeans.labels_))
        if used < self.num_centers:
            warnings.warn(
                f"only {used} of {self.num_centers} centers hold items: "
                "the features have too few distinct rows",
                stacklevel=2,
            )
        return self

    def _sample(self, fit_on: Tensor) -> Tensor:
        items = fit_on.nonzero()[:, 0]
        if len(items) <= self.max_items:
            return items
        generator = torch.Generator().manual_seed(self.random_state)
        return items[torch.randperm(len(items), generator=generator)[: self.max_items]]

    def directions(self) -> Tensor:
        """Unit vectors from the mean of the centers to each of them, [K, F]."""
        table = self.centers_.numpy()
        centers = torch.from_numpy(_scaled(table, _exponent(table)))
        return F.normalize(centers - centers.mean(0), dim=-1)

    def __repr__(self) -> str:
        """Shows the settings."""
        return f"InterestCenters(num_centers={self.num_centers}, random_state={self.random_state})"


def _exponent(x: NDArray[np.float32]) -> int:
    """The power of two that brings numbers to about 1 where float32 could not hold their squares.

    0 where it can, and where all are zero.
    """
    largest = max(float(x.max()), -float(x.min()))
    if largest == 0 or 2.0**-_ORDINARY < largest < 2.0**_ORDINARY:
        return 0
    return -math.frexp(largest)[1]


def _scaled(x: NDArray[np.float32], exponent: int) -> NDArray[np.float32]:
    """Numbers times a power of two, which changes no digit of them, and so no center."""
    return np.ldexp(x, np.int32(exponent)) if exponent else x


def _floats(x: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(x.detach().cpu().numpy(), dtype=np.float32)
