"""From rows in any order to interactions: sorted, duplicates and short users dealt with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Interactions, Seconds
from mdsrec_pyg.datasets.order import by_user_and_time
from mdsrec_pyg.showing import counted


def clean_interactions(
    name: str,
    user: NDArray[Any],
    item: NDArray[Any],
    seconds: Seconds | None,
    num_items: int,
    *,
    duplicates: str,
    min_interactions: int,
) -> tuple[Interactions, NDArray[np.int64], list[str], NDArray[Any]]:
    """Sorts by user and time, then drops duplicates and users with too few interactions.

    A warning that starts with ``name`` says what was dropped, if anything was.

    Returns:
        The interactions, the former number of each user that is left, what was counted, and the
        former row of each interaction.
    """
    if duplicates not in ("keep", "drop"):
        raise ValueError(f"'duplicates' must be 'keep' or 'drop' (got {duplicates!r})")
    if min_interactions < 1:
        raise ValueError(f"'min_interactions' must be at least 1 (got {min_interactions})")
    report, dropped = [f"{counted(len(user), 'interaction')} read"], []
    order = by_user_and_time(user, seconds)
    pair = user[order].astype(np.int64)
    pair *= num_items
    pair += item[order]
    repeated = _repeated(pair)
    del pair
    if duplicates == "keep":
        report.append(f"{counted(repeated.sum(), 'repetition')} of a user's item kept")
    else:
        order = order[~repeated]
        dropped_pairs = counted(repeated.sum(), "repetition")
        text = f"{dropped_pairs} of a user's item dropped, the oldest of each kept"
        report.append(text)
        dropped += [text] if repeated.any() else []
    del repeated

    stays, text = _long_users(name, user[order], min_interactions)
    report.append(text)
    if not stays[user[order]].all():
        dropped.append(text)
        order = order[stays[user[order]]]
    left = np.flatnonzero(stays)
    number = np.cumsum(stays) - 1
    interactions = Interactions(
        user_id=number[user[order]],
        item_id=item[order].astype(np.int64, copy=False),
        timestamp=None if seconds is None else seconds[order],
        num_users=len(left),
        num_items=num_items,
    )
    missing = int((interactions.item_counts() == 0).sum())
    if missing:
        report.append(f"{counted(missing, 'item')} without any interaction kept in the catalog")
    if dropped:
        warnings.warn(f"{name}: {'; '.join(dropped)}", stacklevel=3)
    return interactions, left, report, order


def _repeated(pair: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True where the same pair stands in an earlier row."""
    return pd.Series(pair, copy=False).duplicated().to_numpy()


def _long_users(name: str, user: NDArray[np.int64], least: int) -> tuple[NDArray[np.bool_], str]:
    """True for each user with at least so many rows, and what dropping the others drops."""
    count = np.bincount(user)
    if count.max() < least:
        raise ValueError(
            f"{name}: 'min_interactions' must leave a user (got {least}; the most interactions of "
            f"one user are {count.max()})"
        )
    short = (count > 0) & (count < least)
    return count >= least, (
        f"{counted(short.sum(), 'user')} with fewer than {counted(least, 'interaction')} dropped, "
        f"with {counted(count[short].sum(), 'interaction')}"
    )
