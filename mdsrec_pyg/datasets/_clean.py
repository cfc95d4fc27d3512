"""From rows in any order to interactions: sorted, duplicates and short users dealt with."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Interactions, Seconds


def clean_interactions(
    name: str,
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    seconds: Seconds | None,
    num_items: int,
    *,
    duplicates: str,
    min_interactions: int,
) -> tuple[Interactions, NDArray[np.int64], list[str]]:
    """Sorts by user and time, then drops duplicates and users with too few interactions.

    A warning that starts with ``name`` says what was dropped, if anything was.

    Returns:
        The interactions, the former number of each user that is left, and what was counted.
    """
    if duplicates not in ("keep", "drop"):
        raise ValueError(f"'duplicates' must be 'keep' or 'drop' (got {duplicates!r})")
    if min_interactions < 1:
        raise ValueError(f"'min_interactions' must be at least 1 (got {min_interactions})")
    report, dropped = [f"{len(user):,} interactions read"], []
    order = np.lexsort((user,) if seconds is None else (seconds, user))
    user, item = user[order], item[order]
    repeated = _repeated(user * num_items + item)
    keep = np.ones(len(user), bool)
    if duplicates == "keep":
        report.append(f"{repeated.sum():,} repetitions of a user's item kept")
    else:
        keep &= ~repeated
        text = f"{repeated.sum():,} repetitions of a user's item dropped, the oldest of each kept"
        report.append(text)
        dropped += [text] if repeated.any() else []

    short, text = _short_users(user[keep], min_interactions)
    report.append(text)
    dropped += [text] if short.any() else []
    keep &= ~short[user]
    left, number = np.unique(user[keep], return_inverse=True)
    interactions = Interactions(
        user_id=number.astype(np.int64),
        item_id=item[keep],
        timestamp=None if seconds is None else seconds[order][keep],
        num_users=len(left),
        num_items=num_items,
    )
    missing = int((interactions.item_counts() == 0).sum())
    if missing:
        report.append(f"{missing:,} items without any interaction kept in the catalog")
    if dropped:
        warnings.warn(f"{name}: {'; '.join(dropped)}", stacklevel=3)
    return interactions, left, report


def _repeated(pair: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True where the same pair stands in an earlier row."""
    repeated = np.ones(len(pair), bool)
    repeated[np.unique(pair, return_index=True)[1]] = False
    return repeated


def _short_users(user: NDArray[np.int64], least: int) -> tuple[NDArray[np.bool_], str]:
    """True for each user with fewer rows than ``least``, and what that drops."""
    count = np.bincount(user)
    if count.max() < least:
        raise ValueError(
            f"'min_interactions' must leave a user (got {least}; the most interactions of one "
            f"user are {count.max()})"
        )
    short = (count > 0) & (count < least)
    return short, (
        f"{short.sum():,} users with fewer than {least} interactions dropped, with "
        f"{count[short].sum():,} interactions"
    )
