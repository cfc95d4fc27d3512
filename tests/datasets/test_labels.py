import numpy as np
import pyarrow.parquet as pq
import pytest

from mdsrec_pyg.data import Interactions, given_split
from mdsrec_pyg.datasets import (
    FolderDataset,
    RawInteractions,
    RecommendationDataset,
    prepare,
)

LABEL = ["train", "train", "val", "test", "train", "train", "test"]


def make():
    rows = Interactions.from_arrays([0, 0, 0, 0, 1, 1, 1], [0, 1, 2, 1, 1, 0, 1])
    return RecommendationDataset("toy", rows, labels=LABEL)


def again(dataset):
    return RecommendationDataset(**dataset.parts())


def folder_dataset(*args, **kwargs):
    return FolderDataset(*args, **kwargs)


def prepared(*args, **kwargs):
    return prepare(*args, **kwargs)


def test_labels_go_through_filter_and_k_core():
    dataset = make()
    assert dataset.labels.tolist() == LABEL
    mask = np.array([True, False, True, True, False, False, True])
    assert dataset.filter(mask).labels.tolist() == ["train", "val", "test", "test"]
    # Item 2 has one interaction and goes.
    assert dataset.k_core(2).labels.tolist() == [
        "train", "train", "test", "train", "train", "test",
    ]  # fmt: skip
    assert again(dataset).labels.tolist() == LABEL
    bare = RecommendationDataset("bare", dataset.interactions)
    assert bare.labels is None
    assert bare.filter(mask).labels is None
    with pytest.raises(ValueError, match="'labels' must be 'train', 'val', 'test'"):
        RecommendationDataset("x", dataset.interactions, labels=["validation"] * 7)
    with pytest.raises(ValueError, match="'labels' must have one value an interaction"):
        RecommendationDataset("x", dataset.interactions, labels=["train"])


def test_labels_go_through_save_and_folder(tmp_path):
    make().save(tmp_path / "toy")
    again = folder_dataset(tmp_path / "toy")
    assert again.labels.tolist() == LABEL
    assert given_split(again.interactions, again.labels).test.target.tolist() == [1, 1]
    with pytest.warns(UserWarning, match="repetitions"):
        dropped = folder_dataset(tmp_path / "toy", duplicates="drop", min_interactions=1)
    assert dropped.labels.tolist() == ["train", "train", "val", "train", "train"]
    with pytest.warns(UserWarning, match="1 user"):
        assert len(folder_dataset(tmp_path / "toy", min_interactions=4).labels) == 4
    RecommendationDataset("bare", make().interactions).save(tmp_path / "bare")
    assert "split" not in pq.read_schema(tmp_path / "bare" / "interactions.parquet").names
    assert folder_dataset(tmp_path / "bare").labels is None


def folder(tmp_path, split):
    rows = zip("baabbaa", range(7), split, strict=True)
    text = "".join(f"{user}\t{n % 3}\t{9 - n}\t{label}\n" for user, n, label in rows)
    (tmp_path / "interactions.tsv").write_text("user\titem\ttimestamp\tsplit\n" + text)
    (tmp_path / "items.jsonl").write_text(
        "".join(f'{{"item": {n}, "raw_id": "{n}"}}\n' for n in range(3))
    )
    return tmp_path


def test_labels_of_a_table_are_sorted_with_its_rows(tmp_path):
    split = ["test", "test", "val", "val", "train", "train", "train"]
    dataset = folder_dataset(folder(tmp_path, split))
    assert dataset.user_ids.tolist() == ["b", "a"]
    assert dataset.labels.tolist() == ["train", "val", "test", "train", "train", "val", "test"]
    assert folder_dataset(folder(tmp_path, [""] * 7)).labels is None


def test_errors_name_the_line(tmp_path):
    message = r"interactions\.tsv, line 4, column 'split': expected one of train, val, test, got "
    with pytest.raises(ValueError, match=message + "'valid'"):
        folder_dataset(folder(tmp_path, ["train", "train", "valid", *["test"] * 4]))
    with pytest.raises(ValueError, match=message + "nothing"):
        folder_dataset(folder(tmp_path, ["train", "train", "", *["test"] * 4]))


def test_labels_go_through_prepare():
    ids = np.array(["x", "y", "z"], object)
    raw = RawInteractions(
        np.array([1, 0, 1, 0, 0]),
        np.array([0, 0, 0, 1, 2]),
        np.array([9, 9, 1, 2, 3]),
        ids,
        ids,
        "toy",
        labels=np.array(["test", "test", "train", "train", "val"]),
    )
    dataset = prepared(raw, name="toy", repeats="keep")
    assert dataset.labels.tolist() == ["train", "val", "test", "train", "test"]
    assert prepared(raw, name="toy", repeats="last").labels.tolist() == [
        "train", "val", "test", "test",
    ]  # fmt: skip
    assert prepared(raw, name="toy", repeats="keep", k_core=2).labels.tolist() == ["train", "test"]
    with pytest.raises(ValueError, match="'labels' must have one value an interaction"):
        RawInteractions(raw.user, raw.item, None, ids, ids, "toy", labels=np.array(["train"]))
