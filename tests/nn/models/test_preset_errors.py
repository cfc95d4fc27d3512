"""Wrong options of ``build_mdsrec`` are errors before anything is fitted."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from mdsrec_pyg import SyntheticDataset, build_mdsrec, leave_last_out
from mdsrec_pyg.graphs import RidgeConfig
from mdsrec_pyg.nn import RelationsConfig
from mdsrec_pyg.nn.models import presets


@pytest.fixture(scope="module")
def dataset() -> SyntheticDataset:
    return SyntheticDataset(num_users=20, num_items=30, num_interests=2, channels=4)


@pytest.fixture
def nothing_is_fitted(monkeypatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise AssertionError("fitted before the options were checked")

    class Failing:
        __init__ = fail

    for name in ("count_cooccurrences", "fit_relations", "product_graph", "as_unit"):
        monkeypatch.setattr(presets, name, fail)
    for name in ("InterestCenters", "MDSRec"):
        monkeypatch.setattr(presets, name, Failing)


@pytest.mark.usefixtures("nothing_is_fitted")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "x"}, "'preset' must be one of ['best', 'paper'] (got 'x')"),
        ({"chanels": 3}, "build_mdsrec has no option 'chanels': did you mean 'channels'?"),
        ({"relation": False}, "build_mdsrec has no option 'relation': did you mean 'relations'?"),
        ({"l2": 3.0}, "build_mdsrec has no option 'l2' of its own: it is one of 'relations'"),
        (
            {"graph": {"num_neighbours": 3}},
            "ProductConfig has no option 'num_neighbours': did you mean 'num_neighbors'?",
        ),
        (
            {"relations": {"feature_wieght": 3.0}},
            "RelationsConfig has no option 'feature_wieght': did you mean 'feature_weight'?",
        ),
        (
            {"graph": RelationsConfig()},
            "expected a ProductConfig or some of its options (got a RelationsConfig)",
        ),
        (
            {"relations": RidgeConfig()},
            "expected a RelationsConfig or some of its options (got a RidgeConfig)",
        ),
        ({"num_centers": -1}, "'num_centers' must not be negative (got -1)"),
        ({"channels": 0}, "'channels' must be at least 1 (got 0)"),
        ({"graph": {"num_neighbors": 0}}, "'num_neighbors' must be at least 1 (got 0)"),
        ({"relations": {"num_folds": 1}}, "'num_folds' must be at least 2 (got 1)"),
        ({"relations": {"l2": 0.0}}, "'l2' must be positive (got 0.0)"),
        ({"fusion": "sum"}, "'fusion' must be "),
    ],
)
def test_wrong_options_are_errors_before_anything_is_fitted(
    dataset: SyntheticDataset, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build_mdsrec(dataset.features, leave_last_out(dataset.interactions).train, **options)


@pytest.mark.usefixtures("nothing_is_fitted")
def test_what_needs_features_is_an_error_without_them(dataset: SyntheticDataset) -> None:
    with pytest.raises(ValueError, match=r"'num_centers' must be 0 without features \(got 4\)"):
        build_mdsrec({}, dataset.interactions, num_centers=4)


def test_wrong_features_and_training_parts_are_named(dataset: SyntheticDataset) -> None:
    split = leave_last_out(dataset.interactions)
    wrong: dict[str, Any] = {**dataset.features, "audio": torch.randn(dataset.num_items - 1, 4)}
    with pytest.raises(ValueError, match=r"'features' must have one row an item .*'audio'"):
        build_mdsrec(wrong, split.train)
    with pytest.raises(ValueError, match=r"'train' must be Interactions.*\(got Split\)"):
        build_mdsrec(dataset.features, split)  # type: ignore[arg-type]


def test_an_array_is_a_modality(dataset: SyntheticDataset) -> None:
    train = leave_last_out(dataset.interactions).train
    plain = {name: feature.x.numpy() for name, feature in dataset.features.items()}
    one = build_mdsrec(plain, train, num_centers=2).state_dict()
    other = build_mdsrec(dataset.features, train, num_centers=2).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
