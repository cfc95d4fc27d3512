"""Votes cast one by one, or by the whole product: the same scores, sparse and dense."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import RelationAttention, RelationVotes
from mdsrec_pyg.nn.votes import scores as module
from mdsrec_pyg.nn.votes.edge_table import sum_at
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes

NUM_ITEMS = 40
HISTORIES = [[3, 7, 3, 12], [39], [0, 1, 2, 3, 4, 5]]


def make_graph(generator: torch.Generator, degree: int) -> Data:
    """Item 5 votes for nobody."""
    key = torch.randperm(NUM_ITEMS**2, generator=generator)[: degree * NUM_ITEMS]
    source, target = key // NUM_ITEMS, key % NUM_ITEMS
    kept = (source != target) & (source != 5)
    weight = torch.rand(int(kept.sum()), generator=generator)
    edge_index = torch.stack([source[kept], target[kept]])
    return Data(edge_index=edge_index, edge_weight=weight, num_nodes=NUM_ITEMS)


def make_votes(history_bias: bool) -> RelationVotes:
    generator = torch.Generator().manual_seed(0)
    graphs = [make_graph(generator, 3), make_graph(generator, 6)]
    x = [torch.randn(NUM_ITEMS, 4, generator=generator) for _ in graphs]
    labels = [torch.randint(3, (NUM_ITEMS,), generator=generator) for _ in graphs]
    torch.manual_seed(0)
    attention = RelationAttention(x, labels, max_length=8, channels=4, dropout=0.0)
    votes = RelationVotes(graphs, attention, TrainingVotes(), history_bias=history_bias, base=0.05)
    with torch.no_grad():
        for parameter in votes.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return votes


def dense_scores(votes: RelationVotes, batch: SequenceBatch) -> Tensor:
    """The formula of the class with dense matrices."""
    weights = votes.attention(batch.item_id, batch.mask, newest_only=True)[:, :, 0]  # [B, M, L]
    total = torch.zeros(len(batch), NUM_ITEMS)
    for m in range(2):
        matrix = torch.zeros(NUM_ITEMS, NUM_ITEMS)
        index, weight = votes.edges(m)
        matrix[index[0], index[1]] = weight
        total = total + torch.einsum("bl,bln->bn", weights[:, m], matrix[batch.item_id])
    scores = torch.log1p(total / votes.log_base.exp())
    if votes.history_bias is not None:
        for b, history in enumerate(HISTORIES):
            for item in set(history):
                back = [len(history) - 1 - i for i, other in enumerate(history) if other == item]
                scores[b, item] = votes.history_bias.gamma[back].sum()
    return scores


@pytest.mark.parametrize("history_bias", [True, False])
@pytest.mark.parametrize("cost", [0, 10**9])  # cast alone, by the whole product
@pytest.mark.parametrize("grad", [True, False])
def test_both_ways_equal_the_dense_form(monkeypatch, history_bias, cost, grad) -> None:
    monkeypatch.setattr(module, "VOTE_COST", cost)
    votes = make_votes(history_bias)
    batch = SequenceBatch.from_histories(HISTORIES, 8)
    calls = []
    propagate = votes._propagate

    def counted(*args: Tensor) -> Tensor:
        calls.append(1)
        return propagate(*args)

    monkeypatch.setattr(votes, "_propagate", counted)
    with torch.set_grad_enabled(grad):
        scores = votes(batch, votes.attention.item_keys())
    assert bool(calls) == (cost > 0)
    want = dense_scores(votes, batch)
    torch.testing.assert_close(scores, want, rtol=1e-4, atol=1e-5)
    if grad:
        own = torch.autograd.grad(scores.square().sum(), list(votes.parameters()))
        slow = torch.autograd.grad(want.square().sum(), list(votes.parameters()))
        for gradient, expected in zip(own, slow, strict=True):
            torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("history_bias", [True, False])
def test_sparse_scores_are_all_that_differ_from_zero(history_bias) -> None:
    votes = make_votes(history_bias)
    batch = SequenceBatch.from_histories(HISTORIES, 8)
    keys = votes.attention.item_keys()
    with torch.no_grad():
        place, score = votes.sparse_scores(batch, keys)
        scores = votes(batch, keys)
    assert (place.diff() > 0).all()
    dense = torch.zeros(scores.numel())
    dense[place] = score
    torch.testing.assert_close(dense.view_as(scores), scores)
    own = {b * NUM_ITEMS + item for b, history in enumerate(HISTORIES) for item in history}
    assert own <= set(place.tolist())
    assert len(place) < scores.numel()


def test_items_without_edges_cast_no_votes(monkeypatch) -> None:
    monkeypatch.setattr(module, "VOTE_COST", 0)
    votes = make_votes(history_bias=False)
    with torch.no_grad():
        scores = votes(SequenceBatch.from_histories([[5]], 8), votes.attention.item_keys())
    assert not scores.any()


def test_sums_are_over_equal_places() -> None:
    total = sum_at(torch.tensor([2, 0, 2]), torch.tensor([1.0, 2.0, 3.0]), 4)
    assert total.tolist() == [2.0, 0.0, 4.0, 0.0]
