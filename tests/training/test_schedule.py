"""Learning rates: the warm-up, torch's schedulers, both at once, and resuming them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as schedulers

from mdsrec_pyg.training import Callback, Trainer
from mdsrec_pyg.training.checkpoint import load_checkpoint, save_checkpoint
from mdsrec_pyg.training.optimizer import make_optimizer
from mdsrec_pyg.training.schedule import Schedule, describe_scheduler

STEPS = 9  # of an epoch
OPTIONS: dict[str, Any] = {
    "lr": 0.02,
    "epochs": 6,
    "batch_size": 8,
    "patience": 9,
    "device": "cpu",
    "progress": False,
}


def fit(model, split, resume=False, **options):
    trainer = Trainer(model, **{"log": lambda text: None, **OPTIONS, **options})
    return trainer.fit(split.train, split.val, resume=resume)


def rates_of(schedule: Schedule, steps: int, each_epoch: int = 0) -> np.ndarray:
    """Rates of all groups at the moment of each step. [steps, groups]"""
    rates = []

    def look(optimizer, args, kwargs):
        rates.append([group["lr"] for group in optimizer.param_groups])

    schedule.optimizer.register_step_pre_hook(look)
    for number in range(1, steps + 1):
        schedule.take_step()
        if each_epoch and number % each_epoch == 0:
            schedule.end_epoch(None)
    return np.array(rates)


def test_warm_up_is_linear_in_every_group(toy_model):
    schedule = Schedule(make_optimizer(toy_model(), 0.1, 0.0), 4)
    rates = rates_of(schedule, 6)
    assert rates == pytest.approx(np.outer([0.25, 0.5, 0.75, 1, 1, 1], [0.1, 0.5]))
    assert schedule.lr == 0.1
    assert (rates_of(Schedule(make_optimizer(toy_model(), 0.1, 0.0)), 2) == [0.1, 0.5]).all()


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_the_warm_up_multiplies_the_scheduler(toy_model, interval):
    def make(optimizer):
        return schedulers.CosineAnnealingLR(optimizer, T_max=20)

    schedule = Schedule(make_optimizer(toy_model(), 0.1, 0.0), 4, make, interval)
    step = np.arange(12)
    passed = step if interval == "step" else step // 3
    cosine = (1 + np.cos(math.pi * passed / 20)) / 2
    expected = np.outer(np.minimum(1, (step + 1) / 4) * cosine, [0.1, 0.5])
    assert rates_of(schedule, 12, each_epoch=3) == pytest.approx(expected)


def test_a_plateau_is_seen_in_evaluated_epochs(toy_model):
    optimizer = make_optimizer(toy_model(), 0.1, 0.0)
    schedule = Schedule(
        optimizer, 0, lambda o: schedulers.ReduceLROnPlateau(o, mode="max", patience=0, factor=0.5)
    )
    for metric, rate in ((0.2, 0.1), (None, 0.1), (None, 0.1), (0.3, 0.1), (0.3, 0.05)):
        schedule.end_epoch(metric)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)


def test_the_plateau_watches_the_monitored_metric(toy_model, toy_split):
    seen: list[float] = []

    class Plateau(schedulers.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):  # type: ignore[override]
            seen.append(metrics)
            super().step(metrics, epoch)

    history = fit(
        toy_model(),
        toy_split,
        scheduler=lambda optimizer: Plateau(optimizer, mode="max"),
        monitor="mrr",
        eval_every=2,
    )
    assert seen == [row["mrr"] for row in history.rows if "mrr" in row]
    assert len(seen) == 3


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_training_equals_the_same_rates_by_hand(toy_model, toy_split, interval):
    """The rates of a scheduler reach the weights: a run is one with these rates set by hand."""

    class ByHand(Callback):
        def on_step(self, context):
            self.set(context.step if interval == "step" else context.epoch - 1)

        def on_epoch(self, context):
            self.set(context.step if interval == "step" else context.epoch)

        def set(self, count):
            for group in optimizers[-1].param_groups:
                group["lr"] = group["initial_lr"] * 0.5 ** (count // 2)

    optimizers: list[torch.optim.Optimizer] = []

    def catch(optimizer):
        optimizers.append(optimizer)
        return schedulers.ConstantLR(optimizer, factor=1.0)

    ours, theirs, plain = toy_model(), toy_model(), toy_model()
    history = fit(
        ours,
        toy_split,
        scheduler=lambda optimizer: schedulers.StepLR(optimizer, 2, gamma=0.5),
        scheduler_interval=interval,
        epochs=4,
    )
    fit(theirs, toy_split, scheduler=catch, callbacks=[ByHand()], epochs=4)
    fit(plain, toy_split, epochs=4)
    assert torch.equal(ours.item.weight, theirs.item.weight)
    assert not torch.equal(ours.item.weight, plain.item.weight)
    steps = [1, 2, 3, 4] if interval == "epoch" else [STEPS, 2 * STEPS, 3 * STEPS, 4 * STEPS]
    expected = [0.02 * 0.5 ** ((step - 1) // 2) for step in steps]
    assert [row["lr"] for row in history.rows] == pytest.approx(expected)


def test_without_a_scheduler_rows_name_no_rate(toy_model, toy_split):
    assert "lr" not in fit(toy_model(), toy_split, epochs=1).rows[0]


MAKERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, T_max=6),
    "restarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, T_0=2, T_mult=2),
    "plateau": lambda o: schedulers.ReduceLROnPlateau(
        o, mode="max", patience=1, threshold=9.0, threshold_mode="abs"
    ),
    "milestones": lambda o: schedulers.MultiStepLR(o, [1, 3, 4]),
    "lambda": lambda o: schedulers.LambdaLR(o, lambda epoch: 0.8**epoch),
    "in a row": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, total_iters=2), schedulers.ExponentialLR(o, 0.7)], [2]
    ),
}


@pytest.mark.parametrize("name", MAKERS)
def test_resumed_equals_uninterrupted(toy_model, toy_split, tmp_path, name):
    check_resume(toy_model, toy_split, tmp_path, scheduler=MAKERS[name])


@pytest.mark.parametrize("name", ["cycle", "triangle"])
def test_resumed_steps_equal_uninterrupted(toy_model, toy_split, tmp_path, name):
    make: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
        "cycle": lambda o: schedulers.OneCycleLR(o, [0.02, 0.1], total_steps=6 * STEPS),
        "triangle": lambda o: schedulers.CyclicLR(
            o, 0.001, 0.02, step_size_up=5, cycle_momentum=False
        ),
    }
    check_resume(toy_model, toy_split, tmp_path, scheduler=make[name], scheduler_interval="step")


def check_resume(toy_model, toy_split, tmp_path, **options):
    class StopIn(Callback):
        def on_step(self, context):
            if context.step == 3 * STEPS + 4:
                context.stop("here")

    options["warmup_steps"] = 4 * STEPS
    whole, resumed, constant = toy_model(), toy_model(), toy_model()
    first = fit(whole, toy_split, directory=tmp_path / "whole", **options)
    fit(toy_model(), toy_split, directory=tmp_path / "run", callbacks=[StopIn()], **options)
    again = fit(resumed, toy_split, directory=tmp_path / "run", resume=True, **options)
    fit(constant, toy_split, directory=tmp_path / "constant", warmup_steps=4 * STEPS)
    assert [row["lr"] for row in again.rows] == [row["lr"] for row in first.rows]

    def last(folder):
        return torch.load(tmp_path / folder / "last.pt", weights_only=True)["model"]["item.weight"]

    assert torch.equal(last("run"), last("whole"))
    assert not torch.equal(last("constant"), last("whole"))


def test_rates_of_an_older_checkpoint_are_put_right(toy_model, toy_split, tmp_path):
    """They kept the rates of the warm-up's last step in the optimizer's groups."""
    whole, resumed = toy_model(), toy_model()
    fit(whole, toy_split, warmup_steps=4 * STEPS)
    fit(toy_model(), toy_split, directory=tmp_path / "run", epochs=2, warmup_steps=4 * STEPS)
    path = tmp_path / "run" / "last.pt"
    last = load_checkpoint(path)
    for group in last["optimizer"]["param_groups"]:
        group["lr"] /= 2
    del last["scheduler"], last["callbacks"], last["settings"]["scheduler"]
    save_checkpoint(path, last)
    fit(resumed, toy_split, directory=tmp_path / "run", resume=True, warmup_steps=4 * STEPS)
    assert torch.equal(resumed.item.weight, whole.item.weight)


@pytest.mark.parametrize(
    ("scheduler", "interval"),
    [
        (None, "epoch"),
        (lambda o: schedulers.StepLR(o, 3), "epoch"),
        (lambda o: schedulers.StepLR(o, 2, gamma=0.2), "epoch"),
        (lambda o: schedulers.ExponentialLR(o, 0.1), "epoch"),
        (lambda o: schedulers.StepLR(o, 2), "step"),
        (lambda o: schedulers.ChainedScheduler([schedulers.StepLR(o, 2)]), "epoch"),
    ],
)
def test_another_schedule_is_an_error(toy_model, toy_split, tmp_path, scheduler, interval):
    options = {"directory": tmp_path / "run", "scheduler": lambda o: schedulers.StepLR(o, 2)}
    fit(toy_model(), toy_split, epochs=1, **options)
    options |= {"scheduler": scheduler, "scheduler_interval": interval}
    with pytest.raises(ValueError, match="to resume, 'scheduler' must be as before"):
        fit(toy_model(), toy_split, resume=True, **options)


def test_rates_that_only_the_groups_hold_are_compared(toy_model):
    def describe(**options):
        def make(optimizer):
            return schedulers.OneCycleLR(optimizer, 0.1, total_steps=9, **options)

        return Schedule(make_optimizer(toy_model(), 0.1, 0.0), 0, make, "step").describe()

    assert describe(final_div_factor=10.0) != describe(final_div_factor=100.0)
    assert describe(final_div_factor=10.0) == describe(final_div_factor=10.0)


def test_the_description_is_said(toy_model, toy_split):
    said: list[str] = []
    fit(
        toy_model(),
        toy_split,
        log=said.append,
        epochs=1,
        scheduler=lambda o: schedulers.StepLR(o, 5, gamma=0.1),
    )
    assert "StepLR(gamma=0.1, step_size=5) each epoch" in said[0]
    assert "  lr 0.02  " in said[1]


def test_descriptions(toy_model):
    optimizer = make_optimizer(toy_model(), 0.1, 0.0)
    steps = [schedulers.StepLR(optimizer, 5), schedulers.LambdaLR(optimizer, math.cos)]
    text = describe_scheduler(schedulers.SequentialLR(optimizer, steps, [4]))
    assert text == (
        "SequentialLR(milestones=[4], StepLR(gamma=0.1, step_size=5), LambdaLR(lr_lambdas=[cos, "
        "cos]))"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": 3}, r"'scheduler' must be a function .*got int"),
        ({"scheduler_interval": "batch"}, r"must be 'epoch' or 'step' \(got 'batch'\)"),
        ({"scheduler_interval": "step"}, "'scheduler_interval' needs a 'scheduler'"),
        ({"scheduler": lambda o: 3}, r"must return a scheduler of torch.*got int"),
        (
            {"scheduler": lambda o: schedulers.StepLR(torch.optim.SGD(o.param_groups), 1)},
            "of the optimizer that it is given",
        ),
        (
            {"scheduler": lambda o: schedulers.ReduceLROnPlateau(o)},
            r"mode='max'\), as a larger ndcg@10 is better \(got mode='min'\)",
        ),
        (
            {
                "scheduler": lambda o: schedulers.ReduceLROnPlateau(o, mode="max"),
                "scheduler_interval": "step",
            },
            "'scheduler_interval' must be 'epoch' for ReduceLROnPlateau",
        ),
    ],
)
def test_bad_schedules_are_errors(toy_model, toy_split, options, message):
    with pytest.raises(ValueError, match=message):
        fit(toy_model(), toy_split, **options)
