"""Leaks and oddities, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mdsrec_pyg import Interactions, leave_last_out
from mdsrec_pyg.inspection import Oddities, find_oddities

DAY = 86_400
START = 1_600_000_000


def look(
    sequences: list[list[int]], times: list[list[int]] | None = None, **options: float
) -> Oddities:
    user = np.repeat(np.arange(len(sequences)), [len(items) for items in sequences])
    seconds = None if times is None else np.concatenate(times)
    rows = Interactions.from_arrays(user, np.concatenate(sequences), seconds, num_items=10)
    ids = np.array([f"u{number}" for number in range(len(sequences))])
    return find_oddities(rows, leave_last_out(rows), ids, **options)


def test_by_hand_without_times() -> None:
    with pytest.warns(UserWarning, match="1 user with fewer than 3"):
        # Training: 0, 0, 0, 1, 2. Validation: 1, 1, 1, 2. Test: 2, 2, 5, 5.
        found = look([[0, 1, 2], [0, 1, 2], [0, 1, 5], [1, 2, 2, 5], [7, 8]])
    assert found.items_only_held_out == 1  # 5; 7 and 8 are in no part
    assert found.test_targets_unknown == 2 / 4
    assert found.identical_users == 2
    assert found.share_identical_users == 2 / 5
    assert (found.largest_identical, found.largest_identical_size) == (["u0", "u1"], 2)
    assert (found.repeated_pairs, found.share_repeated_pairs) == (1, 1 / 15)
    for name in ("before_1990", "in_future", "far_from_rest", "median_time", "consecutive_tied"):
        assert getattr(found, name) is None
    assert found.test_targets_tied is None


def test_histories_of_one_order_only_are_identical() -> None:
    found = look([[0, 1, 2], [1, 0, 2], [0, 1, 2, 3]])
    assert (found.identical_users, found.largest_identical) == (0, [])


def test_baskets_by_hand() -> None:
    times = [[START, START, START, START + 5], [START, START + 1, START + 1]]
    found = look([[0, 1, 2, 3], [0, 1, 2]], times)
    assert found.consecutive_tied == 3 / 5
    assert found.test_targets_tied == 1 / 2  # the second user's
    assert found.median_time == START


def test_times_out_of_range() -> None:
    days = [START + day * DAY for day in range(40)]  # quartiles 19.5 days apart
    items = [number % 10 for number in range(40)]
    found = look([items], [days], now=days[-1])
    assert (found.before_1990, found.in_future, found.far_from_rest) == (0, 0, 0)
    assert look([items], [days], now=days[-1] - 1).in_future == 1
    days[0], days[-1] = 0, days[-1] + 300 * DAY
    found = look([items], [days], now=START + 1000 * DAY)
    assert (found.before_1990, found.in_future, found.far_from_rest) == (1, 0, 2)


def test_one_day_of_times_has_a_reach_of_ten_days() -> None:
    items = [[0, 1, 2, 3]]
    assert look(items, [[START, START, START, START + 9 * DAY]]).far_from_rest == 0
    # The upper quartile is START: three of four rows stand there.
    far = [[START] * 7 + [START + 11 * DAY]]
    assert look([[0, 1, 2, 3, 4, 5, 6, 7]], far).far_from_rest == 1
