"""What two modalities have in common, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from mdsrec_pyg import ModalFeature, SyntheticDataset
from mdsrec_pyg.inspection import modality_difference
from mdsrec_pyg.inspection.pairs import disagreeing_pairs

TEXT = [f"text {item}" for item in range(8)]


def groups(label: list[int]) -> ModalFeature:
    """Two directions, and a little noise that tells items of one group apart."""
    noise = 0.01 * torch.rand(len(label), 2, generator=torch.Generator().manual_seed(0))
    return ModalFeature(torch.eye(2)[label] + noise)


A, CROSSED = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1]


def test_a_copy() -> None:
    (found,) = modality_difference({"a": groups(A), "b": groups(A)}, num_neighbors=3)
    assert (found.first, found.second, found.num_items, found.num_queries) == ("a", "b", 8, 8)
    assert found.common_neighbors == 1
    assert found.agreement == pytest.approx(1)
    assert found.num_centers == 2
    assert found.examples == []


def test_crossed_groups() -> None:
    # The three neighbors of item 0 are 1, 2, 3 in a and 1, 4, 5 in b: one of three in common; so it
    # is for each item. Random neighbors: 3 of 7.
    (found,) = modality_difference(
        {"a": groups(A), "b": groups(CROSSED)}, num_neighbors=3, num_examples=2, item_text=TEXT
    )
    assert found.common_neighbors == pytest.approx(1 / 3)
    assert found.random == pytest.approx(3 / 7)
    assert found.agreement == pytest.approx(adjusted_mutual_info_score(A, CROSSED))
    assert len(found.pairs) == 8 * 7 // 2  # all, each once
    assert [pair.alike_in for pair in found.examples] == ["a", "a", "b", "b"]
    for pair in found.examples:
        i, j = pair.items
        alike, unlike = (A, CROSSED) if pair.alike_in == "a" else (CROSSED, A)
        assert alike[i] == alike[j]
        assert unlike[i] != unlike[j]
        assert pair.texts == (f"text {i}", f"text {j}")
        assert pair.raw_ids == (str(i), str(j))
        assert pair.cosine[pair.alike_in] > 0.99


def test_only_items_that_have_both() -> None:
    feature = groups(A)
    mask = torch.tensor([True] * 6 + [False] * 2)
    x = feature.x.clone()
    x[0] = 0  # counts as missing
    (found,) = modality_difference({"a": ModalFeature(x), "b": ModalFeature(feature.x, mask)})
    assert found.num_items == 5
    assert found.num_neighbors == 4
    assert found.common_neighbors == 1
    assert set(found.pairs.ravel()) == {1, 2, 3, 4, 5}
    few = ModalFeature(feature.x, torch.arange(8) < 2)
    assert modality_difference({"a": feature, "b": few}) == []
    assert modality_difference({"a": feature}) == []


def test_cosines_are_those_of_the_features() -> None:
    features = SyntheticDataset(50, 62, seed=0).features
    (found,) = modality_difference(features)
    for column, feature in enumerate(features.values()):
        left, right = (feature.x[found.pairs[:, side]] for side in (0, 1))
        expected = torch.cosine_similarity(left, right)
        np.testing.assert_allclose(found.cosine[:, column], expected, atol=1e-5)
    assert found.is_random.all()  # 62 items have fewer pairs than are drawn


def test_samples_are_seeded_and_bounded() -> None:
    features = SyntheticDataset(50, 620, seed=0).features
    first, again, other = (
        modality_difference(features, max_queries=40, seed=seed)[0] for seed in (0, 0, 1)
    )
    assert first.num_queries == 40
    assert first.is_random.sum() == 20_000
    assert (first.pairs[:, 0] < first.pairs[:, 1]).all()
    assert len(np.unique(first.pairs, axis=0)) == len(first.pairs)
    np.testing.assert_array_equal(first.pairs, again.pairs)
    assert not np.array_equal(first.pairs, other.pairs)
    assert first.common_neighbors < 0.1  # planted: the modalities differ
    assert abs(first.agreement) < 0.1


def test_three_modalities_give_three_pairs() -> None:
    found = modality_difference({"a": groups(A), "b": groups(A), "c": groups(CROSSED)})
    assert [(row.first, row.second) for row in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert "cosine" not in found[0].to_dict()


def test_disagreement_by_hand() -> None:
    pairs = np.array([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [8, 1]])
    # Random pairs have mean .5 and deviation .5 in a, .2 and .1 in b: pair 4 is +3 in a and -1 in
    # b, pair 5 +1 and -1 (the same as 2), but it has items of others.
    cosine = np.array([[0, 0.1], [0, 0.3], [1, 0.1], [1, 0.3], [2, 0.1], [1, 0.1]])
    is_random = np.arange(6) < 4
    found = disagreeing_pairs(("a", "b"), pairs, cosine, is_random, 2, np.arange(10) * 10, None)
    assert [(pair.alike_in, pair.items) for pair in found] == [
        ("a", (8, 9)),
        ("a", (4, 5)),
        ("b", (2, 3)),
    ]
    assert found[0].raw_ids == ("80", "90")
    assert found[0].texts == ("", "")
    assert found[0].cosine == {"a": 2, "b": 0.1}


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_neighbors", 0), ("num_centers", 1), ("num_examples", -1), ("max_queries", 0)],
)
def test_options_out_of_range(name: str, value: int) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=rf"'{name}' must be at least \d \(got {value}\)"):
        modality_difference({"a": groups(A), "b": groups(A)}, **options)
