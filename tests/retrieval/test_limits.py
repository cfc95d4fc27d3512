"""Allow lists and block lists: exactly what a filter over all scores leaves, with an index too."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import EASE, Interactions, Popularity, SASRec
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.retrieval import FaissIndex, Retriever, candidates, recommend
from tests.small_models import moved, small_mdsrec

NUM_ITEMS, K = 60, 4
RAW = [f"item {i}" for i in range(NUM_ITEMS)]
HISTORIES: dict[str, list[int]] = {"a": [3, 4, 3], "b": [59], "c": [*range(12)]}
#: A mapping names some of the users only; a list may repeat items, and overlap with the seen.
LISTS: list[tuple[Any, Any]] = [
    (range(0, 40, 2), None),
    (range(0, 40, 2), [0, 2, 5, 52]),
    ([5, 5, 9, 3, 4, 5, 30, 31, 32, 33, 34, 35], {"a": [51], "b": [31, 59], "c": [2, 7, 7, 50]}),
    ({"c": [1, 2, 20, 21, 22, 23]}, [0, 2, 5, 52]),
    ({"a": [3, 4, *range(50, 55)], "b": range(30, 45), "c": {40, 41, 42, 43, 0}}, {"a": [51]}),
    (range(NUM_ITEMS), {"a": [*range(20), 55]}),
    ({}, {"a": [51], "b": [31, 59], "c": [2, 7, 7, 50]}),
    (None, [0, 2, 5, 52]),
    (None, {"a": [*range(20), 55]}),
]


@pytest.fixture(scope="module")
def train() -> Interactions:
    rng = np.random.default_rng(0)
    item = np.append(rng.integers(0, NUM_ITEMS, 399), NUM_ITEMS - 1)
    return Interactions.from_arrays(np.repeat(np.arange(50), 8), item, num_items=NUM_ITEMS)


@pytest.fixture(scope="module", params=["MDSRec", "EASE", "Popularity"])
def model(request: pytest.FixtureRequest, train: Interactions) -> Any:
    torch.manual_seed(0)
    makers: dict[str, Any] = {
        "MDSRec": lambda: small_mdsrec(train, vector_weight=0.3),
        "EASE": lambda: EASE(train),
        "Popularity": lambda: Popularity(train),
    }
    return moved(makers[request.param]()).eval()


@pytest.fixture(scope="module")
def mdsrec(train: Interactions) -> Any:
    return moved(small_mdsrec(train, vector_weight=0.3)).eval()


def raw(chosen: Any) -> Any:
    """The same list or mapping in raw ids."""
    if isinstance(chosen, dict):
        return {user: [RAW[i] for i in items] for user, items in chosen.items()}
    return None if chosen is None else [RAW[i] for i in chosen]


def allowed(user: str, include: Any, exclude: Any, exclude_seen: bool) -> list[int]:
    """By hand: the items that a user may get."""
    if isinstance(include, dict):
        include = include.get(user)
    if isinstance(exclude, dict):
        exclude = exclude.get(user, [])
    left = set(range(NUM_ITEMS)) if include is None else set(include)
    left -= set(exclude or [])
    return sorted(left - set(HISTORIES[user]) if exclude_seen else left)


def scores_of(model: Any, user: str) -> np.ndarray[Any, Any]:
    batch = SequenceBatch.from_histories([HISTORIES[user]], model.max_length)
    with torch.no_grad():
        return model.score(batch)[0].numpy().copy()


def check(retriever: Retriever, model: Any, include: Any, exclude: Any, seen: bool) -> None:
    """Every answer is the best of what the user may get, with the score of the model."""
    histories = {user: [RAW[i] for i in history] for user, history in HISTORIES.items()}
    table = retriever.recommend(
        histories, K, exclude_seen=seen, include=raw(include), exclude=raw(exclude), batch_size=2
    )
    assert len(table) == K * len(HISTORIES)
    for user, rows in table.groupby("user"):
        left = allowed(str(user), include, exclude, seen)
        scores = scores_of(model, str(user))
        best = sorted(left, key=lambda item: (-scores[item], item))[:K]
        np.testing.assert_allclose(rows["score"], scores[best], rtol=1e-4, atol=1e-5)
        assert rows["item"].tolist() == [RAW[i] for i in best]


@pytest.mark.parametrize("seen", [True, False])
def test_answers_are_the_best_of_what_is_allowed(model, seen) -> None:
    retriever = Retriever(model, RAW)
    for include, exclude in LISTS:
        check(retriever, model, include, exclude, seen)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("candidates_of", [K, 25])
def test_with_an_exact_index_too_without_scoring_the_catalog(mdsrec, candidates_of, seen) -> None:
    pytest.importorskip("faiss")
    retriever = Retriever(mdsrec, RAW, index=FaissIndex(candidates_of, factory="Flat"))
    object.__setattr__(retriever._scoring, "score", None)  # no way out
    for include, exclude in LISTS:
        check(retriever, mdsrec, include, exclude, seen)


@pytest.mark.parametrize("short", [1, 64])
def test_candidates_are_topped_up_where_the_best_are_out_of_stock(train, short, monkeypatch):
    """40 of the best 50 are gone, and 4 candidates are looked up: 4 answers still come."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(candidates, "SHORT", short)
    torch.manual_seed(0)
    model = moved(SASRec(300, channels=8)).eval()
    best = Retriever(model).recommend([[1]], 50, exclude_seen=True)["item"].tolist()
    gone = best[:20] + best[30:]
    want = Retriever(model).recommend([[1]], 4, exclude_seen=True, exclude=gone)
    assert want["item"].tolist() == best[20:24]
    retriever = Retriever(model, index=FaissIndex(4, factory="Flat"))
    object.__setattr__(retriever._scoring, "score", None)
    left = sorted(set(range(300)) - set(gone))
    options: list[dict[str, Any]] = [{"exclude": gone}, {"include": left}, {"include": best[20:30]}]
    for lists in options:
        found = retriever.recommend([[1]], 4, exclude_seen=True, **lists)
        pd.testing.assert_frame_equal(found, want, rtol=1e-4)


def test_where_the_index_cannot_give_enough_every_item_is_scored(monkeypatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(candidates, "SHORT", 300)
    torch.manual_seed(0)
    model = moved(SASRec(300, channels=8)).eval()
    worst = Retriever(model).recommend([[1]], 299, exclude_seen=True)["item"].tolist()[-9:]
    want = Retriever(model).recommend([[1]], 4, exclude_seen=True, include=worst)
    index = FaissIndex(4, factory="IVF16,Flat", search="nprobe=1")
    found = Retriever(model, index=index).recommend([[1]], 4, exclude_seen=True, include=worst)
    pd.testing.assert_frame_equal(found, want)


def test_scores_are_what_they_are_without_lists(model) -> None:
    retriever, histories = Retriever(model), list(HISTORIES.values())
    plain = retriever.recommend(histories, 40, exclude_seen=True)
    some = retriever.recommend(histories, 5, exclude_seen=True, exclude=range(0, 60, 3))
    both = plain.merge(some, on=["user", "item"])
    assert len(both) == len(some)
    assert (both["score_x"] == both["score_y"]).all()
    again = retriever.recommend(histories, 40, exclude_seen=True)
    pd.testing.assert_frame_equal(plain, again)  # the model's own scores were not written to


def test_ids_may_be_of_any_type_that_names_an_item(train) -> None:
    model = Popularity(train)
    want = recommend(model, [[1]], 2, exclude_seen=True, include=[7, 8, 9])["item"].tolist()
    forms: list[Any] = [
        (9, 8, 7),
        {7, 8, 9},
        frozenset([7, 8, 9]),
        np.array([7, 8, 9]),
        np.array([7, 8, 9], np.int16),
        pd.Series([7, 8, 9], index=[3, 3, 4]),
        pd.Index([7, 8, 9]),
        torch.tensor([7, 8, 9]),
        ["7", "8", "9"],  # as histories: between text and integers the text decides
        range(7, 10),
        (i for i in (7, 8, 9)),
    ]
    for form in forms:
        found = recommend(model, [[1]], 2, exclude_seen=True, include=form)
        assert found["item"].tolist() == want
    by_name = recommend(model, {7: [1], "x": [1]}, 2, exclude_seen=True, include={7: [7, 8, 9]})
    assert by_name["item"].tolist()[:2] == want
    assert by_name["item"].tolist()[2:] != want


def test_users_of_the_same_name_share_a_list(train) -> None:
    table = recommend(
        Popularity(train), [[1], [2]], 1, exclude_seen=True, user_id=["u", "u"], include={"u": [9]}
    )
    assert table["item"].tolist() == [9, 9]


@pytest.mark.parametrize("name", ["include", "exclude"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["item 1", "item x"],
            r"items among 'item_ids', such as 'item 0' \(got 'item x'\)",
        ),
        ({"a": ["item 1", "gone"]}, r"'item_ids', .* \(got 'gone' of user 'a'\)"),
        ([1], r"\(got 1\)"),
        ([None], r"\(got None\)"),
        ([["item 1"]], r"\(got \['item 1'\]\)"),
        ([float("nan")], r"\(got nan\)"),
        ("item 1", r"a sequence of items \(got str\)"),
        (5, r"a sequence of items \(got int\)"),
        (np.array([["item 1"]]), r"a sequence of items \(got ndarray\)"),
        (pd.DataFrame({"item": ["item 1"]}), r"a sequence of items \(got DataFrame\)"),
        ({"b": "item 1"}, r"a sequence of items of user 'b' \(got str\)"),
        ({"b": None}, r"a sequence of items of user 'b' \(got NoneType\)"),
        ({"z": ["item 1"]}, r"users of 'histories' only \(got one of user 'z', who is not asked"),
        ({0: ["item 1"]}, r"\(got one of user 0, who is not asked about\)"),
    ],
)
def test_a_list_that_is_wrong_is_an_error_that_names_it(train, name, given, message) -> None:
    histories = {"a": ["item 1"], "b": ["item 2"]}
    for on_error in ("raise", "skip"):
        with pytest.raises(ValueError, match=f"^'{name}' must hold .*{message}"):
            recommend(
                Popularity(train),
                histories,
                exclude_seen=True,
                item_ids=RAW,
                on_error=on_error,
                **{name: given},
            )


@pytest.mark.parametrize(
    ("options", "users", "message"),
    [
        ({"include": []}, "ab", r"k=2, but 'include' and seen items leave user 'a' .* 0 items"),
        ({"exclude": range(NUM_ITEMS)}, "ab", r"'exclude' and seen items leave user 'a' .* 0 item"),
        ({"include": [1, 2], "exclude_seen": False}, "", ""),
        ({"include": [1, 2]}, "ab", r"'include' and seen items leave user 'a' .* 1 items"),
        ({"include": {"b": [2, 3, 3]}}, "b", r"leave user 'b' \(position 1\) 1 items"),
        ({"include": {"b": []}}, "b", r"leave user 'b' \(position 1\) 0 items"),
        ({"include": [1, 2, 3], "exclude": [3]}, "ab", r"'include' and 'exclude' and seen items"),
        ({"include": {"a": [4, 5]}, "exclude": {"a": [5]}}, "a", r"leave user 'a' .* 1 items"),
        ({"include": [4, 5, 6], "exclude": {"a": [5, 6]}}, "a", r"leave user 'a' .* 1 items"),
        ({"include": [4, 5, 6], "exclude": {"a": [9, 10]}}, "", ""),
        ({"include": {"a": [4, 5, 6]}, "exclude": [6, 4]}, "a", r"leave user 'a' .* 1 items"),
    ],
)
def test_a_user_with_too_few_items_left_cannot_be_answered(train, options, users, message) -> None:
    request = {"k": 2, "exclude_seen": True} | options
    histories = {"a": [1], "b": [2]}
    model = Popularity(train)
    if users:
        with pytest.raises(ValueError, match=message):
            recommend(model, histories, **request)
        with pytest.warns(UserWarning, match="skipped"):
            table = recommend(model, histories, on_error="skip", **request)
        assert [part["user"] for part in table.attrs["skipped"]] == list(users)
        assert set(table["user"]) == set("ab") - set(users)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(recommend(model, histories, **request)) == 4


def test_the_most_popular_items_keep_to_the_lists(train) -> None:
    retriever = Retriever(Popularity(train), item_counts=np.arange(NUM_ITEMS))
    histories: dict[str, list[int]] = {"new": [], "other": [], "a": [59]}
    options: dict[str, Any] = {"exclude_seen": True, "empty": "popularity", "on_error": "skip"}
    lists: dict[str, Any] = {"include": range(40, 60), "exclude": {"other": [58, 59]}}
    for batch_size in (1, 512):
        with pytest.warns(UserWarning, match="most popular"):
            table = retriever.recommend(histories, 2, batch_size=batch_size, **lists, **options)
        items = table.groupby("user")["item"].apply(list)
        assert items["new"] == [59, 58]
        assert items["other"] == [57, 56]
        assert 59 not in items["a"]
    with pytest.warns(UserWarning, match="'exclude' and seen items leave user 'other'"):
        table = retriever.recommend(histories, 2, exclude={"other": range(59)}, **options)
    assert set(table["user"]) == {"new", "a"}
