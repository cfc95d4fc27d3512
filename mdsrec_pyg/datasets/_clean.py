"""From rows in any order to interactions: sorted, duplicates and short users dealt with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Interactions


def clean_interactions(
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    microseconds: NDArray[np.int64] | None,
    num_items: int,
    *,
    duplicates: str,
    min_interactions: int,
) -> tuple[Interactions, NDArray[np.int64], list[str]]:
    """Sorts by user and time, then drops duplicates and users with too few interactions.

    Time is compared in microseconds and kept in seconds, rounded down.

    Returns:
        The interactions, the former number of each user that is left, and what was counted.
    """
    if duplicates not in ("keep", "drop"):
        raise ValueError(f"'duplicates' must be 'keep' or 'drop' (got {duplicates!r})")
    if min_interactions < 1:
        raise ValueError(f"'min_interactions' must be at least 1 (got {min_interactions})")
    report = [f"{len(user):,} interactions read"]
    keys = (user,) if microseconds is None else (microseconds, user)
    order = np.lexsort(keys)
    user, item = user[order], item[order]
    time = None if microseconds is None else microseconds[order] // 1_000_000

    pair = user * num_items + item
    keep = np.zeros(len(pair), bool)
    keep[np.unique(pair, return_index=True)[1]] = True
    action = "kept" if duplicates == "keep" else "dropped, the oldest of each kept"
    report.append(f"{(~keep).sum():,} repetitions of a user's item {action}")
    if duplicates == "keep":
        keep[:] = True

    count = np.bincount(user[keep])
    left = np.flatnonzero(count >= min_interactions)
    short = (count > 0) & (count < min_interactions)
    report.append(
        f"{short.sum():,} users with fewer than {min_interactions} interactions dropped, with "
        f"{count[short].sum():,} interactions"
    )
    if not len(left):
        raise ValueError(
            f"'min_interactions' must leave a user (got {min_interactions}; the most interactions "
            f"of one user are {count.max()})"
        )
    keep &= ~short[user]
    number = np.full(len(count), -1)
    number[left] = np.arange(len(left))
    interactions = Interactions(
        user_id=number[user[keep]],
        item_id=item[keep],
        timestamp=None if time is None else time[keep],
        num_users=len(left),
        num_items=num_items,
    )
    missing = int((interactions.item_counts() == 0).sum())
    if missing:
        report.append(f"{missing:,} items without any interaction kept in the catalog")
    return interactions, left, report
