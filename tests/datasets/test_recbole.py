import pytest

from mdsrec_pyg.data import given_split
from mdsrec_pyg.datasets import FolderDataset, RecBoleDataset

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
# In no order; user 1 took item 12 twice.
ROWS = [
    (1, 12, 5, 50), (0, 10, 3, 30), (1, 12, 4, 10), (0, 12, 1, 40), (1, 10, 1, 20), (0, 11, 2, 10),
]  # fmt: skip
ITEMS = (
    "item_id:token\tmovie_title:token_seq\tyear:token\tclass:token_seq\tprice:float\tpic:token\n"
    '12\tThe "Old" &amp; new\t1995\tDrama Comedy\t9.5\thttp://12\n'
    "10\tĀ film\t\tDrama\t\t\n"
    "99\tNobody's\t2001\t\t1\thttp://99\n"
)


def write(folder, rows=ROWS, header=HEADER, items=ITEMS, name="ml.inter"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(header + "".join("\t".join(map(str, r)) + "\n" for r in rows))
    if items is not None:
        (folder / "ml.item").write_text(items)
    return folder


def read(*args, **kwargs):
    return RecBoleDataset(*args, **kwargs)


def table(dataset):
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    return list(zip(users, items, strict=True))


EXPECTED = [(0, 11), (0, 10), (0, 12), (1, 12), (1, 10), (1, 12)]


def test_interactions_and_items(tmp_path):
    dataset = read(write(tmp_path))
    assert table(dataset) == EXPECTED
    assert dataset.interactions.timestamp.tolist() == [10, 30, 40, 10, 20, 50]
    assert dataset.item_text == [
        "Ā film. Drama",
        "",
        'The "Old" & new. 1995. Drama Comedy. http://12',
    ]
    assert dataset.image_urls is None
    assert dataset.name == "ml"
    assert dataset.raw_file_names == ["ml.inter", "ml.item"]
    dataset.save(tmp_path / "saved")
    assert table(FolderDataset(tmp_path / "saved")) == EXPECTED


def test_columns_of_items(tmp_path):
    write(tmp_path)
    dataset = read(tmp_path, text=["price", "movie_title"], image_url="pic")
    assert dataset.item_text == ["Ā film", "", '9.5. The "Old" & new']
    assert dataset.image_urls == ["", "", "http://12"]
    assert read(tmp_path, image_url="pic").item_text[2].endswith("Drama Comedy")
    assert read(tmp_path, text=[]).item_text is None
    with pytest.raises(ValueError, match=r"ml\.item, line 1: expected a column 'plot' of type"):
        read(tmp_path, text=["plot"])
    with pytest.raises(ValueError, match="'text' must be a sequence of columns"):
        read(tmp_path, text="movie_title")
    (tmp_path / "ml.item").unlink()
    assert read(tmp_path).item_text is None
    with pytest.raises(ValueError, match=r"'text', 'features' and 'image_url' need ml\.item"):
        read(tmp_path, image_url="pic")


def test_options(tmp_path):
    header = "who:token\twhat:token\trating:float\twhen:float\n"
    write(tmp_path / "raw", header=header, items=ITEMS.replace("item_id", "what"))
    names = {"user": "who", "item": "what", "time": "when"}
    assert table(read(tmp_path, **names)) == EXPECTED
    order = read(tmp_path, user="who", item="what")
    assert order.interactions.timestamp is None
    assert table(order) == [(0, 10), (0, 12), (0, 11), (1, 12), (1, 12), (1, 10)]
    assert len(read(tmp_path, **names, repeats="last").interactions) == 5
    assert read(tmp_path, **names, k_core=2).item_ids.tolist() == [10, 12]
    assert read(tmp_path, **names, keep_cold=True).item_ids.tolist() == [10, 11, 12, 99]
    assert read(tmp_path, **names, require=["text"]).item_ids.tolist() == [10, 12]
    with pytest.raises(ValueError, match="line 1: expected a column 'user_id:token'"):
        read(tmp_path)


def test_text_ids_stay_text(tmp_path):
    rows = [("0012", 'Ж"1', 5, 1), ("x", "007", 5, 2)]
    write(tmp_path, rows, items="item_id:token\tname:token\n007\tBond\n")
    dataset = read(tmp_path)
    assert table(dataset) == [("0012", 'Ж"1'), ("x", "007")]
    assert dataset.item_text == ["", "Bond"]


def write_parts(folder, names=("train", "valid", "test"), name="ml"):
    for part, rows in zip(names, ([ROWS[2], ROWS[5]], ROWS[1:2] + ROWS[4:5], [ROWS[3], ROWS[0]]),
                          strict=True):  # fmt: skip
        write(folder, rows, name=f"{name}.{part}.inter", items=None)


def test_a_benchmark_split(tmp_path):
    write_parts(tmp_path)
    dataset = read(tmp_path, keep_split=True)
    assert table(dataset) == EXPECTED
    assert dataset.labels.tolist() == ["train", "val", "test"] * 2
    split = given_split(dataset.interactions, dataset.labels)
    assert dataset.item_ids[split.test.target].tolist() == [12, 12]
    plain = read(tmp_path)  # no ml.inter: the same rows, without their split
    assert table(plain) == EXPECTED
    assert plain.labels is None
    assert dataset.raw_file_names == ["ml.train.inter", "ml.valid.inter", "ml.test.inter"]
    write(tmp_path, ROWS[:2])
    assert len(read(tmp_path).interactions) == 2  # ml.inter comes first
    assert len(read(tmp_path, keep_split=True).interactions) == 6
    (tmp_path / "ml.valid.inter").unlink()
    with pytest.raises(ValueError, match=r"must hold ml\.valid\.inter"):
        read(tmp_path, keep_split=True)
    (tmp_path / "ml.inter").unlink()
    with pytest.raises(ValueError, match=r"must hold ml\.inter or ml\.train\.inter, ml\.valid"):
        read(tmp_path)


def test_names_of_the_parts(tmp_path):
    write_parts(tmp_path, ("part1", "part2", "part3"))
    parts = ("part1", "part2", "part3")
    dataset = read(tmp_path, parts=parts, keep_split=True)
    assert dataset.labels.tolist() == ["train", "val", "test"] * 2
    with pytest.raises(ValueError, match="'parts' must be three names that differ"):
        read(tmp_path, parts=("a", "a", "b"))


def test_parts_without_times(tmp_path):
    header = "user_id:token\titem_id:token\n"
    for part, row in zip(("train", "valid", "test"), ((0, 3), (0, 1), (0, 2)), strict=True):
        write(tmp_path, [row], header, None, f"ml.{part}.inter")
    assert table(read(tmp_path)) == [(0, 3), (0, 1), (0, 2)]
    write(tmp_path, ROWS[:1], name="ml.test.inter", items=None)
    with pytest.raises(ValueError, match="expected times in all parts of the split or in none"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ml.inter", HEADER + "0\t1\t2\n", r"ml\.inter, line 2: Expected 4 columns, got 3"),
        ("ml.inter", HEADER + "0\t\t2\t3\n", "line 2, column 'item_id:token': expected an id"),
        ("ml.inter", HEADER + "0\t1\t2\t-3\n", "line 2, column 'timestamp:float': .*from 1970"),
        ("ml.inter", HEADER + "0\t1\t2\tx\n", "line 2, column 'timestamp:float'"),
        ("ml.inter", "user_id,item_id\n0,1\n", "line 1: expected a column 'user_id:token'"),
        ("ml.item", "item_id:token\ta:token\n12\tx\n12\ty\n", r"ml\.item, line 3, .*no other row"),
        ("ml.item", "item_id:token\ta:token\nx\ty\n", r"ml\.item: expected at least .*got 0"),
        ("ml.item", "id:token\ta:token\nx\ty\n", "line 1: expected a column 'item_id:token'"),
    ],
)  # fmt: skip
def test_errors(tmp_path, name, text, message):
    (write(tmp_path) / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_wrong_encoding(tmp_path):
    (write(tmp_path) / "ml.item").write_bytes(b"item_id:token\ta:token\n12\tcaf\xe9\n")
    with pytest.raises(ValueError, match=r"ml\.item.*UTF"):
        read(tmp_path)
