"""Files of a run: damaged, in use by another, interrupted while they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, StepLR

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.io import claim
from mdsrec_pyg.training import (
    Callback,
    History,
    RunConfig,
    Trainer,
    TrainerConfig,
    load_weights,
    run_folder,
    train_run,
)
from mdsrec_pyg.training.checkpoint import load_checkpoint, save_checkpoint
from tests.test_io_seals import files_of_at_most

Make = Callable[..., Any]


def fit(model: Any, split: Split, folder: Path, resume: bool = False, **options: Any) -> History:
    options = {"epochs": 3, "lr": 0.02, "batch_size": 8, "device": "cpu", **options}
    options = {"log": lambda line: None, "progress": False, "directory": folder, **options}
    return Trainer(model, **options).fit(split.train, split.val, resume=resume)


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_no_flipped_bit_is_served(
    toy_model: Make, toy_split: Split, tmp_path: Path, name: str
) -> None:
    fit(toy_model(), toy_split, tmp_path / "run")
    path = tmp_path / "run" / name
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 60).tolist():
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}' must be .*: take it from a copy"):
            load_weights(toy_model(), path)
    path.write_bytes(whole[:2000])
    with pytest.raises(ValueError, match=rf"{name}' must be whole"):
        load_weights(toy_model(), path)
    if name == "last.pt":
        with pytest.raises(ValueError, match=r"last\.pt' must be whole"):
            fit(toy_model(), toy_split, tmp_path / "run", resume=True, epochs=4)


def test_a_folder_in_which_another_trains(
    toy_model: Make, toy_split: Split, tmp_path: Path
) -> None:
    code = "import sys; from mdsrec_pyg.io import claim\nwith claim(sys.argv[1]): print(1); input()"
    command = [sys.executable, "-uc", code, str(tmp_path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ValueError, match=rf"process {other.pid} on .* has locked"):
            fit(toy_model(), toy_split, tmp_path)
        assert os.listdir(tmp_path) == [".lock"]
        other.kill()
    assert len(fit(toy_model(), toy_split, tmp_path)) == 3
    with claim(tmp_path):  # it has ended
        pass


def test_a_full_disk_keeps_the_epochs_before(
    toy_model: Make, toy_split: Split, tmp_path: Path
) -> None:
    fit(toy_model(), toy_split, tmp_path / "whole")
    fit(toy_model(), toy_split, tmp_path / "run", epochs=1)
    size = (tmp_path / "run" / "best.pt").stat().st_size + 500  # last.pt is larger
    with files_of_at_most(size), pytest.raises(OSError, match=r"File too large.*last\.pt'"):
        fit(toy_model(), toy_split, tmp_path / "run", resume=True)
    assert sorted(os.listdir(tmp_path / "run")) == ["best.pt", "last.pt", "metrics.jsonl"]
    assert load_checkpoint(tmp_path / "run" / "last.pt")["epoch"] == 1
    fit(toy_model(), toy_split, tmp_path / "run", resume=True)
    one, two = (load_checkpoint(tmp_path / name / "last.pt")["model"] for name in ("whole", "run"))
    assert torch.equal(one["item.weight"], two["item.weight"])


@pytest.mark.parametrize("name", ["last.pt", "best.pt", "metrics.jsonl"])
def test_ctrl_c_while_files_are_written_says_what_the_disk_holds(
    toy_model: Make, toy_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    said: list[str] = []
    save, calls = save_checkpoint, []

    def interrupted(path: Path, content: dict[str, Any]) -> None:
        calls.append(path.name)
        if calls.count(path.name) == 2 and path.name == name:
            raise KeyboardInterrupt
        save(path, content)

    def text(row: dict[str, Any]) -> str:
        calls.append("metrics.jsonl")
        if calls.count("metrics.jsonl") == 2 and name == "metrics.jsonl":
            raise KeyboardInterrupt
        return json.dumps(row)

    monkeypatch.setattr(run_folder, "save_checkpoint", interrupted)
    monkeypatch.setattr(run_folder, "json_text", text)
    history = fit(toy_model(), toy_split, tmp_path, epochs=9, log=said.append)
    assert history.interrupted
    last = load_checkpoint(tmp_path / "last.pt")
    assert last["epoch"] == len(history)
    assert any(f"kept: {last['epoch']} finished epoch" in line for line in said)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == history.rows
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == history.best_epoch


def test_who_insists_on_ctrl_c_is_told_of_one_epoch_less(
    toy_model: Make, toy_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    save = save_checkpoint

    def interrupted(path: Path, content: dict[str, Any]) -> None:
        if content["epoch"] == 2:
            raise KeyboardInterrupt
        save(path, content)

    monkeypatch.setattr(run_folder, "save_checkpoint", interrupted)
    assert fit(toy_model(), toy_split, tmp_path, log=said.append).interrupted
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 1
    assert any("kept: 1 finished epoch;" in line for line in said)


class Spoil(Callback):
    """Makes the weights NaN in a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, context: Any) -> None:
        if context.step == self.step:
            with torch.no_grad():
                next(context.model.parameters()).fill_(float("nan"))


def test_a_loss_that_is_not_finite_leaves_the_best_weights(
    toy_model: Make, toy_split: Split, tmp_path: Path
) -> None:
    model = toy_model()
    with pytest.raises(FloatingPointError, match="is not finite in epoch 3"):
        fit(model, toy_split, tmp_path, epochs=5, callbacks=[Spoil(20)])
    best = load_checkpoint(tmp_path / "best.pt")["model"]
    assert all(torch.equal(best[name], value) for name, value in model.state_dict().items())
    assert not model.training
    with pytest.raises(FloatingPointError):
        fit(model := toy_model(), toy_split, tmp_path / "first", callbacks=[Spoil(1)])
    assert not model.training


def test_another_number_of_threads_is_said(
    toy_model: Make, toy_split: Split, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    fit(toy_model(), toy_split, tmp_path, epochs=1)
    settings = load_checkpoint(tmp_path / "last.pt")["settings"]
    assert settings["threads"] == torch.get_num_threads()
    assert settings["torch"] == torch.__version__
    fit(toy_model(), toy_split, tmp_path, epochs=2, resume=True)
    assert not recwarn.list
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        with pytest.warns(
            UserWarning, match=rf"threads was {threads}, is {threads + 1}.*bit by bi"
        ):
            fit(toy_model(), toy_split, tmp_path, resume=True)
        torch.set_num_threads(threads + 2)
        with warnings.catch_warnings():  # nothing is left to be trained
            warnings.simplefilter("error")
            fit(toy_model(), toy_split, tmp_path, resume=True)
    finally:
        torch.set_num_threads(threads)


def test_a_row_cut_by_a_kill_is_mended(toy_model: Make, toy_split: Split, tmp_path: Path) -> None:
    fit(toy_model(), toy_split, tmp_path, epochs=2)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-30])
    history = fit(toy_model(), toy_split, tmp_path, resume=True)
    assert [json.loads(line) for line in path.read_text().splitlines()] == history.rows
    assert len(history) == 3


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    files = run_folder.RunFiles(tmp_path)
    files.write_rows([{"epoch": 1, "ndcg@10": float("nan")}])
    row = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert row == {"epoch": 1, "ndcg@10": None}


def test_a_scheduler_that_is_a_class(toy_model: Make, toy_split: Split, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'scheduler' must be a function .*StepLR\(optimizer"):
        fit(toy_model(), toy_split, tmp_path / "a", scheduler=StepLR)
    assert not (tmp_path / "a").exists()
    fit(toy_model(), toy_split, tmp_path / "b", scheduler=ConstantLR)  # needs nothing else


@pytest.mark.parametrize("device", ["foo", "", 1.5, "cuda:99"])
def test_a_device_that_is_none(toy_model: Make, device: Any) -> None:
    with pytest.raises(ValueError, match=r"'device' must be a device that torch has here"):
        Trainer(toy_model(), device=device)


def test_memory_that_does_not_suffice(toy_model: Make, toy_split: Split, tmp_path: Path) -> None:
    model = toy_model()
    model.loss = lambda batch: torch.empty(2**50)
    with pytest.raises(MemoryError, match=r"suffice for training: lower 'batch_size' \(it is 8\)"):
        fit(model, toy_split, tmp_path)
    model.loss = lambda batch: torch.zeros(2) @ torch.zeros(3)
    with pytest.raises(RuntimeError, match="inconsistent"):  # a mistake of another kind
        fit(model, toy_split, tmp_path)


class Stop(Callback):
    def on_epoch(self, context: Any) -> None:
        raise RuntimeError("as if it were killed")


def test_a_run_that_goes_on_has_no_results_of_the_epochs_before(tmp_path: Path) -> None:
    SyntheticDataset(120, 60, num_interests=6, seed=0).save(tmp_path / "shop")
    config = RunConfig(
        data=str(tmp_path / "shop"), preset="paper", options={"num_centers": 0, "channels": 4}
    )
    folder = tmp_path / "run"
    options: dict[str, Any] = {"progress": False, "log": lambda text: None, "device": "cpu"}
    train_run(config, TrainerConfig(epochs=1), folder, **options)
    results = {"result.json", "ranks.parquet"}
    assert results < set(os.listdir(folder))
    with pytest.raises(ValueError, match="to resume, 'lr' must be as before"):
        train_run(config, TrainerConfig(epochs=2, lr=0.5), folder, **options)
    assert results < set(os.listdir(folder)), "nothing has changed"
    with pytest.raises(RuntimeError, match="killed"):
        train_run(config, TrainerConfig(epochs=2), folder, callbacks=[Stop()], **options)
    assert results.isdisjoint(os.listdir(folder))
    done = train_run(config, TrainerConfig(epochs=2), folder, **options)
    assert json.loads((folder / "result.json").read_text())["epochs"] == 2 == len(done.history)
