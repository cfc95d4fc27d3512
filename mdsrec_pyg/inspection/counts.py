"""How much there is: users, items, lengths, density, popularity, time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.data.interactions import Interactions

__all__ = ["InteractionSummary", "gini", "summarize_interactions"]

FEW = 5  # the core of the published data sets: fewer rows an item are called few


@dataclass(frozen=True)
class InteractionSummary:
    """Counts of all interactions, held-out ones included.

    Args:
        num_users: Users, those without an interaction included.
        num_items: Items of the catalog, those without an interaction included.
        num_interactions: Rows.
        length: Minimum, quartiles and maximum of the number of rows of a user, as ``min``, ``q1``,
            ``median``, ``q3`` and ``max``; users without a row are left out.
        density: Share of all pairs of a user and an item that occur, each counted once.
        gini: Gini coefficient of the rows of the items: 0, all the same; near 1, a few have all.
        top_1_percent: Share of the rows that the most popular hundredth of the items has (rounded
            up to whole items).
        top_10_percent: The same of the most popular tenth.
        items_below_5: Items with fewer than five rows, none included.
        items_unused: Items without a row.
        first: Time of the oldest row, seconds since 1970; ``None``: only the order is known.
        last: Time of the newest row.
    """

    num_users: int
    num_items: int
    num_interactions: int
    length: dict[str, float]
    density: float
    gini: float
    top_1_percent: float
    top_10_percent: float
    items_below_5: int
    items_unused: int
    first: float | None
    last: float | None


def summarize_interactions(interactions: Interactions) -> InteractionSummary:
    """Counts users, items and rows.

    Args:
        interactions: All interactions, at least one.

    Raises:
        ValueError: There is no interaction.
    """
    if not len(interactions):
        raise ValueError("'interactions' must hold a row (got none)")
    counts = np.sort(interactions.item_counts())[::-1]
    length = user_lengths(interactions)
    names = ("min", "q1", "median", "q3", "max")
    quartiles = np.quantile(length, [0, 0.25, 0.5, 0.75, 1]).tolist()
    time = interactions.timestamp
    users, items = interactions.num_users, interactions.num_items
    pairs = interactions.user_id * items + interactions.item_id
    return InteractionSummary(
        num_users=users,
        num_items=items,
        num_interactions=len(interactions),
        length=dict(zip(names, quartiles, strict=True)),
        density=len(np.unique(pairs)) / (users * items),
        gini=gini(counts),
        top_1_percent=_top_share(counts, 0.01),
        top_10_percent=_top_share(counts, 0.1),
        items_below_5=int((counts < FEW).sum()),
        items_unused=int((counts == 0).sum()),
        first=None if time is None else float(time.min()),
        last=None if time is None else float(time.max()),
    )


def user_lengths(interactions: Interactions) -> NDArray[np.int64]:
    """Rows of each user that has one."""
    length = np.diff(interactions.user_ptr)
    return length[length > 0]


def gini(counts: ArrayLike) -> float:
    r"""Gini coefficient.

    .. math::
        G = \frac{\sum_{i=1}^{n} (2 i - n - 1) c_i}{n \sum_i c_i}, \qquad c_1 \le \dots \le c_n

    Args:
        counts: Numbers that are not negative ``[n]``, of a positive sum.

    Raises:
        ValueError: A negative number, or the sum is zero.
    """
    values = np.sort(np.asarray(counts, np.float64))
    if not len(values) or values[0] < 0 or values.sum() <= 0:
        raise ValueError("'counts' must not be negative and must have a positive sum")
    n = len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * values.sum()))


def _top_share(descending: NDArray[np.int64], share: float) -> float:
    # ceil of the product with a little taken off: 0.1 * 30 is 3.0000000000000004.
    number = int(np.ceil(share * len(descending) - 1e-9))
    return float(descending[:number].sum() / descending.sum())
