"""What an answer says of centers and modalities."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from fastapi.testclient import TestClient

from mdsrec_pyg.serving.typical import most_typical
from tests.serving.page.shop import ITEMS


def a_model(x: list[list[float]], present: list[int] | None, labels: list[int]) -> Any:
    rows = torch.tensor(x)
    kept = None if present is None else torch.tensor(present)
    part = SimpleNamespace(x=rows if kept is None else rows[kept], present=kept)
    return SimpleNamespace(labels=torch.tensor([labels]), project=[part])


def test_those_nearest_to_the_middle_of_their_center_come_first() -> None:
    x = [[0.0, 0.0], [9.0, 9.0], [4.0, 0.0], [1.0, 0.0], [3.0, 0.0], [9.0, 8.0]]
    model = a_model(x, None, [0, 1, 0, 0, 0, 1])
    assert most_typical(model, 0, 0, 5) == [3, 4, 0, 2]  # the middle is at 2: ties by index
    assert most_typical(model, 0, 1, 1) == [1]
    assert most_typical(model, 0, 7, 5) == []


def test_items_without_the_modality_are_found_by_their_counts() -> None:
    x = [[0.0], [1.0], [0.0], [5.0], [2.0]]
    model = a_model(x, [0, 1, 3, 4], [0, 0, 2, 0, 0])
    assert most_typical(model, 0, 0, 2) == [4, 1]  # the middle is at 2
    assert most_typical(model, 0, 2, 5) == [2]
    model.labels = torch.tensor([[0, 2, 2, 0, 2]])
    assert most_typical(model, 0, 2, 5, np.array([9.0, 1, 5, 9, 7])) == [4, 2, 1]
    model.project = None
    assert most_typical(model, 0, 0, 5, np.array([1.0, 1, 1, 8, 1])) == [3, 0]
    assert most_typical(model, 0, 0, 5) == [0, 3]


def test_a_center_of_the_answer_is_shown_by_items_of_its_own(app: Any, retriever: Any) -> None:
    body = {"user": "user-3", "k": 5, "explain": True}
    items = TestClient(app).post("/recommend", json=body).json()["items"]
    place = {raw_id: row for row, (raw_id, _) in enumerate(ITEMS)}
    for item in items:
        center = item["why"]["center"]
        modality = retriever.model.modalities.index(center["modality"])
        labels = retriever.model.labels[modality]
        shown = [place[card["item"]] for card in center["items"]]
        assert 1 <= len(shown) <= 5
        assert set(labels[shown].tolist()) == {center["number"]}
        assert labels[place[item["item"]]] == center["number"]
        assert shown == most_typical(retriever.model, modality, center["number"], 5)


def test_the_shares_of_the_modalities_sum_to_one(app: Any) -> None:
    body = {"user": "user-3", "k": 5, "explain": True}
    for item in TestClient(app).post("/recommend", json=body).json()["items"]:
        shares = item["why"]["modalities"]
        assert sum(shares.values()) > 0.999
        assert min(shares.values()) >= 0
        assert set(shares) <= {"image", "text"}
