"""Each kind of bad input, and the file, line and column that its error names."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from mdsrec_pyg.datasets import FolderDataset

HEADER = "user\titem\ttimestamp\n"
GOOD = "0\t0\t1\n0\t1\t2\n0\t2\t3\n"
ITEMS = "".join(f'{{"item": {i}, "raw_id": "B{i}"}}\n' for i in range(3))


def write(root, rows=HEADER + GOOD, items=ITEMS, **arrays):
    (root / "interactions.tsv").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    (root / "items.jsonl").write_bytes(items if isinstance(items, bytes) else items.encode())
    for name, array in arrays.items():
        np.save(root / f"{name}.npy", array)
    return root


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ("", ["interactions.tsv, line 1: expected column names, got an empty line or file"]),
        (HEADER, ["interactions.tsv: expected at least one row below the column names, got none"]),
        ("user\tproduct\n0\t0\n", ["line 1: expected a column 'item', got 'user', 'product'"]),
        ("user,item\n0,0\n", ["line 1: expected a column 'user', got 'user,item'"]),
        ("user\titem\titem\n0\t0\t0\n", ["line 1: column 'item' stands there more than once"]),
        (HEADER + GOOD + "0\t1\n", ["interactions.tsv, line 5: Expected 3 columns, got 2"]),
        (HEADER + GOOD + "0\t1\t2\t3\n", ["line 5: Expected 3 columns, got 4"]),
        (HEADER + GOOD + "\n" + GOOD, ["line 5, column 'user': expected an id, got nothing"]),
        (HEADER + GOOD + "\t1\t2\n", ["line 5, column 'user': expected an id, got nothing"]),
        (
            HEADER + GOOD + "0\t3\t4\n",
            ["line 5, column 'item': expected an item of the items file (0..2), got '3'"],
        ),
        (HEADER + "0\t-1\t4\n" + GOOD, ["line 2, column 'item'", "got '-1'"]),
        (HEADER + GOOD + "0\t1.0\t4\n", ["line 5, column 'item'", "(0..2), got '1.0'"]),
        (HEADER + GOOD + "0\tB1\t4\n", ["line 5, column 'item'", "got 'B1'"]),
        (HEADER + GOOD + "0\t\t4\n", ["line 5, column 'item'", "got nothing"]),
        (HEADER + GOOD + f"0\t{10**30}\t4\n", ["line 5, column 'item'", f"got '{10**30}'"]),
        (
            HEADER + GOOD + "0\t1\tsoon\n",
            [
                "line 5, column 'timestamp': expected a number of seconds, like the rows before",
                "soon",
            ],
        ),
        (
            HEADER + "0\t1\t2015-06-23\n0\t1\t23.06.2015\n",
            ["line 3, column 'timestamp': expected a date (2015-06-23)", "got '23.06.2015'"],
        ),
        (HEADER + "0\t1\t2015-02-30\n", ["line 2, column 'timestamp'", "got '2015-02-30'"]),
        (HEADER + "0\t1\t2015-02-20\n0\t1\t2015\n", ["line 3, column 'timestamp'", "got '2015'"]),
        (HEADER + GOOD + "0\t1\t\n", ["line 5", "a time in every row or in none, got nothing"]),
        (HEADER + "0\t1\t\n" + GOOD, ["line 2", "a time in every row or in none, got nothing"]),
        (
            HEADER + GOOD + "0\t1\t1600000000000\n",
            ["line 5, column 'timestamp': expected seconds since 1970", "got '1600000000000'"],
        ),
        (HEADER + "0\t1\t1e999\n", ["line 2, column 'timestamp'", "got '1e999'"]),
        (HEADER.encode() + b"0\t1\t2\n\xff\t1\t2\n", ["interactions.tsv, line 3", "UTF-8"]),
    ],
)
def test_interactions(tmp_path, rows, parts):
    with pytest.raises(ValueError, match=r"interactions\.tsv") as error:
        FolderDataset(write(tmp_path, rows))
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("items", "parts"),
    [
        ("", ["items.jsonl"]),
        ("\n", ["items.jsonl: expected at least one row"]),
        (ITEMS + "{item: 3}\n", ["items.jsonl, line 4: expected a JSON object", "not JSON"]),
        (ITEMS + "\n[3]\n", ["items.jsonl, line 5: expected a JSON object, got [3]"]),
        (ITEMS + '{"item": "3", "raw_id": "x"}', ["line 4, column 'item': expected an integer"]),
        (ITEMS + '{"item": 3.5, "raw_id": "x"}', ["line 4, column 'item'", "got 3.5"]),
        (ITEMS + '{"item": 3, "raw_id": 7}', ["line 4, column 'raw_id': expected a string, got 7"]),
        (ITEMS + '{"item": 3, "raw_id": [7]}', ["line 4, column 'raw_id'", "got [7]"]),
        (ITEMS + '{"item": 3, "raw_id": "x", "text": 1}', ["line 4, column 'text'", "got 1"]),
        (
            ITEMS + '\n{"item": 4, "raw_id": "x"}',
            ["line 5, column 'item': expected each of 0..3 once (the file has 4 items), got 4"],
        ),
        (ITEMS + '{"item": 1, "raw_id": "x"}', ["line 4, column 'item'", "0..3 once", "got 1"]),
        (ITEMS + '{"raw_id": "x"}', ["line 4, column 'item'", "got nothing"]),
        (ITEMS + '{"item": 3}', ["line 4, column 'raw_id': expected an id, got nothing"]),
        (
            ITEMS + '{"item": 3, "raw_id": "B1"}',
            ["line 4, column 'raw_id': expected an id that no other item has, got 'B1'"],
        ),
        (
            ITEMS.encode() + b'\n{"item": 3, "raw_id": "\xff"}',
            ["items.jsonl, line 5, column 'raw_id': expected UTF-8 text"],
        ),
        (
            ITEMS.encode() + b'{"item": 3, "raw_id": "x", "text": "caf\xe9"}',
            ["items.jsonl, line 4, column 'text': expected UTF-8 text"],
        ),
        (ITEMS.encode() + b"{caf\xe9}", ["items.jsonl, line 4: expected UTF-8 text", "0xe9"]),
        (ITEMS.encode("utf-16"), ["items.jsonl, line 1: expected UTF-8 text"]),
        # The bad byte is in a field that is not read, the error is another.
        (
            ITEMS.encode() + b'{"item": 1, "raw_id": "x", "other": "\xff"}',
            ["line 4, column 'item'", "0..3 once", "got 1"],
        ),
    ],
)
def test_items(tmp_path, items, parts):
    with pytest.raises(ValueError, match=r"items\.jsonl") as error:
        FolderDataset(write(tmp_path, items=items))
    for part in parts:
        assert part in str(error.value)


def test_text_that_is_not_utf8_in_parquet(tmp_path):
    root = write(tmp_path)
    (root / "items.jsonl").unlink()
    text = pa.array([b"a", b"b", b"caf\xe9"]).view(pa.string())
    items = pa.table({"item": [0, 1, 2], "raw_id": [0, 1, 2], "text": text})
    pa.parquet.write_table(items, root / "items.parquet")
    with pytest.raises(ValueError, match=r"items\.parquet, row 3, column 'text': expected UTF-8"):
        FolderDataset(root)


def with_value(value, dtype=np.float32):
    x = np.zeros((3, 4), np.float64)
    x[1, 2] = value
    return x.astype(dtype)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((4, 2))}, r"image\.npy: expected shape \(3, F\).*got shape \(4, 2\)"),
        ({"image": np.zeros(3)}, r"image\.npy: expected shape .*got shape \(3,\)"),
        ({"image": np.zeros((3, 0))}, r"image\.npy: expected shape .*got shape \(3, 0\)"),
        ({"image": np.zeros((3, 2), np.int64)}, r"image\.npy: expected float16.*got int64"),
        ({"image": np.array([["a"]] * 3)}, r"image\.npy: expected float16.*got <U1"),
        ({"image": np.array([[None]] * 3)}, r"image\.npy: expected an array of numbers"),
        ({"image": with_value(np.nan)}, r"row 1 \(item 1\), column 2: expected a finite.*got nan"),
        ({"image": with_value(np.inf, np.float16)}, r"image\.npy, row 1 .*column 2.*got inf"),
        ({"image": with_value(1e300, np.float64)}, r"image\.npy, row 1 .*column 2.*got 1e\+300"),
        (
            {"image": np.zeros((3, 2)), "image_mask": np.ones(3)},
            r"image_mask\.npy: expected bool of shape \(3,\).*got float64",
        ),
        (
            {"image": np.zeros((3, 2)), "image_mask": np.ones(4, bool)},
            r"image_mask\.npy: expected bool of shape \(3,\).*got bool of shape \(4,\)",
        ),
        ({"image_mask": np.ones(3, bool)}, r"image_mask\.npy: expected image\.npy beside it"),
    ],
)
def test_features(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        FolderDataset(write(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"not an array"])
def test_a_file_that_is_no_array(tmp_path, content):
    root = write(tmp_path)
    (root / "image.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"image\.npy: expected an array of numbers in \.npy form"):
        FolderDataset(root)


def test_nan_in_the_row_of_a_missing_item_is_no_error(tmp_path):
    mask = np.array([True, False, True])
    dataset = FolderDataset(write(tmp_path, image=with_value(np.nan), image_mask=mask))
    assert not dataset.features["image"].x.any()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"modalities": ["sound"]}, r"'modalities' must be among \['image'\] \(got 'sound'\)"),
        ({"modalities": "image"}, "'modalities' must be a sequence of names"),
        ({"modalities": ["image", "image"]}, "'modalities' must all differ"),
        ({"duplicates": "first"}, "'duplicates' must be 'keep' or 'drop'"),
        ({"min_interactions": 0}, "'min_interactions' must be at least 1"),
        ({"min_interactions": 4}, r"must leave a user \(got 4; .* are 3\)"),
    ],
)
def test_arguments(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        FolderDataset(write(tmp_path, image=np.zeros((3, 2))), **kwargs)


def test_missing_and_double_files(tmp_path):
    with pytest.raises(ValueError, match="'root' must be a folder"):
        FolderDataset(tmp_path / "nowhere")
    root = write(tmp_path)
    pd.DataFrame({"user": [0]}).to_parquet(root / "interactions.parquet")
    with pytest.raises(ValueError, match=r"one of interactions\.tsv and .* \(got both"):
        FolderDataset(root)
    (root / "items.jsonl").unlink()
    with pytest.raises(ValueError, match=r"one of items\.jsonl and items\.parquet \(got neither"):
        FolderDataset(root)


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"item": [0, 1, 2]}, ["expected a column 'user', got 'item'"]),
        ({"user": [0, None, 0], "item": [0, 1, 2]}, ["row 2, column 'user': expected an id"]),
        ({"user": [0] * 3, "item": [0, 1, 3]}, ["row 3, column 'item'", "got 3"]),
        ({"user": [0] * 3, "item": [0.0, 1.0, 2.0]}, ["column 'item'", "(not double)", "got 0.0"]),
        (
            {"user": [0] * 3, "item": [0, 1, 2], "timestamp": [1.0, np.nan, 2.0]},
            ["row 2, column 'timestamp': expected a time in every row or in none"],
        ),
        (
            {"user": [0] * 3, "item": [0, 1, 2], "timestamp": [True, False, True]},
            ["column 'timestamp'", "(not bool)"],
        ),
    ],
)
def test_parquet(tmp_path, columns, parts):
    root = write(tmp_path)
    (root / "interactions.tsv").unlink()
    pd.DataFrame(columns).to_parquet(root / "interactions.parquet")
    with pytest.raises(ValueError, match=r"interactions\.parquet") as error:
        FolderDataset(root)
    for part in parts:
        assert part in str(error.value)


def test_a_file_that_is_no_parquet(tmp_path):
    root = write(tmp_path)
    (root / "interactions.tsv").rename(root / "interactions.parquet")
    with pytest.raises(ValueError, match=r"interactions\.parquet: expected a parquet file"):
        FolderDataset(root)


@pytest.mark.parametrize("name", ["interactions", "items"])
def test_a_damaged_parquet_file(tmp_path, name):
    write(tmp_path)
    rows = {"user": [0] * 3, "item": [0, 1, 2], "raw_id": ["a", "b", "c"]}
    for suffix in (".tsv", ".jsonl"):
        (tmp_path / f"{name}{suffix}").unlink(missing_ok=True)
    path = tmp_path / f"{name}.parquet"
    pd.DataFrame(rows).to_parquet(path)
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    path.write_bytes(data[:footer] + b"\xff" * 8 + data[footer + 8 :])
    with pytest.raises(ValueError, match=rf"{name}\.parquet: expected a parquet file"):
        FolderDataset(tmp_path)
