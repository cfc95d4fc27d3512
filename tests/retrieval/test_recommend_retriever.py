"""The retriever: the same answers as recommend(), from item vectors that are computed once."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import EASE, MDSRec, Popularity, SASRec
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.retrieval import Retriever
from mdsrec_pyg.retrieval.recommendations import recommend, top_items
from tests.small_models import small_mdsrec

NUM_ITEMS = 30
RAW = [f"item {i}" for i in range(NUM_ITEMS)]
HISTORIES: Any = [["item 3", "item 4", "item 3"], ["item 29"], [f"item {i}" for i in range(12)]]


MAKERS: dict[str, Callable[[Interactions], Any]] = {
    "MDSRec": lambda train: small_mdsrec(train, vector_weight=1.0),
    "SASRec": lambda train: SASRec(NUM_ITEMS, channels=8),
    "EASE": EASE,
    "Popularity": Popularity,
}


@pytest.fixture(params=list(MAKERS))
def model(request: pytest.FixtureRequest, toy_split: Any) -> Any:
    torch.manual_seed(0)
    model = MAKERS[request.param](toy_split.train)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_same_as_a_sort_of_all_scores_and_as_recommend(model, exclude_seen) -> None:
    retriever = Retriever(model, RAW)
    options: dict[str, Any] = {"k": 4, "exclude_seen": exclude_seen}
    table = retriever.recommend(HISTORIES, **options)
    pd.testing.assert_frame_equal(table, recommend(model, HISTORIES, item_ids=RAW, **options))
    for batch_size in (1, 2):
        part = retriever.recommend(HISTORIES, batch_size=batch_size, **options)
        assert part["item"].tolist() == table["item"].tolist()
    for user, names in enumerate(HISTORIES):
        history = [RAW.index(name) for name in names]
        batch = SequenceBatch.from_histories([history], model.max_length)
        with torch.no_grad():
            scores = model.eval().score(batch)[0].numpy().copy()
        if exclude_seen:
            scores[history] = -np.inf
        best = np.argsort(-scores, kind="stable")[:4]
        rows = table[table["user"] == user]
        assert rows["item"].tolist() == [RAW[i] for i in best]
        np.testing.assert_allclose(rows["score"], scores[best], rtol=1e-4, atol=1e-5)


def test_items_are_encoded_once(model, monkeypatch) -> None:
    calls = []
    encode = model.encode_items

    def counted() -> Any:
        calls.append(1)
        return encode()

    monkeypatch.setattr(model, "encode_items", counted)
    retriever = Retriever(model)
    for history in ([1], [2, 3]):
        explain = isinstance(model, MDSRec)
        retriever.recommend([history], 2, exclude_seen=True, explain=explain)
    assert len(calls) == 1


def test_the_table_of_mdsrec_is_not_copied_at_each_call(toy_split) -> None:
    model = small_mdsrec(toy_split.train, vector_weight=1.0).eval()
    items: Any = Retriever(model).items
    plain: Any = model.encode_items()
    assert torch.equal(items.table, plain.table)
    assert torch.equal(items.embedding, plain.embedding)
    assert items.table.data_ptr() == items.table.data_ptr() == items.embedding.data_ptr()


def test_explanations_are_those_of_recommend(toy_split) -> None:
    model = small_mdsrec(toy_split.train, vector_weight=1.0)
    options: dict[str, Any] = {
        "k": 3,
        "exclude_seen": True,
        "explain": True,
        "user_id": list("xyz"),
    }
    table = Retriever(model, RAW).recommend(HISTORIES, batch_size=2, **options)
    want = recommend(model, HISTORIES, item_ids=RAW, **options)
    pd.testing.assert_frame_equal(table, want, rtol=1e-4)
    assert table["user"].tolist() == list("xxxyyyzzz")
    assert {"modality", "voter_items"} < set(table)


def test_modes_of_the_model_come_back(toy_split) -> None:
    model = SASRec(NUM_ITEMS, channels=8, dropout=0.5).train()
    model.encoder.eval()
    retriever = Retriever(model)
    first = retriever.recommend([[1, 2]], 3, exclude_seen=True)
    pd.testing.assert_frame_equal(first, retriever.recommend([[1, 2]], 3, exclude_seen=True))
    assert model.training
    assert not model.encoder.training


def test_a_retriever_serves_the_weights_of_its_making(model) -> None:
    retriever = Retriever(model)
    options: dict[str, Any] = {"k": 3, "exclude_seen": True}
    first = retriever.recommend([[1], [2, 3]], **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-1)
    pd.testing.assert_frame_equal(first, retriever.recommend([[1], [2, 3]], **options))
    if list(model.parameters()):
        assert not first.equals(Retriever(model).recommend([[1], [2, 3]], **options))


@pytest.mark.parametrize("name", ["MDSRec", "EASE"])
def test_a_table_that_is_written_to_is_an_error(name, toy_split) -> None:
    model = MAKERS[name](toy_split.train)
    retriever = Retriever(model)
    next(buffer for buffer in model.buffers() if buffer.is_floating_point()).mul_(2)
    with pytest.raises(ValueError, match=r"'model' must not change while a Retriever serves it"):
        retriever.recommend([[1]], 2, exclude_seen=True)
    with pytest.raises(ValueError, match=r"'model' must not change"):
        copy.deepcopy(retriever)
    Retriever(model).recommend([[1]], 2, exclude_seen=True)


def test_equal_copies_answer_the_same(model) -> None:
    retriever = Retriever(model, RAW)
    options: dict[str, Any] = {"k": 3, "exclude_seen": True}
    first = retriever.recommend(HISTORIES, **options)
    for other in (copy.deepcopy(retriever), pickle.loads(pickle.dumps(retriever))):
        pd.testing.assert_frame_equal(first, other.recommend(HISTORIES, **options))
    again = Retriever(copy.deepcopy(model), RAW).recommend(HISTORIES, **options)
    pd.testing.assert_frame_equal(first, again)


def test_bad_requests_are_errors() -> None:
    retriever = Retriever(SASRec(NUM_ITEMS, channels=8), RAW)
    with pytest.raises(ValueError, match="'item_ids' must hold 30 distinct ids"):
        Retriever(retriever.model, RAW[:-1])
    for k in (0, 31):
        with pytest.raises(ValueError, match="'k' must be from 1 to the number of items, 30"):
            retriever.recommend([["item 1"]], k, exclude_seen=False)
    with pytest.raises(ValueError, match=r"^'batch_size' must be at least 1 \(got 0\)$"):
        retriever.recommend([["item 1"]], exclude_seen=False, batch_size=0)
    with pytest.raises(ValueError, match=r"needs a model with 'explain' .got SASRec"):
        retriever.recommend([["item 1"]], exclude_seen=False, explain=True)
    with pytest.raises(ValueError, match="got 'z' as item 0 of user 0"):
        retriever.recommend([["z"]], exclude_seen=False)


def test_the_copy_goes_to_the_device_and_the_model_stays() -> None:
    model = SASRec(NUM_ITEMS, channels=8)
    retriever = Retriever(model, device="meta")
    assert retriever.device == torch.device("meta")
    assert retriever.items.is_meta
    assert all(parameter.is_meta for parameter in retriever.model.parameters())
    assert not any(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize("num_items", [1, 7, 100, 1003])
def test_top_items_at_any_size(num_items: int) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, num_items, generator=generator)
    scores[1] = scores[1].round()  # many ties
    scores[2] = 0.0
    scores[3, num_items // 2 :] = -torch.inf
    for values in (scores, scores[:1], scores[1:2].expand(4, num_items)):
        for k in {1, min(10, num_items), num_items // 2 + 1, num_items}:
            best, index = top_items(values, k)
            want, order = values.sort(dim=1, descending=True, stable=True)
            assert torch.equal(index, order[:, :k])
            assert torch.equal(best, want[:, :k])
