"""Users who cannot be answered: named in an error, or skipped and named; popularity for no one."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.retrieval import Retriever, recommend, write_recommendations

IDS = ["a", "b", "c", "d", "e", "f"]
COUNTS = [1, 5, 0, 5, 9, 2]
#: One good user between each kind of bad one.
HISTORIES: dict[str, list[str]] = {
    "good": ["a", "b"],
    "delisted": ["a", "gone"],
    "fine": ["f"],
    "empty": [],
    "all": list("abcde"),
    "last": ["c", "b"],
}
REASONS = {
    "delisted": "'histories' must hold items among 'item_ids', such as 'a' (got 'gone' as item 1 "
    "of user 'delisted' (position 1))",
    "empty": "'histories' must hold an item for each user (user 'empty' (position 3) has none)",
    "all": "'k' must not exceed the items left for a user (got k=2, but user 'all' (position 4) "
    "has seen all but 1 items)",
}


class Falling(Recommender):
    """Lower items score higher; item 5 has no score for who took item 5."""

    supports_training = False

    def __init__(self) -> None:
        super().__init__(6, 3)

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        return -torch.arange(6.0).expand(len(batch), 6)

    def explain(self, batch: SequenceBatch, index: Tensor) -> dict[str, list[list[Any]]]:
        return {
            "place": index.tolist(),
            "voter_items": [[[int(row[-1])]] * index.size(1) for row in batch.item_id],
        }


class Picky(Falling):
    """Scores two items only for who took item 5 last."""

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        scores = super().score(batch, items).clone()
        scores[batch.item_id[:, -1] == 5, 1:] = -torch.inf
        return scores


def ask(histories: Any, model: Any = None, **options: Any) -> pd.DataFrame:
    chosen: dict[str, Any] = {"k": 2, "exclude_seen": True, "item_ids": IDS} | options
    return recommend(model or Falling(), histories, **chosen)


@pytest.mark.parametrize("user", list(REASONS))
def test_one_bad_history_is_an_error_that_names_the_user(user: str) -> None:
    histories = {name: HISTORIES[name] for name in HISTORIES if name not in REASONS or name == user}
    with pytest.raises(ValueError, match="position") as error:
        ask(histories)
    place = list(histories).index(user)
    want = REASONS[user].replace(f"position {list(HISTORIES).index(user)}", f"position {place}")
    assert str(error.value) == want


@pytest.mark.parametrize("batch_size", [1, 2, 512])
def test_the_others_are_answered_and_the_skipped_are_named(batch_size: int) -> None:
    with pytest.warns(UserWarning, match="skipped 3 users: ") as caught:
        table = ask(HISTORIES, on_error="skip", batch_size=batch_size)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    good = {name: HISTORIES[name] for name in HISTORIES if name not in REASONS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nobody is skipped, nothing is said
        want = ask(good, on_error="skip", batch_size=batch_size)
    pd.testing.assert_frame_equal(table, want)
    assert table["user"].tolist() == ["good", "good", "fine", "fine", "last", "last"]
    assert want.attrs["skipped"] == []
    assert table.attrs["skipped"] == [
        {"user": user, "position": list(HISTORIES).index(user), "reason": reason}
        for user, reason in REASONS.items()
    ]
    json.dumps(table.attrs)


def test_a_user_whom_the_model_scores_too_few_items_for_is_skipped() -> None:
    with pytest.raises(ValueError, match=r"model scores for user 'y' \(position 1\)"):
        ask({"x": ["a"], "y": ["f"]}, Picky(), exclude_seen=False)
    with pytest.warns(UserWarning, match="skipped 1 user"):
        table = ask(
            {"x": ["a"], "y": ["f"], "z": ["b"]},
            Picky(),
            exclude_seen=False,
            on_error="skip",
            explain=True,
        )
    assert table["user"].tolist() == ["x", "x", "z", "z"]
    assert table["voter_items"].tolist() == [["a"], ["a"], ["b"], ["b"]]
    assert [part["user"] for part in table.attrs["skipped"]] == ["y"]


def test_nobody_is_left(tmp_path: Any) -> None:
    with pytest.warns(UserWarning, match="skipped 2 users"):
        table = ask({("u", 1): [], "y": ["gone"]}, on_error="skip")
    assert list(table) == ["user", "rank", "item", "score"]
    assert len(table) == 0
    assert table.attrs["skipped"][0]["user"] == "('u', 1)"
    write_recommendations(table, tmp_path / "table.parquet")


def test_no_history_gets_the_most_popular_items() -> None:
    histories = {"new": [], "good": ["a", "b"], "other": []}
    with pytest.warns(UserWarning, match="2 users without a history got .*: 'new', 'other'"):
        table = ask(histories, k=3, empty="popularity", item_counts=COUNTS)
    assert table["user"].tolist() == ["new"] * 3 + ["good"] * 3 + ["other"] * 3
    assert table["rank"].tolist() == [1, 2, 3] * 3
    assert table["item"].tolist() == ["e", "b", "d", "c", "d", "e", "e", "b", "d"]
    assert table["source"].tolist() == ["popularity"] * 3 + ["model"] * 3 + ["popularity"] * 3
    np.testing.assert_allclose(table["score"][:3], np.log1p([9, 5, 5]), rtol=1e-6)
    assert table.index.tolist() == list(range(9))
    plain = ask({"good": ["a", "b"]}, k=3, empty="popularity", item_counts=COUNTS)
    assert plain["source"].tolist() == ["model"] * 3


def test_popularity_has_no_reason_of_the_model() -> None:
    with pytest.warns(UserWarning, match="most popular"):
        table = ask(
            {"x": ["a"], "new": []},
            empty="popularity",
            item_counts=COUNTS,
            explain=True,
        )
    assert table["place"].tolist()[2:] == [None, None] or table["place"].isna().tolist()[2:]
    assert table["voter_items"].tolist() == [["a"], ["a"], [], []]


def test_popularity_and_skipping_go_together() -> None:
    retriever = Retriever(Falling(), IDS, item_counts=COUNTS)
    with pytest.warns(UserWarning, match="users") as caught:
        table = retriever.recommend(
            HISTORIES, 2, exclude_seen=True, on_error="skip", empty="popularity"
        )
    assert {str(warning.message).split(":")[0] for warning in caught} == {
        "skipped 2 users",
        "1 user without a history got the most popular items",
    }
    assert all(warning.filename == __file__ for warning in caught)
    assert list(dict.fromkeys(table["user"])) == ["good", "fine", "empty", "last"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_error": "ignore"}, r"'on_error' must be 'raise' or 'skip' \(got 'ignore'\)"),
        ({"empty": "mean"}, r"'empty' must be 'raise' or 'popularity' \(got 'mean'\)"),
        ({"empty": "popularity"}, r"empty='popularity' needs 'item_counts'"),
        ({"item_counts": [1, 2]}, r"'item_counts' must hold 6 numbers from 0.* shape \(2,\)"),
        ({"item_counts": [1] * 5 + [-1]}, "'item_counts' must hold 6 numbers from 0"),
    ],
)
def test_bad_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask([["a"]], **options)


@pytest.mark.parametrize("form", ["mapping", "table", "user_id"])
def test_an_empty_user_id_is_an_error(form: str) -> None:
    user = ""
    histories: dict[str, Any] = {
        "mapping": {"x": ["a"], user: ["b"]},
        "table": pd.DataFrame({"user": ["x", user], "item": ["a", "b"]}),
        "user_id": [["a"], ["b"]],
    }
    names = ["x", user] if form == "user_id" else None
    for on_error in ("raise", "skip"):
        said = r"must name every user \(got '' at position 1|row 1, column 'user': expected an id"
        with pytest.raises(ValueError, match=said):
            ask(histories[form], user_id=names, on_error=on_error)


@pytest.mark.parametrize("ids", [[10, 20, 30, 40, 50, 60], np.arange(10, 70, 10), None])
def test_ids_may_be_numpys_torchs_or_an_index(ids: Any) -> None:
    raw = [10, 20] if ids is not None else [0, 1]
    want = ask([raw], item_ids=ids)["item"].tolist()
    forms: list[Any] = [
        [np.int64(i) for i in raw],
        [np.int32(i) for i in raw],
        np.array(raw),
        np.array(raw, dtype=object),
        pd.Index(raw),
        pd.Series(raw, index=[7, 8]),
        tuple(raw),
        torch.tensor(raw),
    ]
    for form in forms:
        table = ask({np.int64(3): form}, item_ids=ids)
        assert table["item"].tolist() == want
        assert table["user"].tolist() == [3, 3]
    text = ask([[np.str_("a")], pd.Index(["b"]), np.array(["c"])], item_ids=pd.Index(IDS))
    assert text["item"].tolist() == ["b", "c", "a", "c", "a", "b"]
    series = pd.Series({"x": ["a"], "y": ["b", "c"]})
    pd.testing.assert_frame_equal(ask(series), ask({"x": ["a"], "y": ["b", "c"]}))


@pytest.mark.parametrize("history", [{"a": 1}, {"a"}, b"a", np.array(3), torch.tensor([[1]])])
def test_what_is_no_sequence_is_an_error_that_names_the_user(history: Any) -> None:
    with pytest.raises(ValueError, match=r"a sequence of items for each user \(got .*user 'x'\)"):
        ask({"y": ["a"], "x": history})


def test_scores_that_are_no_numbers_name_the_user() -> None:
    class Broken(Falling):
        def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
            broken = batch.item_id[:, -1:] == 5
            return torch.where(broken, torch.nan, super().score(batch, items))

    with pytest.raises(ValueError, match=r"Broken.score .* NaN, first for user 'y' \(position 1"):
        ask({"x": ["a"], "y": ["f"]}, Broken(), on_error="skip")
