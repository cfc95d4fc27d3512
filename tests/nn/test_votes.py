from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.graphs import ridge_graph, ridge_precision
from mdsrec_pyg.nn.votes import leave_one_user_out
from mdsrec_pyg.nn.votes.cross_fitted import CrossFittedVotes
from mdsrec_pyg.nn.votes.edge_table import EdgeTable, join, neighbor_table
from mdsrec_pyg.nn.votes.fit import user_folds
from mdsrec_pyg.nn.votes.leave_one_user_out import LeaveOneUserOut, distinct_items


def make_graph(num_nodes: int = 7, num_edges: int = 15, seed: int = 0) -> Data:
    generator = torch.Generator().manual_seed(seed)
    key = torch.randperm(num_nodes**2, generator=generator)[:num_edges]
    return Data(
        edge_index=torch.stack([key // num_nodes, key % num_nodes]),
        edge_weight=torch.rand(num_edges, generator=generator) + 0.1,
        num_nodes=num_nodes,
    )


def fit(world, num_neighbors: int | None = 5, block_size: int = 512) -> LeaveOneUserOut:
    precisions = [
        ridge_precision(world.train, feature, feature_weight=2.0, l2=3.0)
        for feature in world.features.values()
    ]
    graphs = [ridge_graph(precision, num_neighbors) for precision in precisions]
    return LeaveOneUserOut(precisions, graphs, world.train, block_size=block_size)


def test_edge_table_looks_up_every_pair(dense_edges: Callable[[Data], Tensor]) -> None:
    graph = make_graph()
    source, target = torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")
    table = EdgeTable(graph)
    assert torch.equal(table(source, target), dense_edges(graph))
    assert torch.allclose(table.total, dense_edges(graph).sum(1))


def test_a_graph_without_edges_has_no_votes() -> None:
    empty = Data(edge_index=torch.empty(2, 0).long(), edge_weight=torch.empty(0), num_nodes=7)
    assert EdgeTable(empty)(torch.tensor([1, 2]), torch.tensor([[3], [2]])).tolist() == [[0, 0]] * 2
    neighbor, value = neighbor_table(empty)
    assert neighbor.tolist() == [[i] for i in range(7)]
    assert not value.any()


@pytest.mark.filterwarnings("ignore:Unable to accurately infer 'num_nodes'")
def test_number_of_nodes_must_be_known() -> None:
    with pytest.raises(ValueError, match="'num_nodes' must be set"):
        EdgeTable(Data(edge_weight=torch.ones(1)))


def test_neighbor_table_holds_the_outgoing_edges(dense_edges: Callable[[Data], Tensor]) -> None:
    graph = make_graph()
    neighbor, value = neighbor_table(graph)
    rebuilt = torch.zeros(7, 7).scatter_add(1, neighbor, value)
    assert torch.equal(rebuilt, dense_edges(graph))
    assert (neighbor[value == 0] == torch.arange(7)[:, None].expand_as(value)[value == 0]).all()


def test_join_is_block_diagonal(dense_edges: Callable[[Data], Tensor]) -> None:
    graphs = [make_graph(seed=seed) for seed in range(3)]
    expected = torch.block_diag(*map(dense_edges, graphs))
    assert torch.equal(dense_edges(join(graphs)), expected)


def test_leaving_a_user_out_equals_refitting(
    world, dense_without_user: Callable[[int], Tensor]
) -> None:
    batch, votes = world.batch, world.relations.training_votes
    assert isinstance(votes, LeaveOneUserOut)
    pairs = votes.pairs(batch.item_id, batch.target, batch.user_id)
    totals = votes.totals(batch.item_id, batch.user_id)
    assert pairs.shape == (len(batch), 2, batch.target.size(1), batch.item_id.size(1))
    checked = 0
    for b, user in enumerate(batch.user_id.tolist()):
        table = dense_without_user(user)
        for i in batch.mask[b].nonzero()[:, 0].tolist():
            source = batch.item_id[b, i]
            torch.testing.assert_close(totals[b, :, i], table[:, source].sum(1))
            for t in batch.target_mask[b].nonzero()[:, 0].tolist():
                want = table[:, source, batch.target[b, t]]
                torch.testing.assert_close(pairs[b, :, t, i], want, rtol=1e-4, atol=1e-6)
                checked += int((want > 0).sum())
    assert checked > 100  # most pairs do vote


@pytest.mark.parametrize("block", [1, 2**20])
def test_votes_for_others_leave_out_all_that_the_user_took(
    world, dense_without_user: Callable[[int], Tensor], block: int
) -> None:
    batch, votes = world.batch, fit(world)
    inside = votes._inside(*distinct_items(world.train), block=block)
    torch.testing.assert_close(votes.other, votes.total - inside)
    other, count = votes.others(batch.item_id, batch.user_id)
    for b, user in enumerate(batch.user_id.tolist()):
        own = np.unique(world.train.item_id[world.train.user_id == user])
        assert count[b] == len(own)
        table = dense_without_user(user).clone()
        table[:, :, own] = 0
        for i in batch.mask[b].nonzero()[:, 0].tolist():
            want = table[:, batch.item_id[b, i]].sum(1)
            torch.testing.assert_close(other[b, :, i], want, rtol=1e-4, atol=1e-5)


def test_own_pairs_lose_votes_when_the_user_is_left_out(world) -> None:
    batch, votes = world.batch, world.relations.training_votes
    source, target = batch.item_id, batch.target
    without = votes.pairs(source, target, batch.user_id)
    for m, graph in enumerate(world.relations.graphs.values()):
        full = EdgeTable(graph)(source[:, None, :], target[:, :, None])
        real = (batch.mask[:, None] & batch.target_mask[:, :, None]) & (full > 0)
        real &= target[:, :, None] != source[:, None]
        assert (without[:, m] < full)[real].float().mean() > 0.9


def test_a_pair_that_one_user_alone_made_disappears() -> None:
    train = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 2, 3], num_items=4)
    precision = ridge_precision(train, l2=1.0)
    votes = LeaveOneUserOut([precision], [ridge_graph(precision)], train)
    item, user = torch.tensor([[0], [2]]), torch.tensor([0, 1])
    pairs = votes.pairs(item, item + 1, user).flatten()
    assert pairs[0] == pytest.approx(0, abs=1e-7)
    assert pairs[1] == pytest.approx(1 / 2, rel=1e-5)  # one user left: 1 / (1 + l2)
    assert votes.totals(item, user).flatten().tolist() == pytest.approx([0, 1 / 2], abs=1e-6)


def test_pairs_counted_at_a_time_change_nothing(world, monkeypatch) -> None:
    whole, sizes = fit(world), []
    count = leave_one_user_out.vote_without_user

    def counted(entry, *others):
        sizes.append(entry.numel())
        return count(entry, *others)

    monkeypatch.setattr(leave_one_user_out, "PAIRS", 20)
    monkeypatch.setattr(leave_one_user_out, "vote_without_user", counted)
    parts = fit(world)
    assert parts.total.equal(whole.total)
    assert len(sizes) > 10
    assert sizes[0] <= 20  # of items and targets, for the totals; those inside a history come last


@pytest.mark.parametrize("block_size", [1, 7])
def test_blocks_of_users_change_nothing(world, block_size: int) -> None:
    batch, whole, blocks = world.batch, fit(world), fit(world, block_size=block_size)
    torch.testing.assert_close(
        blocks.pairs(batch.item_id, batch.target, batch.user_id),
        whole.pairs(batch.item_id, batch.target, batch.user_id),
    )
    torch.testing.assert_close(
        blocks.totals(batch.item_id, batch.user_id), whole.totals(batch.item_id, batch.user_id)
    )


def test_only_kept_edges_vote(world) -> None:
    batch = world.batch
    few, many = fit(world, 2), fit(world, None)
    pairs = [v.pairs(batch.item_id, batch.target, batch.user_id) for v in (few, many)]
    totals = [v.totals(batch.item_id, batch.user_id) for v in (few, many)]
    assert 0 < (pairs[0] > 0).sum() < (pairs[1] > 0).sum()
    assert ((pairs[0] == 0) | (pairs[0] == pairs[1])).all()
    assert (totals[0] <= totals[1] + 1e-6).all()


def test_users_without_rows_do_no_harm() -> None:
    train = Interactions.from_arrays([1, 1, 3, 3], [0, 1, 0, 1], num_users=6, num_items=3)
    precision = ridge_precision(train, l2=1.0)
    for block_size in (1, 2, 6):
        votes = LeaveOneUserOut([precision], [ridge_graph(precision)], train, block_size=block_size)
        pairs = votes.pairs(torch.tensor([[0]]), torch.tensor([[1]]), torch.tensor([3]))
        assert pairs.item() == pytest.approx(1 / 2, rel=1e-5)


def test_cross_fitted_votes_come_from_the_graphs_without_the_users_fold(
    world, dense_edges: Callable[[Data], Tensor]
) -> None:
    batch, num_items = world.batch, world.train.num_items
    folds = [[make_graph(num_items, 200, 2 * f + m) for m in range(2)] for f in range(3)]
    fold = user_folds(world.train.num_users, 3, seed=0)
    votes = CrossFittedVotes(folds, fold, world.train)
    pairs = votes.pairs(batch.item_id, batch.target, batch.user_id)
    totals = votes.totals(batch.item_id, batch.user_id)
    for b, user in enumerate(batch.user_id.tolist()):
        for m in range(2):
            table = dense_edges(folds[int(fold[user])][m])
            want = table[batch.item_id[b]][:, batch.target[b]].t()
            assert torch.equal(pairs[b, m], want)
            torch.testing.assert_close(totals[b, m], table[batch.item_id[b]].sum(1))


def test_cross_fitted_votes_know_what_they_were_fitted_on(world) -> None:
    train, graph = world.train, make_graph(world.train.num_items, 50, 0)
    votes = CrossFittedVotes([[graph]], torch.zeros(train.num_users, dtype=torch.long), train)
    votes.check(train)
    votes.check(copy.deepcopy(train))
    pickle.loads(pickle.dumps(votes)).check(train)
    user, item, _ = distinct_items(train)
    rest = Interactions.from_arrays(user[1:], item[1:], num_users=20, num_items=train.num_items)
    other = Interactions.from_arrays(
        np.append(user[1:], user[0]),
        np.append(item[1:], np.setdiff1d(np.arange(train.num_items), item[user == user[0]])[0]),
        num_users=20,
        num_items=train.num_items,
    )
    assert len(other) == len(user)
    for wrong in (rest, other):
        with pytest.raises(ValueError, match=r"'train' must hold the interactions that the relat"):
            votes.check(wrong)
    more = Interactions.from_arrays([0], [0], num_users=train.num_users + 1, num_items=3)
    with pytest.raises(ValueError, match=r"'train' must have the 20 users .* \(got 21\)"):
        votes.check(more)


def test_user_folds_are_even_and_seeded() -> None:
    fold = user_folds(23, 5, seed=0)
    assert sorted(torch.bincount(fold).tolist()) == [4, 4, 5, 5, 5]
    assert torch.equal(fold, user_folds(23, 5, seed=0))
    assert not torch.equal(fold, user_folds(23, 5, seed=1))
    with pytest.raises(ValueError, match=r"'num_folds' must be at least 2 \(got 1\)"):
        user_folds(23, 1, seed=0)
