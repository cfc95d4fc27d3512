"""Files of a run, resuming it bit by bit, and what resuming refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.io import save_sealed
from mdsrec_pyg.seed import seed_everything
from mdsrec_pyg.training.checkpoint import load_checkpoint, load_weights, save_checkpoint
from mdsrec_pyg.training.trainer import History, Trainer

OPTIONS: dict[str, Any] = {
    "lr": 0.02,
    "weight_decay": 0.1,
    "epochs": 6,
    "batch_size": 8,
    "patience": 4,
    "warmup_steps": 20,
    "grad_clip": 1.0,
    "average_epochs": 2.0,
    "shuffle_ties": True,
    "seed": 3,
    "device": "cpu",
    "progress": False,
}


def fit(model: Any, split: Split, resume: bool = False, **options: Any) -> History:
    said = options.pop("said", [])
    trainer = Trainer(model, **{**OPTIONS, "log": said.append, **options})
    return trainer.fit(split.train, split.val, resume=resume)


def stop_at(model: Any, step: int, error: type[BaseException]) -> Any:
    """The model, which raises ``error`` in that training step; 9 steps are an epoch."""
    loss = model.loss
    calls: list[int] = []

    def stopping(batch):
        calls.append(1)
        if len(calls) == step:
            raise error
        return loss(batch)

    model.loss = stopping
    return model


def same(a: Any, b: Any) -> bool:
    """Whether two checkpoints are equal bit by bit, but for the seconds."""
    if isinstance(a, dict):
        keys = [key for key in a if key != "seconds"]
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in keys)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def rows(directory: Path) -> list[dict[str, Any]]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.fixture
def whole(toy_model, toy_split, tmp_path):
    """An uninterrupted run: its model, history and folder."""
    model = toy_model()
    return model, fit(model, toy_split, directory=tmp_path / "whole"), tmp_path / "whole"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("step", [10, 32, 50])
def test_resumed_equals_uninterrupted(whole, toy_model, toy_split, tmp_path, error, step):
    model, history, folder = whole
    broken = stop_at(toy_model(), step, error)
    if error is KeyboardInterrupt:
        assert fit(broken, toy_split, directory=tmp_path / "run").interrupted
    else:
        with pytest.raises(error):
            fit(broken, toy_split, directory=tmp_path / "run")
    seed_everything(99)  # what a new process may have drawn already
    resumed = toy_model()
    nn.init.normal_(resumed.item.weight)
    again = fit(resumed, toy_split, directory=tmp_path / "run", resume=True)
    assert same(resumed.state_dict(), model.state_dict())
    for name in ("last.pt", "best.pt"):
        assert same(load_checkpoint(tmp_path / "run" / name), load_checkpoint(folder / name))
    assert same(again.rows, history.rows)
    assert rows(tmp_path / "run") == rows(folder)
    assert (again.best_epoch, again.best_value) == (history.best_epoch, history.best_value)
    assert not again.interrupted


def test_dropout_makes_the_random_state_matter(whole, toy_model, toy_split, tmp_path, monkeypatch):
    fit(stop_at(toy_model(), 32, KeyboardInterrupt), toy_split, directory=tmp_path / "run")
    monkeypatch.setattr("mdsrec_pyg.training.state.set_random_state", lambda *args: None)
    resumed = toy_model()
    fit(resumed, toy_split, directory=tmp_path / "run", resume=True)
    assert not same(resumed.state_dict(), whole[0].state_dict())


def test_interruption_leaves_the_best_weights_and_says_so(toy_model, toy_split, tmp_path):
    said: list[str] = []
    model = stop_at(toy_model(), 32, KeyboardInterrupt)
    history = fit(model, toy_split, directory=tmp_path / "run", said=said)
    assert history.interrupted
    assert len(history) == 3
    assert any("interrupted, kept: 3 finished epochs" in line for line in said)
    best = load_checkpoint(tmp_path / "run" / "best.pt")
    assert best["epoch"] == history.best_epoch
    assert same(dict(model.state_dict()), dict(best["model"]))
    assert load_checkpoint(tmp_path / "run" / "last.pt")["epoch"] == 3
    assert not model.training


def test_interruption_in_the_first_epoch(toy_model, toy_split, tmp_path):
    said: list[str] = []
    model = stop_at(toy_model(), 2, KeyboardInterrupt)
    history = fit(model, toy_split, directory=tmp_path / "run", said=said)
    assert history.interrupted
    assert len(history) == 0
    assert history.best_epoch is None
    assert "nothing is kept" in said[-1]
    assert len(history.to_frame()) == 0
    assert len(fit(toy_model(), toy_split, directory=tmp_path / "run")) == 6  # a fresh start


def test_a_finished_run_returns_at_once(whole, toy_model, toy_split):
    model, history, folder = whole
    resumed = stop_at(toy_model(), 1, AssertionError)
    again = fit(resumed, toy_split, directory=folder, resume=True)
    assert again.rows == history.rows
    assert same(resumed.state_dict(), model.state_dict())
    stopped = fit(
        toy_model(), toy_split, directory=folder.parent / "stopped", patience=1, epochs=50
    )
    assert len(stopped) < 50
    resumed = stop_at(toy_model(), 1, AssertionError)
    options = {"patience": 1, "epochs": 50, "directory": folder.parent / "stopped"}
    assert len(fit(resumed, toy_split, resume=True, **options)) == len(stopped)


def test_epochs_and_patience_may_grow(whole, toy_model, toy_split, tmp_path):
    first = fit(toy_model(), toy_split, directory=tmp_path / "run", epochs=3, patience=2)
    assert len(first) == 3
    resumed = toy_model()
    fit(resumed, toy_split, directory=tmp_path / "run", resume=True)
    assert same(resumed.state_dict(), whole[0].state_dict())
    for name, value in (("epochs", 5), ("patience", 3)):
        with pytest.raises(ValueError, match=f"'{name}' must not be lowered"):
            fit(toy_model(), toy_split, directory=tmp_path / "run", resume=True, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.01),
        ("weight_decay", 0.0),
        ("batch_size", 4),
        ("monitor", "mrr"),
        ("warmup_steps", 0),
        ("grad_clip", None),
        ("average_epochs", 3.0),
        ("shuffle_ties", False),
        ("stride", 1),
        ("exclude_seen", False),  # a model without a history bias masks them
        ("eval_every", 2),
        ("seed", 0),
        ("compile", True),
    ],
)
def test_another_setting_is_an_error_that_names_it(whole, toy_model, toy_split, name, value):
    with pytest.raises(ValueError, match=f"to resume, '{name}' must be as before .*got {value!r}"):
        fit(toy_model(), toy_split, directory=whole[2], resume=True, **{name: value})


def test_another_model_or_other_data_are_errors(whole, toy_model, toy_split):
    folder = whole[2]
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    with pytest.raises(ValueError, match=r"'model' must be built like .*30, 9.*30, 8"):
        fit(toy_model(channels=9), toy_split, directory=folder, resume=True)
    with pytest.raises(ValueError, match=r"it had 'dropout\.p = 0\.3', got 'dropout\.p = 0\.5'"):
        fit(toy_model(dropout=0.5), toy_split, directory=folder, resume=True)
    wide = toy_model()
    wide.scale = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match=r"'scale' has shape \(1,\) in the model and \(\)"):
        fit(wide, toy_split, directory=folder, resume=True)
    slow = toy_model()
    slow.param_groups = lambda lr, weight_decay: [{"params": list(slow.parameters())}]
    with pytest.raises(ValueError, match="'param_groups' must be as before"):
        fit(slow, toy_split, directory=folder, resume=True)
    fewer = toy_split.train.select(np.arange(len(toy_split.train)) > 0)
    trainer = Trainer(toy_model(), **OPTIONS, directory=folder, log=lambda text: None)
    with pytest.raises(ValueError, match="'train' must be as before"):
        trainer.fit(fewer, toy_split.val, resume=True)
    with pytest.raises(ValueError, match="'val' must be as before"):
        trainer.fit(toy_split.train, toy_split.test, resume=True)
    assert before == sorted((path.name, path.read_bytes()) for path in folder.iterdir())


def test_a_crash_between_the_files_is_mended(whole, toy_model, toy_split, tmp_path):
    folder, table = whole[2], rows(whole[2])
    rising = tmp_path / "rising"
    history = fit(toy_model(), toy_split, directory=rising, epochs=whole[1].best_epoch)
    assert history.best_epoch == len(history)  # the best epoch is the last: last.pt holds it
    (rising / "best.pt").unlink()
    (rising / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 99, "lo')
    fit(toy_model(), toy_split, directory=rising, epochs=whole[1].best_epoch, resume=True)
    assert (rising / "best.pt").exists()
    assert rows(rising) == table[: len(history)]
    last = load_checkpoint(folder / "last.pt")
    save_checkpoint(folder / "last.pt", {**last, "best_epoch": 1, "epoch": 6})
    with pytest.raises(ValueError, match=r"best.pt' must hold epoch 1"):
        fit(toy_model(), toy_split, directory=folder, resume=True)


def test_a_folder_in_use_is_not_overwritten(whole, toy_model, toy_split):
    with pytest.raises(ValueError, match="already holds a run: continue it with"):
        fit(toy_model(), toy_split, directory=whole[2])


def test_resume_needs_a_run(toy_model, toy_split, tmp_path):
    with pytest.raises(ValueError, match="needs the 'directory'"):
        fit(toy_model(), toy_split, resume=True)
    with pytest.raises(ValueError, match=r"there is no checkpoint .*last\.pt"):
        fit(toy_model(), toy_split, directory=tmp_path, resume=True)


def test_files_of_a_run(whole):
    _, history, folder = whole
    assert sorted(path.name for path in folder.iterdir()) == ["best.pt", "last.pt", "metrics.jsonl"]
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history.rows
    assert all({"epoch", "loss", "seconds", "ndcg@10"} <= json.loads(line).keys() for line in lines)
    torch.load(folder / "last.pt", weights_only=True)
    best = torch.load(folder / "best.pt", weights_only=True)
    assert best["best_value"] == history.best_value
    assert best["settings"]["lr"] == 0.02


def test_load_weights(whole, toy_model, tmp_path):
    model, history, folder = whole
    other = toy_model()
    content = load_weights(other, folder / "best.pt")
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    assert content["epoch"] == history.best_epoch
    assert "model" not in content
    with pytest.raises(ValueError, match=r"'item.weight' has shape \(30, 9\) in the model"):
        load_weights(toy_model(channels=9), folder / "best.pt")
    other.extra = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match=r"'extra' has shape \(1,\) in the model and none"):
        load_weights(other, folder / "best.pt")


def test_broken_files_are_errors(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(ValueError, match="there is no checkpoint"):
        load_checkpoint(path)
    for content in (b"", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.pt' must be whole and written by this library"):
            load_checkpoint(path)
    torch.save({"format": 1, "epoch": 3}, path)  # as versions before wrote it
    with pytest.raises(ValueError, match=r"no hash at its end.*an older version\): take it from"):
        load_checkpoint(path)
    save_sealed(path, {"weight": torch.ones(1)})
    with pytest.raises(ValueError, match=r"of format 2 \(got None\)"):
        load_checkpoint(path)
    save_sealed(path, Split)  # would run code
    with pytest.raises(ValueError, match=r"a\.pt' cannot be read \(Weights only load failed"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(AttributeError):
        save_checkpoint(path, {"epoch": lambda: 2})
    assert load_checkpoint(path)["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]
