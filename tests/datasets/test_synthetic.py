import numpy as np
import pytest
import torch

from mdsrec_pyg.data import leave_last_out, temporal_split
from mdsrec_pyg.datasets import SyntheticDataset


@pytest.fixture(scope="module")
def dataset():
    return SyntheticDataset()


def test_shapes_and_defaults(dataset):
    assert list(dataset.features) == ["image", "text"]
    assert dataset.features["text"].x.shape == (2_000, 32)
    assert dataset.item_interest.shape == (2, 2_000)
    assert dataset.user_modality.shape == (2_000,)
    assert dataset.user_interest.shape == (2_000, 2)
    assert set(dataset.user_modality) == {0, 1}
    assert dataset.item_interest.max() == 63
    assert len(set(dataset.user_ids)) == len(set(dataset.item_ids)) == 2_000
    first = dataset.item_interest[:, 0]
    assert dataset.item_text[0] == f"image interest {first[0]}, text interest {first[1]}"


def test_interactions(dataset):
    x = dataset.interactions
    length = np.diff(x.user_ptr)
    assert length.min() >= 5
    assert length.mean() == pytest.approx(6, abs=0.1)
    assert len(np.unique(x.user_id * x.num_items + x.item_id)) == len(x)  # no repetitions
    step = np.diff(x.timestamp)[np.diff(x.user_id) == 0]
    assert step.min() > 0
    leave_last_out(x)
    assert len(temporal_split(x).test) > 100


def test_users_follow_their_modality_and_interests(dataset):
    x = dataset.interactions
    followed = dataset.user_modality[x.user_id]
    for modality, share in ((followed, 0.9), (1 - followed, 1.5 / 64)):
        group = dataset.item_interest[modality, x.item_id]
        hit = (group[:, None] == dataset.user_interest[x.user_id]).any(1)
        assert hit.mean() == pytest.approx(share, abs=0.02)
    two = dataset.user_interest[:, 1] >= 0
    assert two.mean() == pytest.approx(0.5, abs=0.05)
    assert (dataset.user_interest[two, 0] != dataset.user_interest[two, 1]).all()


def test_the_modalities_disagree(dataset):
    image, text = dataset.item_interest
    same_image = image[:, None] == image
    same_text = text[:, None] == text
    off = ~np.eye(len(image), dtype=bool)
    assert same_text[same_image & off].mean() == pytest.approx(1 / 64, abs=0.003)


def test_features_show_the_groups_of_their_own_modality(dataset):
    for m, feature in enumerate(dataset.features.values()):
        distance = torch.cdist(feature.x, feature.x).fill_diagonal_(torch.inf)
        nearest = distance.argmin(1).numpy()
        same = dataset.item_interest[:, nearest] == dataset.item_interest
        assert same[m].mean() > 0.85
        assert same[1 - m].mean() < 0.05


def test_popularity_differs_within_a_group():
    data = SyntheticDataset(4_000, 40, num_interests=4, modalities=["a"], random_share=0.0)
    counts = data.interactions.item_counts()
    for group in range(4):
        inside = np.sort(counts[data.item_interest[0] == group])
        assert inside[-1] > 1.5 * inside[0]


def test_the_seed_decides_everything():
    a, b, c = (SyntheticDataset(50, 64, num_interests=8, seed=s) for s in (4, 4, 5))
    assert np.array_equal(a.interactions.item_id, b.interactions.item_id)
    assert str(a.interactions.timestamp) == str(b.interactions.timestamp)
    assert all(a.features[m].x.equal(b.features[m].x) for m in a.features)
    assert not np.array_equal(a.interactions.item_id[:100], c.interactions.item_id[:100])
    assert not a.features["image"].x.equal(c.features["image"].x)


def test_shuffle_modality_permutes_the_rows_of_one_modality_only():
    plain = SyntheticDataset(50, 64, num_interests=8)
    shuffled = SyntheticDataset(50, 64, num_interests=8, shuffle_modality="image")
    assert np.array_equal(plain.interactions.item_id, shuffled.interactions.item_id)
    assert np.array_equal(plain.item_interest, shuffled.item_interest)
    assert plain.features["text"].x.equal(shuffled.features["text"].x)
    a, b = plain.features["image"].x, shuffled.features["image"].x
    assert (a == b).all(1).sum() < 8
    assert sorted(a.tolist()) == sorted(b.tolist())
    assert shuffled.report == ["rows of image shuffled"]


def test_the_seed_decides_the_shuffle_too():
    orders = set()
    for seed in (0, 2):
        plain, shuffled = (
            SyntheticDataset(50, 64, num_interests=8, seed=seed, shuffle_modality=name)
            for name in (None, "text")
        )
        same = (plain.features["text"].x[:, None] == shuffled.features["text"].x).all(2)
        orders.add(tuple(same.int().argmax(1).tolist()))
    assert len(orders) == 2


def test_options_have_their_effect():
    quiet = SyntheticDataset(30, 64, num_interests=8, noise=0.0, channels=5)
    assert len(np.unique(quiet.features["image"].x.numpy(), axis=0)) == 8
    assert quiet.features["image"].x.shape == (64, 5)
    wild = SyntheticDataset(400, 640, num_interests=8, random_share=1.0)
    x = wild.interactions
    group = wild.item_interest[wild.user_modality[x.user_id], x.item_id]
    hit = (group[:, None] == wild.user_interest[x.user_id]).any(1)
    assert hit.mean() == pytest.approx(1.5 / 8, abs=0.04)
    long = SyntheticDataset(400, 640, num_interests=8, mean_length=20.0)
    assert len(long.interactions) / 400 == pytest.approx(20, abs=1)
    assert SyntheticDataset(50, 200).item_interest.max() + 1 == 200 // 31
    three = SyntheticDataset(30, 64, ["a", "b", "c"], num_interests=8)
    assert list(three.features) == ["a", "b", "c"]
    assert set(three.user_modality) == {0, 1, 2}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_users": 0}, "'num_users' and 'channels' must be positive"),
        ({"channels": 0}, "'num_users' and 'channels' must be positive"),
        ({"num_interests": 1}, "'num_interests' must be at least 2"),
        ({"num_items": 1}, "at most 'num_items'"),
        ({"num_items": 10, "num_interests": 11}, "at most 'num_items'"),
        ({"modalities": []}, "'modalities' must be one or more different names"),
        ({"modalities": ["a", "a"]}, "'modalities' must be one or more different names"),
        ({"modalities": "image"}, r"a sequence of names \(got the string 'image'\)"),
        ({"noise": -1.0}, "'noise' must not be negative"),
        ({"random_share": 1.5}, "'random_share' must lie in"),
        ({"drift": 1.5}, r"'drift' must lie in 0..1 \(got 1.5\)"),
        ({"mean_length": 4.0}, "'mean_length' must be at least 5"),
        ({"shuffle_modality": "sound"}, "'shuffle_modality' must be among"),
        (
            {"num_items": 64, "num_interests": 64, "random_share": 0.0},
            "'num_items' must be large enough for 5",
        ),
    ],
)
def test_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SyntheticDataset(**kwargs)


def test_a_catalog_of_any_size_has_two_interests_at_least():
    assert SyntheticDataset(20, 40).item_interest.max() == 1
    assert SyntheticDataset(20, 2_000).item_interest.max() == 2_000 // 31 - 1
