"""The benchmark of exported programs runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_export(run_benchmark: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    out, options = tmp_path / "export.jsonl", ("--models", "Popularity", "--threads", 1)
    run_benchmark("export.py", "--short", *options, "--out", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["way"] for row in rows] == ["Retriever", "model", "onnx", "torch"]
    for row in rows[2:]:
        assert row["same_items"] == 1.0
        assert row["apart"] < 1e-6
        assert row["mb"] > 0
    assert rows[0]["settings"]["histories"] == 40
