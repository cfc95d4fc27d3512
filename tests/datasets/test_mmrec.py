import numpy as np
import pytest

from mdsrec_pyg.data import given_split
from mdsrec_pyg.datasets import FolderDataset, MMRecDataset

HEADER = "userID\titemID\trating\ttimestamp\tx_label\n"
# In no order; item 2 was taken by nobody, user 1 took item 0 twice.
ROWS = [
    (1, 0, 5.0, 1_328_140_800, 2), (0, 1, 4.0, 1_330_387_200, 2), (0, 0, 4.0, 1_328_400_000, 0),
    (1, 3, 4.0, 1_300_000_000, 1), (1, 0, 1.0, 1_200_000_000, 0), (0, 3, 4.0, 1_329_000_000, 1),
]  # fmt: skip
ASINS = ['B00"1', "Ж000000002", "0000000003", "B4"]


def write(folder, rows=ROWS, header=HEADER, mappings=True, num=4):
    folder.mkdir(exist_ok=True)
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    (folder / "baby.inter").write_text(header + text)
    np.save(folder / "image_feat.npy", np.arange(num * 2, dtype=np.float64).reshape(num, 2))
    np.save(folder / "text_feat.npy", np.arange(num, dtype=np.float32)[:, None])
    if mappings:
        lines = [f"{asin}\t{n}\n" for n, asin in enumerate(ASINS)]
        (folder / "i_id_mapping.csv").write_text("asin\titemID\n" + "".join(reversed(lines)))
        (folder / "u_id_mapping.csv").write_text("user_id\tuserID\nAda\t0\nBob\t1\n")
    return folder


def read(*args, **kwargs):
    return MMRecDataset(*args, **kwargs)


def table(dataset):
    x = dataset.interactions
    return list(
        zip(dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist(), strict=True)
    )


EXPECTED = [
    ("Ada", 'B00"1'), ("Ada", "B4"), ("Ada", "Ж000000002"), ("Bob", 'B00"1'), ("Bob", "B4"),
    ("Bob", 'B00"1'),
]  # fmt: skip


def test_everything(tmp_path):
    dataset = read(write(tmp_path))
    assert table(dataset) == EXPECTED
    assert dataset.interactions.timestamp[0] == 1_328_400_000
    assert dataset.item_ids.tolist() == ['B00"1', "Ж000000002", "B4"]
    assert dataset.features["image"].x.tolist() == [[0, 1], [2, 3], [6, 7]]
    assert dataset.features["text"].x.tolist() == [[0], [1], [3]]
    assert dataset.name == "baby"
    assert dataset.labels is None
    assert "text_feat.npy: 1 of 4 rows are all zeros" in dataset.report
    assert dataset.raw_file_names == [
        "baby.inter", "image_feat.npy", "text_feat.npy", "i_id_mapping.csv", "u_id_mapping.csv",
    ]  # fmt: skip
    dataset.save(tmp_path / "saved")
    assert table(FolderDataset(tmp_path / "saved")) == EXPECTED


def test_numbers_are_the_raw_ids_without_mappings(tmp_path):
    dataset = read(write(tmp_path, mappings=False))
    assert dataset.item_ids.tolist() == [0, 1, 3]
    assert dataset.user_ids.tolist() == [0, 1]


def test_their_split(tmp_path):
    dataset = read(write(tmp_path), keep_split=True)
    assert dataset.labels.tolist() == ["train", "val", "test"] * 2
    split = given_split(dataset.interactions, dataset.labels)
    assert split.test.target.tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"baby\.inter, line 1: expected a column 'x_label'"):
        read(write(tmp_path, [r[:4] for r in ROWS], HEADER[:-9] + "\n"), keep_split=True)
    assert read(tmp_path).labels is None
    for value in (3, "", "1.0"):
        rows = [*ROWS[:2], (*ROWS[2][:4], value), *ROWS[3:]]
        message = r"baby\.inter, line 4, column 'x_label': expected one of 0, 1, 2, got"
        with pytest.raises(ValueError, match=message):
            read(write(tmp_path, rows), keep_split=True)
        read(tmp_path)  # nobody looks at it
    with pytest.raises(ValueError, match="line 2, column 'x_label': expected 0, 1 or 2"):
        read(write(tmp_path, [(*r[:4], "") for r in ROWS]), keep_split=True)


def test_options(tmp_path):
    write(tmp_path / "raw")
    only = read(tmp_path, features={"words": "text_feat.npy"}, zero_rows="missing")
    assert list(only.features) == ["words"]
    assert only.features["words"].mask.tolist() == [False, True, True]
    assert only.features["words"].x.tolist() == [[0], [1], [3]]
    assert read(tmp_path, features={}).features == {}
    assert len(read(tmp_path, repeats="first").interactions) == 5
    assert read(tmp_path, k_core=2).item_ids.tolist() == ['B00"1', "B4"]
    assert read(tmp_path, keep_cold=True).item_ids.tolist()[3] == "0000000003"
    required = read(tmp_path, zero_rows="missing", require=["text"])
    assert required.item_ids.tolist() == ["Ж000000002", "B4"]
    with pytest.raises(ValueError, match="'zero_rows' must be 'keep' or 'missing'"):
        read(tmp_path, zero_rows="drop")
    (tmp_path / "raw" / "image_feat.npy").unlink()
    missing = read(tmp_path)
    assert list(missing.features) == ["text"]
    assert "image_feat.npy is missing: no image" in missing.report
    only = read(tmp_path, features={"image": "image_feat.npy"})
    assert "text_feat.npy is not read: 'features' does not name it" in only.report
    assert not any("is not read" in line for line in missing.report)


def test_the_name(tmp_path):
    with pytest.raises(ValueError, match=r"'name' must say .*one file \*\.inter \(got none"):
        read(tmp_path)
    write(tmp_path)
    (tmp_path / "sets" / "toys").mkdir(parents=True)
    (tmp_path / "sets" / "toys" / "toys.inter").touch()
    with pytest.raises(ValueError, match="toys has one: give that folder as 'root'"):
        read(tmp_path / "sets")
    (tmp_path / "other.inter").write_text("")
    with pytest.raises(ValueError, match=r"'name' must say .*got baby, other"):
        read(tmp_path)
    assert read(tmp_path, "baby").num_users == 2
    with pytest.raises(ValueError, match=r"must hold toys\.inter.*github\.com/enoche/MMRec"):
        read(tmp_path, "toys")


@pytest.mark.parametrize("name", ["image_feat.npy", "text_feat.npy"])
@pytest.mark.parametrize("num", [3, 5])
def test_features_with_missing_or_extra_rows(tmp_path, name, num):
    np.save(write(tmp_path) / name, np.ones((num, 2)))
    message = rf"{name}: expected shape \(4, F\), a row for each of the 4 items, got \({num}, 2\)"
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((-1, 0, 1, 5, 0), "line 8, column 'userID': expected an integer from 0 to 1, got '-1'"),
        ((2, 0, 1, 5, 0), "line 8, column 'userID': expected an integer from 0 to 1, got '2'"),
        ((0, 4, 1, 5, 0), "line 8, column 'itemID': expected an integer from 0 to 3, got '4'"),
        ((0, "a", 1, 5, 0), "line 8, column 'itemID': expected an integer from 0 to 3, got 'a'"),
        ((0, 1, 1, -5, 0), "line 8, column 'timestamp': expected a time from 1970 to 2100"),
        ((0, 1, 1, 5 * 10**9, 0), "line 8, column 'timestamp': expected a time from 1970 to 2100"),
        ((0, 1, 1, 10**12, 0), "line 8, column 'timestamp': expected seconds since 1970"),
        ((0, 1, 1), "line 8: Expected 5 columns, got 3"),
    ],
)
def test_a_row_that_cannot_be_used(tmp_path, row, message):
    with pytest.raises(ValueError, match=r"baby\.inter, " + message):
        read(write(tmp_path, [*ROWS, row]))


def test_wrong_files(tmp_path):
    write(tmp_path, header=HEADER.replace("\t", ","))
    with pytest.raises(ValueError, match="line 1: expected a column 'userID', got 'userID,item"):
        read(tmp_path)
    write(tmp_path)
    (tmp_path / "text_feat.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"text_feat\.npy: expected an array of numbers"):
        read(tmp_path)
    for text, message in {
        "asin\titemID\na\t0\na\t1\n": r"i_id_mapping\.csv, line 3, column 'asin'.*no other",
        "asin\titemID\na\t0\nb\t0\n": r"i_id_mapping\.csv, line 3, column 'itemID'.*0\.\.1 once",
        "asin\titemID\na\t0\nb\t2\n": "line 3, column 'itemID': expected an integer from 0 to 1",
        "asin,itemID\na,0\n": "line 1: expected a column 'itemID', got 'asin,itemID'",
    }.items():
        write(tmp_path)
        (tmp_path / "i_id_mapping.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            read(tmp_path)


def test_a_number_that_would_take_all_memory(tmp_path):
    write(tmp_path, [*ROWS, (0, 10**12, 1, 5, 0)], mappings=False)
    with pytest.raises(ValueError, match=r"line 8, column 'itemID': .* 0 to 999999, got '100000"):
        read(tmp_path, features={})
