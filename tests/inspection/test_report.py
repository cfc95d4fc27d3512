"""The whole inspection: table, JSON, what it looks at."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mdsrec_pyg import Interactions, ModalFeature, SyntheticDataset
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.inspection import Inspection, inspect_dataset


@pytest.fixture(scope="module")
def inspection() -> Inspection:
    return inspect_dataset(SyntheticDataset(400, 310, shuffle_modality="text", seed=0), k=10)


def test_held_out_items_do_not_touch_what_judges_features() -> None:
    dataset = SyntheticDataset(200, 310, seed=0)
    rows, before = dataset.interactions, inspect_dataset(dataset)
    item = rows.item_id.copy()
    last = rows.user_ptr[1:] - 1
    item[last], item[last - 1] = np.random.default_rng(0).integers(310, size=(2, 200))
    dataset.interactions = Interactions.from_arrays(
        rows.user_id, item, rows.timestamp, num_users=200, num_items=310
    )
    after = inspect_dataset(dataset)
    assert before.alignment == after.alignment
    assert before.features == after.features
    assert before.oddities != after.oddities


def test_json_holds_every_figure(inspection: Inspection, tmp_path: Path) -> None:
    path = tmp_path / "inspection.json"
    inspection.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["interactions"]["num_users"] == 400
    assert content["alignment"]["image"]["hit_rate"] == inspection.alignment["image"].hit_rate
    assert content["features"]["text"]["num_present"] == 310
    (pair,) = content["differences"]
    assert pair["agreement"] == inspection.differences[0].agreement
    assert len(pair["examples"]) == 10
    assert content["oddities"]["in_future"] == 0
    assert [warning["code"] for warning in content["warnings"]] == ["not_aligned"]
    assert set(content["warnings"][0]) == {"code", "message", "advice"}
    assert content["notes"] == ["rows of text shuffled"]


def test_table_lines_up(inspection: Inspection) -> None:
    text = str(inspection)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert text.isascii()
    facts = [
        line
        for line in lines
        if re.match(r"  (users|items|interactions|density of distinct pairs) {3,}", line)
    ]
    columns = {len(line) - len(line[2:].lstrip("abcdefghijklmnopqrstuvwxyz ")) for line in facts}
    assert (len(facts), len(columns)) == (4, 1)
    table = lines.index("Are the features aligned and useful? Hit rate at 10")
    head, image, words = lines[table + 1 : table + 4]
    assert len(head) == len(image) == len(words)
    assert f"{inspection.alignment['image'].hit_rate:.4f}" in image
    assert "[not_aligned] text: hit rate at 10" in text
    assert "-> Check that row i of text.npy" in text
    assert "alike in image: cosine image" in text
    assert "item-" in text


def test_the_seed_decides(inspection: Inspection) -> None:
    dataset = SyntheticDataset(400, 310, shuffle_modality="text", seed=0)
    assert inspect_dataset(dataset, k=10).to_dict() == inspection.to_dict()
    assert inspect_dataset(dataset, k=10, seed=1).to_dict() != inspection.to_dict()


def test_options_are_passed_on() -> None:
    found = inspect_dataset(
        SyntheticDataset(300, 310, seed=0),
        k=7,
        num_neighbors=4,
        num_centers=6,
        num_examples=1,
        max_queries=120,
        now=0,
    )
    (pair,) = found.differences
    assert (pair.num_neighbors, pair.num_centers, len(pair.examples)) == (4, 6, 2)
    assert (found.alignment["text"].k, found.alignment["text"].num_queries) == (7, 120)
    assert pair.num_queries == 120
    assert found.oddities.in_future == found.interactions.num_interactions
    assert found.sampled == [
        "hit rates: at most 120 of 300 users (seed 0)",
        "common neighbors: at most 120 of 310 items (seed 0)",
    ]
    assert "at most 120 of 300 users" in str(found)


def test_ids_only_and_order_only() -> None:
    rows = Interactions.from_arrays([0, 0, 0, 0], [0, 1, 2, 1])
    found = inspect_dataset(RecommendationDataset("ids", rows))
    text = str(found)
    assert "only the order is known" in text
    assert "before 1990" not in text
    assert "Modalities" not in text
    assert found.differences == []


def test_no_warnings_are_said() -> None:
    assert str(inspect_dataset(SyntheticDataset(400, 310, seed=0), k=10)).endswith("No warnings")


def test_times_beyond_the_calendar() -> None:
    seconds = 1_600_000_000 * 10**6 + np.arange(4)
    rows = Interactions.from_arrays([0, 0, 0, 0], [0, 1, 2, 3], seconds)
    feature = ModalFeature(torch.eye(4))
    found = inspect_dataset(RecommendationDataset("us", rows, {"a": feature}))
    assert "1.6e+15 s" in str(found)


def test_no_user_can_be_split() -> None:
    rows = Interactions.from_arrays([0, 0], [0, 1])
    with pytest.raises(ValueError, match="a user with three rows"):
        inspect_dataset(RecommendationDataset("short", rows))
