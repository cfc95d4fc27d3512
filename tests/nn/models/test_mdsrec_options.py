from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GraphConv

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import MDSRec


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
