"""Edges as tables, and those of graphs that have not seen the voter."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.graphs import ridge_precision
from mdsrec_pyg.nn import CrossFittedVotes, LeaveOneUserOut, fit_relations
from mdsrec_pyg.nn.votes import leave_one_user_out
from mdsrec_pyg.nn.votes.edge_table import EdgeTable
from mdsrec_pyg.nn.votes.fit import user_folds
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes, distinct_items
from tests.nn.conftest import NUM_ITEMS, NUM_USERS, RIDGE
from tests.nn.vote_cases import make_graph

#: Of pairs that are exactly zero, rounding leaves so much.
NOISE = 1e-6


def fit(world, train: Interactions | None = None, **options: Any) -> LeaveOneUserOut:
    options = {"num_neighbors": 5, "denoising": 0.0, **options}
    train = world.train if train is None else train
    precisions = [
        ridge_precision(train, feature, denoising=options["denoising"], **RIDGE)
        for feature in world.features.values()
    ]
    return LeaveOneUserOut(precisions, train, **options)


def dense_rows(votes: TrainingVotes, item: list[int], user: int) -> Tensor:
    """Rows of S of a user's items in the graphs without the user, [M, k, N]."""
    voter = votes.voters(torch.tensor([item]), torch.tensor([user]))[0]
    rows = []
    for table in votes.tables:
        target, weight = table(voter)
        empty = torch.zeros(len(item), NUM_ITEMS)
        rows.append(empty.scatter_add(1, target, weight))
    return torch.stack(rows)


def own_items(train: Interactions, user: int) -> list[int]:
    return np.unique(train.item_id[train.user_id == user]).tolist()


# ---- tables of edges ----------------------------------------------------------------------------


def test_edge_table_looks_up_every_pair(dense_edges: Callable[[Data], Tensor]) -> None:
    graph = make_graph()
    source, target = torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")
    assert torch.equal(EdgeTable.from_graph(graph).between(source, target), dense_edges(graph))


def test_edge_table_holds_the_outgoing_edges(dense_edges: Callable[[Data], Tensor]) -> None:
    graph = make_graph()
    target, weight = EdgeTable.from_graph(graph)(torch.arange(7))
    assert target.dtype == torch.long
    rebuilt = torch.zeros(7, 7).scatter_add(1, target, weight)
    assert torch.equal(rebuilt, dense_edges(graph))
    assert weight.size(1) == graph.edge_index[0].bincount().max()


def test_a_graph_without_edges_has_no_votes() -> None:
    empty = Data(edge_index=torch.empty(2, 0).long(), edge_weight=torch.empty(0), num_nodes=7)
    table = EdgeTable.from_graph(empty)
    assert table.between(torch.tensor([1, 2]), torch.tensor([[3], [2]])).tolist() == [[0, 0]] * 2
    assert table(torch.arange(7))[1].tolist() == [[0]] * 7


@pytest.mark.filterwarnings("ignore:Unable to accurately infer 'num_nodes'")
def test_number_of_nodes_must_be_known() -> None:
    with pytest.raises(ValueError, match="'num_nodes' must be set"):
        EdgeTable.from_graph(Data(edge_weight=torch.ones(1)))


# ---- without the user, exactly ------------------------------------------------------------------


@pytest.mark.parametrize("denoising", [0.0, 1e-6, 0.33])
def test_leaving_a_user_out_equals_refitting_and_pruning_anew(
    world, dense_without_user: Callable[..., Tensor], denoising: float
) -> None:
    votes, lengths = fit(world, denoising=denoising), set()
    for user in range(NUM_USERS):
        own = own_items(world.train, user)
        rows = dense_rows(votes, own, user)
        want = dense_without_user(user, denoising)[:, own]
        assert torch.equal(rows > NOISE, want > NOISE)  # the same edges
        torch.testing.assert_close(rows, want, rtol=1e-4, atol=1e-6)
        lengths.add(len(own))
    assert len(lengths) > 3


@pytest.mark.parametrize("denoising", [0.0, 0.33])
def test_pruning_anew_keeps_other_edges_than_the_users_graph_does(
    world, dense_edges: Callable[[Data], Tensor], denoising: float
) -> None:
    """Kept edges alone tell of a user: own pairs are kept more often with the user in the graph."""
    graphs = fit_relations(
        world.features, world.train, num_neighbors=5, denoising=denoising, **RIDGE
    ).graphs.values()
    votes, with_user, without, others = fit(world, denoising=denoising), 0, 0, 0
    for user in range(NUM_USERS):
        own = own_items(world.train, user)
        rows = dense_rows(votes, own, user) > NOISE
        full = torch.stack([dense_edges(graph)[own] for graph in graphs]) > NOISE
        others += int((rows & ~full).sum())
        with_user += int(full[:, :, own].sum())
        without += int(rows[:, :, own].sum())
    assert others > 50
    assert without < 0.8 * with_user


def test_rows_do_not_depend_on_the_user(world) -> None:
    """Whatever the user took, with whom it is compared: nothing of it is in the user's rows."""
    for user in (3, 8):
        own = own_items(world.train, user)
        others = np.setdiff1d(np.arange(NUM_ITEMS), own)[:3]
        more = Interactions.from_arrays(
            np.append(world.train.user_id, [user] * 3),
            np.append(world.train.item_id, others),
            num_users=NUM_USERS,
            num_items=NUM_ITEMS,
        )
        for denoising in (0.0, 0.33):
            usual = fit(world, denoising=denoising)
            found = fit(world, more, denoising=denoising)
            one, two = (dense_rows(votes, own, user) for votes in (usual, found))
            torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)
            assert torch.equal(two > NOISE, one > NOISE)
            # Other users see what the user took.
            other = next(
                u for u in range(NUM_USERS) if u != user and others[0] in own_items(more, u)
            )
            shared = own_items(world.train, other)
            one, two = (dense_rows(votes, shared, other) for votes in (usual, found))
            assert (two - one).abs().max() > 1e-3


@pytest.mark.parametrize("denoising", [0.0, 0.33])
def test_the_row_of_an_item_without_other_users_knows_its_features_only(
    world, denoising: float
) -> None:
    train = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 2, 3], num_items=4)
    precision = ridge_precision(train, l2=1.0, denoising=denoising)
    votes = LeaveOneUserOut([precision], train, num_neighbors=3, denoising=denoising)
    voter = votes.voters(torch.tensor([[0], [2]]), torch.tensor([0, 1]))[:, 0]
    target, weight = votes.tables[0](voter)
    assert weight[0].tolist() == pytest.approx([0] * 3, abs=1e-7)  # a pair of user 0 alone
    assert target[1, 0] == 3
    ridge = 1 + denoising / (1 - denoising)
    assert weight[1].tolist() == pytest.approx([1 / (1 + ridge), 0, 0], abs=1e-6)  # user 2's


def test_items_of_others_have_no_votes(world) -> None:
    votes = fit(world)
    for user in (0, 7, NUM_USERS - 1):
        own = own_items(world.train, user)
        rows = dense_rows(votes, list(range(NUM_ITEMS)), user)
        assert rows[:, own].any(2).all()
        assert not rows[:, np.setdiff1d(np.arange(NUM_ITEMS), own)].any()
    assert not dense_rows(votes, [0, 5, 23], -1).any()  # a row that fills a batch up


@pytest.mark.parametrize("denoising", [0.0, 0.33])
def test_rows_held_at_a_time_change_nothing(world, monkeypatch, denoising: float) -> None:
    whole, sizes = fit(world, denoising=denoising), []
    compute = leave_one_user_out.rows_without_user

    def counted(precision: Tensor, own: Tensor, p: float) -> Tensor:
        sizes.append(own.numel() * NUM_ITEMS)
        return compute(precision, own, p)

    monkeypatch.setattr(leave_one_user_out, "rows_without_user", counted)
    monkeypatch.setattr(leave_one_user_out, "ENTRIES", 200)
    parts = fit(world, denoising=denoising)
    assert max(sizes) <= 200
    assert len(sizes) > 2 * 10
    for one, two in zip(whole.tables, parts.tables, strict=True):
        torch.testing.assert_close(two.get_buffer("weight"), one.get_buffer("weight"))
        assert torch.equal(two.get_buffer("target")[:-1], one.get_buffer("target")[:-1])


def test_num_neighbors_counts_and_may_be_more_than_there_are(world) -> None:
    for number, width in ((2, 2), (5, 5), (NUM_ITEMS + 9, NUM_ITEMS)):
        votes = fit(world, num_neighbors=number)
        assert {table.get_buffer("weight").size(1) for table in votes.tables} == {width}


def test_users_without_rows_do_no_harm() -> None:
    train = Interactions.from_arrays([1, 1, 3, 3], [0, 1, 0, 1], num_users=6, num_items=3)
    votes = LeaveOneUserOut([ridge_precision(train, l2=1.0)], train, num_neighbors=2)
    voter = votes.voters(torch.tensor([[0]] * 2), torch.tensor([3, 2]))[:, 0]
    target, weight = votes.tables[0](voter)
    assert target[0, 0] == 1
    assert weight.flatten().tolist() == pytest.approx([1 / 2, 0, 0, 0], abs=1e-6)
    empty = Interactions.from_arrays([], [], num_users=2, num_items=3)
    none = LeaveOneUserOut([ridge_precision(empty, l2=1.0)], empty, num_neighbors=2)
    assert not none.tables[0](none.voters(torch.tensor([[0, 2]]), torch.tensor([1])))[1].any()


def test_exact_votes_know_what_they_were_fitted_on(world) -> None:
    votes = fit(world)
    votes.check(world.train)
    rest = world.train.select(world.train.user_id != 3)
    with pytest.raises(ValueError, match=r"'train' must hold the interactions .* \(got \d+ dist"):
        votes.check(rest)


# ---- cross-fitted -------------------------------------------------------------------------------


def test_cross_fitted_votes_come_from_the_graphs_without_the_users_fold(
    world, dense_edges: Callable[[Data], Tensor]
) -> None:
    # Of unequal widths: the tables are filled up to one.
    folds = [[make_graph(NUM_ITEMS, 120 + 60 * f, 2 * f + m) for m in range(2)] for f in range(3)]
    fold = user_folds(NUM_USERS, 3, seed=0)
    votes = CrossFittedVotes(folds, fold, world.train)
    for user in range(NUM_USERS):
        want = torch.stack([dense_edges(graph) for graph in folds[int(fold[user])]])
        assert torch.equal(dense_rows(votes, list(range(NUM_ITEMS)), user), want)


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
