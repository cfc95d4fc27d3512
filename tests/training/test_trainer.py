"""The training loop: each option, early stopping, what it says and what it refuses."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.evaluation import ranking_metrics, target_ranks
from mdsrec_pyg.seed import seed_everything
from mdsrec_pyg.training import loop as loop_module
from mdsrec_pyg.training.trainer import Trainer

BASE: dict[str, Any] = {
    "lr": 0.02,
    "epochs": 2,
    "batch_size": 8,
    "device": "cpu",
    "progress": False,
}


def silent(text: str) -> None:
    pass


def fit(model, split, **options):
    trainer = Trainer(model, **{**BASE, "log": silent, **options})
    return trainer.fit(split.train, split.val)


def last_table(make, split, tmp_path, name: str, **options) -> torch.Tensor:
    fit(make(), split, directory=tmp_path / name, **options)
    return torch.load(tmp_path / name / "last.pt", weights_only=True)["model"]["item.weight"]


@pytest.mark.parametrize(
    "option",
    [
        {"lr": 0.01},
        {"weight_decay": 0.5},
        {"batch_size": 16},
        {"warmup_steps": 12},
        {"grad_clip": 0.1},
        {"shuffle_ties": True},
        {"stride": 1},
        {"seed": 1},
        {"epochs": 3},
    ],
    ids=lambda option: next(iter(option)),
)
def test_each_option_changes_the_weights(toy_model, toy_split, tmp_path, option):
    before = last_table(toy_model, toy_split, tmp_path, "before")
    again = last_table(toy_model, toy_split, tmp_path, "again")
    after = last_table(toy_model, toy_split, tmp_path, "after", **option)
    assert torch.equal(before, again)
    assert not torch.equal(before, after)


def test_training_learns(toy_model, toy_split):
    model = toy_model(dropout=0.0)
    before = target_ranks(model, toy_split.test, exclude_seen=False).mean()
    history = fit(model, toy_split, epochs=30, patience=30)
    assert history.rows[-1]["loss"] < 0.7 * history.rows[0]["loss"]
    assert target_ranks(model, toy_split.test, exclude_seen=False).mean() < 0.6 * before


def test_one_step_equals_adamw(toy_model, toy_split):
    ours, theirs = toy_model(dropout=0.0), toy_model(dropout=0.0)
    fit(ours, toy_split, epochs=1, batch_size=1000, weight_decay=0.1)
    (batch,) = SequenceLoader(toy_split.train, 4, 1000)
    optimizer = torch.optim.AdamW(theirs.param_groups(0.02, 0.1))
    theirs.loss(batch).backward()
    optimizer.step()
    torch.testing.assert_close(ours.item.weight, theirs.item.weight)
    torch.testing.assert_close(ours.scale, theirs.scale)  # five times the step of the rest


def test_the_loss_is_the_mean_over_positions(toy_model, toy_split):
    model = toy_model(dropout=0.0)
    history = fit(model, toy_split, epochs=1, batch_size=7, lr=1e-12)
    (everything,) = SequenceLoader(toy_split.train, 4, 1000)
    assert history.rows[0]["loss"] == pytest.approx(toy_model(dropout=0.0).loss(everything).item())


def scripted(monkeypatch, ranks):
    """Makes the validation of each epoch come out as scripted."""
    script = iter(ranks)
    monkeypatch.setattr(
        loop_module, "target_ranks", lambda *args, **kwargs: np.array([next(script)])
    )


def test_early_stopping_keeps_the_best_weights(toy_model, toy_split, monkeypatch, tmp_path):
    scripted(monkeypatch, [5.0, 2.0, 2.0, 3.0, 4.0, 0.0])
    model = toy_model()
    history = fit(model, toy_split, epochs=9, patience=3, directory=tmp_path / "run")
    assert len(history) == 5
    assert history.best_epoch == 2
    assert not history.interrupted
    assert history.best_value == pytest.approx(1 / math.log2(4))
    monkeypatch.undo()
    second = last_table(toy_model, toy_split, tmp_path, "second", epochs=2)
    assert torch.equal(model.item.weight, second)
    last = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["model"]
    assert not torch.equal(model.item.weight, last["item.weight"])
    assert not model.training


def test_patience_starts_anew_with_each_gain(toy_model, toy_split, monkeypatch):
    scripted(monkeypatch, [9.0, 9.0, 8.0, 8.0, 7.0, 7.0, 7.0, 0.0])
    assert len(fit(toy_model(), toy_split, epochs=20, patience=2)) == 7


def test_monitor_and_seen_rule_choose_what_is_watched(toy_model, toy_split):
    for monitor in ("recall@5", "ndcg@20", "mrr"):
        for exclude_seen in (False, True):
            model = toy_model()
            history = fit(model, toy_split, monitor=monitor, exclude_seen=exclude_seen)
            ranks = target_ranks(model, toy_split.val, exclude_seen=exclude_seen)
            expected = ranking_metrics(ranks, (5, 10, 20))[monitor]
            assert history.best_value == pytest.approx(expected)
            assert history.rows[0]["exclude_seen"] is exclude_seen
            assert {"epoch", "loss", "seconds", "recall@10", "ndcg@20", monitor} <= set(
                history.rows[0]
            )


def test_eval_every(toy_model, toy_split, monkeypatch):
    scripted(monkeypatch, [1.0, 1.0, 1.0])
    history = fit(toy_model(), toy_split, epochs=8, eval_every=2, patience=2)
    assert ["mrr" in row for row in history.rows] == [False, True] * 3  # two stale evaluations
    frame = history.to_frame()
    assert frame.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert frame["mrr"].notna().sum() == 3


def test_eval_batch_size_and_progress_are_passed_on(toy_model, toy_split, monkeypatch):
    calls, bars = [], []

    def spy(*args, **kwargs):
        calls.append((kwargs["batch_size"], kwargs["progress"]))
        return np.zeros(1)

    def bar(iterable, *args, **kwargs):
        bars.append(kwargs["disable"])
        return tqdm(iterable, *args, **kwargs)

    tqdm = loop_module.tqdm
    monkeypatch.setattr(loop_module, "target_ranks", spy)
    monkeypatch.setattr(loop_module, "tqdm", bar)
    fit(toy_model(), toy_split, epochs=1, eval_batch_size=3)
    fit(toy_model(), toy_split, epochs=1, eval_batch_size=4, progress=True)
    assert calls == [(3, False), (4, True)]
    assert bars == [True, None]


def draw() -> tuple[float, ...]:
    numbers = (random.random(), random.gauss(0, 1), np.random.rand(), torch.rand(()).item())
    return (
        (*numbers, torch.rand((), device="cuda").item()) if torch.cuda.is_available() else numbers
    )


@pytest.mark.parametrize("end", ["finished", "failed", "interrupted", "refused", "resumed"])
def test_the_callers_random_states_stay(toy_model, toy_split, tmp_path, end):
    model, folder = toy_model(), tmp_path / "run"
    if end == "resumed":
        fit(toy_model(), toy_split, directory=folder, epochs=1)
    seed_everything(7)
    draw()  # leaves half of a pair of Gaussian numbers in store
    expected = draw()
    seed_everything(7)
    draw()
    if end == "failed":
        model.loss = lambda batch: 1 / 0
        with pytest.raises(ZeroDivisionError):
            fit(model, toy_split)
    elif end == "refused":
        with pytest.raises(ValueError, match="there is no checkpoint"):
            Trainer(model, **BASE, directory=folder).fit(toy_split.train, toy_split.val, True)
    elif end == "interrupted":

        def interrupt(batch):
            torch.rand(5)
            raise KeyboardInterrupt

        model.loss = interrupt
        assert fit(model, toy_split).interrupted
    else:
        trainer = Trainer(model, **BASE, directory=folder, log=silent)
        trainer.fit(toy_split.train, toy_split.val, resume=end == "resumed")
    assert draw() == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA may have started already")
def test_a_seed_that_waits_for_cuda_is_that_of_the_caller(toy_model, toy_split, monkeypatch):
    """Seeds given before CUDA starts are kept for it: fit must not leave its own there."""
    waiting: list[int] = []
    model = toy_model()
    torch.manual_seed(1234)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", waiting.append)
    fit(model, toy_split, epochs=1, seed=5)
    assert waiting == [5, 1234]


def test_device_is_used(toy_model, toy_split):
    model = toy_model()
    moved: list[torch.device] = []
    model.to = moved.append
    fit(model, toy_split, epochs=1)
    assert set(moved) == {torch.device("cpu")}


def test_settings_come_first_then_a_line_an_epoch(toy_model, toy_split, capsys):
    options: dict[str, Any] = {
        **BASE,
        "monitor": "mrr",
        **{"grad_clip": 2.0, "average_epochs": 1.5},
        "exclude_seen": True,
        "seed": 5,
    }
    Trainer(toy_model(), **options).fit(toy_split.train, toy_split.val)
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("epoch"))
    settings = "\n".join(lines[:first])
    for text in (
        "ToyModel, 241 trainable parameters",
        "cpu, float32",
        "seed         5",
        "277 interactions, 40 users, 30 items",
        "lr 0.02",
        "gradient norm at most 2, weights averaged over 1.5 epochs",
        "mrr on val: 40 queries",
        "masked",
        "nothing is written",
    ):
        assert text in settings
    assert len({line.index(line.split("  ")[-1].strip()) for line in lines[:first]}) == 1  # aligned
    assert [line[:9] for line in lines[first:]] == ["epoch   1", "epoch   2", "best: epo"]


def test_without_a_directory_nothing_is_written(toy_model, toy_split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(toy_model(), toy_split)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", [1, 9, 14])
def test_a_loss_that_is_not_finite_is_an_error(toy_model, toy_split, when, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECK_EVERY", 4)
    model = toy_model()
    loss, calls = model.loss, []

    def broken(batch):
        calls.append(1)
        return loss(batch) * (math.nan if len(calls) == when else 1.0)

    model.loss = broken
    epoch, step = (when - 1) // 9 + 1, (when - 1) % 9 + 1  # 9 batches an epoch
    with pytest.raises(FloatingPointError, match=f"epoch {epoch}, step {step}: lower 'lr'"):
        fit(model, toy_split)


def test_fitted_models_are_refused(toy_model, toy_split):
    model = toy_model()
    model.supports_training = False
    with pytest.raises(ValueError, match="ToyModel is fitted when it is built: evaluate it"):
        fit(model, toy_split)


def test_a_parameter_outside_of_the_groups_is_an_error(toy_model, toy_split):
    model = toy_model()
    model.param_groups = lambda lr, weight_decay: [{"params": [model.item.weight]}]
    with pytest.raises(ValueError, match="'scale' is in none of the groups"):
        fit(model, toy_split)
    model.scale.requires_grad_(False)
    fit(model, toy_split, epochs=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_bfloat16_on_cuda(toy_model, toy_split):
    model = toy_model()
    dtypes = []
    loss = model.loss

    def spy(batch):
        dtypes.append(torch.is_autocast_enabled("cuda"))
        return loss(batch)

    model.loss = spy
    fit(model, toy_split, device="cuda", precision="bfloat16")
    assert all(dtypes)
    assert model.item.weight.is_cuda
    assert model.item.weight.dtype == torch.float32
