"""RecBole's own benchmark files: histories with their targets, sessions, vectors of items."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdsrec_pyg.data import given_split
from mdsrec_pyg.datasets import FolderDataset, RecBoleDataset, read_atomic

HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
PARTS = ("train", "valid", "test")


def write(folder: Path, *parts: str, header: str = HEADER, names: tuple[str, ...] = PARTS) -> Path:
    """Each part is rows as ``user history > target``, separated by commas."""
    for name, rows in zip(names, parts, strict=True):
        lines = [row.strip() for row in rows.split(",") if row.strip()]
        text = ""
        for line in lines:
            left, target = line.split(" > ")
            user, history = left.split(" ", 1)
            text += f"{user}\t{history}\t{target}\n"
        (folder / f"x.{name}.inter").write_text(header + text)
    return folder


def rows_of(dataset: RecBoleDataset) -> dict[str, str]:
    """The items of each user, each with the first letter of its part."""
    x = dataset.interactions
    assert dataset.labels is not None
    found: dict[str, list[str]] = {}
    for user, item, part in zip(x.user_id, x.item_id, dataset.labels, strict=True):
        found.setdefault(str(dataset.user_ids[user]), []).append(
            f"{dataset.item_ids[item]}{part[0]}"
        )
    return {user: " ".join(items) for user, items in found.items()}


def queries(dataset: RecBoleDataset) -> dict[str, set[tuple[str, str]]]:
    """History and target of each query of validation and test."""
    split = given_split(dataset.interactions, dataset.labels)
    ids = dataset.item_ids
    return {
        name: {
            (" ".join(map(str, ids[part.history(q)])), str(ids[part.target[q]]))
            for q in range(len(part))
        }
        for name, part in (("val", split.val), ("test", split.test))
    }


@pytest.mark.parametrize("newest_first", [True, False])
def test_one_sequence_a_user(tmp_path: Path, newest_first: bool) -> None:
    train = ["u 1 > 2", "u 1 2 > 3", "v 9 > 8"]
    train = train[::-1] if newest_first else train
    write(tmp_path, ",".join(train), "u 1 2 3 > 4, v 9 8 > 7", "u 1 2 3 4 > 5, v 9 8 7 > 6")
    dataset = RecBoleDataset(tmp_path, keep_split=True)
    assert rows_of(dataset) == {"u": "1t 2t 3t 4v 5t", "v": "9t 8t 7v 6t"}
    assert dataset.interactions.timestamp is None
    assert "7 histories with their targets read as sequences" in dataset.report
    assert RecBoleDataset(tmp_path).labels is None


def test_several_targets_of_a_user_in_a_part(tmp_path: Path) -> None:
    write(tmp_path, "u 1 > 2", "u 1 2 > 3, u 1 2 3 > 4", "u 1 2 3 4 > 5, u 1 2 3 4 5 > 6")
    dataset = RecBoleDataset(tmp_path, keep_split=True)
    assert rows_of(dataset) == {"u": "1t 2t 3v 4v 5t 6t"}
    assert queries(dataset) == {
        "val": {("1 2", "3"), ("1 2 3", "4")},
        "test": {("1 2 3 4", "5"), ("1 2 3 4 5", "6")},
    }


def test_gaps_between_steps(tmp_path: Path) -> None:
    write(tmp_path, "u 1 2 > 3, u 1 2 3 4 5 > 6", "u 1 2 3 4 5 6 > 7", "u 1 2 3 4 5 6 7 > 8")
    dataset = RecBoleDataset(tmp_path, keep_split=True)
    assert rows_of(dataset) == {"u": "1t 2t 3t 4t 5t 6t 7v 8t"}
    # After validation a gap would be made of targets that no file has: a sequence of its own.
    write(tmp_path, "u 1 > 2, w 1 > 2", "u 1 2 > 3", "u 1 2 3 4 > 5")
    dataset = RecBoleDataset(tmp_path, keep_split=True)
    assert rows_of(dataset) == {"u": "1t 2t 3v", "w": "1t 2t", "u/2": "1t 2t 3t 4t 5t"}
    assert queries(dataset)["test"] == {("1 2 3 4", "5")}
    said = (
        "4 interactions of validation and test histories that no training row has are training "
        "interactions"
    )
    assert said in dataset.report


def test_two_targets_for_one_history(tmp_path: Path) -> None:
    write(tmp_path, "7 1 > 2, 8 1 > 2", "7 1 2 > 3, 7 1 2 > 4", "8 1 2 > 5")
    dataset = RecBoleDataset(tmp_path, keep_split=True)
    assert rows_of(dataset) == {"7": "1t 2t 3v", "7/2": "1t 2t 4v", "8": "1t 2t 5t"}
    assert queries(dataset)["val"] == {("1 2", "3"), ("1 2", "4")}
    said = "1 sequence that did not go on from the other rows of the user kept as users of their"
    assert any(note.startswith(said) for note in dataset.report)


def test_cut_histories(tmp_path: Path) -> None:
    train = "u 1 > 2, u 1 2 > 3, u 2 3 > 1, u 3 1 > 2"
    write(tmp_path, train, "u 1 2 > 6", "u 2 6 > 7")
    assert rows_of(RecBoleDataset(tmp_path, keep_split=True)) == {"u": "1t 2t 3t 1t 2t 6v 7t"}


def test_sessions(tmp_path: Path) -> None:
    header = HEADER.replace("user_id", "session_id")
    # Each session stands in one file; those of test come with all of their steps.
    parts = ("s 1 > 2, s 1 2 > 3, t 4 > 5", "p 2 > 3, p 2 3 > 1", "q 1 > 3, q 1 3 > 2")
    dataset = RecBoleDataset(write(tmp_path, *parts, header=header), keep_split=True)
    assert rows_of(dataset) == {"s": "1t 2t 3t", "t": "4t 5t", "p": "2t 3v 1v", "q": "1t 3t 2t"}
    assert dataset.labels is not None
    assert dataset.labels.tolist()[-3:] == ["train", "test", "test"]
    assert queries(dataset) == {
        "val": {("2", "3"), ("2 3", "1")}, "test": {("1", "3"), ("1 3", "2")},
    }  # fmt: skip
    (tmp_path / "x.valid.inter").unlink()
    assert set(rows_of(RecBoleDataset(tmp_path, keep_split=True))) == {"s", "t", "q"}
    (tmp_path / "x.test.inter").unlink()
    with pytest.raises(ValueError, match=r"must hold x\.inter or x\.train\.inter, x\.valid"):
        RecBoleDataset(tmp_path)


def test_a_row_a_session(tmp_path: Path) -> None:
    # As SR-GNN writes them: every step of a session, newest first, each with an id of its own.
    train = "0 1 2 3 > 4, 1 1 2 > 3, 2 1 > 2, 3 4 3 > 1, 4 4 > 3"
    write(tmp_path, train, "5 2 > 3", "6 2 > 4")
    dataset = RecBoleDataset(tmp_path, keep_split=True)
    assert rows_of(dataset) == {"0": "1t 2t 3t 4t", "3": "4t 3t 1t", "5": "2t 3v", "6": "2t 4t"}
    # Not all steps are there: nothing is put together.
    write(tmp_path, "0 1 2 3 > 4, 1 1 2 > 3, 3 4 3 > 1", "5 2 > 3", "6 2 > 4")
    assert list(rows_of(RecBoleDataset(tmp_path, keep_split=True))) == ["0", "1", "3", "5", "6"]


def test_a_single_file_of_histories_and_what_is_not_read(tmp_path: Path) -> None:
    header = HEADER.replace("\n", "\tlength:float\n")
    (tmp_path / "x.inter").write_text(header + "u\t01 2\t3\t2\n")
    (tmp_path / "x.kg").write_text("")
    dataset = RecBoleDataset(tmp_path)
    assert dataset.item_ids.tolist() == ["01", "2", "3"]
    assert "x.inter: not read: length:float" in dataset.report
    assert "files not read: x.kg" in dataset.report
    with pytest.raises(ValueError, match=r"got histories .*: RecBoleDataset reads them"):
        read_atomic(tmp_path / "x.inter")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("u\t\t3", r"line 3, column 'item_id_list:token_seq': expected an id, got nothing"),
        ("u\t1  2\t3", r"line 3, column 'item_id_list:token_seq': expected ids with one blank"),
        ("\t1 2\t3", r"line 3, column 'user_id:token': expected an id, got nothing"),
        ("u\t1 2\t", r"line 3, column 'item_id:token': expected an id, got nothing"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "x.inter").write_text(HEADER + f"u\t1\t2\n{row}\n")
    with pytest.raises(ValueError, match=rf"x\.inter, {said}"):
        RecBoleDataset(tmp_path)


def plain(folder: Path, item: str) -> Path:
    (folder / "x.inter").write_text("user_id:token\titem_id:token\nu\t7\nu\t8\nu\t9\n")
    (folder / "x.item").write_text(item)
    return folder


def test_vectors_of_items_are_modalities(tmp_path: Path) -> None:
    item = "item_id:token\tprice:float\timage:float_seq\tempty:float_seq\n"
    plain(tmp_path, item + "9\t1\t0.5 -1e-2 3\t\n8\t2\t\t\n7\t3\t1 2 3\t\n")
    dataset = RecBoleDataset(tmp_path)
    assert list(dataset.features) == ["image"]
    feature = dataset.features["image"]
    assert feature.x.tolist() == [[1, 2, 3], [0, 0, 0], pytest.approx([0.5, -0.01, 3])]
    assert feature.mask.tolist() == [True, False, True]
    assert "x.item: not read: price:float" in dataset.report
    assert "x.item: 'empty:float_seq' is empty: no modality empty" in dataset.report
    assert RecBoleDataset(tmp_path, features=[]).features == {}
    assert "image:float_seq" in RecBoleDataset(tmp_path, features=[]).report[2]
    dataset.save(tmp_path / "saved")
    assert FolderDataset(tmp_path / "saved").features["image"].mask.tolist() == [True, False, True]
    with pytest.raises(ValueError, match="expected a column 'price' of type float_seq, got"):
        RecBoleDataset(tmp_path, features=["price"])
    with pytest.raises(ValueError, match="'features' must be a sequence of columns"):
        RecBoleDataset(tmp_path, features="image")


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ("1 2", "expected 3 numbers as in the first row that has any, got '1 2'"),
        ("1  2", "expected numbers with one blank between two, got '1  2'"),
        ("1 x 3", "expected numbers with one blank between two, got '1 x 3'"),
        ("1 nan 3", "expected numbers with one blank between two"),
    ],
)
def test_vectors_that_cannot_be_read(tmp_path: Path, vector: str, said: str) -> None:
    plain(tmp_path, f"item_id:token\timage:float_seq\n9\t1 2 3\n8\t{vector}\n")
    with pytest.raises(ValueError, match=rf"x\.item, line 3, column 'image:float_seq': {said}"):
        RecBoleDataset(tmp_path)


@pytest.mark.parametrize("name", ["x.inter", "x.item"])
def test_a_damaged_header_drops_no_column(tmp_path: Path, name: str) -> None:
    plain(tmp_path, "item_id:token\tname:token\n9\tA\n")
    path = tmp_path / name
    path.write_bytes(path.read_bytes().replace(b"\n", b"\ttimestam\xf0:float\n", 1))
    with pytest.raises(ValueError, match=rf"{name}, line 1: expected column names in UTF-8"):
        RecBoleDataset(tmp_path)
