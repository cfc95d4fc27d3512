"""Recommendations: order, ties, raw ids, seen items, every form of histories, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.retrieval.recommendations import recommend, top_items

RAW = np.array(["a", "b", "c", "d", "e", "f"], dtype=object)


class SumModel(Recommender):
    """Scores by the sum of fixed rows for the items in the window."""

    table: Tensor

    def __init__(self, max_length: int = 2) -> None:
        super().__init__(6, max_length)
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("table", torch.rand(6, 6, generator=generator))
        self.seen_users: list[list[int]] = []

    def encode_items(self) -> Tensor:
        return self.table

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.seen_users.append(batch.user_id.tolist())
        return (items[batch.item_id] * batch.mask.unsqueeze(-1)).sum(1)

    def explain(self, batch, item_index: Tensor) -> dict[str, list[list[object]]]:
        newest = batch.item_id[:, -1].tolist()
        return {
            "modality": [[f"m{i}" for i in row] for row in item_index.tolist()],
            "history_items": [[[item]] * item_index.size(1) for item in newest],
            "nearest_item": item_index.tolist(),
        }


def expected(model: SumModel, history: list[int], k: int, exclude_seen: bool) -> list[int]:
    scores = model.table[history[-model.max_length :]].sum(0).tolist()
    items = [i for i in range(6) if not (exclude_seen and i in history)]
    return sorted(items, key=lambda i: (-scores[i], i))[:k]


def test_top_items_equal_a_stable_sort():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 4, (40, 15), generator=generator).float()  # ties everywhere
    scores[0] = -torch.inf
    for k in (1, 4, 15):
        best, index = top_items(scores, k)
        values, order = scores.sort(dim=1, descending=True, stable=True)
        assert torch.equal(index, order[:, :k])
        assert torch.equal(best, values[:, :k])


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_order_scores_and_raw_ids(exclude_seen, batch_size):
    model = SumModel().train()
    histories: Any = [["a", "b", "c"], ["f"], ["d", "d", "a"]]
    table = recommend(
        model, histories, 3, exclude_seen=exclude_seen, item_ids=RAW, batch_size=batch_size
    )
    assert list(table) == ["user", "rank", "item", "score"]
    assert table["user"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert table["rank"].tolist() == [1, 2, 3] * 3
    for user, history in enumerate([[0, 1, 2], [5], [3, 3, 0]]):
        items = expected(model, history, 3, exclude_seen)
        rows = table[table["user"] == user]
        assert rows["item"].tolist() == RAW[items].tolist()
        scores = model.table[history[-2:]].sum(0)[items]
        assert rows["score"].to_numpy() == pytest.approx(scores.numpy())
    assert model.training
    assert max(map(len, model.seen_users)) == min(batch_size, 3)


def test_all_forms_of_histories_agree(toy_split):
    model = SumModel()
    options: dict[str, Any] = {"k": 2, "exclude_seen": True, "item_ids": RAW}
    want = recommend(model, [["a", "b", "c"], ["f", "d"]], user_id=["x", "y"], **options)
    mapping = {"x": ["a", "b", "c"], "y": ("f", "d")}
    pd.testing.assert_frame_equal(recommend(model, mapping, **options), want)
    ordered = pd.DataFrame({"user": list("xyxyx"), "item": list("afbdc")})
    pd.testing.assert_frame_equal(recommend(model, ordered, **options), want)
    timed = pd.DataFrame(
        {"user": list("xxyxy"), "timestamp": [5, 1, 9, 5, 2], "item": list("badcf")}
    )
    timed.loc[2, "user"], timed.loc[2, "timestamp"] = "y", 3
    pd.testing.assert_frame_equal(recommend(model, timed, **options), want)
    assert set(map(tuple, model.seen_users)) == {(-1, -1)}


def test_queries_of_a_split(toy_model, toy_split):
    model, val = toy_model(), toy_split.val
    raw = [f"item {i}" for i in range(30)]
    table = recommend(model, val, 4, exclude_seen=True, item_ids=raw, batch_size=7)
    lists = {int(val.user_id[q]): [raw[i] for i in val.history(q)] for q in range(len(val))}
    pd.testing.assert_frame_equal(
        table, recommend(model, lists, 4, exclude_seen=True, item_ids=raw), rtol=1e-5
    )
    names = [f"user {u}" for u in val.user_id]
    named = recommend(model, val, 4, exclude_seen=True, user_id=names)
    assert named["user"].tolist() == np.repeat(names, 4).tolist()
    assert [raw[i] for i in named["item"]] == table["item"].tolist()


def test_indices_without_item_ids():
    model = SumModel()
    table = recommend(model, [[0, 1], (5,)], 6, exclude_seen=False)
    assert table["item"].tolist() == expected(model, [0, 1], 6, False) + expected(
        model, [5], 6, False
    )
    with pytest.raises(ValueError, match=r"among 0 to 5 \(got 6 as item 1 of user 1\)"):
        recommend(model, [[0], [5, 6]], 1, exclude_seen=False)
    with pytest.raises(ValueError, match=r"got -1 as item 0 of user 0"):
        recommend(model, [[-1]], 1, exclude_seen=False)


def test_ids_of_any_type():
    ids: Any = [10, "x", (1, 2), 3.5, "10", b"y"]
    table = recommend(SumModel(), {("u", 1): [10, (1, 2)]}, 6, exclude_seen=False, item_ids=ids)
    assert set(table["item"]) == set(ids)
    assert set(table["user"]) == {("u", 1)}
    for item in (10.0, ([1],), {"a": 1}, b"10", np.str_("z")):
        with pytest.raises(ValueError, match="as item 1 of user 0"):
            recommend(SumModel(), [[10, item]], 6, exclude_seen=False, item_ids=ids)


def test_text_and_integers_are_one_item_if_their_text_is() -> None:
    ids = np.array([7, 70, 108775018, 3, 2, 1])
    options: dict[str, Any] = {"k": 6, "exclude_seen": False}
    by_number = recommend(SumModel(), [[7, 70]], item_ids=ids, **options)
    by_text = recommend(SumModel(), [["7", "70"]], item_ids=ids, **options)
    pd.testing.assert_frame_equal(by_text, by_number)
    text = np.array(["007", "7", "x", "1e5", "TRUE", "NA"], object)
    named = recommend(SumModel(), [[7]], item_ids=text, **options)
    pd.testing.assert_frame_equal(named, recommend(SumModel(), [["7"]], item_ids=text, **options))
    assert (
        recommend(SumModel(), [["007"]], item_ids=text, **options)["score"][0]
        != (named["score"][0])
    )
    for item in ("007", "0108775018", 7.0, True, "7.0", None):
        said = "'histories' must hold items among 'item_ids', such as 7 .got .* as item 1 of user 0"
        with pytest.raises(ValueError, match=said):
            recommend(SumModel(), [[7, item]], item_ids=ids, **options)
    with pytest.raises(ValueError, match=r"must hold items among 0 to 5 .got True as item 1"):
        recommend(SumModel(), [[0, True]], **options)


def test_tables_of_histories_are_checked_as_data_sets_are() -> None:
    options: dict[str, Any] = {"k": 1, "exclude_seen": False, "item_ids": RAW}
    table = pd.DataFrame({"user": ["u", "v"], "item": ["a", "b"]})
    for column, values, said in (
        ("user", [7.0, 8.0], "column 'user': expected integers or text, got float64"),
        ("user", ["", "v"], "row 0, column 'user': expected an id, got nothing"),
        ("user", ["7", 7], "row 1, column 'user': expected ids of one type"),
        ("item", ["a", ("b",)], r"row 1, column 'item': expected text or an integer"),
        ("timestamp", ["2026-01-09", "10.1.2026"], r"row 1, column 'timestamp': .* '10\.1\.2026'"),
    ):
        bad = table.assign(**{column: pd.Series(values)})
        with pytest.raises(ValueError, match=said):
            recommend(SumModel(), bad, **options)
    times = ["2026-01-10", "2026-01-09T12:00:00+14:00", "2026-01-09T00:00:00Z"]
    rows = pd.DataFrame({"user": ["u"] * 3, "item": list("abc"), "timestamp": times})
    want = recommend(SumModel(), {"u": ["b", "c", "a"]}, **options)
    pd.testing.assert_frame_equal(recommend(SumModel(), rows, **options), want)


def test_explanation_carries_raw_ids():
    model: Any = SumModel()
    options: dict[str, Any] = {"exclude_seen": True, "explain": True}
    table = recommend(model, [["a", "b"], ["c"]], 2, item_ids=RAW, **options)
    assert list(table)[4:] == ["modality", "history_items", "nearest_item"]
    assert table["history_items"].tolist() == [["b"], ["b"], ["c"], ["c"]]
    assert table["nearest_item"].tolist() == table["item"].tolist()
    assert table["modality"].tolist() == [f"m{RAW.tolist().index(i)}" for i in table["item"]]
    plain = recommend(model, [[0, 1], [2]], 2, **options)
    assert plain["history_items"].tolist() == [[1], [1], [2], [2]]
    model.explain = lambda batch, index: {"why": [["one"]]}
    with pytest.raises(ValueError, match=r"explain must return \(2, 2\) values in 'why'"):
        recommend(model, [[0, 1], [2]], 2, **options)


def test_a_model_that_cannot_explain(toy_model):
    with pytest.raises(ValueError, match="needs a model with 'explain'"):
        recommend(toy_model(), [[0]], exclude_seen=False, explain=True)


def test_too_few_items_left():
    with pytest.raises(ValueError, match=r"but user 'y' \(position 1\) has seen all but 4 items"):
        recommend(SumModel(), {"x": [1], "y": [1, 2, 1]}, 5, exclude_seen=True, batch_size=1)
    assert len(recommend(SumModel(), [[1, 2, 1]], 5, exclude_seen=False)) == 5
    for k in (0, 7):
        with pytest.raises(ValueError, match="'k' must be from 1 to the number of items, 6"):
            recommend(SumModel(), [[1]], k, exclude_seen=False)
    model = SumModel()
    model.table[:, 3:] = -torch.inf
    with pytest.raises(ValueError, match="the items that the model scores for user 0"):
        recommend(model, [[1]], 4, exclude_seen=False)


def test_nan_scores_are_an_error():
    model = SumModel()
    model.table[0] = torch.nan
    with pytest.raises(ValueError, match=r"SumModel\.score must return numbers"):
        recommend(model, [[0]], 2, exclude_seen=False)


def test_scores_may_be_a_view(toy_model):
    model: Any = SumModel()
    model.score = lambda batch, items: items[0].expand(len(batch), 6)
    table = recommend(model, [[0], [1]], 2, exclude_seen=True)
    order = model.table[0].argsort(descending=True).tolist()
    assert (
        table["item"].tolist()
        == [i for i in order if i != 0][:2] + [i for i in order if i != 1][:2]
    )


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ([], "at least one user"),
        ([["a"], []], "an item for each user .user 1 has none"),
        ({"x": []}, r"user 'x' .position 0. has none"),
        (["a", "b"], "a sequence of items for each user .got 'a' for user 0"),
        ("ab", "must be a list of sequences"),
        ([1, 2], "a sequence of items for each user .got 1 for user 0"),
        (3, "must be a list of sequences"),
        ({"x": ["a", "z"]}, r"such as .a. .got 'z' as item 1 of user 'x'"),
        (pd.DataFrame({"user": [1]}), r"must have a column 'item' \(got 'user'\)"),
        (
            pd.DataFrame({"user": [1, None], "item": ["a", "b"]}),
            "row 1, column 'user': expected an id, got nothing",
        ),
        (
            pd.DataFrame({"user": [1, 1], "item": ["a", None]}),
            "row 1, column 'item': expected an id, got nothing",
        ),
    ],
)
def test_bad_histories_are_errors(histories, message):
    with pytest.raises(ValueError, match=message):
        recommend(SumModel(), histories, 1, exclude_seen=False, item_ids=RAW)


def test_bad_ids_are_errors(toy_split):
    for ids in (RAW[:5], [*RAW[:5], "a"]):
        with pytest.raises(ValueError, match="'item_ids' must hold 6 distinct ids"):
            recommend(SumModel(), [["a"]], 1, exclude_seen=False, item_ids=ids)
    with pytest.raises(ValueError, match=r"'user_id' must name every user .* \(got 2 for 1\)"):
        recommend(SumModel(), [[0]], 1, exclude_seen=False, user_id=["x", "y"])
    with pytest.raises(ValueError, match=r"the same catalog \(got 30 and 6"):
        recommend(SumModel(), toy_split.val, 1, exclude_seen=False)


def test_device_is_used(monkeypatch):
    moved: list[torch.device] = []

    def move(model: SumModel, device: torch.device) -> SumModel:
        moved.append(device)
        raise StopIteration

    monkeypatch.setattr(SumModel, "to", move)
    with pytest.raises(StopIteration):
        recommend(SumModel(), [[0]], 1, exclude_seen=False, device="meta")
    assert moved == [torch.device("meta")]
