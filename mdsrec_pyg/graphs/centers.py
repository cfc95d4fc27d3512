"""Interest centers: k-means on a modality's features, and what the attention sees of them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.cluster import KMeans, kmeans_plusplus
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
        self,
        x: Tensor,
        mask: Tensor | None = None,
        items: Tensor | None = None,
        *,
        device: str | torch.device = "cpu",
    ) -> InterestCenters:
        """Fits the centers and labels every item.

        Args:
            x: Features [N, F].
            mask: Bool tensor [N], False where the item lacks the modality.
            items: Bool tensor [N]: the items that the centers may be fitted on (those of the
                training part); the others are only labeled. All by default.
            device: Where it is computed; the results are on the CPU. On another than the CPU the
                rounds are our own, from the same starts: centers differ by rounding, which may
                lead them to another optimum.
        """
        present = torch.ones(len(x), dtype=torch.bool) if mask is None else mask
        fit_on = present if items is None else present & items
        num_fit = int(fit_on.sum())
        if num_fit < self.num_centers:
            raise ValueError(
                f"'num_centers' must not exceed the number of items with the modality "
                f"(got num_centers={self.num_centers}, items={num_fit})"
            )
        sample = x[self._sample(fit_on.cpu()).to(x.device)]
        if torch.device(device).type == "cpu":
            used = self._fit(x, sample, present)
        else:
            used = self._fit_on(torch.device(device), x, sample, present)
        if used < self.num_centers:
            warnings.warn(
                f"only {used} of {self.num_centers} centers hold items: "
                "the features have too few distinct rows",
                stacklevel=2,
            )
        return self

    def _fit(self, x: Tensor, rows: Tensor, present: Tensor) -> int:
        """Fits and labels; how many centers hold items."""
        kmeans = KMeans(
            self.num_centers,
            n_init=self.n_init,
            random_state=self.random_state,
            copy_x=False,  # the sample is a copy
        )
        sample = _floats(rows)
        exponent = _exponent(sample)
        kmeans.fit(_scaled(sample, exponent))
        centers = torch.from_numpy(kmeans.cluster_centers_).float()
        self._keep(torch.from_numpy(_scaled(centers.numpy(), -exponent)), len(x))
        middle, directions = centers.mean(0), self.directions()
        for block in _blocks(present, x):
            values = _scaled(_floats(x[block.to(x.device)]), exponent)
            self.labels_[block] = torch.from_numpy(kmeans.predict(values)).long()
            away = F.normalize(torch.from_numpy(values) - middle, dim=-1)
            self.affinity_[block] = away @ directions.t()
        return len(np.unique(kmeans.labels_))

    def _fit_on(self, device: torch.device, x: Tensor, rows: Tensor, present: Tensor) -> int:
        """The same on another device."""
        sample = _floats(rows)
        exponent = _exponent(sample)
        sample = _scaled(sample, exponent)
        draw, least, centers = np.random.RandomState(self.random_state), np.inf, None
        for _ in range(self.n_init):
            start, _ = kmeans_plusplus(sample, self.num_centers, random_state=draw)
            given = torch.from_numpy(sample).to(device), torch.from_numpy(start).to(device)
            found, inertia = lloyd(*given)
            if inertia < least:
                centers, least = found, inertia
        assert centers is not None
        self._keep(torch.from_numpy(_scaled(centers.cpu().numpy(), -exponent)), len(x))
        middle, directions = centers.mean(0), self.directions().to(device)
        for block in _blocks(present, x):
            values = torch.from_numpy(_scaled(_floats(x[block.to(x.device)]), exponent)).to(device)
            self.labels_[block] = torch.cdist(values, centers).argmin(1).cpu()
            away = F.normalize(values - middle, dim=-1)
            self.affinity_[block] = (away @ directions.t()).cpu()
        return len(self.labels_[present.cpu()].unique())

    def _keep(self, centers: Tensor, num_items: int) -> None:
        """The centers, and tables of items that are still to be labeled."""
        self.centers_ = centers
        self.labels_ = torch.full((num_items,), self.num_centers, dtype=torch.long)
        self.affinity_ = torch.zeros(num_items, self.num_centers)

    def _sample(self, fit_on: Tensor) -> Tensor:
        items = fit_on.nonzero()[:, 0]
        if len(items) <= self.max_items:
            return items
        generator = torch.Generator().manual_seed(self.random_state)
        return items[torch.randperm(len(items), generator=generator)[: self.max_items]]

    def assign(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Labels further items by the centers that were fitted; nothing is fitted again.

        Args:
            x: Features [n, F], as they are.
            mask: Bool tensor [n], False where the item lacks the modality.

        Returns:
            Nearest center of each item, Long tensor [n] as in ``labels_``, and cosines [n, K] as in
            ``affinity_``.

        Raises:
            ValueError: Another number of features than that of the centers.
        """
        if x.size(1) != self.centers_.size(1):
            raise ValueError(
                f"'x' must have the {self.centers_.size(1)} features of the centers (got "
                f"{x.size(1)})"
            )
        present = torch.ones(len(x), dtype=torch.bool) if mask is None else mask
        table = self.centers_.numpy()
        exponent = _exponent(table)
        centers = torch.from_numpy(_scaled(table, exponent))
        middle, directions = centers.mean(0), self.directions()
        labels = torch.full((len(x),), self.num_centers, dtype=torch.long)
        affinity = torch.zeros(len(x), self.num_centers)
        for block in _blocks(present, x):
            values = torch.from_numpy(_scaled(_floats(x[block.to(x.device)]), exponent))
            # In float64, by differences: expanded squares lose digits far from the origin.
            away = (values - middle).double()
            labels[block] = torch.cdist(away, (centers - middle).double()).argmin(1)
            affinity[block] = F.normalize(away.float(), dim=-1) @ directions.t()
        return labels, affinity

    def directions(self) -> Tensor:
        """Unit vectors from the mean of the centers to each of them, [K, F]."""
        table = self.centers_.numpy()
        centers = torch.from_numpy(_scaled(table, _exponent(table)))
        return F.normalize(centers - centers.mean(0), dim=-1)

    def __repr__(self) -> str:
        """Shows the settings."""
        return f"InterestCenters(num_centers={self.num_centers}, random_state={self.random_state})"


def lloyd(x: Tensor, centers: Tensor, rounds: int = 300) -> tuple[Tensor, float]:
    """Lloyd's rounds of k-means on any device, until the centers move no more.

    Args:
        x: Points [N, F].
        centers: Where they start, [K, F]; one that loses its points stays where it is.
        rounds: Most rounds.

    Returns:
        Centers [K, F] and the sum of squared distances to the nearest.
    """
    tolerance = 1e-4 * x.var(0, unbiased=False).mean()  # as scikit-learn's
    middle = x.mean(0)  # distances of points far from the origin would lose digits
    x, centers = x - middle, centers - middle
    group = torch.arange(len(centers), device=x.device)
    for _ in range(rounds):
        member = (torch.cdist(x, centers).argmin(1)[:, None] == group).to(x.dtype)  # [N, K]
        count = member.sum(0)[:, None]
        moved = torch.where(count > 0, member.t() @ x / count.clamp(min=1), centers)
        shift = (moved - centers).square().sum()
        centers = moved
        if shift <= tolerance:
            break
    inertia = torch.cdist(x, centers).amin(1).square().sum()
    return centers + middle, float(inertia)


def _blocks(present: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Items that have the modality, some at a time."""
    return present.cpu().nonzero()[:, 0].split(min(_BLOCK, max(1, _NUMBERS // x.size(1))))


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
