"""Callbacks: when they are called, what they see, how they stop a run, what a resume gives back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mdsrec_pyg.training import Callback, Trainer
from mdsrec_pyg.training import trainer as trainer_module
from mdsrec_pyg.training.checkpoint import load_checkpoint

STEPS = 9  # of an epoch
OPTIONS: dict[str, Any] = {
    "lr": 0.02,
    "epochs": 4,
    "batch_size": 8,
    "device": "cpu",
    "progress": False,
}


def fit(model, split, *callbacks, resume=False, said=None, **options):
    log = (lambda text: None) if said is None else said.append
    trainer = Trainer(model, callbacks=callbacks, log=log, **{**OPTIONS, **options})
    return trainer.fit(split.train, split.val, resume=resume)


class Record(Callback):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_start(self, context):
        self.calls.append(("start", context.epoch, context.step, context.status))

    def on_step(self, context):
        self.calls.append(("step", context.epoch, context.step, float(context.loss)))

    def on_best(self, context):
        self.calls.append(("best", context.epoch, context.step, context.row["ndcg@10"]))

    def on_epoch(self, context):
        self.calls.append(("epoch", context.epoch, context.step, context.row["loss"]))

    def on_end(self, context):
        self.calls.append(("end", context.epoch, context.step, context.status))


class Stop(Callback):
    """Stops at the ``n``-th call of a point."""

    def __init__(self, point: str, n: int = 1, error: BaseException | None = None) -> None:
        self.n, self.error = n, error
        setattr(self, point, self._count)

    def _count(self, context):
        self.n -= 1
        if self.n == 0 and self.error is not None:
            raise self.error
        if self.n == 0:
            context.stop("enough")


def test_points_in_their_order(toy_model, toy_split):
    record = Record()
    history = fit(toy_model(), toy_split, record, epochs=3)
    best = float("-inf")
    expected: list[tuple[Any, ...]] = [("start", 0, 0)]
    for epoch in (1, 2, 3):
        steps = range((epoch - 1) * STEPS + 1, epoch * STEPS + 1)
        expected += [("step", epoch, step) for step in steps]
        if history.rows[epoch - 1]["ndcg@10"] > best:
            best = history.rows[epoch - 1]["ndcg@10"]
            expected.append(("best", epoch, epoch * STEPS))
        expected.append(("epoch", epoch, epoch * STEPS))
    expected.append(("end", 3, 3 * STEPS))
    assert [call[:3] for call in record.calls] == expected
    seen = [call[3] for call in record.calls if call[0] == "epoch"]
    assert seen == [row["loss"] for row in history.rows]
    assert record.calls[0][3] == "running"
    assert record.calls[-1][3] == "finished"


def test_the_loss_of_a_step_is_that_of_the_step(toy_model, toy_split):
    record, model = Record(), toy_model(dropout=0.0)
    losses: list[float] = []
    loss = model.loss

    def spy(batch):
        value = loss(batch)
        losses.append(value.item())
        return value

    model.loss = spy
    fit(model, toy_split, record, epochs=1)
    assert [call[3] for call in record.calls if call[0] == "step"] == losses


def test_the_context_holds_trainer_model_and_history(toy_model, toy_split):
    class Look(Callback):
        def on_step(self, context):
            assert not context.loss.requires_grad
            self.seen = (context.trainer, context.model, context.history)

    look, model = Look(), toy_model()
    trainer = Trainer(model, callbacks=[look], log=lambda text: None, **OPTIONS)
    history = trainer.fit(toy_split.train, toy_split.val)
    assert look.seen[0] is trainer
    assert look.seen[1] is model
    assert look.seen[2] is history


def test_callbacks_that_only_look_change_nothing(toy_model, toy_split):
    class Peek(Callback):
        def on_step(self, context):
            context.model.eval()  # as one who looks at scores does

    one, two = toy_model(), toy_model()
    fit(one, toy_split)
    fit(two, toy_split, Record(), Peek())
    assert torch.equal(one.item.weight, two.item.weight)


def test_steps_are_free_where_nobody_wants_them(toy_model, toy_split, monkeypatch):
    given: list[bool] = []

    def spy(*args, after_step, **kwargs):
        given.append(after_step is not None)
        return train_epoch(*args, after_step=after_step, **kwargs)

    train_epoch = trainer_module.train_epoch
    monkeypatch.setattr(trainer_module, "train_epoch", spy)
    for callbacks in ([], [Callback(), Stop("on_epoch", 9)], [Callback(), Record()]):
        fit(toy_model(), toy_split, *callbacks, epochs=1)
    fit(toy_model(), toy_split, Stop("on_step", 99), epochs=1)  # set on the object
    assert given == [False, False, True, True]


def rows(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").open()]


@pytest.mark.parametrize(
    ("point", "n", "epochs", "steps"),
    [
        ("on_start", 1, 0, 0),
        ("on_step", 4, 0, 4),
        ("on_step", STEPS, 1, STEPS),  # the epoch's last step: nothing of it is given up
        ("on_step", STEPS + 2, 1, STEPS + 2),
        ("on_best", 1, 1, STEPS),
        ("on_epoch", 2, 2, 2 * STEPS),
    ],
)
def test_a_callback_stops_the_run(toy_model, toy_split, tmp_path, point, n, epochs, steps):
    said: list[str] = []
    record, folder = Record(), tmp_path / "run"
    stop = Stop(point, n)
    history = fit(toy_model(), toy_split, stop, record, directory=folder, said=said)
    assert len(history) == epochs
    assert history.stopped_by == "Stop: enough"
    assert not history.interrupted
    assert "stopped by Stop: enough" in said
    assert record.calls[-1] == ("end", epochs, steps, "stopped")
    assert sum(call[0] == "step" for call in record.calls) == steps  # those after it are called
    assert rows(folder) == list(range(1, epochs + 1))
    assert (folder / "last.pt").exists() == (epochs > 0)


def test_a_stopped_run_goes_on_bit_by_bit(toy_model, toy_split, tmp_path):
    whole, resumed = toy_model(), toy_model(dropout=0.3)
    history = fit(whole, toy_split, directory=tmp_path / "whole")
    fit(toy_model(), toy_split, Stop("on_step", STEPS + 3), directory=tmp_path / "run")
    again = fit(resumed, toy_split, directory=tmp_path / "run", resume=True)
    assert again.stopped_by is None
    assert torch.equal(whole.item.weight, resumed.item.weight)
    assert again.best_value == history.best_value
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


@pytest.mark.parametrize(
    ("point", "n", "kept"),
    [("on_start", 1, 0), ("on_step", STEPS + 1, 1), ("on_best", 1, 1), ("on_epoch", 2, 2)],
)
@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_files_are_in_order_after_an_error(toy_model, toy_split, tmp_path, point, n, kept, error):
    record, folder = Record(), tmp_path / "run"
    stop = Stop(point, n, error)
    if isinstance(error, KeyboardInterrupt):
        assert fit(toy_model(), toy_split, stop, record, directory=folder).interrupted
        assert record.calls[-1][3] == "interrupted"
    else:
        with pytest.raises(RuntimeError, match="broken"):
            fit(toy_model(), toy_split, stop, record, directory=folder)
        assert record.calls[-1][3] == "failed"
    assert rows(folder) == list(range(1, kept + 1))
    if kept:
        assert load_checkpoint(folder / "last.pt")["epoch"] == kept
        resumed, whole = toy_model(), toy_model()
        fit(resumed, toy_split, directory=folder, resume=True)
        fit(whole, toy_split)
        assert torch.equal(resumed.item.weight, whole.item.weight)


def test_the_end_sees_the_best_weights(toy_model, toy_split, tmp_path):
    class Keep(Callback):
        def on_end(self, context):
            self.weights = context.model.item.weight.detach().clone()
            self.training = context.model.training

    keep = Keep()
    fit(toy_model(), toy_split, keep, directory=tmp_path / "run", epochs=12, patience=2, lr=0.1)
    best = load_checkpoint(tmp_path / "run" / "best.pt")
    last = load_checkpoint(tmp_path / "run" / "last.pt")
    assert best["epoch"] < last["epoch"]
    assert torch.equal(keep.weights, best["model"]["item.weight"])
    assert not keep.training


def test_numbers_of_a_callback_reach_the_files(toy_model, toy_split, tmp_path):
    class Norm(Callback):
        def on_epoch(self, context):
            context.row["norm"] = float(context.model.item.weight.detach().norm())

    said: list[str] = []
    folder = tmp_path / "run"
    history = fit(toy_model(), toy_split, Norm(), directory=folder, said=said, epochs=1)
    assert json.loads((folder / "metrics.jsonl").read_text())["norm"] == history.rows[0]["norm"]
    assert any(f"norm {history.rows[0]['norm']:.4f}" in line for line in said)


class Noise(Callback):
    """Disturbs the weights by the numbers of a generator, which is its state."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def on_step(self, context):
        weight = context.model.item.weight
        noise = torch.randn(weight.shape, generator=self.generator)
        weight.data.add_(noise, alpha=0.01)

    def on_epoch(self, context):
        torch.randn(3, generator=self.generator)  # kept too: the files come after

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def test_states_come_back(toy_model, toy_split, tmp_path):
    whole, resumed = toy_model(), toy_model()
    fit(whole, toy_split, Noise(1), Noise(2))
    first = (Noise(1), Noise(2), Stop("on_step", 2 * STEPS + 2))
    fit(toy_model(), toy_split, *first, directory=tmp_path / "run")
    fresh = (Record(), Noise(8), Noise(9))
    fit(resumed, toy_split, *fresh, directory=tmp_path / "run", resume=True)
    assert torch.equal(whole.item.weight, resumed.item.weight)
    assert fresh[0].calls[0] == ("start", 2, 2 * STEPS, "running")


def test_a_state_without_its_callback_is_an_error(toy_model, toy_split, tmp_path):
    fit(toy_model(), toy_split, Noise(1), Noise(2), directory=tmp_path / "run", epochs=1)
    for callbacks in ([], [Noise()], [Record(), Noise()]):
        with pytest.raises(ValueError, match=r"to resume, 'callbacks' must hold a Noise.*got"):
            fit(toy_model(), toy_split, *callbacks, directory=tmp_path / "run", resume=True)


@pytest.mark.parametrize("callback", [print, Record, "on_end"])
def test_what_is_no_callback_is_an_error(toy_model, callback):
    with pytest.raises(ValueError, match=r"'callbacks' must be instances of Callback \(got"):
        Trainer(toy_model(), callbacks=[callback])


@pytest.mark.parametrize("name", ["callbacks", "loggers"])
@pytest.mark.parametrize("value", [None, Callback()])
def test_one_that_is_no_list_is_an_error(toy_model, name, value):
    with pytest.raises(ValueError, match=rf"'{name}' must be a list of {name} \(got"):
        Trainer(toy_model(), **{name: value})


def test_a_stop_needs_a_reason(toy_model, toy_split):
    class Silent(Callback):
        def on_start(self, context):
            context.stop("")

    with pytest.raises(ValueError, match="'reason' must not be empty"):
        fit(toy_model(), toy_split, Silent())
