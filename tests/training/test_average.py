"""Weights averaged over the steps: what is validated, kept and left in the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mdsrec_pyg.training import Callback, Trainer
from mdsrec_pyg.training.average import AveragedWeights
from mdsrec_pyg.training.checkpoint import load_checkpoint

STEPS = 9  # an epoch of the toy data in batches of 8
OPTIONS: dict[str, Any] = {"lr": 0.05, "epochs": 3, "batch_size": 8, "device": "cpu", "seed": 3}


class Steps(Callback):
    """Keeps the weights after each step, and those that the other events see."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []
        self.seen: list[Tensor] = []

    def on_step(self, context: Any) -> None:
        self.steps.append(context.model.item.weight.detach().clone())

    def on_epoch(self, context: Any) -> None:
        self.seen.append(context.model.item.weight.detach().clone())


def fit(model: Any, split: Any, **options: Any) -> Steps:
    kept = Steps()
    given = {**OPTIONS, "callbacks": [kept], "progress": False, "log": lambda text: None}
    Trainer(model, **{**given, **options}).fit(split.train, split.val)
    return kept


def average(steps: list[Tensor], window: float) -> Tensor:
    mean = torch.zeros_like(steps[0])
    for t, value in enumerate(steps, 1):
        mean = mean + max(1 / t, 1 / window) * (value - mean)
    return mean


@pytest.mark.parametrize("epochs", [0.01, 1.5, 20.0])
def test_every_epoch_is_judged_by_its_average(toy_model, toy_split, epochs: float) -> None:
    kept = fit(toy_model(), toy_split, average_epochs=epochs)
    assert len(kept.steps) == 3 * STEPS
    for epoch, seen in enumerate(kept.seen, 1):
        want = average(kept.steps[: epoch * STEPS], max(1.0, epochs * STEPS))
        torch.testing.assert_close(seen, want)
    plain = fit(toy_model(), toy_split)
    for one, two in zip(plain.steps, kept.steps, strict=True):
        assert torch.equal(one, two)  # the course of training is the same
    assert torch.equal(plain.seen[-1], kept.seen[-1]) == (epochs == 0.01)


def test_the_best_average_is_kept(toy_model, toy_split, tmp_path) -> None:
    model, folder = toy_model(), tmp_path / "run"
    kept = fit(model, toy_split, average_epochs=2, directory=folder)
    last, best = load_checkpoint(folder / "last.pt"), load_checkpoint(folder / "best.pt")
    torch.testing.assert_close(last["model"]["item.weight"], kept.steps[-1], rtol=0, atol=0)
    want = kept.seen[best["epoch"] - 1]
    assert torch.equal(best["model"]["item.weight"], want)
    assert torch.equal(model.item.weight, want)
    assert torch.equal(last["average"]["item.weight"], kept.seen[-1])


def test_a_crash_between_the_files_is_mended(toy_model, toy_split, tmp_path) -> None:
    folder, again = tmp_path / "run", toy_model()
    fit(toy_model(), toy_split, average_epochs=2, directory=folder)
    best = load_checkpoint(folder / "best.pt")
    assert best["epoch"] == OPTIONS["epochs"]  # else it is not written anew
    (folder / "best.pt").unlink()
    trainer = Trainer(again, directory=folder, average_epochs=2, **OPTIONS)
    trainer.fit(toy_split.train, toy_split.val, resume=True)
    for name, weight in load_checkpoint(folder / "best.pt")["model"].items():
        assert torch.equal(weight, best["model"][name])
    assert torch.equal(again.item.weight, best["model"]["item.weight"])


def test_only_what_is_trained_is_averaged() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    kept = AveragedWeights(model, 4.0)
    assert list(kept.state_dict()) == ["weight"]
    own = model.weight.detach().clone()
    kept.values[0].fill_(7.0)
    place = model.weight.data_ptr()
    with kept.applied():
        assert model.weight.tolist() == [[7.0, 7.0]]
        assert model.weight.data_ptr() == place
    assert torch.equal(model.weight, own)
    assert model.weight.data_ptr() == place


def test_an_error_leaves_the_weights_as_they_were() -> None:
    model = nn.Linear(2, 1)
    kept, own = AveragedWeights(model, 4.0), model.weight.detach().clone()
    kept.values[0].fill_(7.0)

    def fail() -> None:
        with kept.applied():
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert torch.equal(model.weight, own)
