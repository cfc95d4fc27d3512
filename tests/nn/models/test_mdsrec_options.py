from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphConv

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import MDSRec


class RunningMean(nn.Module):
    """A sequence encoder without parameters: the mean of the items so far."""

    def forward(self, x: Tensor, mask: Tensor, centers: Tensor | None = None) -> Tensor:
        x = x * mask[..., None]
        return x.cumsum(1) / mask.cumsum(1).clamp(min=1)[..., None]


class FirstModality(nn.Module):
    """A fusion that listens to the first modality only."""

    def forward(self, users: Tensor) -> Tensor:
        weights = users.new_zeros(users.shape[:-1])
        weights[..., 0] = 1.0
        return weights


def outcome(model: MDSRec, batch: SequenceBatch) -> Tensor:
    """Scores, the training loss, and the scores after a step of training."""
    before = model.eval().score(batch)
    torch.manual_seed(5)
    loss = model.train().loss(batch)
    loss.backward()
    torch.optim.SGD(model.param_groups(0.1, 0.0)).step()
    return torch.cat([before.flatten(), loss[None], model.eval().score(batch).flatten()]).detach()


OPTIONS: dict[str, Any] = {
    "centers": None,
    "relations": None,
    "vectors": False,
    "channels": 6,
    "max_length": 20,
    "num_layers": 2,
    "num_heads": 4,
    "dropout": 0.8,
    "conv": lambda: GraphConv(4, 4),
    "num_conv_layers": 2,
    "center_form": "soft",
    "center_mode": "add",
    "add_id": False,
    "add_features": False,
    "add_centers": False,
    "temperature": 0.2,
    "fusion": "mean",
    "vote_interests": False,
    "vote_dropout": 0.8,
    "vote_positions": "all",
    "encoder": lambda: RunningMean(),
    "vector_weight": 3.0,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_counts(make_mdsrec, world, option: str) -> None:
    options = {option: OPTIONS[option]}
    if option == "centers":
        options["add_centers"] = False
    default = make_mdsrec(**({} if option != "centers" else {"add_centers": False}))
    changed = make_mdsrec(**options)
    # The same weights wherever both have them: only the option itself makes a difference.
    own, new = default.state_dict(), changed.state_dict()
    new |= {k: v for k, v in own.items() if k in new and new[k].shape == v.shape}
    changed.load_state_dict(new)
    if option == "max_length":
        long = SequenceBatch.from_histories([list(range(20))], 20)
        assert changed.score(long).isfinite().all()
        with pytest.raises(ValueError, match="at most max_length=12"):
            default.score(long)
        # Votes and biases of items further back than 12 steps: the 12th's.
        assert changed.votes is not None
        assert changed.votes.attention.weight.shape == (2, 20)
        return
    first, second = outcome(default, world.batch), outcome(changed, world.batch)
    assert (first - second).abs().max() > 1e-3


def test_all_options_are_tried() -> None:
    assert set(inspect.signature(MDSRec).parameters) - {"graphs", "kwargs"} == set(OPTIONS)


def test_options_that_only_matter_in_training(make_mdsrec, world) -> None:
    """Dropout, noise: nothing at inference."""
    plain = make_mdsrec().score(world.batch)
    for option in ("dropout", "vote_dropout"):
        assert torch.equal(make_mdsrec(**{option: 0.9}).score(world.batch), plain)
    assert torch.equal(make_mdsrec(fusion="softmax").score(world.batch), plain)


def test_an_encoder_and_a_fusion_of_your_own(make_mdsrec, world) -> None:
    model, batch = make_mdsrec(encoder=RunningMean, fusion=FirstModality()), world.batch
    assert len({id(encoder) for encoder in model.encoder}) == len(model.modalities)
    items = model.encode_items()
    users, weights = model.encode_modalities(batch, items)
    rows = batch.item_id[0][batch.mask[0]]
    torch.testing.assert_close(users[0, 0], items.embedding[:, rows].mean(1))
    assert weights[:, 0].tolist() == [[1.0, 0.0]] * len(batch)


@pytest.mark.parametrize(
    ("options", "named", "cause"),
    [
        ({"vectors": False, "conv": lambda: GraphConv(4, 4)}, "conv", "vectors=False"),
        ({"vectors": False, "fusion": "softmax", "num_negatives": 3}, "fusion", "vectors=False"),
        ({"relations": None, "vector_weight": 0.3}, "vector_weight", "relations=None"),
        ({"vote_interests": False, "vote_dropout": 0.1}, "vote_dropout", "vote_interests=False"),
        ({"centers": None, "add_centers": False, "center_form": "soft"}, "center_form", "centers"),
        ({"encoder": RunningMean, "num_layers": 3}, "num_layers", "'encoder' of your own"),
        ({"fusion": "mean", "temperature": 0.1}, "temperature", "this 'fusion'"),
    ],
)
def test_options_without_effect_warn(make_mdsrec, options, named: str, cause: str) -> None:
    with pytest.warns(UserWarning, match=rf"'{named}'.* have no effect with .*{cause}"):
        make_mdsrec(**options)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("channels", 0, "'channels' must be at least 1"),
        ("num_layers", 0, "'num_layers' must be at least 1"),
        ("num_heads", 0, "'num_heads' must be at least 1"),
        ("temperature", float("nan"), "'temperature' must be positive and finite"),
        ("vector_weight", float("nan"), "'vector_weight' must be finite"),
        ("vote_positions", "last", "'vote_positions' must be 'newest' or 'all'"),
        ("bias_lr", -1.0, "'bias_lr' must be positive"),
    ],
)
def test_values_out_of_range_are_errors(make_mdsrec, option: str, value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_mdsrec(**{option: value})
