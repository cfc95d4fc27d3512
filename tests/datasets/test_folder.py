import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg.data import leave_last_out
from mdsrec_pyg.datasets import FolderDataset

ROWS = "user\titem\ttimestamp\n0\t2\t30\n0\t0\t10\n0\t1\t10\n1\t1\t5\n1\t2\t6\n1\t0\t7\n"


def write(root, rows=ROWS, items=3, lines=None, **arrays):
    """A folder with the given table, items and arrays."""
    root.mkdir(exist_ok=True)
    (root / "interactions.tsv").write_text(rows)
    if lines is None:
        lines = [{"item": i, "raw_id": f"B{i}", "text": f"Item {i}"} for i in range(items)]
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (root / "items.jsonl").write_text(text)
    for name, array in arrays.items():
        np.save(root / f"{name}.npy", array)
    return root


def table(dataset):
    """(raw user, item, time) of each row."""
    x = dataset.interactions
    time = [None] * len(x) if x.timestamp is None else x.timestamp.tolist()
    return list(zip(dataset.user_ids[x.user_id].tolist(), x.item_id.tolist(), time, strict=True))


def rows(users, items, times=None):
    times = [""] * len(users) if times is None else times
    lines = [f"{u}\t{i}\t{t}\n" for u, i, t in zip(users, items, times, strict=True)]
    return "user\titem\ttimestamp\n" + "".join(lines)


def test_reads_sorts_and_names(tmp_path):
    image = np.arange(6, dtype=np.float16).reshape(3, 2)
    mask = np.array([True, False, True])
    root = write(tmp_path / "toys", image=image, image_mask=mask, text=np.ones((3, 4)))
    dataset = FolderDataset(root)
    assert dataset.name == "toys"
    assert table(dataset) == [
        (0, 0, 10), (0, 1, 10), (0, 2, 30), (1, 1, 5), (1, 2, 6), (1, 0, 7),
    ]  # fmt: skip
    assert dataset.item_ids.tolist() == ["B0", "B1", "B2"]
    assert dataset.item_text == ["Item 0", "Item 1", "Item 2"]
    assert list(dataset.features) == ["image", "text"]
    assert dataset.features["image"].x.dtype == torch.float32
    assert dataset.features["image"].x.tolist() == [[0, 1], [0, 0], [4, 5]]
    assert dataset.features["image"].mask.tolist() == mask.tolist()
    assert dataset.features["text"].mask.all()
    assert "1 item has no image" in dataset.report
    assert "1 of these have a row that is not zero in image.npy: ignored" in dataset.report
    for part in ("toys", "users:", "2 features, 2 items (66.7%)", "- 6 interactions read"):
        assert part in repr(dataset)


def test_modalities_are_chosen_and_ordered(tmp_path):
    root = write(tmp_path, a=np.ones((3, 1)), b=np.ones((3, 2)), c=np.zeros((3, 1)))
    assert list(FolderDataset(root, ["c", "a"]).features) == ["c", "a"]
    assert FolderDataset(root, []).features == {}
    assert "3 items have a c that is all zeros" in FolderDataset(root, ["c"]).report


@pytest.mark.parametrize(
    ("users", "ids", "order"),
    [
        ([1, 0, 2], [0, 1, 2], [1, 0, 2]),  # consecutive: as they are
        ([70, -5, 9], [-5, 9, 70], [70, -5, 9]),
        (["b", "a", "c"], ["b", "a", "c"], ["b", "a", "c"]),
        (["007", "7", "8"], ["007", "7", "8"], ["007", "7", "8"]),
        ([2**70, 1, 2], [str(2**70), "1", "2"], [str(2**70), "1", "2"]),
        (['"quote', "Zoë", "NA"], ['"quote', "Zoë", "NA"], ['"quote', "Zoë", "NA"]),
    ],
)
def test_raw_users_of_any_type(tmp_path, users, ids, order):
    text = rows([u for u in users for _ in range(3)], [0, 1, 2] * 3)
    dataset = FolderDataset(write(tmp_path, text))
    assert dataset.user_ids.tolist() == ids
    found = [dataset.user_ids.tolist()[u] for u in dataset.interactions.user_id]
    assert sorted(found, key=order.index) == [u for u in order for _ in range(3)]


@pytest.mark.parametrize("column", ["\t", "\tnone"])
def test_without_times_the_order_of_the_file_counts(tmp_path, column):
    text = "user\titem" + ("\ttimestamp" if column == "\t" else "\tother") + "\n"
    text += "".join(
        f"{u}\t{i}{column}\n" for u, i in [(1, 2), (0, 1), (1, 0), (0, 2), (1, 1), (0, 0)]
    )
    dataset = FolderDataset(write(tmp_path, text))
    assert table(dataset) == [(0, i, None) for i in (1, 2, 0)] + [(1, i, None) for i in (2, 0, 1)]
    text = "\n".join(line.rsplit("\t", 1)[0] for line in text.splitlines())
    assert table(FolderDataset(write(tmp_path, text))) == table(dataset)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["1970-01-03", "1970-01-02", "1970-01-01"], [0, 86_400, 172_800]),
        (["1970-01-01T00:00:09", "1970-01-01 00:00:05", "1970-01-01"], [0, 5, 9]),
        (["1970-01-01T02:00:00+02:00", "1970-01-01T00:00:01Z", "1970-01-01"], [0, 0, 1]),
        (["3.9", "1e0", "-7"], [-7, 1, 3.9]),
        (["3.0", "1e0", "-7"], [-7, 1, 3]),
        (
            ["1600000000.9", "1600000000.100001", "1600000000"],
            [1_600_000_000, 1_600_000_000.100001, 1_600_000_000.9],
        ),
        (
            ["2020-09-13T12:26:40.9", "2020-09-13 12:26:40.100001", "2020-09-13 12:26:40"],
            [1_600_000_000, 1_600_000_000.100001, 1_600_000_000.9],
        ),
    ],
)
def test_times(tmp_path, times, expected):
    dataset = FolderDataset(write(tmp_path, rows([0] * 3, [0, 1, 2], times)))
    assert [row[2] for row in table(dataset)] == expected
    whole = all(isinstance(time, int) for time in expected)
    found = dataset.interactions.timestamp
    assert found is not None
    assert found.dtype == (np.int64 if whole else np.float64)


@pytest.mark.parametrize(
    "times",
    [
        ["5.9", "5.1", "5.5"],
        ["2020-01-01T00:00:05.9", "2020-01-01T00:00:05.1", "2020-01-01T00:00:05.5"],
        ["2020-01-01T00:00:05.000003", "2020-01-01T00:00:05.000001", "2020-01-01T00:00:05.000002"],
    ],
)
def test_fractions_of_a_second_decide_the_order_and_are_no_ties(tmp_path, times):
    dataset = FolderDataset(write(tmp_path, rows([0] * 3, [0, 1, 2], times)))
    assert dataset.interactions.item_id.tolist() == [1, 2, 0]
    assert not leave_last_out(dataset.interactions).test.tied.any()
    dataset.save(tmp_path / "saved")
    again = FolderDataset(tmp_path / "saved")
    assert table(again) == table(dataset)


def test_duplicates_are_kept_or_dropped_and_counted(tmp_path):
    root = write(tmp_path, rows([0] * 5, [0, 1, 0, 2, 0], [9, 2, 1, 4, 5]))
    said = r"interactions\.tsv: 2 repetitions of a user's item dropped, the oldest of each kept$"
    with pytest.warns(UserWarning, match=said):
        dropped = FolderDataset(root, duplicates="drop")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is dropped, nothing is said
        kept = FolderDataset(root)
        FolderDataset(write(tmp_path / "without"), duplicates="drop")
    assert [r[1:] for r in table(kept)] == [(0, 1), (1, 2), (2, 4), (0, 5), (0, 9)]
    assert [r[1:] for r in table(dropped)] == [(0, 1), (1, 2), (2, 4)]
    assert "2 repetitions of a user's item kept" in kept.report
    assert "2 repetitions of a user's item dropped, the oldest of each kept" in dropped.report


def test_short_users_are_dropped_and_counted(tmp_path):
    root = write(tmp_path, rows([4, 4, 5, 6, 6, 6], [0, 1, 0, 2, 0, 1]))
    said = "2 users with fewer than 3 interactions dropped, with 3 interactions"
    with pytest.warns(UserWarning, match=rf"interactions\.tsv: {said}$") as caught:
        dataset = FolderDataset(root)
    assert [warning.filename for warning in caught] == [__file__]
    assert dataset.user_ids.tolist() == [6]
    assert dataset.interactions.user_id.tolist() == [0, 0, 0]
    assert dataset.num_items == 3
    assert said in dataset.report
    with pytest.warns(UserWarning, match="1 user with fewer than 2"):
        assert FolderDataset(root, min_interactions=2).user_ids.tolist() == [4, 6]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert FolderDataset(root, min_interactions=1).num_users == 3


def test_duplicates_go_before_users_are_counted(tmp_path):
    root = write(tmp_path, rows([0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 1, 2]))
    assert FolderDataset(root).num_users == 2
    with pytest.warns(UserWarning, match=r"1 repetition .*; 1 user with fewer than 3"):
        assert FolderDataset(root, duplicates="drop").user_ids.tolist() == [1]


def test_items_without_interactions_stay(tmp_path):
    dataset = FolderDataset(write(tmp_path, items=5))
    assert dataset.num_items == 5
    assert "2 items without any interaction kept in the catalog" in dataset.report


def test_items_in_any_order_and_blank_lines(tmp_path):
    lines = [{"item": 2, "raw_id": 12}, "", {"item": 0, "raw_id": 10}, {"item": 1, "raw_id": 11}]
    dataset = FolderDataset(write(tmp_path, ROWS + "\n\n", lines=lines))
    assert dataset.item_ids.tolist() == [10, 11, 12]
    assert dataset.item_text is None
    lines = [
        {"item": 1, "raw_id": "b", "text": "second"},
        {"item": 0, "raw_id": "a", "text": "first"},
        {"item": 2, "raw_id": "c", "text": "third"},
    ]
    dataset = FolderDataset(write(tmp_path, lines=lines))
    assert dataset.item_ids.tolist() == ["a", "b", "c"]
    assert dataset.item_text == ["first", "second", "third"]


def test_items_may_lack_a_text_and_have_other_fields(tmp_path):
    lines = [
        {"item": 0, "raw_id": "0", "price": 1},
        {"item": 1, "raw_id": "1", "price": "x", "text": "has text"},
        {"item": 2, "raw_id": "2", "price": None},
    ]
    dataset = FolderDataset(write(tmp_path, lines=lines))
    assert dataset.item_ids.tolist() == ["0", "1", "2"]
    assert dataset.item_text == ["", "has text", ""]


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    root = write(tmp_path)
    (root / "interactions.tsv").write_bytes(b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode())
    assert len(FolderDataset(root).interactions) == 6


@pytest.mark.parametrize(
    "time",
    [
        pd.to_datetime(["2020-01-01 12:00", "2020-01-02 00:00", "2020-01-03 00:00"] * 2),
        pd.to_datetime(["2020-01-01 12:00", "2020-01-02 00:00", "2020-01-03 00:00"] * 2, utc=True),
        [1_577_880_000, 1_577_923_200, 1_578_009_600] * 2,
        ["2020-01-01T12:00", "2020-01-02", "2020-01-03"] * 2,
        np.array([1_577_880_000.5, 1_577_923_200, 1_578_009_600] * 2),
    ],
)
def test_parquet(tmp_path, time):
    root = write(tmp_path)
    (root / "interactions.tsv").unlink()
    (root / "items.jsonl").unlink()
    frame = pd.DataFrame(
        {"user": ["7"] * 3 + ["x"] * 3, "item": [2, 1, 0, 0, 1, 2], "timestamp": time}
    )
    frame.to_parquet(root / "interactions.parquet")
    pd.DataFrame({"item": [0, 1, 2], "raw_id": [5, 6, 7]}).to_parquet(root / "items.parquet")
    dataset = FolderDataset(root)
    stamps = [float(np.min(time)) if isinstance(time, np.ndarray) else 1_577_880_000]
    stamps += [1_577_923_200, 1_578_009_600]
    assert table(dataset) == [("7", 2 - n, t) for n, t in enumerate(stamps)] + [
        ("x", n, t) for n, t in enumerate(stamps)
    ]
    assert dataset.item_ids.tolist() == [5, 6, 7]
    frame.drop(columns="timestamp").assign(user=frame.user.astype("category")).to_parquet(
        root / "interactions.parquet"
    )
    dataset = FolderDataset(root)
    assert dataset.interactions.timestamp is None
    assert dataset.user_ids.tolist() == ["7", "x"]


def test_large_features_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("mdsrec_pyg.datasets.reading.arrays.BLOCK", 4)
    x = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    dataset = FolderDataset(write(tmp_path, image=x, image_mask=np.array([True, True, False])))
    x[2] = 0
    assert np.array_equal(dataset.features["image"].x.numpy(), x)


def test_features_in_another_form_are_said_to_be_unread(tmp_path):
    root = write(tmp_path / "toys", image=np.ones((3, 2)))
    assert not any("not read" in line for line in FolderDataset(root).report)
    for name in ("text.pt", "audio.safetensors", "video.NPZ", "z.h5", "notes.txt"):
        (root / name).touch()
    assert FolderDataset(root).report[-1] == (
        "not read: audio.safetensors, text.pt, video.NPZ and 1 more (features are .npy files)"
    )
