"""The benchmark of the step runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mdsrec_pyg import SyntheticDataset


def test_step(run_benchmark: Callable[..., str], tmp_path: Path) -> None:
    SyntheticDataset(150, 124, seed=0).save(tmp_path / "shop")
    out = tmp_path / "step.json"
    options = ["--short", "--repeats", 1, "--threads", 1, "--device", "cpu", "--out", out]
    printed = run_benchmark("step.py", tmp_path / "shop", *options)
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    assert [row["model"] for row in result["results"]] == ["SASRec", "MDSRec"]
    for row in result["results"]:
        assert row["waits"] == 0
        assert row["launches"] > 50
        assert row["median_ms"] > 0
        assert 0 < row["loss"] < 20
