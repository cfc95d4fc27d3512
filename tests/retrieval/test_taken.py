"""Seen is what was taken, however long ago, not what the model reads: in every model alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg import EASE, GRU4Rec, Popularity, SASRec
from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation import target_ranks
from mdsrec_pyg.nn.models.decomposed import is_decomposed
from mdsrec_pyg.retrieval import FaissIndex, Retriever
from tests.small_models import small_mdsrec

NUM_ITEMS, MAX_LENGTH = 30, 2
#: Far longer than what is read, with an item that was taken twice long ago and one taken again.
HISTORIES = [[7, 3, 3, 9, 12, 1, 12], [5], [4, 4, 4, 8, 20]]


SIZES: dict[str, Any] = {"max_length": MAX_LENGTH, "num_centers": 3}

MAKERS: dict[str, Callable[[Interactions], Any]] = {
    "MDSRec": lambda train: small_mdsrec(train, "image", **SIZES, vector_weight=1.0),
    "votes": lambda train: small_mdsrec(train, "image", **SIZES, vectors=False),
    "vectors": lambda train: small_mdsrec(train, "image", **SIZES, relations=False),
    "SASRec": lambda train: SASRec(NUM_ITEMS, channels=8, max_length=MAX_LENGTH),
    "GRU4Rec": lambda train: GRU4Rec(NUM_ITEMS, channels=8, max_length=MAX_LENGTH),
    "EASE": lambda train: EASE(train, history_bias=-1e4, max_length=MAX_LENGTH),
    "Popularity": lambda train: Popularity(train, history_bias=-1e4, max_length=MAX_LENGTH),
}


@pytest.fixture(params=list(MAKERS))
def model(request: pytest.FixtureRequest, toy_split: Any) -> Any:
    torch.manual_seed(0)
    model = MAKERS[request.param](toy_split.train)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = 0.3 * torch.randn(parameter.shape)
            parameter.copy_(-1e3 - noise.abs()) if "bias.weight" in name else parameter.add_(noise)
    return model.eval()


def test_what_lies_before_the_window_is_taken() -> None:
    batch = SequenceBatch.from_histories(HISTORIES, MAX_LENGTH)
    assert batch.item_id.tolist() == [[1, 12], [0, 5], [8, 20]]
    assert batch.older is not None
    assert batch.older.tolist() == [[0] * 5 + [2] * 3, [7, 3, 3, 9, 12, 4, 4, 4]]
    assert SequenceBatch.from_histories(HISTORIES, 7).older is None
    ptr = np.array([0, 7, 8, 13])
    split = EvaluationSplit(
        "test", np.arange(3), np.array([0, 0, 0]), ptr, np.concatenate(HISTORIES), NUM_ITEMS
    )
    (_, read), (_, rest) = split.batches(2, MAX_LENGTH)
    assert read.older is not None
    assert read.older.tolist() == [[0] * 5, [7, 3, 3, 9, 12]]
    assert rest.older is not None
    assert rest.older.tolist() == [[0] * 3, [4, 4, 4]]


def test_no_taken_item_comes_back_where_the_model_keeps_them_down(model: Any) -> None:
    retrievers = [Retriever(model)]
    if is_decomposed(model):
        pytest.importorskip("faiss")
        retrievers.append(Retriever(model, index=FaissIndex(20)))
    for retriever in retrievers:
        table = retriever.recommend(HISTORIES, 20, exclude_seen=False)
        for user, history in enumerate(HISTORIES):
            found = set(table["item"][table["user"] == user])
            assert not found & set(history), user


def test_ranks_with_seen_items_kept_and_masked_agree_there(model: Any) -> None:
    ptr = np.append(0, np.cumsum([len(history) for history in HISTORIES]))
    split = EvaluationSplit(
        "test", np.arange(3), np.array([25, 2, 11]), ptr, np.concatenate(HISTORIES), NUM_ITEMS
    )
    kept, masked = (target_ranks(model, split, exclude_seen=seen) for seen in (False, True))
    assert kept.tolist() == masked.tolist()


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec", "vectors"])
def test_each_older_step_adds_the_last_bias(name: str, toy_split: Any) -> None:
    torch.manual_seed(0)
    model = MAKERS[name](toy_split.train).eval()
    model.history_bias.weight.data = torch.tensor([0.2, -0.3])
    batch = SequenceBatch.from_histories(HISTORIES, MAX_LENGTH)
    with torch.no_grad():
        difference = model.score(batch) - model.score(replace(batch, older=None))
    want = torch.zeros(3, NUM_ITEMS)
    for row, history in enumerate(HISTORIES):
        for item in history[:-MAX_LENGTH]:
            want[row, item] -= 0.3 * model.history_bias.scale
    torch.testing.assert_close(difference, want)


def test_the_votes_give_way_to_the_bias(toy_split: Any) -> None:
    model = MAKERS["votes"](toy_split.train).eval()
    model.votes.history_bias.weight.data = torch.tensor([0.2, -0.3])
    batch = SequenceBatch.from_histories(HISTORIES, MAX_LENGTH)
    with torch.no_grad():
        scores = model.score(batch)
    gamma = model.votes.history_bias.gamma.tolist()
    want = {7: gamma[1], 3: 2 * gamma[1], 9: gamma[1], 12: gamma[0] + gamma[1], 1: gamma[1]}
    for item, value in want.items():
        assert scores[0, item] == pytest.approx(value)
    why = model.explain(batch, torch.tensor([[7, 8], [5, 6], [4, 5]]))
    assert why["seen"] == [[True, False], [True, False], [True, False]]
    assert why["voter_items"][0][0] == why["voter_items"][2][0] == []
