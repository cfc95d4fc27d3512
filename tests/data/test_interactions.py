import numpy as np
import pytest

from mdsrec_pyg.data import Interactions, k_core
from mdsrec_pyg.data.interactions import show_time


def random_interactions(seed: int, rows: int = 80, users: int = 15, items: int = 12):
    rng = np.random.default_rng(seed)
    return Interactions.from_arrays(
        rng.integers(users, size=rows),
        rng.integers(items, size=rows),
        rng.integers(20, size=rows),
        num_users=users,
        num_items=items,
    )


def slow_k_core(interactions: Interactions, k: int) -> list[int]:
    rows = list(range(len(interactions)))
    while True:
        users = [interactions.user_id[r] for r in rows]
        items = [interactions.item_id[r] for r in rows]
        kept = [
            r
            for r, user, item in zip(rows, users, items, strict=True)
            if users.count(user) >= k and items.count(item) >= k
        ]
        if kept == rows:
            return rows
        rows = kept


def test_from_arrays_sorts_by_user_and_time_and_keeps_the_order_of_ties():
    x = Interactions.from_arrays([1, 0, 1, 0, 1], [0, 1, 2, 3, 4], [9, 5, 3, 5, 3])
    assert x.user_id.tolist() == [0, 0, 1, 1, 1]
    assert x.item_id.tolist() == [1, 3, 2, 4, 0]
    assert x.timestamp is not None
    assert x.timestamp.tolist() == [5, 5, 3, 3, 9]
    assert (x.num_users, x.num_items, len(x)) == (2, 5, 5)
    assert "1970-01-01" in repr(x)


def test_without_timestamps_the_order_of_the_rows_counts():
    x = Interactions.from_arrays([1, 0, 1], [2, 1, 0])
    assert x.item_id.tolist() == [1, 2, 0]
    assert x.timestamp is None
    assert "order only" in repr(x)


def test_user_ptr_gives_users_without_rows_an_empty_range():
    x = Interactions.from_arrays([1, 1, 3], [0, 1, 0], num_users=5)
    assert x.user_ptr.tolist() == [0, 0, 2, 2, 3, 3]
    assert x.user_ptr.dtype == np.int64


def test_to_csr_is_binary_and_item_counts_are_not():
    x = Interactions.from_arrays([0, 0, 0, 2], [3, 1, 3, 0], num_users=3, num_items=5)
    matrix = x.to_csr()
    assert matrix.dtype == np.float32
    assert matrix.toarray().tolist() == [[0, 1, 0, 1, 0], [0] * 5, [1, 0, 0, 0, 0]]
    assert x.item_counts().tolist() == [1, 1, 0, 2, 0]
    assert x.item_id.tolist() == [3, 1, 3, 0]  # the matrix shares no memory with the rows


def test_select_keeps_ids():
    x = random_interactions(0)
    mask = x.item_id > 5
    y = x.select(mask)
    assert y.item_id.tolist() == x.item_id[mask].tolist()
    assert (y.num_users, y.num_items) == (x.num_users, x.num_items)
    with pytest.raises(ValueError, match="'mask' must be bool of shape"):
        x.select(np.arange(3))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 3, 5, 7, 100])
def test_k_core_equals_the_slow_version(seed, k):
    x = random_interactions(seed)
    assert np.flatnonzero(k_core(x, k)).tolist() == slow_k_core(x, k)


def test_k_core_needs_several_rounds():
    # Item 2 goes, then user 1 has one row only, then item 1, then user 0 ...
    x = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])
    assert not k_core(x, 2).any()
    x = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 1, 2])
    assert k_core(x, 2).tolist() == [True] * 4 + [False] * 2
    with pytest.raises(ValueError, match="'k' must be at least 1"):
        k_core(x, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0]), "'item_id' must have one value a row"),
        (([0, 1], [0, 1], [1]), "'timestamp' must have one value a row"),
        (([0.5], [0]), "'user_id' must be a vector of integers"),
        (([-1], [0]), "'user_id' must lie in 0..-1"),
        (([[0]], [0]), "'user_id' must be a vector of integers"),
    ],
)
def test_from_arrays_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Interactions.from_arrays(*arguments)


def test_fractions_of_a_second_stay():
    x = Interactions.from_arrays([0, 1, 0, 0], [0, 1, 2, 1], [5.9, 0.25, 5.1, 5.5])
    assert x.timestamp is not None
    assert x.timestamp.dtype == np.float64
    assert x.timestamp.tolist() == [5.1, 5.5, 5.9, 0.25]
    assert x.item_id.tolist() == [2, 1, 0, 1]
    assert "time=1970-01-01 to 1970-01-01" in repr(x)
    whole = Interactions.from_arrays([0, 0], [0, 1], [5, 6])
    assert whole.timestamp is not None
    assert whole.timestamp.dtype == np.int64


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01"),
        (86_400.0, "1970-01-02"),
        (61, "1970-01-01 00:01:01"),
        (-0.5, "1969-12-31 23:59:59.500000"),
        (1_600_000_000.25, "2020-09-13 12:26:40.250000"),
    ],
)
def test_show_time(seconds, text):
    assert show_time(seconds) == text


def test_constructor_errors():
    ids = np.array([0, 1])
    with pytest.raises(ValueError, match=r"'item_id' must lie in 0\.\.0 \(got 1 in row 1\)"):
        Interactions(ids, ids, None, 2, 1)
    with pytest.raises(ValueError, match="'user_id' must be ascending"):
        Interactions(ids[::-1], ids, None, 2, 2)
    with pytest.raises(ValueError, match="'timestamp' must ascend within a user"):
        Interactions(ids * 0, ids, np.array([5, 4]), 1, 2)
    with pytest.raises(ValueError, match="'timestamp' must be int64 or float64"):
        Interactions(ids, ids, np.array([5.0, 4.0], np.float32), 2, 2)
    with pytest.raises(ValueError, match=r"'timestamp' must be finite \(got nan in row 1\)"):
        Interactions(ids, ids, np.array([5.0, np.nan]), 2, 2)
    with pytest.raises(ValueError, match="'item_id' must be int64"):
        Interactions(ids, ids.astype(np.int32), None, 2, 2)
