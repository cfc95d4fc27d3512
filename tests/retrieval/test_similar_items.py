"""Items that are like an item, by every way that the model knows, against slow versions."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from mdsrec_pyg import EASE, ModalFeature, Popularity, SASRec, build_mdsrec
from mdsrec_pyg.retrieval import Retriever
from tests.small_models import moved, random_features, small_mdsrec

NUM_ITEMS = 30
RAW = [f"item {i}" for i in range(NUM_ITEMS)]
ALL = ["image", "text", "votes image", "votes text", "item graph image", "item graph text"]


@pytest.fixture(scope="module")
def model(toy_split: Any) -> Any:
    return moved(small_mdsrec(toy_split.train, vector_weight=0.7)).eval()


@pytest.fixture(scope="module")
def retriever(model: Any) -> Retriever:
    return Retriever(model, RAW)


def by_hand(score: torch.Tensor, item: int, k: int) -> tuple[list[str], list[float]]:
    """The best of a dense row of similarities; zero is none."""
    values = score.detach().double().numpy().copy()
    values[item] = 0
    order = [i for i in np.argsort(-values, kind="stable") if values[i] != 0][:k]
    return [RAW[i] for i in order], values[order].tolist()


def dense_scores(model: Any, name: str, item: int) -> torch.Tensor:
    kind, _, modality = name.rpartition(" ")
    if name == "vectors":
        table = model.encode_items().table
        return F.cosine_similarity(table, table[item][None], dim=1)
    m = model.modalities.index(modality)
    score = torch.zeros(NUM_ITEMS)
    if kind == "votes":
        index, weight = model.votes.edges(m)
        return score.index_put((index[1][index[0] == item],), weight[index[0] == item])
    if kind == "item graph":
        index, weight = model._edges(m)
        return score.index_put((index[0][index[1] == item],), weight[index[1] == item])
    return F.cosine_similarity(model.project[m].x, model.project[m].x[item][None], dim=1)


def test_a_model_says_what_it_has(retriever, toy_split) -> None:
    assert retriever.similarities == [*ALL, "vectors"]
    votes = Retriever(small_mdsrec(toy_split.train, vectors=False))
    assert votes.similarities == ALL[2:]
    assert Retriever(SASRec(NUM_ITEMS, channels=8)).similarities == ["vectors"]
    behavior = Retriever(build_mdsrec({}, toy_split.train))
    assert [name.split()[0] for name in behavior.similarities] == ["votes", "item", "vectors"]


@pytest.mark.parametrize("name", [*ALL, "vectors"])
def test_they_are_the_best_of_a_dense_row(model, retriever, name) -> None:
    for item in (0, 7, 29):
        for k in (3, 100):
            table = retriever.similar_items(RAW[item], k, by=name)
            items, scores = by_hand(dense_scores(model, name, item), item, k)
            assert table["item"].tolist() == items
            np.testing.assert_allclose(table["score"], scores, rtol=1e-4, atol=1e-6)
            assert table["rank"].tolist() == list(range(1, len(items) + 1))
            assert set(table["by"]) == {name}


def test_several_at_once_in_the_order_asked_for(retriever) -> None:
    table = retriever.similar_items("item 3", 2)
    assert list(table) == ["by", "rank", "item", "score"]
    assert list(dict.fromkeys(table["by"])) == retriever.similarities
    some = retriever.similar_items("item 3", 2, by=["vectors", "image"])
    parts = [retriever.similar_items("item 3", 2, by=name) for name in ("vectors", "image")]
    pd.testing.assert_frame_equal(some, pd.concat(parts, ignore_index=True))
    again = pickle.loads(pickle.dumps(retriever)).similar_items("item 3", 2)
    pd.testing.assert_frame_equal(again, table)


def test_an_item_without_the_modality_has_none(toy_split) -> None:
    features = random_features(NUM_ITEMS)
    mask = torch.ones(NUM_ITEMS, dtype=torch.bool)
    mask[[3, 5]] = False
    features["image"] = ModalFeature(features["image"].x, mask)
    model = build_mdsrec(features, toy_split.train, num_centers=4, channels=8)
    retriever = Retriever(model)
    assert len(retriever.similar_items(3, 40, by="image")) == 0
    assert len(retriever.similar_items(3, 40, by="text")) == 29
    found = retriever.similar_items(4, 40, by="image")
    assert len(found) == 27
    assert not {3, 5, 4} & set(found["item"])
    assert set(retriever.similar_items(3, 40)["by"]) >= {"text", "vectors"}


def test_items_are_called_as_in_histories(model) -> None:
    retriever = Retriever(model)
    want = retriever.similar_items(7, 3, by="text")
    for item in ("7", np.int64(7), np.str_("7")):
        pd.testing.assert_frame_equal(retriever.similar_items(item, 3, by="text"), want)


@pytest.mark.parametrize(
    ("item", "options", "message"),
    [
        ("gone", {}, r"'item' must be one of 'item_ids', such as 'item 0' \(got 'gone'\)"),
        (3, {}, r"\(got 3\)"),
        (None, {}, r"\(got None\)"),
        (["item 1"], {}, r"\(got \['item 1'\]\)"),
        ("item 1", {"k": 0}, r"'k' must be at least 1 \(got 0\)"),
        ("item 1", {"by": "audio"}, r"'by' must be among 'image', 'text', .* \(got 'audio'\)"),
        ("item 1", {"by": ["image", ""]}, r"'by' must be among .* \(got ''\)"),
    ],
)
def test_what_there_is_not_is_an_error(retriever, item, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        retriever.similar_items(item, **options)


def test_a_model_that_knows_no_similarity_says_so(toy_split) -> None:
    for kind in (Popularity, EASE):
        retriever = Retriever(kind(toy_split.train))
        assert retriever.similarities == []
        with pytest.raises(ValueError, match=f"none, as {kind.__name__} has none"):
            retriever.similar_items(3)
