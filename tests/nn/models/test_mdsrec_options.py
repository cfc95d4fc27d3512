from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphConv

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import MDSRec, MDSRecConfig
from mdsrec_pyg.nn.losses.linear import linear_cross_entropy
from mdsrec_pyg.nn.models import base
from mdsrec_pyg.training import TrainerConfig


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
    "block": "ligr",
    "conv": lambda: GraphConv(4, 4),
    "num_conv_layers": 2,
    "center_form": "soft",
    "center_mode": "only",
    "add_id": False,
    "add_features": False,
    "add_centers": False,
    "num_components": 2,
    "temperature": 0.2,
    "fusion": "mean",
    "vote_hidden": 0,
    "vote_positions": 1,
    "encoder": lambda: RunningMean(),
    "vector_weight": 3.0,
    "history_bias": False,
    "num_negatives": 2,
    "max_scores": 24,
    "bias_lr": 50.0,
    "config": MDSRecConfig(num_conv_layers=2),
}


@pytest.mark.parametrize("option", sorted(OPTIONS.keys() - {"max_length", "max_scores"}))
def test_every_option_counts(make_mdsrec, world, option: str) -> None:
    default, changed = make_mdsrec(), make_mdsrec(**{option: OPTIONS[option]})
    # The same weights wherever both have them: only the option itself makes a difference.
    own, new = default.state_dict(), changed.state_dict()
    new |= {k: v for k, v in own.items() if k in new and new[k].shape == v.shape}
    changed.load_state_dict(new)
    first, second = outcome(default, world.batch), outcome(changed, world.batch)
    assert (first - second).abs().max() > 1e-3


def test_longer_histories_with_a_larger_max_length(make_mdsrec) -> None:
    default, changed = make_mdsrec(), make_mdsrec(max_length=OPTIONS["max_length"])
    long = SequenceBatch.from_histories([list(range(20))], 20)
    assert changed.score(long).isfinite().all()
    with pytest.raises(ValueError, match="at most max_length=12"):
        default.score(long)
    # Votes and biases of items further back than 12 steps: the 12th's.
    assert changed.votes is not None
    assert changed.votes.weight.shape == (2, 20)


def test_max_scores_reaches_the_cross_entropy(make_mdsrec, world, monkeypatch) -> None:
    """It changes memory, not the result."""
    given = []

    def spied(*args: Any) -> Tensor:
        given.append(args[5])
        return linear_cross_entropy(*args)

    monkeypatch.setattr(base, "linear_cross_entropy", spied)
    models = make_mdsrec(), make_mdsrec(max_scores=OPTIONS["max_scores"])
    torch.testing.assert_close(*(outcome(model, world.batch) for model in models))
    assert given == [None, 24]


def test_all_options_are_tried() -> None:
    own = set(inspect.signature(MDSRec).parameters) - {"graphs", "options"}
    assert own | {field.name for field in fields(MDSRecConfig)} == set(OPTIONS)


def test_options_by_name_stand_over_the_configuration(make_mdsrec) -> None:
    config = MDSRecConfig(channels=6, num_conv_layers=2, fusion="softmax")
    model = make_mdsrec(config=config, channels=4, fusion="mean")
    assert model.config == config.replace(channels=4, fusion="mean", vote_hidden=6, max_length=12)
    assert model.fusion.mode == "mean"
    assert make_mdsrec(config=config, fusion=None).fusion.mode == "softmax"


def test_a_misspelled_option_names_the_one_that_was_meant(make_mdsrec) -> None:
    message = "MDSRecConfig has no option 'chanels': did you mean 'channels'?"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_mdsrec(chanels=3)


def test_the_configuration_of_something_else_is_an_error(make_mdsrec) -> None:
    with pytest.raises(ValueError, match=r"expected a MDSRecConfig .* \(got a TrainerConfig\)"):
        make_mdsrec(config=TrainerConfig())


def test_options_that_only_matter_in_training(make_mdsrec, world) -> None:
    """Dropout, noise: nothing at inference."""
    plain = make_mdsrec().score(world.batch)
    for options in ({"dropout": 0.9}, {"fusion": "softmax"}, {"vote_positions": 1}):
        assert torch.equal(make_mdsrec(**options).score(world.batch), plain)


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
        ({"relations": None, "vote_hidden": 3}, "vote_hidden", "relations=None"),
        ({"relations": None, "vote_positions": 2}, "vote_positions", "relations=None"),
        ({"vectors": False, "num_components": 2}, "num_components", "vectors=False"),
        ({"centers": None, "center_form": "soft"}, "center_form", "centers=None"),
        ({"centers": None, "add_centers": False}, "add_centers", "centers=None"),
        ({"encoder": RunningMean, "num_layers": 3}, "num_layers", "'encoder' of your own"),
        ({"fusion": "mean", "temperature": 0.1}, "temperature", "fusion='mean'"),
        (
            {"fusion": FirstModality(), "temperature": 0.1},
            "temperature",
            "a 'fusion' of your own",
        ),
        (
            {"add_features": False, "num_components": 2},
            "num_components",
            "add_features=False",
        ),
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
        ("temperature", float("nan"), "'temperature' must be finite"),
        ("vector_weight", float("nan"), "'vector_weight' must be finite"),
        ("vote_positions", 0, "'vote_positions' must be at least 1"),
        ("vote_positions", "all", "'vote_positions' must be a whole number"),
        ("vote_hidden", -1, "'vote_hidden' must not be negative"),
        ("bias_lr", -1.0, "'bias_lr' must be positive"),
    ],
)
def test_values_out_of_range_are_errors(make_mdsrec, option: str, value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_mdsrec(**{option: value})
