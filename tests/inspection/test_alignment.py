"""Hit rates by similarity, by hand and against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mdsrec_pyg import Interactions, ModalFeature, SyntheticDataset, leave_last_out
from mdsrec_pyg.data import FeatureScaler
from mdsrec_pyg.graphs.neighbors import unit_rows
from mdsrec_pyg.inspection import Alignment, feature_alignment
from mdsrec_pyg.inspection._rows import scaled_unit_rows
from mdsrec_pyg.inspection.alignment import _permutation

# Items 0 and 1 are the same, so are 2 and 3, and 4 and 5; the three kinds are equally far apart.
PAIRS = ModalFeature(torch.eye(3).repeat_interleave(2, dim=0))
# The last of each user: 1 after 0, 4 after 2, 5 after 3.
ROWS = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 2, 4, 3, 5])


def align(feature: ModalFeature, rows: Interactions, **options: int) -> Alignment:
    return feature_alignment({"m": feature}, rows, **options)["m"]


@pytest.mark.parametrize(
    ("k", "hits", "popular"), [(1, 1 / 3, 0), (2, 1 / 3, 0), (3, 1, 0), (4, 1, 1)]
)
def test_by_hand(k: int, hits: float, popular: float) -> None:
    # User 0: the twin of 0 is first. Users 1 and 2: the twin of the history is first, then come the
    # four others, tied: rank 1 + 3 / 2 = 2.5. By popularity (targets' rows left out) items 0, 2 and
    # 3 have one row; two of them are no history, then three tie: rank 2 + 2 / 2 = 3.
    found = align(PAIRS, ROWS, k=k)
    assert (found.num_queries, found.num_candidates) == (3, 6)
    assert found.hit_rate == pytest.approx(hits)
    assert found.popularity == popular
    assert found.chance == pytest.approx(k / 6)


def test_history_that_ties_with_the_target_is_no_rival() -> None:
    # Without the targets' rows, 0, 1 and 3 have one each. User 0's target 1 ties with its history
    # only: rank 0. Before user 1's target 2 come 0 and 3.
    rows = Interactions.from_arrays([0, 0, 0, 1, 1], [0, 3, 1, 1, 2])
    assert align(ModalFeature(torch.eye(4)), rows, k=1).popularity == 0.5


def test_missing_items_are_neither_asked_nor_ranked() -> None:
    mask = torch.tensor([True, True, True, False, True, True])
    found = align(ModalFeature(PAIRS.x, mask), ROWS, k=1)
    assert (found.num_queries, found.num_candidates) == (2, 5)  # user 2 has no history left
    # User 1: 0, 1 and 5 tie with the target 4: rank 1.5. Were the missing twin a candidate, its
    # cosine of 0 would stand before theirs, which are negative.
    assert align(ModalFeature(PAIRS.x, mask), ROWS, k=2).hit_rate == 1
    x = PAIRS.x.clone()
    x[3] = 0  # a row of zeros counts as missing
    assert vars(align(ModalFeature(x), ROWS, k=1)) == vars(found)
    nothing = align(ModalFeature(PAIRS.x, torch.zeros(6).bool()), ROWS)
    assert (nothing.num_queries, nothing.num_candidates, nothing.hit_rate) == (0, 0, 0)


def test_who_is_asked() -> None:
    rows = Interactions.from_arrays([0, 0, 0, 1, 2, 2], [0, 1, 0, 2, 4, 5], num_items=6)
    # User 0's last item stands in the history, user 1 has one item.
    assert align(PAIRS, rows).num_queries == 1
    assert align(PAIRS, rows, history=1).num_queries == 2  # the 0 before is out of sight


def test_shuffled_is_the_hit_rate_of_permuted_rows() -> None:
    dataset = SyntheticDataset(80, 62, seed=1)
    feature, rows = dataset.features["image"], dataset.interactions
    assert (rows.item_counts() > 0).all()
    found = align(feature, rows, k=8, num_shuffles=2, seed=5)
    rates = []
    for number in range(2):
        place = _permutation(np.ones(62, bool), [5, number])
        assert sorted(place) == list(range(62))
        rates.append(align(feature.take(place), rows, k=8).hit_rate)
    assert found.shuffled == pytest.approx(np.mean(rates))
    error = np.sqrt(
        (found.hit_rate * (1 - found.hit_rate) + found.shuffled * (1 - found.shuffled) / 2) / 80
    )
    assert found.z == pytest.approx((found.hit_rate - found.shuffled) / error)


def test_all_hit_and_no_shuffled_one_does() -> None:
    feature = ModalFeature(torch.eye(300).repeat_interleave(2, dim=0))
    rows = Interactions.from_arrays(np.repeat(np.arange(120), 2), np.arange(240), num_items=600)
    found = align(feature, rows, k=1, num_shuffles=1)
    assert (found.hit_rate, found.shuffled) == (1, 0)
    assert found.z == 120  # the difference in queries


def test_against_loops() -> None:
    dataset = SyntheticDataset(120, 93, seed=2)
    rows = dataset.interactions
    mask = torch.rand(93, generator=torch.Generator().manual_seed(0)) < 0.8
    feature = ModalFeature(dataset.features["text"].x, mask)
    known = rows.item_counts() > 0
    unit = unit_rows(FeatureScaler().fit_transform(feature, known))[0].double()
    counts = rows.item_counts() - np.bincount(rows.item_id[rows.user_ptr[1:] - 1], minlength=93)
    hits, popular = [], []
    for user in range(120):
        *_, a, b, c, target = rows.item_id[rows.user_ptr[user] : rows.user_ptr[user + 1]].tolist()
        past = [item for item in (a, b, c) if mask[item]]
        if not past or not mask[target]:
            continue
        others = [j for j in range(93) if mask[j] and j not in (*past, target)]
        score = [float(sum(unit[j] @ unit[i] for i in past)) for j in range(93)]
        hits.append(sum(score[j] > score[target] for j in others) < 10)
        larger = sum(counts[j] > counts[target] for j in others)
        tied = sum(counts[j] == counts[target] for j in others)
        popular.append(larger + tied / 2 < 10)
    found = align(feature, rows, k=10)
    assert found.num_queries == len(hits)
    assert found.hit_rate == pytest.approx(np.mean(hits))
    assert found.popularity == pytest.approx(np.mean(popular))


def test_scaling_in_blocks_is_that_of_the_scaler() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, generator=generator) * 3 + 5
    x[:, 3] = 7.1
    feature = ModalFeature(x, torch.rand(50, generator=generator) < 0.8)
    known = np.arange(50) < 30
    unit, present = scaled_unit_rows(feature, known)
    expected, expected_present = unit_rows(FeatureScaler().fit_transform(feature, known))
    torch.testing.assert_close(unit, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(present, expected_present)


def test_sample_is_seeded() -> None:
    dataset = SyntheticDataset(300, 310, seed=0)
    feature, rows = dataset.features["image"], dataset.interactions
    first, again, other = (align(feature, rows, max_queries=50, seed=seed) for seed in (0, 0, 1))
    assert first.num_queries == 50
    assert first == again
    assert first != other


def test_planted_and_shuffled() -> None:
    for shuffled in (None, "text"):
        dataset = SyntheticDataset(500, 620, shuffle_modality=shuffled, seed=0)
        train = leave_last_out(dataset.interactions).train
        found = feature_alignment(dataset.features, train)
        assert found["image"].hit_rate > 3 * found["image"].shuffled
        assert found["image"].z > 5
        if shuffled:
            assert found["text"].hit_rate < 1.5 * found["text"].shuffled
        else:
            assert found["text"].hit_rate > 3 * found["text"].shuffled


@pytest.mark.parametrize("name", ["k", "history", "num_shuffles", "max_queries"])
def test_options_below_one(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' must be at least 1 \(got 0\)"):
        align(PAIRS, ROWS, **{name: 0})
