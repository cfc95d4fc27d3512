"""The split that was asked for is the one that is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from mdsrec_pyg import Interactions, SyntheticDataset, leave_last_out, temporal_split
from mdsrec_pyg.data import given_split
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.inspection import inspect_dataset, summarize_split


def small() -> Interactions:
    # Training before time 10, validation before 20, the test from 20 on.
    user = [0, 0, 0, 0, 1, 1, 2, 2, 3]
    item = [0, 1, 2, 3, 0, 4, 5, 6, 0]
    time = [0, 1, 10, 20, 2, 21, 11, 22, 23]
    return Interactions.from_arrays(user, item, time, num_users=5, num_items=8)


LABELS = ["train", "train", "val", "test", "train", "test", "val", "test", "test"]


def test_by_hand() -> None:
    rows = small()
    with pytest.warns(UserWarning, match="without a history"):
        found = summarize_split(rows, given_split(rows, LABELS))
    assert (found.train_interactions, found.train_users, found.train_items) == (3, 2, 2)
    assert (found.val_queries, found.val_cold) == (1, 1)  # user 2 has nothing before validation
    assert (found.test_queries, found.test_cold) == (3, 3)
    assert found.held_out_users == 4
    assert found.users_not_asked == 1  # user 3, whose only row is in the test
    assert found.users_unknown == pytest.approx(1 / 3)  # user 2, known since validation


def test_leave_last_out_leaves_short_users_out() -> None:
    rows = small()
    with pytest.warns(UserWarning, match="fewer than 3"):
        found = summarize_split(rows, leave_last_out(rows))
    assert (found.held_out_users, found.users_not_asked) == (4, 3)
    assert "3 users with fewer than 3 interactions left out" in found.method


def test_a_split_of_other_interactions() -> None:
    split = leave_last_out(SyntheticDataset(60, 93, seed=0).interactions)
    with pytest.raises(ValueError, match=r"be of these interactions \(5 users, got 60\)"):
        summarize_split(small(), split)


def dataset(labels: list[str] | None = None) -> RecommendationDataset:
    made = SyntheticDataset(200, 310, seed=0)
    return RecommendationDataset("d", made.interactions, made.features, labels=labels)


def test_features_are_judged_on_what_the_split_trains_on() -> None:
    data = dataset()
    usual = inspect_dataset(data)
    temporal = inspect_dataset(data, split="temporal")
    split = temporal_split(data.interactions)
    assert temporal.to_dict() == inspect_dataset(data, split=split).to_dict()
    assert temporal.split == summarize_split(data.interactions, split)
    assert temporal.features["text"].share_interactions == usual.features["text"].share_interactions
    assert temporal.alignment != usual.alignment
    assert temporal.oddities.test_targets_unknown != usual.oddities.test_targets_unknown
    text = str(temporal)
    assert f"Split: {split.method}\n" in text
    cold = f"{temporal.split.test_cold:,} ({temporal.oddities.test_targets_unknown:.1%})"
    assert f"cold targets of the test {cold}" in " ".join(text.split())
    assert "held-out users not asked about" in text
    # What stands in the test alone changes nothing in how features are judged.
    rows = data.interactions
    item = np.array(rows.item_id)
    assert rows.timestamp is not None
    late = rows.timestamp >= np.quantile(rows.timestamp, 0.8, method="higher")
    item[late] = np.random.default_rng(0).integers(310, size=late.sum())
    data.interactions = Interactions(
        rows.user_id, item, rows.timestamp, rows.num_users, rows.num_items
    )
    assert inspect_dataset(data, split="temporal").alignment == temporal.alignment


def test_the_given_split_is_looked_at_or_named() -> None:
    rows = dataset().interactions
    labels = ["train"] * len(rows)
    for user in range(200):
        labels[rows.user_ptr[user + 1] - 1] = "test" if user % 2 else "val"
    data = dataset(labels)
    found = inspect_dataset(data, split="given")
    assert (found.split.val_queries, found.split.test_queries) == (100, 100)
    assert found.split.train_interactions == len(rows) - 200
    assert "split='given' looks at it" in " ".join(inspect_dataset(data).notes)
    assert found.notes == []
    with pytest.raises(ValueError, match="came without one"):
        inspect_dataset(dataset(), split="given")
    with pytest.raises(ValueError, match=r"'split' must be a Split or one of .*\(got 'last'\)"):
        inspect_dataset(data, split="last")
