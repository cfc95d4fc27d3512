"""Leaks and oddities of the interactions."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Interactions, Seconds
from mdsrec_pyg.data.splits import Split

__all__ = ["Oddities", "find_oddities"]

YEAR_1990 = 631_152_000
DAY = 86_400
SHOWN = 5


@dataclass(frozen=True)
class Oddities:
    """What a data set should not have, or what one should know of. Shares lie between 0 and 1.

    Args:
        items_only_held_out: Items that occur in validation or test and not in training.
        test_targets_unknown: Share of the test targets that have no training interaction.
        identical_users: Users whose whole sequence of items another user has, too.
        share_identical_users: Their share of the users that have a row.
        largest_identical: Raw ids of the first users of the largest such group.
        largest_identical_size: Users in it.
        repeated_pairs: Rows whose user took the same item in an earlier row.
        share_repeated_pairs: Their share of the rows.
        before_1990: Rows older than 1990-01-01 UTC; ``None`` here and below: no timestamps.
        in_future: Rows younger than ``now``.
        far_from_rest: Rows that lie more than ten times the interquartile range (at least a day)
            of all timestamps outside of the quartiles.
        median_time: The median timestamp, seconds since 1970.
        consecutive_tied: Share of the consecutive rows of a user with one timestamp.
        test_targets_tied: Share of the test targets with the timestamp of the newest history item.
    """

    items_only_held_out: int
    test_targets_unknown: float
    identical_users: int
    share_identical_users: float
    largest_identical: list[str]
    largest_identical_size: int
    repeated_pairs: int
    share_repeated_pairs: float
    before_1990: int | None
    in_future: int | None
    far_from_rest: int | None
    median_time: float | None
    consecutive_tied: float | None
    test_targets_tied: float | None


def find_oddities(
    interactions: Interactions,
    split: Split,
    user_ids: NDArray[Any] | None = None,
    *,
    now: float | None = None,
) -> Oddities:
    """Looks for leaks and oddities.

    Args:
        interactions: All interactions.
        split: Training part, validation and test of the same interactions.
        user_ids: Raw ids ``[U]``. Default: ``0..U-1``.
        now: Seconds since 1970 that no timestamp should exceed. Default: the clock.
    """
    ids = np.arange(interactions.num_users) if user_ids is None else user_ids
    length = np.diff(interactions.user_ptr)
    groups = _identical_users(interactions)
    largest = max(groups, key=len, default=[])
    identical = sum(map(len, groups))
    pair = interactions.user_id * interactions.num_items + interactions.item_id
    repeated = len(pair) - len(np.unique(pair))
    count = split.train.item_counts()
    held_out = np.unique(np.concatenate([split.val.target, split.test.target]))
    clock = _Times() if interactions.timestamp is None else _times(interactions, split, now)
    return Oddities(
        items_only_held_out=int((count[held_out] == 0).sum()),
        test_targets_unknown=float((count[split.test.target] == 0).mean()),
        identical_users=identical,
        share_identical_users=identical / max(int((length > 0).sum()), 1),
        largest_identical=[str(ids[user]) for user in largest[:SHOWN]],
        largest_identical_size=len(largest),
        repeated_pairs=repeated,
        share_repeated_pairs=repeated / max(len(pair), 1),
        **vars(clock),
    )


@dataclass(frozen=True)
class _Times:
    before_1990: int | None = None
    in_future: int | None = None
    far_from_rest: int | None = None
    median_time: float | None = None
    consecutive_tied: float | None = None
    test_targets_tied: float | None = None


def _times(interactions: Interactions, split: Split, now: float | None) -> _Times:
    seconds = interactions.timestamp
    assert seconds is not None
    same_user = np.diff(interactions.user_id) == 0
    tied = (np.diff(seconds) == 0)[same_user]
    return _Times(
        before_1990=int((seconds < YEAR_1990).sum()),
        in_future=int((seconds > (time.time() if now is None else now)).sum()),
        far_from_rest=_far_from_rest(seconds),
        median_time=float(np.median(seconds)),
        consecutive_tied=float(tied.mean()) if len(tied) else 0.0,
        test_targets_tied=float(split.test.tied.mean()),
    )


def _far_from_rest(seconds: Seconds) -> int:
    low, high = np.quantile(seconds, [0.25, 0.75])
    reach = 10 * max(high - low, DAY)
    return int(((seconds < low - reach) | (seconds > high + reach)).sum())


def _identical_users(interactions: Interactions) -> list[list[int]]:
    """Groups of two or more users with exactly the same items in the same order."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    ptr, item = interactions.user_ptr.tolist(), interactions.item_id
    for user, (start, stop) in enumerate(pairwise(ptr)):
        if stop > start:
            groups[item[start:stop].tobytes()].append(user)
    return [group for group in groups.values() if len(group) > 1]
