"""Scores and loss of the votes against the formulas written out over all items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import CrossFittedVotes, RelationVotes
from mdsrec_pyg.nn.votes import scores as scores_module
from mdsrec_pyg.nn.votes.fit import user_folds
from mdsrec_pyg.nn.votes.scores import DECAY
from tests.nn.conftest import MAX_LENGTH, NUM_ITEMS, NUM_USERS
from tests.nn.vote_cases import (
    assert_same_gradients,
    like_a_gpu,
    make_graph,
    naive_loss,
    naive_scores,
    rows_of,
)


@pytest.fixture(scope="module")
def short(world) -> SequenceBatch:
    """Some sequences: padding, repeated items, targets of the history and without votes."""
    batch: SequenceBatch = rows_of(
        world.batch, world.batch.mask.sum(1).argsort()[[0, 3, 6, 12, 18]]
    )
    assert batch.target is not None
    assert batch.target_mask is not None
    assert not batch.mask.all()
    history = [row[mask].tolist() for row, mask in zip(batch.item_id, batch.mask, strict=True)]
    assert any(len(set(items)) < len(items) for items in history)
    again = (batch.target[:, :, None] == batch.item_id[:, None]) & batch.mask[:, None]
    assert (again.tril().any(2) & batch.target_mask).any()
    # The oldest positions of long sequences do not count: as in windows that overlap.
    batch.target_mask[-1, :-2] = False
    return batch


@pytest.fixture
def make_votes(world, perturb) -> Callable[..., RelationVotes]:
    def make(training_votes: Any = None, **options: Any) -> RelationVotes:
        torch.manual_seed(0)
        votes = RelationVotes(
            list(world.relations.graphs.values()),
            training_votes or world.relations.training_votes,
            **{"max_length": MAX_LENGTH, "hidden": 6, **options},
        )
        perturb(votes)
        return votes

    return make


@pytest.fixture(params=["compact", "fixed size"])
def form(request, monkeypatch) -> str:
    """Both ways to gather the votes: that of a CPU, and that of a GPU."""
    if request.param != "compact":
        like_a_gpu(monkeypatch)
    return str(request.param)


# ---- the loss -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("positions", [1, 4, 99])
@pytest.mark.parametrize("history_bias", [True, False])
@pytest.mark.parametrize("hidden", [0, 6])
def test_loss_and_gradients_are_those_of_a_softmax_over_all_items(
    make_votes, short, dense_without_user, positions: int, history_bias: bool, hidden: int
) -> None:
    votes = make_votes(history_bias=history_bias, hidden=hidden)
    loss = votes.loss(short, positions)
    expected = naive_loss(votes, short, dense_without_user, positions)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert_same_gradients(loss, expected, votes)


def test_some_targets_have_no_votes(make_votes, short, dense_without_user) -> None:
    """They, too, were in the loss above: their score is zero, not missing."""
    votes, without = make_votes(history_bias=False), 0
    for b, t in short.target_mask.nonzero().tolist():
        history = short.item_id[b, : t + 1][short.mask[b, : t + 1]].tolist()
        scores = naive_scores(votes, dense_without_user(int(short.user_id[b])), history)
        without += int(scores[short.target[b, t]] == 0)
    assert 1 < without < short.target_mask.sum()


def test_loss_over_cross_fitted_graphs(make_votes, world, short, dense_edges) -> None:
    folds = [[make_graph(NUM_ITEMS, 150, 2 * f + m) for m in range(2)] for f in range(3)]
    fold = user_folds(NUM_USERS, 3, seed=0)
    votes = make_votes(CrossFittedVotes(folds, fold, world.train))

    def tables(user: int) -> Tensor:
        return torch.stack([dense_edges(part) for part in folds[int(fold[user])]])

    expected = naive_loss(votes, short, tables, 4)
    torch.testing.assert_close(votes.loss(short, 4), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("form")
def test_training_and_inference_have_one_formula(make_votes, world) -> None:
    """With the inference graphs in place of those without the user, the loss is that of forward."""
    graphs = list(world.relations.graphs.values())
    plain = CrossFittedVotes([graphs], torch.zeros(NUM_USERS, dtype=torch.long), world.train)
    votes, batch = make_votes(plain), world.batch
    log_p = torch.log_softmax(votes(batch), dim=1)
    expected = -log_p.gather(1, batch.target[:, -1:]).mean()
    torch.testing.assert_close(votes.loss(batch, 1), expected, rtol=1e-4, atol=1e-5)


def test_the_newest_positions_that_count_are_the_loss(make_votes, short) -> None:
    votes = make_votes()
    values = [votes.loss(short, positions).item() for positions in (1, 2, 4, MAX_LENGTH, 99)]
    assert len({round(value, 5) for value in values[:4]}) == 4
    assert values[3] == values[4]
    # Other targets where none is asked for change nothing.
    other = torch.where(short.target_mask, short.target, (short.target + 1) % NUM_ITEMS)
    assert votes.loss(replace(short, target=other), 4).item() == values[2]
    other = (short.target + 1) % NUM_ITEMS
    assert votes.loss(replace(short, target=other), 4).item() != values[2]


def test_a_batch_without_a_newest_position_that_counts_has_no_loss(make_votes, short) -> None:
    batch = replace(short, target_mask=torch.zeros_like(short.target_mask))
    loss = make_votes().loss(batch, 4)
    assert loss.item() == 0
    loss.backward()


@pytest.mark.usefixtures("form")
def test_padding_changes_nothing(make_votes, world) -> None:
    votes, batch = make_votes(), world.batch

    def pad(values: Tensor) -> Tensor:
        value = False if values.dtype == torch.bool else 5  # any item may stand in the padding
        return torch.nn.functional.pad(values, (1, 0), value=value)

    padded = replace(
        batch,
        item_id=pad(batch.item_id),
        mask=pad(batch.mask),
        target=pad(batch.target),
        target_mask=pad(batch.target_mask),
        positions=None,
    )
    torch.testing.assert_close(votes(padded), votes(batch))
    for positions in (2, 99):
        torch.testing.assert_close(votes.loss(padded, positions), votes.loss(batch, positions))


def test_mixed_precision_keeps_the_exact_part_exact(make_votes, world) -> None:
    votes = make_votes()
    want = votes.loss(world.batch, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(votes.loss(world.batch, 4), want)


def test_a_step_of_training_gives_what_is_voted_for_more(make_votes, world) -> None:
    votes = make_votes()
    optimizer = torch.optim.Adam(votes.parameters(), lr=0.01)
    values = []
    for _ in range(15):
        loss = votes.loss(world.batch, 4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.9 * values[0]


# ---- scores -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(world, dense_edges) -> Tensor:
    return torch.stack([dense_edges(graph) for graph in world.relations.graphs.values()])


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("history_bias", [True, False])
def test_scores_equal_the_dense_form(make_votes, world, table, history_bias: bool) -> None:
    votes, batch = make_votes(history_bias=history_bias), world.batch
    scores, want = votes(batch), []
    for b in range(len(batch)):
        history = batch.item_id[b][batch.mask[b]].tolist()
        want.append(naive_scores(votes, table, history))
    torch.testing.assert_close(scores, torch.stack(want), rtol=1e-4, atol=1e-5)
    assert_same_gradients(scores.square().sum(), torch.stack(want).square().sum(), votes)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("history_bias", [True, False])
@pytest.mark.parametrize("most", [1, 500])  # a query a part, and a few
def test_parts_of_the_queries_change_no_score(
    make_votes, world, monkeypatch, history_bias: bool, most: int
) -> None:
    votes = make_votes(history_bias=history_bias)
    older = torch.tensor([[0, 3, 3, 7, 19], [4, 9, 9, 2, 11]])  # taken, and not read
    batch = replace(world.batch, older=older)
    calls, gather = [], scores_module.gather_evidence

    def counted(tables: Any, queries: Any, *others: Any) -> Any:
        calls.append(len(queries))
        return gather(tables, queries, *others)

    monkeypatch.setattr(scores_module, "gather_evidence", counted)
    with torch.no_grad():
        whole = votes.sparse_scores(batch)
        assert calls == [len(batch)]
        monkeypatch.setattr(scores_module, "VOTES", most)
        parts = votes.sparse_scores(batch)
        assert len(calls) > 3
        assert sum(calls) == 2 * len(batch)
        assert (max(calls[1:]) > 1) == (most > 1)
    for one, two in zip(whole, parts, strict=True):
        torch.testing.assert_close(two, one)
    calls.clear()
    torch.testing.assert_close(votes.sparse_scores(batch)[1], whole[1])
    assert calls == [len(batch)]  # with gradients all at once


def test_single_votes_add_up_to_the_evidence(make_votes, world, table) -> None:
    votes, batch = make_votes(history_bias=False, hidden=0), world.batch
    item_index = torch.stack([torch.randperm(NUM_ITEMS)[:7] for _ in range(len(batch))])
    single = votes.votes(batch, item_index)
    assert single.shape == (len(batch), 2, 7, batch.item_id.size(1))
    assert not single[~batch.mask[:, None, None].expand_as(single)].any()
    scores = votes.fusion.log_scale.exp() * single.sum(3).mean(1)
    torch.testing.assert_close(scores, votes(batch).gather(1, item_index))


def test_votes_further_back_than_there_are_weights_count_as_the_last(world, perturb) -> None:
    graphs = list(world.relations.graphs.values())
    votes = RelationVotes(graphs, None, max_length=30)
    assert votes.alpha.shape == (2, 20)
    assert votes.alpha[1].tolist() == pytest.approx([DECAY**d for d in range(20)])
    assert RelationVotes(graphs, None, max_length=3).alpha.shape == (2, 3)
    perturb(votes)
    history = [1, *[23] * 24, 2]  # item 1 stands 25 steps back; 23 is cold
    single = votes.votes(SequenceBatch.from_histories([history], 30), torch.arange(24)[None])
    found = single[0, :, :, -26]
    table = torch.zeros(2, NUM_ITEMS, NUM_ITEMS)
    for m in range(2):
        index, weight = votes.edges(m)
        table[m, index[0], index[1]] = weight
    edges = table[:, 1]
    assert edges.any()
    torch.testing.assert_close(found, votes.alpha[:, -1:] * edges)


def test_edges_are_those_of_the_graphs(make_votes, world, dense_edges) -> None:
    votes = make_votes()
    for m, graph in enumerate(world.relations.graphs.values()):
        index, weight = votes.edges(m)
        dense = torch.zeros(NUM_ITEMS, NUM_ITEMS).index_put((index[0], index[1]), weight)
        assert torch.equal(dense, dense_edges(graph))
        assert index.size(1) == graph.num_edges


def test_fast_parameters_are_all(make_votes) -> None:
    for history_bias in (True, False):
        votes = make_votes(history_bias=history_bias)
        assert {id(p) for p in votes.fast_parameters()} == {id(p) for p in votes.parameters()}
    names = {name for name, _ in make_votes(hidden=0, history_bias=False).named_parameters()}
    assert names == {"weight", "fusion.log_scale"}


def test_errors(make_votes, world) -> None:
    graphs = list(world.relations.graphs.values())
    with pytest.raises(ValueError, match=r"'graphs' must hold at least one item graph \(got none"):
        RelationVotes([], None, max_length=3)
    with pytest.raises(ValueError, match=r"'hidden' must not be negative \(got -1\)"):
        RelationVotes(graphs, None, max_length=3, hidden=-1)
    batch = SequenceBatch(world.batch.item_id, world.batch.mask, world.batch.user_id)
    with pytest.raises(ValueError, match="'batch' has no targets"):
        make_votes().loss(batch, 4)
    inference = RelationVotes(graphs, None, max_length=MAX_LENGTH)
    for call in (
        lambda: inference.loss(world.batch, 4),
        lambda: inference.check_training(world.train),
    ):
        with pytest.raises(ValueError, match="the votes cannot be trained further"):
            call()
