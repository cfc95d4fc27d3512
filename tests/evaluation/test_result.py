"""What an evaluation says: warm and cold targets, who was left out, and the ranks as a file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import torch

from mdsrec_pyg.data import Interactions, temporal_split
from mdsrec_pyg.evaluation import evaluate, ranking_metrics, save_ranks
from tests.evaluation.test_evaluation import TableModel, make_split

TABLE = torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]] * 4)


def test_saved_ranks_carry_raw_ids(tmp_path):
    split = make_split([[0], [1], [0], [3]], [3, 4, 2, 1], 5)
    result = evaluate(TableModel(TABLE), split)
    users = np.array([f"user {i}" for i in range(4)], dtype=object)
    save_ranks(tmp_path / "ranks.parquet", result, user_ids=users, item_ids=np.arange(5) * 10)
    read = pd.read_parquet(tmp_path / "ranks.parquet")
    assert list(read) == ["user", "target", "rank", "rank_masked"]
    assert read["user"].tolist() == users.tolist()
    assert read["target"].tolist() == (split.target * 10).tolist()
    assert read["rank"].tolist() == result.ranks.tolist()
    assert read["rank_masked"].tolist() == result.ranks_masked.tolist()
    save_ranks(tmp_path / "ranks.parquet", result)
    assert pd.read_parquet(tmp_path / "ranks.parquet")["user"].tolist() == list(range(4))
    assert [path.name for path in tmp_path.iterdir()] == ["ranks.parquet"]


def test_warm_and_cold_targets_have_figures_of_their_own():
    cold = np.array([False, True, True, False])
    split = make_split([[0], [1], [0], [3]], [3, 4, 2, 1], 5, cold=cold, num_left_out=7)
    result = evaluate(TableModel(TABLE), split, k=(3,))
    assert result.ranks.tolist() == [3, 4, 2, 1]
    table = result.by_training
    assert list(table.index) == [
        ("kept", "warm"),
        ("kept", "cold"),
        ("masked", "warm"),
        ("masked", "cold"),
    ]
    assert table["queries"].tolist() == [2, 2, 2, 2]
    assert table["recall@3"].tolist() == [0.5, 0.5, 1.0, 0.5]
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert content["num_left_out"] == 7
    assert content["warm"]["num_queries"] == content["cold"]["num_queries"] == 2
    assert content["cold"]["seen_kept"] == ranking_metrics([4, 2], (3,))
    assert content["warm"]["seen_masked"] == ranking_metrics([2, 1], (3,))
    text = str(result)
    assert "; 7 users without a history left out" in text
    assert "50.0% of the targets were taken by no training user (cold):" in text
    assert len(text.splitlines()) == 12


def test_without_cold_targets_there_is_nothing_more_to_say():
    split = make_split([[0], [1], [0], [3]], [3, 4, 2, 1], 5)
    result = evaluate(TableModel(TABLE), split, k=(3,))
    assert len(str(result).splitlines()) == 5
    content = result.to_dict()
    assert content["cold"] is None
    assert content["warm"] == {
        "num_queries": 4,
        "seen_kept": content["seen_kept"],
        "seen_masked": content["seen_masked"],
    }


def test_a_temporal_split_tells_what_it_cannot_ask():
    # Before 10: users 0 and 1. From 10: user 1 takes a new item; 2 and 3 have no history.
    user = [0, 0, 1, 1, 1, 2, 2, 3, 0]
    item = [0, 1, 0, 2, 3, 4, 1, 4, 3]
    time = [1, 2, 3, 10, 20, 11, 21, 22, 23]
    rows = Interactions.from_arrays(user, item, time, num_items=5)
    split = temporal_split(rows, 0.3, 0.4)
    assert split.train.item_id.tolist() == [0, 1, 0]
    assert (len(split.val), split.val.num_left_out) == (1, 1)
    assert (len(split.test), split.test.num_left_out) == (3, 1)
    assert split.val.cold.tolist() == [True]
    assert split.test.cold.tolist() == [True, True, False]
    assert split.test.summary() == (
        "test: 3 queries, 0.0% tied, 33.3% of users unknown to training, 66.7% of targets taken by "
        "no training user; 1 user without a history left out"
    )
    assert "1 user without a history left out" in repr(split)
    result = evaluate(TableModel(torch.zeros(4, 5)), split.test, k=(3,))
    assert result.cold.tolist() == [True, True, False]
    assert result.num_left_out == 1
    assert split.k_core(2).test.cold.tolist() == [True, True, True]
