"""Votes of a few of many items: the same scores, sparse and dense."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import RelationVotes
from tests.nn.vote_cases import naive_scores

HISTORIES = [[3, 7, 3, 12], [39], [0, 1, 2, 3, 4, 5]]


def make_graph(generator: torch.Generator, degree: int, num_items: int) -> Data:
    """Edges among the first 40 items; item 5 votes for nobody."""
    key = torch.randperm(40**2, generator=generator)[: degree * 40]
    source, target = key // 40, key % 40
    kept = (source != target) & (source != 5)
    weight = torch.rand(int(kept.sum()), generator=generator)
    edge_index = torch.stack([source[kept], target[kept]])
    return Data(edge_index=edge_index, edge_weight=weight, num_nodes=num_items)


def make_votes(history_bias: bool, num_items: int = 40) -> RelationVotes:
    generator = torch.Generator().manual_seed(0)
    graphs = [make_graph(generator, degree, num_items) for degree in (3, 6)]
    torch.manual_seed(0)
    votes = RelationVotes(graphs, None, max_length=8, history_bias=history_bias)
    with torch.no_grad():
        for parameter in votes.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return votes


@pytest.mark.parametrize("history_bias", [True, False])
@pytest.mark.parametrize("num_items", [40, 4000])  # all places are marked, or the few sorted
def test_sparse_scores_are_all_that_differ_from_zero(history_bias: bool, num_items: int) -> None:
    votes = make_votes(history_bias, num_items)
    batch = SequenceBatch.from_histories(HISTORIES, 8)
    with torch.no_grad():
        place, score = votes.sparse_scores(batch)
        scores = votes(batch)
    table = torch.zeros(2, num_items, num_items)
    for m in range(2):
        index, weight = votes.edges(m)
        table[m, index[0], index[1]] = weight
    want = torch.stack([naive_scores(votes, table, history) for history in HISTORIES]).detach()
    torch.testing.assert_close(scores, want, rtol=1e-4, atol=1e-5)
    assert (place.diff() > 0).all()
    dense = torch.zeros(scores.numel())
    dense[place] = score
    torch.testing.assert_close(dense.view_as(scores), scores)
    own = {b * num_items + item for b, history in enumerate(HISTORIES) for item in history}
    assert own <= set(place.tolist())
    assert len(place) < 120


def test_items_without_edges_cast_no_votes() -> None:
    with torch.no_grad():
        scores = make_votes(history_bias=False)(SequenceBatch.from_histories([[5]], 8))
    assert not scores.any()
