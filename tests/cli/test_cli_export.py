"""``mdsrec export``: a run as a program, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdsrec_pyg.cli.main import load_command
from mdsrec_pyg.export import ExportedModel


def test_a_run_is_exported(call: Any, trained: Path) -> None:
    done = call("export", trained, "--format", "torch", "--out", "shop", "-k", 4)
    assert done.code == 0, done.err
    assert "shop/program.pt2: MDSRec of 124 items, the 4 best, seen items left out, " in done.out
    assert "checked with 16 histories: scores differ from the model's by " in done.out
    exported = ExportedModel("shop")
    assert exported.item_ids == [f"{i:03d}" for i in range(124)]
    recommended = call("recommend", trained, "--history", "003,007", "-k", 4, "--json")
    items = json.loads(recommended.out)[0]["items"]
    item, score = exported(np.array([[3, 7]]), np.array([[True, True]]))
    assert [exported.item_ids[i] for i in item[0]] == [row["item"] for row in items]
    assert score[0].tolist() == pytest.approx([row["score"] for row in items], abs=1e-4)


def test_a_saved_model_is_exported_with_seen_items(call: Any, trained: Path) -> None:
    words = ["export", trained / "model", "--out", "shop", "--format", "torch"]
    done = call(*words, "--keep-seen", "--json")
    assert done.code == 0, done.err
    settings = json.loads(done.out)
    assert settings == json.loads(Path("shop/export.json").read_text())
    kept = {"format": "torch", "k": 10, "exclude_seen": False, "num_items": 124}
    assert kept.items() <= settings.items()


def test_onnx_is_what_is_written_unless_something_else_is_asked_for() -> None:
    assert load_command("export").parse(["run", "--out", "shop"]).format == "onnx"
