"""The folder of an export: whole or not at all, verified, with all that says what it is."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from mdsrec_pyg import Popularity
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.export import ExportedModel, formats
from mdsrec_pyg.nn import Recommender
from mdsrec_pyg.nn.models.dense import DensePopularity
from tests.export.export_cases import NUM_ITEMS, histories, make, mdsrec, train
from tests.export.test_exported import needs
from tests.test_io_seals import files_of_at_most

ONE = np.array([[3, 4]]), np.array([[True, True]])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "export"
    model = make("popularity")
    model.item_ids = range(100, 100 + NUM_ITEMS)
    model.export(folder, format="torch", k=3, exclude_seen=True)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "export"))


def test_the_settings_say_what_it_is(folder: Path) -> None:
    settings = json.loads((folder / "export.json").read_text())
    wanted: dict[str, Any] = {
        "format": "torch",
        "program": "program.pt2",
        "model": "Popularity",
        "num_items": NUM_ITEMS,
        "k": 3,
        "exclude_seen": True,
        "item_ids": "items.json",
        "opset": None,
    }
    assert wanted.items() <= settings.items()
    assert set(settings["versions"]) == {"mdsrec_pyg", "torch", "python"}
    assert sorted([*settings["hashes"], "export.json"]) == sorted(os.listdir(folder))
    exported = ExportedModel(folder)
    assert exported.settings == settings
    assert exported.item_ids == list(range(100, 100 + NUM_ITEMS))


@pytest.mark.parametrize("name", ["program.pt2", "items.json"])
def test_a_file_that_was_cut_or_is_missing_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{name} must be as it was exported"):
        ExportedModel(folder)
    path.unlink()
    with pytest.raises(ValueError, match=rf"must have a file '{name}'"):
        ExportedModel(folder)


def test_what_is_no_export_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'folder' must hold an export \(there is no .*"):
        ExportedModel(tmp_path)
    (folder / "export.json").write_text('{"version": 9}')
    with pytest.raises(ValueError, match=r"export.json: .* version 1 \(got 9\)"):
        ExportedModel(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "tflite"},
        {"format": ["torch"]},
        {"item_ids": {}},
        {"program": "../program.pt2"},
        {"hashes": {}},
        {"hashes": None},
        {"item_ids": "other.json"},
        {"program": None, "format": None},
    ],
)
def test_settings_that_were_changed_are_refused(folder: Path, change: dict[str, Any]) -> None:
    settings = json.loads((folder / "export.json").read_text())
    (folder.parent / "program.pt2").write_bytes((folder / "program.pt2").read_bytes())
    (folder / "export.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(ValueError, match=r"export.json: expected format, program, item_ids"):
        ExportedModel(folder)


def test_another_export_replaces_all_of_it(folder: Path) -> None:
    needs("onnx")
    model = make("popularity")
    settings = model.export(folder, k=5, exclude_seen=False)
    assert sorted(os.listdir(folder)) == ["export.json", "program.onnx"]
    assert set(settings["versions"]) >= {"onnx", "onnxscript", "onnxruntime"}
    assert settings["opset"] == 18
    exported = ExportedModel(folder)
    assert exported.item_ids is None
    assert exported(*ONE)[0].shape == (1, 5)


def test_large_tables_have_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("onnx")
    monkeypatch.setattr(formats, "LARGE", 0)
    model = make("popularity")
    settings = model.export(tmp_path / "export", k=5, exclude_seen=True)
    assert sorted(settings["hashes"]) == ["program.onnx", "program.onnx.data"]
    assert ExportedModel(tmp_path / "export")(*ONE)[0].shape == (1, 5)


class _Doubled(DensePopularity):
    def forward(self, item_id: Tensor, mask: Tensor) -> Tensor:
        return 2 * super().forward(item_id, mask)


class _Wrong(Popularity):
    export_form = _Doubled


def test_a_program_that_answers_otherwise_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the exported _Wrong must score as the model does"):
        _Wrong(train()).export(tmp_path / "export", format="torch", k=3, exclude_seen=True)
    assert os.listdir(tmp_path) == []


class _Looks(nn.Module):
    """Looks at what it computes: no program can."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor, mask: Tensor, centers: Tensor | None = None) -> Tensor:
        y: Tensor = self.linear(x)
        return -y if y.sum().item() > 0 else y


class _Sum(nn.Module):
    def forward(self, users: Tensor) -> Tensor:
        return users.sum(-1).softmax(-1) if users.sum().item() > 0 else users.mean(-1)


@pytest.mark.parametrize(
    ("name", "part", "kind"), [("encoder", _Looks, "_Looks"), ("fusion", _Sum(), "_Sum")]
)
def test_a_part_of_your_own_that_cannot_be_exported_is_named(
    name: str, part: Any, kind: str, tmp_path: Path
) -> None:
    model = mdsrec(**{name: part}, preset="paper")
    said = rf"'{name}' must be a module that torch.export can trace.*\(got .*{kind}\)"
    with pytest.raises(ValueError, match=said):
        model.export(tmp_path / "export", format="torch", k=3, exclude_seen=True)
    assert os.listdir(tmp_path) == []


class _Mean(Recommender):
    """A model of a user's own: the mean of the history's vectors."""

    def __init__(self, num_items: int, max_length: int) -> None:
        super().__init__(num_items, max_length)
        self.item = nn.Embedding(num_items, 4)

    def encode_items(self) -> Tensor:
        return 2 * self.item.weight

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        mask = batch.mask[..., None].float()
        return (items[batch.item_id] * mask).sum(1) / mask.sum(1) @ items.t()


def test_models_and_parts_of_your_own_are_exported_where_they_can_be(tmp_path: Path) -> None:
    torch.manual_seed(0)
    _Mean(NUM_ITEMS, 6).export(tmp_path / "own", format="torch", k=3, exclude_seen=True)
    settings = mdsrec(conv=lambda: GCNConv(8, 8), preset="paper").export(
        tmp_path / "conv", format="torch", k=3, exclude_seen=True
    )
    assert settings["checked"]["difference"] < 1e-5
    assert max(map(len, histories())) > 6


def test_a_format_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("popularity")
    with pytest.raises(ValueError, match=r"'format' must be one of .* \(got 'tflite'\)"):
        model.export(tmp_path / "export", format="tflite", exclude_seen=True)
    real = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name == "onnxscript":
            raise ImportError("No module named 'onnxscript'")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"'onnx' needs onnx\w*: pip install .*\[export\]"):
        model.export(tmp_path / "export", exclude_seen=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", formats.FORMATS)
def test_a_full_disk_leaves_nothing(format: str, tmp_path: Path) -> None:
    needs(format)
    model = make("popularity")
    with files_of_at_most(100), pytest.raises(OSError, match="nothing is written"):
        model.export(tmp_path / "export", format=format, k=3, exclude_seen=True)
    assert os.listdir(tmp_path) == []


def test_files_of_something_else_are_not_replaced(tmp_path: Path) -> None:
    model = make("popularity")
    model.item_ids = range(100, 100 + NUM_ITEMS)
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"that are no export's \(got .*model, which has 'items"):
        model.export(tmp_path / "model", format="torch", k=3, exclude_seen=True)
    assert Recommender.load(tmp_path / "model").item_ids is not None
