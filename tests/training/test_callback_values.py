"""What callbacks and schedulers leave in a run can be read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from mdsrec_pyg.training import Callback, Trainer

OPTIONS: dict[str, Any] = {"batch_size": 8, "device": "cpu", "progress": False}


def fit(model, split, folder: Path, resume: bool = False, **options: Any):
    options = {"epochs": 2, **OPTIONS, **options}
    trainer = Trainer(model, directory=folder, log=lambda text: None, **options)
    return trainer.fit(split.train, split.val, resume=resume)


class Put(Callback):
    """Puts a value into the rows."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def on_epoch(self, context):
        context.row["own"] = self.value


class Keep(Callback):
    """Keeps a value as its state from the end of an epoch on."""

    def __init__(self, value: Any, first: Any = 0) -> None:
        self.value, self.state = value, first

    def on_epoch(self, context):
        self.state = self.value

    def state_dict(self):
        return {"value": self.state}


@pytest.mark.parametrize(
    "value", [np.float64(0.5), np.float32(0.5), np.array(0.5), torch.tensor(0.5)]
)
def test_numbers_of_other_libraries_in_a_row(toy_model, toy_split, tmp_path, value) -> None:
    history = fit(toy_model(), toy_split, tmp_path, callbacks=[Put(value)])
    assert [type(row["own"]) for row in history.rows] == [float, float]
    fit(toy_model(), toy_split, tmp_path, resume=True, epochs=3)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("own") for row in rows] == [0.5, 0.5, None]


@pytest.mark.parametrize("value", [float("nan"), "good", [1.0], None, np.ones(2)])
def test_what_is_no_number_is_refused_and_the_run_goes_on(
    toy_model, toy_split, tmp_path, value
) -> None:
    with pytest.raises(ValueError, match=r"'row' must get finite numbers .*as 'own' by Put"):
        fit(toy_model(), toy_split, tmp_path, callbacks=[Put(value)])
    assert len(fit(toy_model(), toy_split, tmp_path, resume=True)) == 2


def test_an_error_of_the_callback_itself_comes_first(toy_model, toy_split, tmp_path) -> None:
    class Breaks(Put):
        def on_epoch(self, context):
            super().on_epoch(context)
            raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        fit(toy_model(), toy_split, tmp_path, callbacks=[Breaks(float("nan"))])
    assert len(fit(toy_model(), toy_split, tmp_path, resume=True)) == 2


@pytest.mark.parametrize("value", [np.float64(1), Path("x"), lambda: None])
def test_states_that_a_checkpoint_cannot_give_back(toy_model, toy_split, tmp_path, value) -> None:
    message = r"the state of 'callbacks' must be tensors and plain Python values"
    with pytest.raises(ValueError, match=message):
        fit(toy_model(), toy_split, tmp_path / "first", callbacks=[Keep(0, first=value)])
    assert not (tmp_path / "first" / "last.pt").exists()  # said before an epoch was trained

    late = toy_model()
    fit(late, toy_split, tmp_path / "late", epochs=1)
    with pytest.raises(ValueError, match=message):
        fit(late, toy_split, tmp_path / "late", epochs=3, callbacks=[Keep(value)], resume=True)
    assert len(fit(toy_model(), toy_split, tmp_path / "late", epochs=2, resume=True)) == 2


def test_the_state_of_a_scheduler(toy_model, toy_split, tmp_path) -> None:
    class Factor:
        def __init__(self) -> None:
            self.base = np.float64(0.9)

        def __call__(self, epoch: int) -> float:
            return float(self.base**epoch)

    def make(optimizer):
        return LambdaLR(optimizer, Factor())

    with pytest.raises(ValueError, match=r"the state of 'scheduler' .*got a numpy"):
        fit(toy_model(), toy_split, tmp_path, scheduler=make)
    fit(toy_model(), toy_split, tmp_path / "without", epochs=1)
    Trainer(toy_model(), scheduler=make, epochs=1, log=lambda text: None, **OPTIONS).fit(
        toy_split.train, toy_split.val
    )  # no files, nothing to read


def test_options_that_no_run_can_have() -> None:
    for option, text in (
        ({"lr": None}, "'lr' must be a number"),
        ({"stride": 0}, "'stride' must be at least 1"),
        ({"seed": 2**32}, "'seed' must be less than"),
    ):
        with pytest.raises(ValueError, match=text):
            Trainer(torch.nn.Linear(1, 1), **option)  # type: ignore[arg-type]
