"""What cannot be added to a model is named before anything is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg import build_mdsrec
from tests.nn.models.growing_cases import GIVEN, OLD, build, grown, interactions, padded


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], r"at least one item \(got none\)"),
        (["i3"], "'raw_ids' must be new to the model .it has 'i3'."),
        (["a", "b", "a"], r"'raw_ids' must all differ \(got 'a' twice\)"),
        ([7], r"'raw_ids' must be text, as those of the model \(got integers\)"),
        ([1.5], "a float"),
        ([""], "expected an id, got nothing"),
    ],
)
def test_ids_that_do_not_fit_are_named(ids: list[Any], message: str) -> None:
    features = {"text": torch.ones(len(ids), 7)}
    with pytest.raises(ValueError, match=message):
        build().with_items(ids, features)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"audio": torch.ones(1, 5)}, r"must be those of \['image', 'text'\] \(got 'audio'\)"),
        ({"text": torch.ones(1, 6)}, r"of 'text' must have shape \(1, 7\).*\(got \(1, 6\)\)"),
        ({"text": torch.ones(2, 7)}, r"of 'text' must have shape \(1, 7\).*\(got \(2, 7\)\)"),
        ({"text": torch.full((1, 7), torch.nan)}, "of 'text': .* finite .*got nan in row 0"),
    ],
)
def test_features_that_do_not_fit_are_named(features: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build().with_items(["a"], features)


def test_models_without_ids_or_features_say_what_they_need() -> None:
    model = build()
    model.item_ids = None
    one = {"text": GIVEN["text"].take(np.arange(1))}
    assert model.with_items([OLD], one).item_ids is None
    with pytest.raises(ValueError, match=r"must be 30 and the numbers after it.*\(got 'a'\)"):
        model.with_items(["a"], one)
    numbered = build()
    numbered.item_ids = list(range(100, 100 + OLD))
    assert list(numbered.with_items(np.array([7]), one).item_ids)[-1] == 7
    model.built_from = None
    with pytest.raises(ValueError, match="'model' must keep what it was built from"):
        model.with_items([OLD], one)


def test_a_model_of_ids_has_nothing_to_know_new_items_by() -> None:
    bare = build_mdsrec({}, interactions(), channels=8, max_length=8, relations={"l2": 3.0})
    with pytest.raises(ValueError, match="'model' must have features to take further items by"):
        bare.with_items([OLD], {})


def test_votes_of_a_grown_model_are_not_trained() -> None:
    with pytest.raises(ValueError, match="cannot be trained further"):
        grown(build()).check_training(padded())


def test_one_text_is_no_list_of_ids() -> None:
    with pytest.raises(ValueError, match=r"must be a list of ids \(got the text 'B9'\)"):
        build().with_items("B9", GIVEN)


def test_options_of_the_votes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"'votes' must be 'ridge' or 'neighbors' \(got 'near'\)"):
        grown(build(), votes="near")
    with pytest.raises(ValueError, match="'keep_inverse' must be False with votes='neighbors'"):
        grown(build(), keep_inverse=True)
