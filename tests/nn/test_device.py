"""Everything follows its inputs: on a GPU where there is one, else on the device ``meta``.

A tensor that stays on the CPU meets one that does not, and PyTorch refuses both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import (
    CenterEncoder,
    GumbelFusion,
    HistoryBias,
    InterestTransformer,
    ItemGraphEncoder,
    SampledCandidates,
    VoteFusion,
    full_cross_entropy,
)
from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.dropout import Dropout
from mdsrec_pyg.nn.history_bias import first_only, steps_back
from mdsrec_pyg.nn.items import FeatureProjection
from mdsrec_pyg.nn.losses import (
    cross_entropy_sum,
    inner_products,
    linear_cross_entropy,
    loss_positions,
    masked_target,
)
from mdsrec_pyg.nn.votes import CrossFittedVotes
from mdsrec_pyg.nn.votes.edge_table import EdgeTable
from tests.nn.conftest import MAX_LENGTH, NUM_ITEMS, World
from tests.training.step_cases import MODELS, batches, make

DEVICE = "cuda" if torch.cuda.is_available() else "meta"
D = 4


def vectors(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(len(size)))


class Between(nn.Module):
    """Weights of single edges."""

    def __init__(self, table: EdgeTable) -> None:
        super().__init__()
        self.table = table

    def forward(self, voter: Tensor, candidate: Tensor) -> Tensor:
        return self.table.between(voter, candidate)


def full(world: World, batch: SequenceBatch, device: torch.device) -> Tensor:
    table = vectors(NUM_ITEMS, D).to(device)

    def loss_sum(part: SequenceBatch) -> Tensor:
        return cross_entropy_sum(inner_products(table[part.item_id], table), masked_target(part))

    return full_cross_entropy(loss_sum, batch, NUM_ITEMS, 3 * NUM_ITEMS * MAX_LENGTH)


def linear(world: World, batch: SequenceBatch, device: torch.device) -> Tensor:
    table = vectors(NUM_ITEMS, D).to(device)
    values = HistoryBias(MAX_LENGTH).to(device).values(batch.mask, newest_only=False) + 1
    values = first_only(values * batch.mask[:, None], batch.item_id, batch.mask)
    assert batch.target is not None
    given = table[batch.item_id].flatten(0, 1), table, batch.target.flatten()
    history = batch.item_id.repeat_interleave(batch.item_id.size(1), 0)
    weight = batch.mask.flatten().float()
    loss = linear_cross_entropy(*given, history, values.flatten(0, 1), weight=weight)
    return loss / loss_positions(batch).count


def center_encoder(world: World, form: str) -> tuple[nn.Module, tuple[Any, ...]]:
    return CenterEncoder(world.centers["image"], D, form), (vectors(NUM_ITEMS, D),)


#: Modules, and functions of a world, a batch on the device, and the device.
LAYERS: dict[str, Callable[[World], tuple[nn.Module, tuple[Any, ...]]]] = {
    "Dropout": lambda w: (Dropout(0.3), (vectors(5, 7),)),
    "FeatureProjection": lambda w: (FeatureProjection(w.features["text"].x, D), ()),
    "GumbelFusion": lambda w: (GumbelFusion(D, 2), (vectors(6, 2, D),)),
    "HistoryBias": lambda w: (
        HistoryBias(MAX_LENGTH),
        (vectors(len(w.batch), 1, NUM_ITEMS), w.batch.item_id, w.batch.mask),
    ),
    "InterestTransformer": lambda w: (
        InterestTransformer(D, MAX_LENGTH),
        (vectors(*w.batch.mask.shape, D), w.batch.mask, vectors(*w.batch.mask.shape, D)),
    ),
    "ItemGraphEncoder": lambda w: (
        ItemGraphEncoder(2),
        (vectors(NUM_ITEMS, D), w.graphs["text"].edge_index, w.graphs["text"].edge_weight),
    ),
    "LightGraphConv": lambda w: (
        LightGraphConv(),
        (vectors(NUM_ITEMS, D), w.graphs["text"].edge_index, w.graphs["text"].edge_weight),
    ),
    "EdgeTable": lambda w: (
        Between(EdgeTable.from_graph(w.relations.graphs["text"])),
        (w.batch.item_id, w.batch.item_id),
    ),
    "VoteFusion": lambda w: (VoteFusion(3, 5), (vectors(6, 3).abs(), vectors(6, 3).abs())),
    **{
        f"CenterEncoder, {form}": partial(center_encoder, form=form)
        for form in ("mean", "projected", "soft", "embedding")
    },
}

FUNCTIONS: dict[str, Callable[[World, SequenceBatch, torch.device], Tensor]] = {
    "linear_cross_entropy": linear,
    "full_cross_entropy": full,
    "SampledCandidates": lambda w, b, d: SampledCandidates(
        5, torch.full((NUM_ITEMS,), 1 / NUM_ITEMS).to(d), 2
    ).correct(*(x.to(d) for x in (vectors(2, 3, 5), vectors(2, 3), b.item_id[:2, -3:].clone()))),
    "steps_back": lambda w, b, d: steps_back(5, False, d),
}


def to(value: Any, device: str) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_where_its_inputs_are(world: World, name: str) -> None:
    layer, given = LAYERS[name](world)
    layer.eval()
    want = layer(*given)
    moved = copy.deepcopy(layer).to(DEVICE)
    found = moved(*(to(value, DEVICE) for value in given))
    assert found.device.type == DEVICE
    assert found.shape == want.shape
    if DEVICE != "meta":
        torch.testing.assert_close(found.cpu(), want, rtol=1e-4, atol=1e-5)
    drawn = moved.train()(*(to(value, DEVICE) for value in given))
    assert drawn.device.type == DEVICE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_where_its_inputs_are(world: World, name: str) -> None:
    want = FUNCTIONS[name](world, world.batch, torch.device("cpu"))
    found = FUNCTIONS[name](world, world.batch.to(DEVICE), torch.device(DEVICE))
    assert found.device.type == DEVICE
    assert found.shape == want.shape
    if DEVICE != "meta" and name != "SampledCandidates":  # draws
        torch.testing.assert_close(found.cpu(), want, rtol=1e-4, atol=1e-5)


def test_votes_of_training_are_where_they_are_asked(world: World) -> None:
    batch, folds = world.batch, [list(world.relations.graphs.values())] * 2
    crossed = CrossFittedVotes(folds, torch.arange(20) % 2, world.train)
    for votes in (world.relations.training_votes, crossed):
        assert votes is not None
        moved, there = copy.deepcopy(votes).to(DEVICE), batch.to(DEVICE)
        want = votes.voters(batch.item_id, batch.user_id)
        found = moved.voters(there.item_id, there.user_id)
        assert found.device.type == DEVICE
        assert found.shape == want.shape
        for own, other in zip(votes.tables, moved.tables, strict=True):
            for one, two in zip(own(want), other(found), strict=True):
                assert two.device.type == DEVICE
                assert one.shape == two.shape
                if DEVICE != "meta":
                    assert torch.equal(two.cpu(), one)


@pytest.mark.parametrize("fixed_shapes", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_where_it_was_put(name: str, fixed_shapes: bool) -> None:
    model = make(name)
    batch = batches(model, fixed_shapes)[0]
    scores = model.eval().score(batch)
    model.to(DEVICE)
    if DEVICE != "meta" or getattr(model, "votes", None) is None:  # where votes fall, meta forgot
        found = model.score(batch.to(DEVICE))
        assert found.device.type == DEVICE
        assert found.shape == scores.shape
    if DEVICE != "meta":
        torch.testing.assert_close(found.cpu(), scores, rtol=1e-4, atol=1e-4)
    loss = model.train().loss(batch.to(DEVICE))
    loss.backward()
    assert loss.device.type == DEVICE
    assert all(p.grad is None or p.grad.device.type == DEVICE for p in model.parameters())
