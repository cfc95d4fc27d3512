"""Items that the catalog lacks: an error, or left out of the history and named."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pandas as pd
import pytest

from mdsrec_pyg import Popularity
from mdsrec_pyg.retrieval import Retriever, recommend

RAW = [f"item {i}" for i in range(30)]
HOW: dict[str, Any] = {"k": 2, "exclude_seen": True, "item_ids": RAW}
HISTORIES: dict[str, list[Any]] = {
    "whole": ["item 1", "item 2"],
    "part": ["gone", "item 3", "old", "item 4", "gone"],
    "nothing": ["gone", 7],
    "empty": [],
}


@pytest.fixture(scope="module")
def model(toy_split: Any) -> Any:
    return Popularity(toy_split.train)


def test_they_are_left_out_and_named_once(model) -> None:
    some = {name: HISTORIES[name] for name in ("whole", "part")}
    with pytest.warns(UserWarning, match="left 2 items .* histories of 1 user: 'gone', 'old'") as w:
        table = recommend(model, some, unknown="drop", **HOW)
    assert len(w) == 1
    assert w[0].filename == __file__
    cleaned = {"whole": HISTORIES["whole"], "part": ["item 3", "item 4"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        want = recommend(model, cleaned, unknown="drop", **HOW)
    pd.testing.assert_frame_equal(table, want)
    assert set(table["source"]) == {"model"}
    assert want.attrs["dropped"] == []
    dropped = [{"user": "part", "position": 1, "items": ["gone", "old", "gone"]}]
    assert table.attrs["dropped"] == dropped
    json.dumps(table.attrs)


def test_a_user_of_whom_nothing_is_left_has_no_history(model) -> None:
    message = r"item for each user \(user 'nothing' \(position 2\) has none that the catalog has\)"
    with pytest.raises(ValueError, match=message):
        recommend(model, HISTORIES, unknown="drop", **HOW)
    with pytest.warns(UserWarning, match="skipped 2 users"):
        table = recommend(model, HISTORIES, unknown="drop", on_error="skip", **HOW)
    assert [part["user"] for part in table.attrs["skipped"]] == ["nothing", "empty"]
    with pytest.warns(UserWarning, match="2 users without a history"):
        table = recommend(model, HISTORIES, unknown="drop", empty="popularity", **HOW)
    source = table.drop_duplicates("user").set_index("user")["source"].to_dict()
    assert source == {
        "whole": "model",
        "part": "model",
        "nothing": "popularity",
        "empty": "popularity",
    }
    assert [part["user"] for part in table.attrs["dropped"]] == ["part", "nothing"]
    assert table.attrs["dropped"][1]["items"] == ["gone", 7]


def test_without_being_asked_they_stay_an_error(model) -> None:
    with pytest.raises(ValueError, match="got 'gone' as item 0 of user 'part'"):
        recommend(model, HISTORIES, empty="popularity", **HOW)
    with pytest.raises(ValueError, match=r"'unknown' must be 'raise' or 'drop' \(got 'skip'\)"):
        recommend(model, HISTORIES, unknown="skip", **HOW)


def test_with_lists_and_by_table(model) -> None:
    rows = [(user, item) for user, items in HISTORIES.items() for item in items]
    table = pd.DataFrame(rows, columns=["user", "item"]).astype({"item": str})
    retriever = Retriever(model, RAW)
    with pytest.warns(UserWarning, match="left 3 items"):
        found = retriever.recommend(
            table,
            2,
            exclude_seen=True,
            unknown="drop",
            empty="popularity",
            include={"nothing": ["item 8", "item 9"], "part": ["item 3", "item 5", "item 6"]},
        )
    items = found.groupby("user")["item"].apply(set)
    assert items["nothing"] == {"item 8", "item 9"}
    assert items["part"] == {"item 5", "item 6"}
