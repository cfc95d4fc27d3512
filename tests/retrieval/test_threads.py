"""Many threads at once: the answers of one, whatever mode the model is in and whoever trains it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, MessagePassing

from mdsrec_pyg import GRU4Rec, SASRec
from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.evaluation import target_ranks
from mdsrec_pyg.nn import ItemGraphEncoder, Recommender
from mdsrec_pyg.retrieval import Retriever, recommend
from tests.small_models import moved, small_mdsrec

NUM_ITEMS = 30
THREADS = 16


def histories(number: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, NUM_ITEMS, rng.integers(1, 6)).tolist() for _ in range(number)]


class NormedConv(MessagePassing):
    """A layer of somebody else's, whose result depends on the mode twice."""

    def __init__(self) -> None:
        super().__init__(aggr="mean")
        self.norm, self.drop = nn.BatchNorm1d(8), nn.Dropout(0.5)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        return self.drop(self.norm(self.propagate(edge_index, x=x, edge_weight=edge_weight)))

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        return x_j * edge_weight[:, None]


def make_mdsrec(train: Interactions, **own: Any) -> Any:
    return moved(small_mdsrec(train, vector_weight=1.0, **own))


MAKERS: dict[str, Callable[[Interactions], Any]] = {
    "MDSRec": make_mdsrec,
    "MDSRec with BatchNorm": lambda train: make_mdsrec(train, conv=NormedConv),
    "SASRec": lambda train: SASRec(NUM_ITEMS, channels=8, dropout=0.5),
    "GRU4Rec": lambda train: GRU4Rec(NUM_ITEMS, channels=8, dropout=0.5),
}


@pytest.fixture(params=list(MAKERS))
def model(request: pytest.FixtureRequest, toy_split: Split) -> Any:
    torch.manual_seed(0)
    return MAKERS[request.param](toy_split.train).train()


def at_once(function: Callable[[Any], Any], arguments: list[Any]) -> list[Any]:
    """The results of as many threads, all of which begin at the same moment."""
    barrier = Barrier(len(arguments))

    def wait(argument: Any) -> Any:
        barrier.wait()
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(wait, arguments))


class Overlapping(Recommender):
    """The request for item 1 begins within that for item 0, and ends after it."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.inside, self.begun, self.ended = Event(), Event(), Event()
        self.inner = nn.Dropout()
        self.modes: list[bool] = []

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        if int(batch.item_id[0, -1]) == 1:
            self.begun.set()
            self.ended.wait(5)
        else:
            self.inside.set()
            self.begun.wait(5)
        self.modes.append(self.training or self.inner.training)
        return torch.zeros(len(batch), 6)


@pytest.mark.parametrize("shared", [True, False])
def test_a_request_that_ends_does_not_touch_the_mode_of_another(shared: bool) -> None:
    model = Overlapping().train()
    retriever = Retriever(model)

    def ask(item: int) -> None:
        if item == 1:
            model.inside.wait(5)
        answer = retriever.recommend if shared else lambda *a, **k: recommend(model, *a, **k)
        answer([[item]], 2, exclude_seen=True)
        if item == 0:
            model.ended.set()

    at_once(ask, [0, 1])
    assert model.modes == [False, False]
    assert model.training


def test_an_evaluation_and_a_request_share_no_mode(toy_model, toy_split) -> None:
    model = toy_model(dropout=0.9).train()
    want = target_ranks(model, toy_split.test, exclude_seen=True)
    tasks = [lambda: target_ranks(model, toy_split.test, exclude_seen=True, batch_size=2)] * 4
    for ranks in at_once(lambda task: task(), tasks):
        assert (ranks == want).all()
    assert all(module.training for module in model.modules())


def test_threads_get_what_one_thread_gets(model) -> None:
    retriever, requests = Retriever(model), histories(24)

    def ask(history: list[int]) -> list[int]:
        return retriever.recommend([history], 5, exclude_seen=True)["item"].tolist()

    want = [ask(history) for history in requests]
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(ask, requests)) == want
    assert all(module.training for module in model.modules())


def test_what_is_trained_meanwhile_does_not_reach_the_answers(model, toy_split) -> None:
    retriever, requests = Retriever(model), histories(16)

    def ask(history: list[int]) -> list[float]:
        return retriever.recommend([history], 5, exclude_seen=True)["score"].tolist()

    want = [ask(history) for history in requests]
    generator = torch.Generator().manual_seed(2)
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(ask, requests)
        for _ in range(5):  # what a training step writes to: weights, and averages of batches
            model.encode_items()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        assert list(answers) == want
    assert [ask(history) for history in requests] == want
    changed = Retriever(model).recommend(requests[:1], 5, exclude_seen=True)["score"].tolist()
    assert changed != want[0]


def test_a_model_that_changes_during_its_evaluation_is_an_error(toy_model, toy_split) -> None:
    model = toy_model()
    score = model.score

    def trains(batch: SequenceBatch, items: Tensor) -> Tensor:
        with torch.no_grad():
            model.scale.add_(0.1)
        return score(batch, items)

    model.score = trains
    with pytest.raises(ValueError, match=r"'model' must not change during its evaluation"):
        target_ranks(model, toy_split.test, exclude_seen=True)


@pytest.mark.parametrize("conv", [None, lambda: GCNConv(8, 8, cached=True, normalize=False)])
def test_what_is_made_at_first_use_is_right_in_all_threads(conv, toy_split) -> None:
    graph = make_mdsrec(toy_split.train)
    index, weight = graph._edges(0)
    x = torch.randn(NUM_ITEMS, 8, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    want = ItemGraphEncoder(2, conv)(x, index, weight)
    for _ in range(5):
        torch.manual_seed(0)
        encoder = ItemGraphEncoder(2, conv)
        index = index.clone()  # a new tensor: nothing is kept of it
        for got in at_once(partial(encoder, x, index), [weight] * THREADS):
            assert torch.equal(got, want)


def test_explanations_do_not_touch_the_mode(toy_split, monkeypatch) -> None:
    model = make_mdsrec(toy_split.train).train()
    batch = SequenceBatch.from_histories([[1, 2, 3]], model.max_length)
    item = torch.tensor([[4, 5]])
    want = model.explain(batch, item)
    own, flipped = set(model.modules()), []
    train = nn.Module.train

    def recorded(module: nn.Module, mode: bool = True) -> nn.Module:
        flipped.append(module in own)
        return train(module, mode)

    monkeypatch.setattr(nn.Module, "train", recorded)
    assert model.explain(batch, item) == want
    assert flipped
    assert not any(flipped)
    assert all(module.training for module in model.modules())
