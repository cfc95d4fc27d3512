import numpy as np
import pytest

from mdsrec_pyg.data import given_split, leave_last_out
from mdsrec_pyg.datasets import FolderDataset, UniSRecDataset

HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
# Users 2 and 0 have long sequences; user 1 has one training item, so no training step.
SEQUENCES = {2: [3, 4, 3, 0, 1], 0: [0, 1, 2, 3, 4, 0, 1], 1: [2, 4, 0]}
CUT = 3
RAW = ['A"0', "B1", "Ж2", "0003", "D4"]
USERS = ["Zoë", "u\u20281", "2"]


def files(sequences=SEQUENCES, cut=CUT, newest_first=True):
    """The three files as UniSRec writes them, histories cut to ``cut`` items."""
    train, valid, test = [], [], []
    for user, items in sequences.items():
        known = items[:-2]
        steps = [(known[:n][-cut:], known[n]) for n in range(1, len(known))]
        train += [(user, *step) for step in (reversed(steps) if newest_first else steps)]
        valid.append((user, known[-cut:], items[-2]))
        test.append((user, items[:-1][-cut:], items[-1]))
    return [
        [f"{user}\t{' '.join(map(str, history))}\t{item}\n" for user, history, item in rows]
        for rows in (train, valid, test)
    ]


def write(folder, parts=None, index=True):
    folder.mkdir(exist_ok=True)
    for part, lines in zip(("train", "valid", "test"), parts or files(), strict=True):
        (folder / f"Pantry.{part}.inter").write_text(HEADER + "".join(lines))
    x = np.arange(10, dtype="<f4").reshape(5, 2)
    (folder / "Pantry.feat1CLS").write_bytes(x.tobytes())
    if index:
        raw = list(enumerate(RAW))
        (folder / "Pantry.item2index").write_text(
            "".join(f"{name}\t{number}\n" for number, name in reversed(raw))
        )
        (folder / "Pantry.user2index").write_text(
            "".join(f"{name}\t{number}\n" for number, name in enumerate(USERS))
        )
        (folder / "Pantry.text").write_text(
            'item_id:token\ttext:token_seq\nD4\tA "lamp". \nA"0\tTea. Cups. \nother\tx\n'
        )
    return folder


def read(root, **kwargs):
    return UniSRecDataset(root, **{"num_features": 2, **kwargs})


def sequences(dataset):
    x = dataset.interactions
    found: dict = {}
    for user, item in zip(x.user_id, x.item_id, strict=True):
        found.setdefault(dataset.user_ids[user], []).append(dataset.item_ids[item])
    return found


NAMED = {USERS[user]: [RAW[item] for item in items] for user, items in SEQUENCES.items()}


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("cut", [2, 3, 50])
def test_sequences_are_put_together_again(tmp_path, newest_first, cut):
    dataset = read(write(tmp_path, files(cut=cut, newest_first=newest_first)))
    assert sequences(dataset) == NAMED
    assert dataset.interactions.timestamp is None
    assert dataset.item_ids.tolist() == RAW
    assert dataset.features["text"].x.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert dataset.item_text == ["Tea. Cups.", "", "", "", 'A "lamp".']
    assert dataset.name == "Pantry"
    assert dataset.labels is None
    dataset.save(tmp_path / "saved")
    assert sequences(FolderDataset(tmp_path / "saved")) == NAMED


def test_numbers_are_the_raw_ids_without_index_files(tmp_path):
    dataset = read(write(tmp_path, index=False))
    assert sequences(dataset) == SEQUENCES
    assert dataset.item_text is None


def test_their_split_is_leave_last_out(tmp_path):
    dataset = read(write(tmp_path), keep_split=True)
    split = given_split(dataset.interactions, dataset.labels)
    ours = leave_last_out(dataset.interactions)
    assert split.train.item_id.tolist() == ours.train.item_id.tolist()
    assert split.val.history_item.tolist() == ours.val.history_item.tolist()
    assert split.test.target.tolist() == ours.test.target.tolist()


def test_users_who_are_not_in_all_files(tmp_path):
    train, valid, test = files()
    # User 0 without a test row, user 1 without a validation row: its history is what is known.
    parts = [train, valid[:2], [test[0], "1\t2\t4\n"]]
    dataset = read(write(tmp_path, parts), keep_split=True)
    assert sequences(dataset) == {
        USERS[0]: NAMED[USERS[0]][:-1],
        USERS[1]: [RAW[2], RAW[4]],
        USERS[2]: NAMED[USERS[2]],
    }


def test_options(tmp_path):
    write(tmp_path / "raw")
    both = read(tmp_path, features={"words": "feat1CLS", "other": "feat2CLS"})
    assert list(both.features) == ["words"]
    assert "Pantry.feat2CLS is missing: no other" in both.report
    assert read(tmp_path, features={}).features == {}
    x = np.arange(10, dtype="<f4").reshape(5, 2)
    x[1] = 0
    (tmp_path / "raw" / "Pantry.feat1CLS").write_bytes(x.tobytes())
    assert read(tmp_path, zero_rows="missing").features["text"].num_present == 4
    assert read(tmp_path).features["text"].num_present == 5
    required = read(tmp_path, zero_rows="missing", require=["text"])
    assert "B1" not in required.item_ids.tolist()
    # Users 2, 0, 1 without repetitions: 4 + 5 + 3.
    assert len(read(tmp_path, repeats="first").interactions) == 12
    # Item 2 is taken twice; then user 1 has two and goes, and items 3, 4, 1, 0 have 3, 2, 3, 3.
    assert sequences(read(tmp_path, k_core=3)).keys() == {"Zoë", "2"}
    assert UniSRecDataset(tmp_path, "Pantry", features={}).num_items == 5
    with pytest.raises(ValueError, match="'num_features' must be at least 1"):
        read(tmp_path, num_features=0)


@pytest.mark.parametrize("size", [4 * 8, 4 * 12, 4 * 10 - 1])
def test_features_with_missing_or_extra_rows(tmp_path, size):
    (write(tmp_path) / "Pantry.feat1CLS").write_bytes(bytes(size))
    message = r"feat1CLS: expected 40 bytes, 2 float32 for each of the 5 items, got"
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(ValueError, match=r"one file \*\.train\.inter \(got none"):
        read(tmp_path)
    (write(tmp_path) / "Pantry.valid.inter").unlink()
    with pytest.raises(ValueError, match=r"must hold Pantry\.valid\.inter.*github\.com/RUCAIBox"):
        read(tmp_path)


def change(part, line, text):
    parts = files()
    parts[["train", "valid", "test"].index(part)][line] = text
    return parts


@pytest.mark.parametrize(
    ("part", "line", "text", "message"),
    [
        ("train", 0, "2\t3 3\t3\n", r"train\.inter, line 2: expected the steps of one sequence"),
        ("train", 1, "2\t4\t4\n", r"train\.inter, line 2: expected the steps of one sequence"),
        ("train", 1, "2\t3 3\t4\n", r"train\.inter, line 2: .*got a history of 2 items"),
        ("train", 0, "2\t3 4\n", r"train\.inter, line 2: expected 3 values separated by"),
        ("train", 0, "2\t\t3\n", r"train\.inter, line 2, column 'item_id_list.*expected an id"),
        ("valid", 1, "0\t2 3 1\t0\n", r"valid\.inter, line 3: expected the user's interactions"),
        ("valid", 1, "0\t3 4\t0\n", r"valid\.inter, line 3: .*\(3 items\), got a history of 2"),
        ("test", 1, "0\t3 4 4\t1\n", r"test\.inter, line 3: expected the user's interactions"),
        ("test", 2, "0\t3 4 0\t1\n", r"test\.inter, line 4: expected one row a user, got another"),
        ("test", 0, "2\t4 3 0\tx\n", "expected the numbers of item2index as ids.*got 'x'"),
        ("test", 0, "2\t4 3 0\t9\n", "expected numbers from 0 to 4, those in .*got 9"),
        ("test", 0, "-2\t1\t1\n", "expected the numbers of user2index as ids.*got '-2'"),
        ("test", 0, "2\t4 3 0\t٣\n", "expected the numbers of item2index as ids.*got '٣'"),
        ("test", 0, "2\t4 3 0\t9223372036854775808\n", "as ids.*got '9223372036854775808'"),
    ],
)
def test_rows_that_contradict_each_other(tmp_path, part, line, text, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, change(part, line, text)))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("item2index", "a\t0\na\t1\n", r"item2index, line 2: expected each of 0\.\.1 once"),
        ("item2index", "a\t0\nb\t2\n", r"item2index, line 2: expected each of 0\.\.1 once"),
        ("item2index", "a\t0\nb\n", "item2index, line 2: expected 2 values separated by"),
        ("item2index", "a\tx\n", "item2index, line 1, column 'number': expected an integer"),
        ("text", "item_id:token\nD4\n", "line 1: expected a column 'text:token_seq'"),
        ("text", "item_id:token\ttext:token_seq\nD4\ta\nD4\tb\n", "line 3, .*no other row has"),
        ("text", "item_id:token\ttext:token_seq\nq\ta\n", "text: expected texts of the items"),
        ("train.inter", "user_id:token\titem_id:token\n0\t1\n", "one column 'item_id_list:token"),
    ],
)
def test_other_files(tmp_path, name, text, message):
    (write(tmp_path) / f"Pantry.{name}").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_a_number_that_would_take_all_memory(tmp_path):
    write(tmp_path, change("test", 0, f"2\t4 3 0\t{10**12}\n"), index=False)
    with pytest.raises(ValueError, match="from 0 to 999999 without item2index, got 1000000000000"):
        read(tmp_path, features={})


def test_an_error_offers_no_option_that_the_reader_lacks(tmp_path):
    write(tmp_path, change("test", 0, "2\t\t0\n"))
    with pytest.raises(ValueError, match=r"line 2, .*expected an id, got nothing$"):
        read(tmp_path)
