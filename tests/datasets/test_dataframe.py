import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from mdsrec_pyg.datasets import FolderDataset, from_dataframe


def interactions(**columns):
    """Three users in no order; ann took b twice."""
    table = pd.DataFrame(
        {
            "user": ["bob", "ann", "ann", "cyd", "ann", "bob"],
            "item": ["c", "b", "a", "b", "b", "b"],
            "timestamp": [30, 20, 10, 5, 40, 7],
        },
        index=[5, 3, 3, 1, 0, 9],  # an index means nothing
    )
    return table.assign(**columns)


def items():
    return pd.DataFrame(
        {
            "item": ["d", "c", "b"],
            "text": ["D", None, "B"],
            "image_url": ["http://d", "http://c", ""],
        },
        index=[7, 7, 7],
    )


def table(dataset):
    x = dataset.interactions
    users, ids = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    time = [None] * len(x) if x.timestamp is None else x.timestamp.tolist()
    return list(zip(users, ids, time, strict=True))


EXPECTED = [
    ("bob", "b", 7), ("bob", "c", 30), ("ann", "a", 10), ("ann", "b", 20), ("ann", "b", 40),
    ("cyd", "b", 5),
]  # fmt: skip


def test_interactions_alone():
    dataset = from_dataframe(interactions())
    assert table(dataset) == EXPECTED
    assert dataset.item_ids.tolist() == ["c", "b", "a"]  # in the order of their first row
    assert dataset.name == "dataframe"
    assert np.asarray(dataset.interactions.timestamp).dtype == np.int64


def test_items_and_features_by_position():
    image = np.array([[1, 1], [2, 2], [3, 3]], np.float16)
    text = np.array([[0.5], [np.nan], [0.25]])
    dataset = from_dataframe(interactions(), items(), {"image": image, "text": text}, name="toy")
    assert dataset.item_text == ["", "B", ""]
    assert dataset.image_urls == ["http://c", "", ""]
    assert dataset.features["image"].x.tolist() == [[2, 2], [3, 3], [0, 0]]
    assert dataset.features["image"].mask.tolist() == [True, True, False]
    assert dataset.features["text"].mask.tolist() == [False, True, False]  # a row of NaN
    assert dataset.name == "toy"
    cold = from_dataframe(interactions(), items(), {"image": image}, keep_cold=True)
    assert cold.item_ids.tolist() == ["c", "b", "a", "d"]
    assert cold.features["image"].x[3].tolist() == [1, 1]


def test_column_names():
    table_ = interactions().rename(columns={"user": "U", "item": "I", "timestamp": "T"})
    named = items().rename(columns={"item": "sku", "text": "title", "image_url": "photo"})
    dataset = from_dataframe(
        table_,
        named,
        user="U",
        item="I",
        timestamp="T",
        item_id="sku",
        text="title",
        image_url="photo",
    )
    assert table(dataset) == EXPECTED
    assert dataset.item_text == ["", "B", ""]
    assert dataset.image_urls == ["http://c", "", ""]
    bare = from_dataframe(table_, named, user="U", item="I", timestamp="T", item_id="sku")
    assert bare.item_text is None
    assert bare.image_urls is None
    none = from_dataframe(interactions(), items(), text=None, image_url=None)
    assert none.item_text is None
    assert none.image_urls is None


def test_options_reach_the_core():
    assert len(from_dataframe(interactions(), repeats="keep").interactions) == 6
    for repeats, time in (("first", 20), ("last", 40)):
        rows = table(from_dataframe(interactions(), repeats=repeats))
        assert [row for row in rows if row[:2] == ("ann", "b")] == [("ann", "b", time)]
    core = from_dataframe(interactions(), k_core=2)
    assert table(core) == [("ann", "b", 20), ("ann", "b", 40)]
    some = from_dataframe(interactions(), items(), require=["image_url"])
    assert some.item_ids.tolist() == ["c"]


@pytest.mark.parametrize(
    "time",
    [
        lambda t: pd.to_datetime(t, unit="s"),
        lambda t: pd.Series(pd.to_datetime(t, unit="s", utc=True)).dt.tz_convert("Asia/Tokyo"),
        lambda t: t.astype(float),
        lambda t: t.astype("Int64"),
        lambda t: t.astype(np.uint32),
    ],
)
def test_kinds_of_time(time):
    values = interactions()
    values["timestamp"] = time(values["timestamp"])
    dataset = from_dataframe(values)
    assert table(dataset) == EXPECTED
    assert np.asarray(dataset.interactions.timestamp).dtype == np.int64


def test_fractions_and_order_only():
    half = from_dataframe(interactions(timestamp=[30.5, 20, 10, 5, 40, 7]))
    assert np.asarray(half.interactions.timestamp).tolist() == [7, 30.5, 10, 20, 40, 5]
    order = from_dataframe(interactions(), timestamp=None)
    assert [row[1] for row in table(order)] == ["c", "b", "b", "a", "b", "b"]


def test_integer_ids_are_numbered_in_ascending_order(tmp_path):
    dataset = from_dataframe(interactions(user=[30, 10, 10, 20, 10, 30], item=[3, 2, 1, 2, 2, 2]))
    assert dataset.user_ids.tolist() == [10, 20, 30]
    assert dataset.item_ids.tolist() == [1, 2, 3]
    dataset.save(tmp_path / "saved")
    assert FolderDataset(tmp_path / "saved", min_interactions=1).user_ids.tolist() == [10, 20, 30]
    some = pd.DataFrame({"item": [2, 9]})
    image = np.array([[1.0], [2.0]])
    dataset = from_dataframe(
        interactions(item=[3, 2, 1, 2, 2, 2]), some, {"image": image}, keep_cold=True
    )
    assert dataset.item_ids.tolist() == [1, 2, 3, 9]
    assert dataset.features["image"].x.tolist() == [[0], [1], [0], [2]]


@pytest.mark.parametrize("kind", ["string", "category"])
def test_kinds_of_text(kind):
    table_ = interactions()
    table_["user"] = table_["user"].astype(kind)
    assert table(from_dataframe(table_)) == EXPECTED


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"timestamp": [1, 2, 3, 4, 5, 1_500_000_000_000]},
         r"row 5, column 'timestamp': expected seconds since 1970.*milliseconds.*1500000000000"),
        ({"timestamp": [1, 2, None, 4, 5, 6]}, "row 2, column 'timestamp': expected a time in"),
        ({"timestamp": ["2020-01-01", "9.1.2026"] * 3},
         r"row 1, column 'timestamp': expected a date .*, got '9\.1\.2026'"),
        ({"timestamp": ["2020-01-01", 7] * 3}, "expected datetimes or seconds since 1970, got"),
        ({"timestamp": [True] * 6}, "expected datetimes or seconds since 1970, got bool"),
        ({"user": ["a", None, "b", "c", "d", "e"]}, "row 1, column 'user': expected an id, got"),
        ({"item": ["a", "b", "", "c", "d", "e"]}, "row 2, column 'item': expected an id, got"),
        ({"user": [1.5] * 6}, "column 'user': expected integers or text, got float64"),
        ({"user": [1, "a", 1, 1, 1, 1]}, "row 1, column 'user': expected ids of one type"),
    ],
)  # fmt: skip
def test_errors_in_interactions(columns, message):
    with pytest.raises(ValueError, match=message):
        from_dataframe(interactions(**columns))


def test_other_errors():
    with pytest.raises(ValueError, match=r"'interactions' must have a column 'who' \(got 'user'"):
        from_dataframe(interactions(), user="who")
    with pytest.raises(ValueError, match="'items' must have a column 'sku'"):
        from_dataframe(interactions(), items(), item_id="sku")
    with pytest.raises(ValueError, match="'features' needs 'items'"):
        from_dataframe(interactions(), features={"image": np.ones((3, 2))})
    for x in (np.ones((2, 2)), np.ones(3), np.ones((3, 0))):
        with pytest.raises(ValueError, match=r"'features\['image'\]' must have shape \(3, F\)"):
            from_dataframe(interactions(), items(), {"image": x})
    with pytest.raises(ValueError, match="must hold numbers"):
        from_dataframe(interactions(), items(), {"image": np.array([["a"]] * 3)})
    with pytest.raises(ValueError, match="row 2, column 'item': expected an id that no other row"):
        from_dataframe(interactions(), items().assign(item=["a", "b", "a"]))
    with pytest.raises(ValueError, match="row 1, column 'text': expected text, got 5"):
        from_dataframe(interactions(), items().assign(text=["a", 5, "b"]))
    twice = pd.concat([interactions(), interactions()[["user"]]], axis=1)
    with pytest.raises(ValueError, match="'interactions' must have one column 'user'"):
        from_dataframe(twice)
    with pytest.raises(ValueError, match="expected at least one interaction, got none"):
        from_dataframe(interactions().iloc[:0])
    x = np.array([[1, np.inf], [1, 1], [np.inf, 1]])
    with pytest.raises(ValueError, match=r"'features\['image'\]', row 2 \(item 'b'\), column 0"):
        from_dataframe(interactions(), items(), {"image": x})


def test_integers_that_do_not_fit():
    ids = np.array([2**63 + 1, 1], np.uint64)
    rows = pd.DataFrame({"user": ids, "item": [1, 2], "timestamp": [1, 2]})
    with pytest.raises(ValueError, match=r"'user': expected integers below 2\*\*63, got 92"):
        from_dataframe(rows)


@pytest.mark.parametrize(
    "form", [scipy.sparse.csr_matrix, lambda x: torch.tensor(x).bfloat16(), torch.tensor]
)
def test_features_in_any_form_of_numbers(form):
    x = np.arange(6.0).reshape(3, 2)
    expected, given = (
        from_dataframe(interactions(), items(), {"image": features}).features["image"].x
        for features in (x, form(x))
    )
    assert given.equal(expected)
    with pytest.raises(ValueError, match=r"'features\['image'\]' must hold numbers \(got object"):
        from_dataframe(interactions(), items(), {"image": x.astype(object)})
