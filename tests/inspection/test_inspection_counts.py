"""Counts, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mdsrec_pyg import Interactions, ModalFeature
from mdsrec_pyg.inspection import gini, summarize_feature, summarize_interactions

# User 0 took 0, 1, 2 and 0 again, user 1 took 0, 1, 2, user 2 nothing; nobody took item 3.
ROWS = Interactions.from_arrays(
    [0, 0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 0, 1, 2], num_users=3, num_items=4
)


def test_counts_by_hand() -> None:
    found = summarize_interactions(ROWS)
    assert (found.num_users, found.num_items, found.num_interactions) == (3, 4, 7)
    assert found.length == {"min": 3, "q1": 3.25, "median": 3.5, "q3": 3.75, "max": 4}
    assert found.density == 6 / 12  # the repeated pair counts once
    assert found.gini == pytest.approx((-3 * 0 - 1 * 2 + 1 * 2 + 3 * 3) / (4 * 7))
    assert found.top_1_percent == found.top_10_percent == 3 / 7  # one item, the least there can be
    assert (found.items_below_5, found.items_unused) == (4, 1)
    assert found.first is None
    assert found.last is None


def test_time_and_top_share() -> None:
    item = np.repeat(np.arange(30), np.r_[10, 6, 5, np.ones(27, int)])
    rows = Interactions.from_arrays(np.zeros(len(item), int), item, np.arange(len(item)) + 50)
    found = summarize_interactions(rows)
    assert (found.first, found.last) == (50, 50 + len(item) - 1)
    assert found.top_10_percent == 21 / 48  # a tenth of 30 items is 3, not 4
    assert found.top_1_percent == 10 / 48
    assert found.items_below_5 == 27


def test_gini() -> None:
    assert gini([2, 2, 2]) == 0
    assert gini([0, 0, 0, 1]) == pytest.approx(3 / 4)  # (n - 1) / n
    assert gini([3, 1]) == gini([1, 3]) == pytest.approx(1 / 4)
    for wrong in ([], [0, 0], [-1, 2]):
        with pytest.raises(ValueError, match="'counts'"):
            gini(wrong)


def test_no_interactions() -> None:
    with pytest.raises(ValueError, match="'interactions' must hold a row"):
        summarize_interactions(ROWS.select(np.zeros(7, bool)))


def test_feature_by_hand() -> None:
    rows = [[3, 4, 1], [3, 4, 1], [0, 0, 0], [9, 9, 9], [300, 400, 1], [4, 3, 1]]
    mask = torch.tensor([True, True, True, False, True, True])
    feature = ModalFeature(torch.tensor(rows, dtype=torch.float32), mask)
    train = Interactions.from_arrays([0, 0, 0, 0], [0, 3, 3, 1], num_items=6)
    found = summarize_feature(feature, train, np.array(list("abcdef")))
    assert (found.num_features, found.num_present, found.num_zero) == (3, 5, 1)
    assert found.share_items == pytest.approx(5 / 6)
    assert found.share_interactions == 0.5
    assert found.num_duplicates == 1
    assert (found.largest_duplicate, found.largest_duplicate_size) == (["a", "b"], 2)
    assert (found.constant_columns, found.zero_columns) == ([2], [])
    assert found.num_extreme == 1
    assert found.max_length_ratio == pytest.approx(np.sqrt(250_001 / 26))


def test_equal_rows_and_columns_up_to_the_sign_of_zero() -> None:
    feature = ModalFeature(torch.tensor([[1.0, 0.0, 0.0], [1.0, -0.0, 0.0], [2.0, 1.0, 0.0]]))
    found = summarize_feature(feature, Interactions.from_arrays([0], [0], num_items=3))
    assert (found.num_duplicates, found.largest_duplicate) == (1, ["0", "1"])
    assert (found.constant_columns, found.zero_columns) == ([2], [2])


def test_feature_of_another_catalog_and_of_no_item() -> None:
    train = Interactions.from_arrays([0], [0], num_items=3)
    with pytest.raises(ValueError, match=r"'feature' must have a row an item \(3\), got 2"):
        summarize_feature(ModalFeature(torch.ones(2, 2)), train)
    found = summarize_feature(ModalFeature(torch.ones(3, 2), torch.zeros(3).bool()), train)
    assert (found.num_present, found.num_duplicates, found.num_extreme) == (0, 0, 0)
