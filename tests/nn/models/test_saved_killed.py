"""A model that is saved while the process is killed, the disk is full, or another saves too."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.nn import LGConv

from mdsrec_pyg.nn import MDSRec, Recommender, SASRec
from tests.test_io import killed_at
from tests.test_io_seals import files_of_at_most

FILES = ["README.md", "config.json", "items.json", "model.safetensors"]


def make(value: float) -> SASRec:
    torch.manual_seed(0)
    model = SASRec(24, channels=4, max_length=9)
    model.item_ids = [f"{value}-{i}" for i in range(24)]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def value_of(folder: Path) -> float:
    """The value that the model in the folder was made with; ids and weights must agree."""
    model = Recommender.load(folder)
    (value,) = {part.flatten()[0].item() for part in model.parameters()}
    assert model.item_ids is not None
    assert model.item_ids[0] == f"{value}-0"
    return value


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
def test_killed_while_it_is_replaced_it_is_the_old_or_the_new_one(
    tmp_path: Path, call: int
) -> None:
    folder = tmp_path / "model"
    make(1.0).save(folder)
    new = make(2.0)
    assert killed_at(call, lambda: new.save(folder)) == (call < 6)
    assert value_of(folder) == (1.0 if call == 1 else 2.0)
    make(3.0).save(folder)
    assert value_of(folder) == 3.0
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir(tmp_path) == ["model"]


def test_a_full_disk_leaves_the_old_one(tmp_path: Path) -> None:
    make(1.0).save(tmp_path / "model")
    with files_of_at_most(2000), pytest.raises(OSError, match=r"(?i)file too large.*/model'"):
        make(2.0).save(tmp_path / "model")
    assert value_of(tmp_path / "model") == 1.0
    assert sorted(os.listdir(tmp_path / "model")) == FILES


def test_two_that_save_at_once_leave_one_of_them_whole(tmp_path: Path) -> None:
    make(0.0).save(tmp_path / "model")
    models = [make(float(value)) for value in range(4)]
    threads = [threading.Thread(target=model.save, args=[tmp_path / "model"]) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value_of(tmp_path / "model") in (0.0, 1.0, 2.0, 3.0)
    assert sorted(os.listdir(tmp_path / "model")) == FILES


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"model' must be a folder .*is a link to 'nowhere'"):
        make(1.0).save(tmp_path / "model")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"conv": 5}, r"'conv' must be a MessagePassing or a callable that makes one \(got 5\)"),
        ({"encoder": torch.nn.GRU(2, 2)}, r"'encoder' must be a callable that makes a module"),
        ({"fusion": 5}, r"'fusion' must be a module \(got 5\)"),
        ({"device": "foo"}, "'device' must be a device that torch has here"),
    ],
)
def test_arguments_of_another_kind(
    make_mdsrec: Any, tmp_path: Path, argument: dict[str, Any], message: str
) -> None:
    (name,) = argument
    if name != "device":
        with pytest.raises(ValueError, match=message):
            make_mdsrec(**argument)
    if name in ("conv", "device"):
        make_mdsrec(conv=LGConv()).save(tmp_path / "model")
        with pytest.raises(ValueError, match=message):
            MDSRec.load(tmp_path / "model", **{"conv": LGConv(), **argument})
