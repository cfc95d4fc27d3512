"""A trained model over a data set that has grown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import MDSRec, Retriever, SyntheticDataset, build_mdsrec
from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.training import update_model

OLD = 60


def grown(order: np.ndarray | None = None) -> RecommendationDataset:
    """Of 64 items, the last of which nobody has taken; items may stand in another order."""
    made = SyntheticDataset(60, 63, num_interests=4, seed=0)
    order = np.arange(64) if order is None else order
    place = np.argsort(order)
    rows = made.interactions
    features = {
        name: ModalFeature(torch.cat([f.x, f.x[:1]])[torch.from_numpy(order)])
        for name, f in made.features.items()
    }
    ids = np.append(made.item_ids, "item-new")[order]
    inter = Interactions.from_arrays(
        rows.user_id, place[rows.item_id], rows.timestamp, num_users=60, num_items=64
    )
    return RecommendationDataset("grown", inter, features, made.user_ids, ids)


def before() -> MDSRec:
    """A model of the first items and what was taken of them."""
    whole = grown()
    rows = whole.interactions
    old = rows.item_id < OLD
    train = Interactions.from_arrays(
        rows.user_id[old], rows.item_id[old], num_users=60, num_items=OLD
    )
    features = {name: f.take(np.arange(OLD)) for name, f in whole.features.items()}
    model = build_mdsrec(features, train, channels=4, num_centers=2)
    model.item_ids = whole.item_ids[:OLD]
    return model


def test_items_that_were_taken_are_fitted_and_the_others_are_added_after() -> None:
    model, whole = before(), grown()
    new = update_model(model, whole)
    assert new.item_ids is not None
    assert new.item_ids.tolist() == whole.item_ids.tolist()
    features = {name: f.take(np.arange(60, 63)) for name, f in whole.features.items()}
    step = model.with_items(whole.item_ids[60:63], features)
    rows = whole.interactions
    step = step.update(Interactions(rows.user_id, rows.item_id, rows.timestamp, 60, 63))
    last = {name: f.take(np.array([63])) for name, f in whole.features.items()}
    step = step.with_items(["item-new"], last)
    asked = {"Ada": ["item-3", "item-61"]}
    found, wanted = (
        Retriever(m).recommend(asked, k=60, exclude_seen=True)[["item", "score"]]
        for m in (new, step)
    )
    pd.testing.assert_frame_equal(found, wanted)
    assert "item-new" in set(found["item"])
    assert model.num_items == OLD


def test_the_order_of_the_data_set_does_not_matter() -> None:
    model = before()
    order = np.random.default_rng(0).permutation(64)
    one, other = update_model(model, grown()), update_model(model, grown(order))
    assert one.item_ids is not None
    assert other.item_ids is not None
    assert one.item_counts is not None
    assert other.item_counts is not None
    counts = dict(zip(one.item_ids, one.item_counts, strict=True))
    assert dict(zip(other.item_ids, other.item_counts, strict=True)) == counts


def test_what_cannot_be_brought_together_is_an_error() -> None:
    model, whole = before(), grown()
    model.item_ids = None
    with pytest.raises(ValueError, match="'model' must have 'item_ids'"):
        update_model(model, whole)
    model = before()
    del whole.features["text"]
    with pytest.raises(ValueError, match=r"must have the modalities of the model, 'text'"):
        update_model(model, whole)
    other = grown()
    other.item_ids = np.array([f"x{i}" for i in range(64)], object)
    with pytest.raises(
        ValueError, match=r"must have items of the model, such as 'item-0' \(got 64"
    ):
        update_model(model, other)
