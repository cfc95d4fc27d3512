import pytest

from mdsrec_pyg.datasets import FolderDataset, read_atomic

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


def write(tmp_path, rows, header=HEADER):
    path = tmp_path / "toy.inter"
    path.write_text(header + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def table(dataset):
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    time = [None] * len(x) if x.timestamp is None else x.timestamp.tolist()
    return list(zip(users, items, time, strict=True))


def test_rows_in_any_order_with_dates(tmp_path):
    rows = [
        (1, 12, "1970-01-03"),
        (0, 10, "1970-01-02"),
        (1, 10, "1970-01-01"),
        (0, 11, "1970-01-01"),
        (1, 11, "1970-01-03"),
        (0, 12, "1970-01-01"),
    ]
    day = 86_400
    dataset = read_atomic(write(tmp_path, rows))
    assert table(dataset) == [
        (0, 11, 0), (0, 12, 0), (0, 10, day), (1, 10, 0), (1, 12, 2 * day), (1, 11, 2 * day),
    ]  # fmt: skip
    assert dataset.name == "toy"
    assert dataset.features == {}
    assert "0 repetitions of a user's item kept" in dataset.report


def test_tokens_seconds_and_other_columns(tmp_path):
    header = "item:token\trating:float\tuser:token\twhen:float\n"
    rows = [("b", 5, "x", 2.5), ("a", 4, "x", 1), ("c", 3, "x", 2), ("a", 1, "y", 0)]
    path = write(tmp_path, rows, header)
    with pytest.warns(UserWarning, match=r"toy\.inter: 1 user with fewer than 3") as caught:
        dataset = read_atomic(path, user="user", item="item", time="when")
    assert [warning.filename for warning in caught] == [__file__]
    assert table(dataset) == [("x", "a", 1), ("x", "c", 2), ("x", "b", 2.5)]
    said = "1 user with fewer than 3 interactions dropped, with 1 interaction"
    assert said in dataset.report
    every = read_atomic(path, user="user", item="item", time="when", min_interactions=1)
    assert every.num_users == 2
    assert (
        read_atomic(path, user="user", item="item", min_interactions=1).interactions.timestamp
        is None
    )


def test_duplicates(tmp_path):
    path = write(tmp_path, [(0, 1, 4), (0, 1, 3), (0, 2, 2), (0, 3, 1)])
    assert len(read_atomic(path).interactions) == 4
    with pytest.warns(UserWarning, match="1 repetition of a user's item dropped"):
        dataset = read_atomic(path, duplicates="drop")
    assert table(dataset) == [(0, 3, 1), (0, 2, 2), (0, 1, 3)]


def test_saved_as_a_folder_it_reads_back(tmp_path):
    dataset = read_atomic(write(tmp_path, [("u", i, 9 - i) for i in (3, 1, 4)]))
    dataset.save(tmp_path / "folder")
    assert table(FolderDataset(tmp_path / "folder")) == table(dataset)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("user_id:token\tx:token\n", [(0, 0)], "line 1: expected a column 'item_id:token', got"),
        ("user_id\titem_id:token\n", [(0, 0)], "line 1: expected 'user_id:token', got 'user_id'"),
        (
            "user_id:token\titem_id:token_seq\n",
            [(0, 0)],
            "expected 'item_id:token', got 'item_id:token_seq'",
        ),
        (
            "user_id:token\titem_id:token\ttimestamp:token\n",
            [(0, 0, 0)],
            "expected 'timestamp:float', got 'timestamp:token'",
        ),
        (HEADER, [(0, 0, 1), (0, 1, "x")], r"toy\.inter, line 3, column 'timestamp:float'"),
        (HEADER, [(0, 0, 1), ("", 1, 2)], r"toy\.inter, line 3, column 'user_id:token'"),
        (HEADER, [], "expected at least one row"),
        ("", [], "line 1: expected column names"),
    ],
)
def test_errors(tmp_path, header, rows, message):
    with pytest.raises(ValueError, match=message):
        read_atomic(write(tmp_path, rows, header))
    with pytest.raises(ValueError, match="'path' must be a file"):
        read_atomic(tmp_path / "nothing.inter")
