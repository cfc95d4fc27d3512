"""Weights of the ridge where there is little to choose them by."""

from __future__ import annotations

import pytest
import torch

from mdsrec_pyg import Interactions, ModalFeature
from mdsrec_pyg.graphs.neighbors import as_unit
from mdsrec_pyg.nn import RelationsConfig, fit_relations
from mdsrec_pyg.nn.votes import weights
from tests.nn.test_ridge_weights import AUTO, SPLIT, choose


def test_where_nothing_can_be_asked_the_usual_numbers_stay() -> None:
    single = Interactions.from_arrays([0, 1, 2], [0, 1, 1], num_items=3)
    for train in (single, Interactions.from_arrays([0, 0], [0, 0])):
        features = {"image": ModalFeature(torch.eye(3)[: train.num_items])}
        found = choose(features, train)
        assert (found.l2, found.feature_weight) == ({"image": 70.0}, {"image": 20.0})
        assert "could be asked within the training part, fewer than 30" in found.summary()["chosen"]
        assert fit_relations(features, train, **AUTO).weights == found


def test_what_few_users_say_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FEWEST", 400)
    assert choose().num_fits > 0
    monkeypatch.setattr(weights, "FEWEST", 401)
    found = choose()
    assert (found.num_fits, found.num_targets, found.ndcg) == (0, 400, None)
    assert found.feature_weight == {"image": 20.0, "text": 20.0}


def test_without_a_feature_only_the_ridge_is_chosen() -> None:
    nothing = ModalFeature(torch.randn(124, 3), torch.zeros(124, dtype=torch.bool))
    assert choose({"image": nothing}).chosen == ("l2",)
    assert (
        weights.choose_weights(
            {"image": as_unit(nothing)},
            SPLIT.train,
            RelationsConfig(l2=70.0, feature_weight="auto"),
        ).chosen
        == ()
    )


def test_one_item_can_be_asked_about() -> None:
    train = Interactions.from_arrays([0, 0, 1], [0, 1, 0], num_items=2)
    found = choose({"image": ModalFeature(torch.eye(2))}, train)
    assert (found.num_targets, found.l2) == (1, {"image": 70.0})
