"""What the benchmark of new items holds out, and that it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.held_out_items import hold_out
from benchmarks.new_items import NearestFeatures, ranks
from mdsrec_pyg import FolderDataset, Popularity, SyntheticDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "shop"
    SyntheticDataset(120, 100, seed=0).save(path)
    return path


def test_nothing_is_known_of_a_new_item_but_its_features(folder: Path) -> None:
    dataset = FolderDataset(folder)
    held = hold_out(dataset, 0.2, seed=0)
    size = dataset.interactions.num_items
    assert held.num_old == held.train.num_items == held.val.num_items == size - round(0.2 * size)
    assert held.asked.num_items == held.others.num_items == size
    assert (held.asked.target >= held.num_old).all()
    assert (held.others.target < held.num_old).all()
    for part in (held.val, held.asked, held.others):
        assert len(part)
        assert (part.history_item < held.num_old).all()
    # The same rows as in the data set, by other numbers.
    counts = np.bincount(dataset.interactions.item_id, minlength=size)
    for name, feature in held.features.items():
        place = [int((dataset.features[name].x == row).all(1).nonzero()[0]) for row in feature.x]
        assert sorted(place) == list(range(size))
        assert (held.train.item_counts() <= counts[place[: held.num_old]]).all()
    assert not np.array_equal(hold_out(dataset, 0.2, seed=1).asked.target, held.asked.target)


def test_ties_take_the_mean_rank_and_seen_items_are_masked(folder: Path) -> None:
    held = hold_out(FolderDataset(folder), 0.2, seed=0)
    padded = replace(held.train, num_items=held.asked.num_items)
    found = ranks(Popularity(padded).score, held, 50)
    num_new = held.asked.num_items - held.num_old
    assert (found["new"] == (num_new - 1) / 2).all()
    assert (found["all"] > found["new"]).all()
    near = ranks(NearestFeatures(held.features, 50).score, held, 50)
    assert near["new"].mean() < (num_new - 1) / 2
    assert len(near["old"]) == len(held.others)


def test_it_runs(run_benchmark: Callable[..., str], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    table = run_benchmark("new_items.py", folder, "--short", "--presets", "best", "--out", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["part"] for row in rows].count("update") == 3
    names = [row["model"] for row in rows]
    assert "MDSRec best, neighbors" in names
    assert "MDSRec best, ridge: votes alone" in names
    assert all(row["max_epochs"] == 1 and row["code"] for row in rows)
    assert "MDSRec best, updated" in table
    options = ["--untrained", "--parts", "items", "--presets", "best", "--out", out]
    run_benchmark("new_items.py", folder, "--short", *options)
    plain = [json.loads(line) for line in out.read_text().splitlines()][len(rows) :]
    assert {row["trained"] for row in plain} == {False}
    assert [row["model"] for row in plain][-2:] == ["MDSRec best, neighbors", "MDSRec best, ridge"]
