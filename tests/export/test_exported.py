"""What was written answers as the retriever does, in ONNX Runtime and in torch.export's loader."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg.export import ExportedModel
from mdsrec_pyg.export.formats import FORMATS
from tests.export.export_cases import MODELS, NUM_ITEMS, K, assert_same, make

#: Written in each run of the tests; the others take seconds each.
QUICK = ("mdsrec few votes", "popularity")
NAMES = [
    pytest.param(name, format, marks=() if name in QUICK else pytest.mark.slow)
    for name in MODELS
    for format in FORMATS
]


def needs(format: str) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript", reason="needs the extra export")
        pytest.importorskip("onnxruntime", reason="needs the extra export")


@pytest.mark.parametrize(("name", "format"), NAMES)
def test_an_exported_model_answers_as_the_retriever(name: str, format: str, tmp_path: Path) -> None:
    needs(format)
    model: Any = make(name)
    model.item_ids = [f"item {i}" for i in range(NUM_ITEMS)]
    state = copy.deepcopy(model.state_dict())
    model.train()
    settings = model.export(tmp_path / "export", format=format, k=K, exclude_seen=True)
    assert model.training  # a copy was exported
    assert all(torch.equal(model.state_dict()[part], state[part]) for part in state)
    assert settings["checked"]["difference"] < 1e-5
    exported = ExportedModel(tmp_path / "export", threads=1)
    assert exported.item_ids == model.item_ids.tolist()
    model.item_ids = None  # the retriever takes indices now, as the program does
    others = assert_same(model.eval(), exported, exclude_seen=True)
    if name == "popularity":  # full of equal scores, and not one of them is rounded
        assert others == 0
    text = b"".join(path.read_bytes() for path in (tmp_path / "export").iterdir())
    assert str(Path(__file__).parents[2]).encode() not in text  # where it was made is nobody's
    assert b"pkg.torch" not in text


@pytest.mark.parametrize("format", FORMATS)
def test_seen_items_may_be_kept(format: str, tmp_path: Path) -> None:
    needs(format)
    model = make("popularity")
    model.export(tmp_path / "export", format=format, k=K, exclude_seen=False)
    assert_same(model, ExportedModel(tmp_path / "export"), exclude_seen=False, count=100)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_nothing_but_what_is_asked_for_is_written(format: str, tmp_path: Path) -> None:
    """Features, graphs and ID embeddings are in the item vectors."""
    needs(format)
    sizes = []
    for width in (4, 4000):
        model: Any = MODELS["mdsrec paper"]()
        x = torch.zeros(NUM_ITEMS, width)
        for graph in range(2):
            model.register_buffer(f"edge_weight_{graph}_more", x)
        model.export(tmp_path / str(width), format=format, k=K, exclude_seen=True)
        sizes.append(sum(path.stat().st_size for path in (tmp_path / str(width)).iterdir()))
    assert abs(sizes[0] - sizes[1]) < 1000


def test_an_item_out_of_the_catalog_is_an_error(tmp_path: Path) -> None:
    needs("onnx")
    make("popularity").export(tmp_path / "export", k=K, exclude_seen=True)
    exported = ExportedModel(tmp_path / "export")
    with pytest.raises(Exception, match=rf"{NUM_ITEMS}"):
        exported(np.array([[NUM_ITEMS]]), np.array([[True]]))
