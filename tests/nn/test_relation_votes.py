from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from mdsrec_pyg.data import SequenceBatch, SequenceLoader
from mdsrec_pyg.nn import CrossFittedVotes, RelationAttention, RelationVotes
from mdsrec_pyg.nn.votes.fit import user_folds

MAX_LENGTH = 9


def make_votes(world, perturb, training_votes: Any = None, **options: Any) -> RelationVotes:
    torch.manual_seed(0)
    attention = RelationAttention(
        [feature.x for feature in world.features.values()],
        [centers.labels_ for centers in world.centers.values()],
        max_length=MAX_LENGTH,
        channels=4,
        dropout=0.0,
        interests=options.pop("interests", True),
    )
    graphs = list(world.relations.graphs.values())
    training_votes = training_votes or world.relations.training_votes
    votes = RelationVotes(graphs, attention, training_votes, base=0.05, **options)
    perturb(votes)
    return votes


def dense_scores(
    votes: RelationVotes, weights: Tensor, table: Tensor, items: list[int]
) -> list[Tensor]:
    """Scores of all items after the history ``items`` by the formula of the class, one by one.

    Args:
        votes: Brings base and history bias.
        weights: w of the history, [M, L].
        table: S, [M, N, N].
        items: The history, oldest first, [L].
    """
    base, steps, scores = votes.log_base.exp(), range(len(items)), []
    for j in range(votes.num_items):
        votes_of = [weights[m, i] * table[m, items[i], j] for m in range(2) for i in steps]
        score = torch.log(1 + torch.stack(votes_of).sum() / base)
        if votes.history_bias is not None and j in items:
            gamma = votes.history_bias.gamma
            own = [gamma[len(items) - 1 - i] for i in steps if items[i] == j]
            score = torch.stack(own).sum()
        scores.append(score)
    return scores


def dense_loss(votes: RelationVotes, batch: SequenceBatch, tables: Callable[[int], Tensor]) -> Any:
    """Sum of the cross-entropy with all N scores of every position."""
    assert batch.target is not None
    assert batch.target_mask is not None
    weights = votes.attention(batch.item_id, batch.mask)
    total = torch.zeros(())
    for b, t in batch.target_mask.nonzero().tolist():
        steps = [i for i in range(t + 1) if batch.mask[b, i]]
        items = batch.item_id[b, steps].tolist()
        table = tables(int(batch.user_id[b]))
        scores = dense_scores(votes, weights[b, :, t, steps], table, items)
        total = total - torch.log_softmax(torch.stack(scores), 0)[batch.target[b, t]]
    return total


@pytest.fixture(scope="module")
def short(world) -> SequenceBatch:
    """Some sequences of the batch: padding, repeated items and targets seen before included."""
    batch: SequenceBatch = world.batch
    assert batch.target is not None
    assert batch.target_mask is not None
    rows = batch.mask.sum(1).argsort()[[0, 3, 6, 12, 18]]
    target, counts = batch.target[rows], batch.target_mask[rows]
    part = SequenceBatch(batch.item_id[rows], batch.mask[rows], batch.user_id[rows], target, counts)
    assert not part.mask.all()
    history = [row[mask].tolist() for row, mask in zip(part.item_id, part.mask, strict=True)]
    assert any(len(set(items)) < len(items) for items in history)
    again = (target[:, :, None] == part.item_id[:, None]) & part.mask[:, None]
    assert (again.tril().any(2) & counts).any()
    assert counts.sum() > 15
    return part


@pytest.mark.parametrize("history_bias", [True, False])
@pytest.mark.parametrize("interests", [True, False])
def test_loss_equals_the_dense_form(
    world, perturb, short, dense_without_user, history_bias: bool, interests: bool
) -> None:
    votes = make_votes(world, perturb, history_bias=history_bias, interests=interests)
    loss = votes.loss_sum(short, votes.attention.item_keys())
    expected = dense_loss(votes, short, dense_without_user)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
    own = torch.autograd.grad(loss, list(votes.parameters()))
    slow = torch.autograd.grad(expected, list(votes.parameters()))
    for gradient, want in zip(own, slow, strict=True):
        torch.testing.assert_close(gradient, want, rtol=1e-3, atol=1e-3)
        assert want.any()


@pytest.mark.parametrize("window", [MAX_LENGTH, 2])
def test_newest_positions_need_no_look_inside_whole_histories(
    world, perturb, monkeypatch, window: int
) -> None:
    """The same loss as with the votes inside each history; cut histories take that way."""
    batch = next(iter(SequenceLoader(world.train, window, batch_size=64, shuffle=False)))
    votes = make_votes(world, perturb)
    widths = []
    assert votes.training_votes is not None
    pairs = votes.training_votes.pairs

    def counted(source: Tensor, target: Tensor, user_id: Tensor) -> Tensor:
        widths.append(target.size(1))
        return pairs(source, target, user_id)

    monkeypatch.setattr(votes.training_votes, "pairs", counted)
    keys = votes.attention.item_keys()
    loss = votes.loss_sum(batch, keys, newest_only=True)
    assert widths == ([1] if window == MAX_LENGTH else [1, window])
    monkeypatch.setattr(votes.training_votes, "others", lambda *_: None)
    plain = votes.loss_sum(batch, keys, newest_only=True)
    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=1e-5)


def test_loss_over_cross_fitted_graphs_equals_the_dense_form(
    world, perturb, short, dense_edges
) -> None:
    generator = torch.Generator().manual_seed(0)

    def graph() -> Data:
        key = torch.randperm(24 * 24, generator=generator)[:150]
        key = key[key // 24 != key % 24]
        weight = torch.rand(len(key), generator=generator)
        return Data(edge_index=torch.stack([key // 24, key % 24]), edge_weight=weight, num_nodes=24)

    folds, fold = [[graph(), graph()] for _ in range(3)], user_folds(20, 3, seed=0)
    votes = make_votes(world, perturb, CrossFittedVotes(folds, fold, world.train))

    def tables(user: int) -> Tensor:
        return torch.stack([dense_edges(part) for part in folds[int(fold[user])]])

    loss = votes.loss_sum(short, votes.attention.item_keys())
    torch.testing.assert_close(loss, dense_loss(votes, short, tables), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("history_bias", [True, False])
def test_scores_equal_the_dense_form(world, perturb, dense_edges, history_bias: bool) -> None:
    votes, batch = make_votes(world, perturb, history_bias=history_bias), world.batch
    keys = votes.attention.item_keys()
    scores = votes(batch, keys)
    weights = votes.attention(batch.item_id, batch.mask, keys)[:, :, -1]  # the newest step's
    table = torch.stack([dense_edges(graph) for graph in world.relations.graphs.values()])
    assert scores.shape == (len(batch), 24)
    for b in range(len(batch)):
        steps = batch.mask[b].nonzero()[:, 0].tolist()
        items = batch.item_id[b, steps].tolist()
        want = torch.stack(dense_scores(votes, weights[b][:, steps], table, items))
        torch.testing.assert_close(scores[b], want, rtol=1e-4, atol=1e-4)


def test_training_and_inference_have_one_formula(world, perturb) -> None:
    """With the inference graphs in place of those without the user, the loss is that of score()."""
    graphs = list(world.relations.graphs.values())
    plain = CrossFittedVotes([graphs], torch.zeros(20, dtype=torch.long), world.train)
    votes, batch = make_votes(world, perturb, plain), world.batch
    keys = votes.attention.item_keys()
    last = torch.zeros_like(batch.target_mask)
    last[:, -1] = True
    newest = SequenceBatch(batch.item_id, batch.mask, batch.user_id, batch.target, last)
    log_p = torch.log_softmax(votes(batch, keys), dim=1)
    expected = -log_p.gather(1, batch.target[:, -1:]).sum()
    torch.testing.assert_close(votes.loss_sum(newest, keys), expected, rtol=1e-4, atol=1e-4)
    alone = votes.loss_sum(batch, keys, newest_only=True)
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)


def test_single_votes_add_up_to_the_scores(world, perturb) -> None:
    votes, batch = make_votes(world, perturb, history_bias=False), world.batch
    keys = votes.attention.item_keys()
    item_index = torch.stack([torch.randperm(24)[:7] for _ in range(len(batch))])
    single = votes.votes(batch, keys, item_index)
    assert single.shape == (len(batch), 2, 7, batch.item_id.size(1))
    scores = torch.log1p(single.sum((1, 3)) / votes.log_base.exp())
    torch.testing.assert_close(scores, votes(batch, keys).gather(1, item_index))


def test_padding_changes_nothing(world, perturb) -> None:
    votes, batch = make_votes(world, perturb), world.batch

    def pad(values: Tensor) -> Tensor:
        value = False if values.dtype == torch.bool else 5  # any item may stand in the padding
        return torch.nn.functional.pad(values, (1, 0), value=value)

    padded = SequenceBatch(
        pad(batch.item_id),
        pad(batch.mask),
        batch.user_id,
        pad(batch.target),
        pad(batch.target_mask),
    )
    keys = votes.attention.item_keys()
    torch.testing.assert_close(votes(padded, keys), votes(batch, keys))
    torch.testing.assert_close(votes.loss_sum(padded, keys), votes.loss_sum(batch, keys))


def test_mixed_precision_keeps_the_exact_part_exact(world, perturb) -> None:
    votes = make_votes(world, perturb, interests=False)
    want = votes.loss_sum(world.batch, [])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(votes.loss_sum(world.batch, []), want)


def test_fast_parameters(world, perturb) -> None:
    votes = make_votes(world, perturb)
    assert votes.history_bias is not None
    fast = [votes.attention.weight, votes.log_base, votes.history_bias.weight]
    assert list(map(id, votes.fast_parameters())) == list(map(id, fast))
    without = make_votes(world, perturb, history_bias=False)
    assert list(map(id, without.fast_parameters())) == [
        id(without.attention.weight),
        id(without.log_base),
    ]


def test_errors(world, perturb) -> None:
    votes = make_votes(world, perturb)
    with pytest.raises(ValueError, match=r"'base' must be positive and finite \(got 0\)"):
        RelationVotes(
            list(world.relations.graphs.values()), votes.attention, votes.training_votes, base=0
        )
    batch = SequenceBatch(world.batch.item_id, world.batch.mask, world.batch.user_id)
    with pytest.raises(ValueError, match="'batch' has no targets"):
        votes.loss_sum(batch, votes.attention.item_keys())
