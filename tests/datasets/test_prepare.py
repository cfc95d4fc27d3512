import numpy as np
import pytest

from mdsrec_pyg.datasets import FolderDataset, RawFeature, RawInteractions, RawItems, prepare


def ids(*names):
    array = np.empty(len(names), object)
    array[:] = names
    return array


def make(rows, users="uvwxyz", items="abcdef"):
    """Rows of (user, item, time) by letter, numbered in alphabetical order."""
    user, item, time = zip(*rows, strict=True)
    return RawInteractions(
        np.array([users.index(name) for name in user]),
        np.array([items.index(name) for name in item]),
        None if time[0] is None else np.array(time),
        ids(*users),
        ids(*items),
        source="toy.json",
    )


def table(dataset):
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    time = [None] * len(x) if x.timestamp is None else x.timestamp.tolist()
    return list(zip(users, items, time, strict=True))


# In the order of a file: v took b twice, and twice at the same time 5.
ROWS = [("v", "b", 9), ("u", "c", 5), ("v", "d", 5), ("v", "b", 5), ("u", "b", 1), ("w", "c", 2)]


def test_sorts_and_renumbers_in_the_order_of_the_codes():
    dataset = prepare(make(ROWS), name="toy", repeats="keep")
    assert table(dataset) == [
        ("u", "b", 1), ("u", "c", 5), ("v", "d", 5), ("v", "b", 5), ("v", "b", 9), ("w", "c", 2),
    ]  # fmt: skip
    assert dataset.user_ids.tolist() == ["u", "v", "w"]  # x, y, z took nothing
    assert dataset.item_ids.tolist() == ["b", "c", "d"]
    assert dataset.name == "toy"
    assert dataset.item_text is None
    assert dataset.image_urls is None


def test_without_times_the_order_of_the_rows_counts():
    rows = [(user, item, None) for user, item, _ in ROWS]
    dataset = prepare(make(rows), name="toy", repeats="last")
    assert table(dataset) == [
        ("u", "c", None), ("u", "b", None), ("v", "d", None), ("v", "b", None), ("w", "c", None),
    ]  # fmt: skip


def test_repeats():
    times = {
        repeats: [time for user, item, time in table(prepare(make(ROWS), name="", repeats=repeats))
                  if (user, item) == ("v", "b")]
        for repeats in ("keep", "first", "last")
    }  # fmt: skip
    assert times == {"keep": [5, 9], "first": [5], "last": [9]}
    with pytest.raises(ValueError, match="'repeats' must be one of keep, first, last"):
        prepare(make(ROWS), name="", repeats="drop")


def test_k_core_goes_on_until_nothing_is_left_to_drop():
    # 2-core: a has one taker, so u is left with b alone and goes, so b is left with v and w.
    rows = [
        ("u", "a", 1),
        ("u", "b", 2),
        ("v", "b", 1),
        ("v", "c", 2),
        ("w", "b", 1),
        ("w", "c", 2),
    ]
    dataset = prepare(make(rows), name="", repeats="keep", k_core=2)
    assert [row[:2] for row in table(dataset)] == [tuple(pair) for pair in ("vb", "vc", "wb", "wc")]
    assert dataset.meta["steps"] == [
        {"done": "read", "users": 3, "items": 3, "interactions": 6, "note": ""},
        {
            "done": "repeated pairs kept",
            "users": 3,
            "items": 3,
            "interactions": 6,
            "note": "0 repetitions",
        },
        {"done": "2-core", "users": 2, "items": 2, "interactions": 4, "note": ""},
    ]
    assert dataset.report[-1] == "2-core: 4 interactions of 2 users with 2 items"
    message = (
        r"toy\.json: expected an interaction to be left after the step '3-core', got none of the 6 "
        "interactions of 3 users with 3 items before it"
    )
    with pytest.raises(ValueError, match=message):
        prepare(make(rows), name="", repeats="keep", k_core=3)
    with pytest.raises(ValueError, match="'k_core' must be at least 1 or None"):
        prepare(make(rows), name="", repeats="keep", k_core=0)


def known(**kwargs):
    """Items in another order than the interactions: e has none, c is missing."""
    x = np.arange(6.0).reshape(3, 2)
    return RawItems(
        ids("e", "d", "b"),
        text=["E", "", "B"],
        image_urls=["http://e", "http://d", ""],
        features={"image": RawFeature(ids("d", "f", "b"), x, "toy.npy")},
        source="meta.json",
        **kwargs,
    )


def test_items_are_aligned_by_raw_id():
    dataset = prepare(make(ROWS), known(notes=("3 lines",)), name="", repeats="keep")
    assert dataset.item_ids.tolist() == ["b", "c", "d"]
    assert dataset.item_text == ["B", "", ""]
    assert dataset.image_urls == ["", "", "http://d"]
    assert dataset.features["image"].x.tolist() == [[4, 5], [0, 0], [0, 1]]
    assert dataset.features["image"].mask.tolist() == [True, False, True]
    notes = [
        "3 lines",
        "2 of 3 items with interactions are in meta.json",
        "1 of 3 items have a text",
        "1 of 3 items have an image URL",
        "2 of 3 items have image; 1 row of other items ignored",
    ]
    assert dataset.meta["items"] == notes
    assert dataset.report[-5:] == notes
    assert dataset.meta["source"] == "toy.json"
    assert dataset.meta["items_source"] == "meta.json"


def test_keep_cold_puts_the_others_behind():
    dataset = prepare(make(ROWS), known(), name="", repeats="keep", keep_cold=True)
    assert dataset.item_ids.tolist() == ["b", "c", "d", "e"]
    assert dataset.num_items == 4
    assert dataset.item_text == ["B", "", "", "E"]
    assert dataset.features["image"].mask.tolist() == [True, False, True, False]
    assert "1 item without interactions kept" in dataset.report
    for wrong in ({"require": ["text"]}, {"items": lambda ids: known()}, {"items": None}):
        kwargs = {"items": known(), **wrong}
        with pytest.raises(ValueError, match="'keep_cold' needs all 'items'"):
            prepare(make(ROWS), name="", repeats="keep", keep_cold=True, **kwargs)


@pytest.mark.parametrize(
    ("require", "left"),
    [(["text"], "b"), (["image_url"], "d"), (["image"], "bd"), (["image", "text"], "b")],
)
def test_require(require, left):
    dataset = prepare(make(ROWS), known(), name="", repeats="keep", require=require)
    assert dataset.item_ids.tolist() == list(left)
    assert dataset.meta["steps"][-1]["done"] == f"items with {' and '.join(require)}"
    assert dataset.meta["options"]["require"] == require


def test_a_modality_called_text_is_what_require_looks_at():
    items = known()
    items = RawItems(items.ids, text=items.text, features={"text": items.features["image"]})
    dataset = prepare(make(ROWS), items, name="", repeats="keep", require=["text"])
    assert dataset.item_ids.tolist() == ["b", "d"]


def test_require_comes_before_the_k_core():
    # Without a, u has one interaction and goes; then b has one, and so on: nothing is left.
    rows = [("u", "a", 1), ("u", "b", 2), ("v", "a", 1), ("v", "b", 2)]
    items = RawItems(ids("b"), text=["B"])
    with pytest.raises(ValueError, match="after the step '2-core', got none of the 2 interactions"):
        prepare(make(rows), items, name="", repeats="keep", k_core=2, require=["text"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"require": ["sound"]}, r"'require' must be among \['image', 'text', 'image_url'\]"),
        ({"require": "text"}, r"a sequence of names \(got the string 'text'\)"),
        ({"require": ["text"], "items": None}, "'require' needs 'items'"),
        ({"min_coverage": 1.5}, r"'min_coverage' must lie in 0\.\.1"),
        (
            {"min_coverage": 0.9},
            r"meta\.json: expected at least 90% of the 3 items of toy\.json, and one in any case; "
            r"got 2 of them \(66\.7%\)",
        ),
        ({"items": RawItems(ids("q"), source="other.json")}, r"other\.json: .* got 0 of them"),
    ],
)
def test_errors(kwargs, message):
    kwargs = {"items": known(), **kwargs}
    with pytest.raises(ValueError, match=message):
        prepare(make(ROWS), name="", repeats="keep", **kwargs)


def test_min_coverage_looks_at_features_too():
    items = RawItems(ids("b", "c", "d"), features={"image": RawFeature(ids("b"), np.ones((1, 2)))})
    prepare(make(ROWS), items, name="", repeats="keep", min_coverage=0.3)
    with pytest.raises(ValueError, match="features: expected at least 50% of the 3 items"):
        prepare(make(ROWS), items, name="", repeats="keep", min_coverage=0.5)


def test_a_reader_is_asked_once_and_only_for_what_is_left():
    asked = []

    def read(wanted):
        asked.append(wanted.tolist())
        return RawItems(wanted, text=["x"] * len(wanted))

    prepare(make(ROWS), read, name="", repeats="keep", k_core=2)
    # w and d go with one each, then c, taken by u alone, then u: b twice by v is left.
    assert asked == [["b"]]
    prepare(make(ROWS), read, name="", repeats="keep", k_core=2, require=["text"])
    assert asked[1:] == [["b", "c", "d"]]  # what is required is known before the k-core


def test_only_the_rows_that_are_left_are_fetched_in_the_order_of_the_file():
    class Rows:
        def __getitem__(self, rows):
            fetched.extend(rows.tolist())
            return np.stack([rows, rows + 0.5], 1)

    fetched: list[int] = []
    items = RawItems(
        ids(*"abcdef"), features={"image": RawFeature(ids(*"fdbac"), Rows(), "toy.bin")}
    )
    dataset = prepare(make(ROWS), items, name="", repeats="keep")
    assert fetched == [1, 2, 4]  # d, b, c
    assert dataset.features["image"].x.tolist() == [[2, 2.5], [4, 4.5], [1, 1.5]]


def test_errors_in_features():
    x = np.ones((3, 2))
    x[1, 1] = np.nan
    bad = {
        r"toy\.npy, row 1 \(item 'c'\), column 1: expected a finite float32 number, got nan": x,
        r"toy\.npy: expected numbers of shape \[K, F\] for the modality 'image'": np.ones(3),
    }
    for message, array in bad.items():
        items = RawItems(
            ids("b", "c", "d"), features={"image": RawFeature(ids("b", "c", "d"), array, "toy.npy")}
        )
        with pytest.raises(ValueError, match=message):
            prepare(make(ROWS), items, name="", repeats="keep")


def test_errors_in_what_a_source_says():
    with pytest.raises(ValueError, match=r"items: expected ids that all differ, got 'a' more than"):
        RawItems(ids("a", "b", "a"))
    with pytest.raises(ValueError, match="features: expected ids that all differ"):
        RawFeature(ids("a", "a"), np.ones((2, 1)))
    with pytest.raises(ValueError, match="'text' must have one value an item"):
        RawItems(ids("a"), text=["x", "y"])
    none = np.array([], np.int64)
    with pytest.raises(ValueError, match=r"toy: expected at least one interaction, got none"):
        RawInteractions(none, none, None, ids(), ids(), "toy")
    with pytest.raises(ValueError, match=r"'item' must lie in 0\.\.0 \(got 1 in row 0\)"):
        RawInteractions(np.array([0]), np.array([1]), None, ids("u"), ids("a"), "toy")
    with pytest.raises(ValueError, match="'timestamp' must be finite"):
        RawInteractions(np.array([0]), np.array([0]), np.array([np.inf]), ids("u"), ids("a"), "toy")


def test_options_and_a_round_trip(tmp_path):
    dataset = prepare(
        make(ROWS), known(), name="", repeats="first", k_core=1, options={"language": "ß"}
    )
    assert dataset.meta["options"] == {
        "language": "ß",
        "repeats": "first",
        "k_core": 1,
        "require": [],
        "keep_cold": False,
        "min_coverage": 0.0,
    }
    dataset.save(tmp_path / "toy")
    again = FolderDataset(tmp_path / "toy", min_interactions=1)
    assert again.meta == dataset.meta
    assert table(again) == table(dataset)
    assert again.image_urls == dataset.image_urls
