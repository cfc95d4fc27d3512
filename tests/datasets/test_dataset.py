import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from mdsrec_pyg.data import Interactions, ModalFeature, k_core
from mdsrec_pyg.datasets import FolderDataset, RecommendationDataset, SyntheticDataset


def make(time=True, user_ids=None, item_ids=None):
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(12), rng.integers(3, 8, size=12))
    interactions = Interactions.from_arrays(
        user,
        rng.integers(20, size=len(user)),
        rng.integers(9, size=len(user)) if time else None,
        num_items=20,
    )
    features = {
        "image": ModalFeature(torch.randn(20, 3), torch.arange(20) % 3 > 0),
        "text": ModalFeature(torch.randn(20, 5)),
    }
    return RecommendationDataset(
        "toy",
        interactions,
        features,
        [f"u{i}" for i in range(12)] if user_ids is None else user_ids,
        np.arange(20) + 100 if item_ids is None else item_ids,
        [f"text {i}" for i in range(20)],
    )


def assert_same(a, b):
    for name in ("user_id", "item_id", "timestamp"):
        assert np.array_equal(getattr(a.interactions, name), getattr(b.interactions, name))
    assert (a.num_users, a.num_items) == (b.num_users, b.num_items)
    assert a.user_ids.tolist() == b.user_ids.tolist()
    assert a.item_ids.tolist() == b.item_ids.tolist()
    assert a.item_text == b.item_text
    assert list(a.features) == list(b.features)
    for x, y in zip(a.features.values(), b.features.values(), strict=True):
        assert x.x.equal(y.x)
        assert x.mask.equal(y.mask)


@pytest.mark.parametrize("time", [True, False])
@pytest.mark.parametrize(
    "user_ids",
    [
        None,
        np.arange(12) * 3 - 7,
        [str(i) for i in range(12, 0, -1)],  # text that looks like integers stays text
        ["tab\t", "line\n", '"', "ß", " ", *"abcdefg"],
    ],
)
def test_save_round_trip(tmp_path, time, user_ids):
    dataset = make(time, user_ids)
    if time is False:
        dataset.interactions = make(False).interactions
    dataset.save(tmp_path / "saved")
    again = FolderDataset(tmp_path / "saved")
    assert_same(again, dataset)
    assert again.name == "saved"
    again.save(tmp_path / "saved")  # over itself
    assert_same(FolderDataset(tmp_path / "saved"), dataset)
    assert not list((tmp_path / "saved").glob(".*"))


def test_save_without_text_and_features(tmp_path):
    bare = RecommendationDataset("bare", make().interactions)
    bare.save(tmp_path)
    assert_same(FolderDataset(tmp_path), bare)
    assert bare.user_ids.tolist() == list(range(12))


def test_save_of_synthetic_and_filtered_data(tmp_path):
    dataset = SyntheticDataset(60, 64, num_interests=8)
    dataset.save(tmp_path / "a")
    assert_same(FolderDataset(tmp_path / "a"), dataset)
    filtered = dataset.filter(dataset.interactions.user_id % 3 > 0)
    assert filtered.num_users == 40
    filtered.save(tmp_path / "b")
    assert_same(FolderDataset(tmp_path / "b"), filtered)


def test_save_refuses_what_would_read_back_differently(tmp_path):
    dataset = make()
    np.save(tmp_path / "audio.npy", np.zeros((20, 1)))
    with pytest.raises(ValueError, match=r"must hold no other data set .*audio\.npy"):
        dataset.save(tmp_path)
    dataset.features["a/b"] = dataset.features["text"]
    with pytest.raises(ValueError, match="names fit for a file"):
        dataset.save(tmp_path / "x")
    with pytest.raises(ValueError, match="'user_ids', row 1: expected ids of one type"):
        make(user_ids=np.array([1, "a", *range(10, 20)], object)).save(tmp_path / "x")
    idle = Interactions.from_arrays([0, 0, 2], [0, 1, 0])
    with pytest.raises(ValueError, match="needs an interaction of each user"):
        RecommendationDataset("idle", idle).save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def raises_at(monkeypatch, module, name, call):
    """Lets a function of a module fail at its ``call``-th call, as on a full disk."""
    function, calls = getattr(module, name), []

    def fail(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise OSError("disk full")
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, fail)


# Both tables come before the arrays image, image_mask and text.
WRITES = [(pa.parquet, "write_table", 1), (pa.parquet, "write_table", 2)]
WRITES += [(np, "save", call) for call in (1, 2, 3)]


@pytest.mark.parametrize(("module", "name", "call"), WRITES)
def test_a_failed_save_leaves_no_folder(tmp_path, monkeypatch, module, name, call):
    raises_at(monkeypatch, module, name, call)
    with pytest.raises(OSError, match="disk full"):
        make().save(tmp_path / "deep" / "new")
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize(("module", "name", "call"), WRITES)
def test_a_failed_save_leaves_the_old_data_set(tmp_path, monkeypatch, module, name, call):
    old = make()
    old.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    raises_at(monkeypatch, module, name, call)
    new = make()
    new.features["image"] = ModalFeature(new.features["image"].x + 1, new.features["image"].mask)
    with pytest.raises(OSError, match="disk full"):
        new.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("call", range(1, 7))
def test_a_save_cut_off_while_renaming_is_the_old_or_the_new_one(tmp_path, monkeypatch, call):
    old, new = make(), make()
    new.features["image"] = ModalFeature(new.features["image"].x + 1, new.features["image"].mask)
    old.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    with monkeypatch.context() as patch:
        raises_at(patch, os, "replace", call)
        with pytest.raises(OSError, match="disk full"):
            new.save(tmp_path)
    # The first rename decides: before it nothing has changed, after it the new files count.
    assert_same(FolderDataset(tmp_path), old if call == 1 else new)
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_saved_folder_has_the_usual_permissions(tmp_path):
    make().save(tmp_path / "saved")
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "saved").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="'folder' must not be a file"):
        make().save(tmp_path / "file")


def test_save_keeps_fractions_of_a_second(tmp_path):
    dataset = make()
    x = dataset.interactions
    user = np.repeat(np.arange(12), np.diff(x.user_ptr))
    time = 1_600_000_000 + np.random.default_rng(0).random(len(user))
    dataset.interactions = Interactions.from_arrays(user, x.item_id, time, num_items=20)
    dataset.save(tmp_path)
    again = FolderDataset(tmp_path)
    assert_same(again, dataset)
    assert again.interactions.timestamp is not None
    assert again.interactions.timestamp.dtype == np.float64


def test_filter_renumbers_everything():
    dataset = make()
    x = dataset.interactions
    mask = (x.user_id % 3 != 0) & (x.item_id % 4 != 1)
    out = dataset.filter(mask)
    y = out.interactions
    assert out.user_ids[y.user_id].tolist() == dataset.user_ids[x.user_id[mask]].tolist()
    assert out.item_ids[y.item_id].tolist() == dataset.item_ids[x.item_id[mask]].tolist()
    assert np.array_equal(y.timestamp, x.timestamp[mask])
    assert set(y.user_id.tolist()) == set(range(out.num_users))
    assert set(y.item_id.tolist()) == set(range(out.num_items))
    old = out.item_ids - 100
    for name, feature in dataset.features.items():
        assert out.features[name].x.equal(feature.x[old])
        assert out.features[name].mask.equal(feature.mask[old])
    assert out.item_text == [f"text {i}" for i in old]
    assert "interactions dropped" in out.report[-1]
    with pytest.raises(ValueError, match="'mask' must keep an interaction"):
        dataset.filter(np.zeros(len(x), bool))


def test_k_core_filters_by_the_core():
    dataset = make()
    out = dataset.k_core(3)
    assert len(out.interactions) == k_core(dataset.interactions, 3).sum()
    assert out.interactions.item_counts().min() >= 3
    assert np.diff(out.interactions.user_ptr).min() >= 3
    assert out.report[-1].startswith("3-core filtered: ")
    with pytest.raises(ValueError, match="'k' must leave an interaction"):
        dataset.k_core(50)


def test_repr_says_what_there_is():
    text = repr(make())
    for part in (
        "RecommendationDataset(toy)",
        "users:        12",
        "image:",
        "3 features, 13 items",
    ):
        assert part in text
    assert "order only" in repr(make(time=False))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"user_ids": [1]}, r"'user_ids' must have shape \(2,\)"),
        ({"item_ids": ["a", "a", "b"]}, r"'item_ids' must all differ \(got 1 twice\)"),
        ({"item_text": ["a"]}, r"'item_text' must have 3 rows \(got 1\)"),
        ({"features": {"x": ModalFeature(torch.ones(2, 1))}}, r"features\['x'\]' must have 3 rows"),
    ],
)
def test_constructor_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        RecommendationDataset("x", Interactions.from_arrays([0, 1], [0, 2]), **kwargs)


def test_steps_line_up_and_none_is_left_out() -> None:
    step = {"done": "read", "users": 1200, "items": 3, "interactions": 4000, "note": "1 odd"}
    meta = {"steps": [step, {**step, "done": "a 5-core, in words", "users": 7, "note": ""}]}
    table = RecommendationDataset("shop", SyntheticDataset(20, 90).interactions, meta=meta)
    assert table.steps_table().splitlines() == [
        "step                      users        items  interactions  note",
        "read                      1,200            3         4,000  1 odd",
        "a 5-core, in words            7            3         4,000",
    ]
