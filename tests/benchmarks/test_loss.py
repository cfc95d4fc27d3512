"""The benchmark of the loss runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mdsrec_pyg.nn.losses import linear as module


def test_loss(run_benchmark: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "loss.json"
    printed = run_benchmark("loss.py", "--short", "--threads", 1, "--out", out)
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    assert result["benchmark"] == "loss"
    small, large = (
        {row["method"]: row for row in result["results"] if row["num_items"] == size}
        for size in (300, 2000)
    )
    assert {"ours", "plain", "checkpoint"} <= set(small)
    assert set(large) == set(small) - {"plain"}  # more than the memory limit
    for name in ("torch-chunked", "torch-our-blocks"):
        assert (name in small) == hasattr(torch.nn, "LinearCrossEntropyOptions")
    assert all(row["error"] < 1e-4 for row in result["results"])
    assert all(row["to_plain"] < 1e-5 for row in small.values())
    assert all(row["to_plain"] is None for row in large.values())
    assert [row["form"] for row in result["training_steps"]] == ["linear", "scores"]
    assert all(0 < row["padded_share"] < 1 for row in result["training_steps"])


def test_options(run_benchmark: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "loss.json"
    options = ["--num-items", 90, "--num-positions", 20, 40, "--step-items", 50, "--repeats", 1]
    options += [
        "--methods",
        "checkpoint",
        "plain",
        "--channels",
        4,
        "--max-scores",
        900,
        "--memory-limit",
        1e-5,
        "--out",
        out,
    ]
    run_benchmark("loss.py", "--threads", 1, *options)
    result = json.loads(out.read_text())
    sizes = {(row["num_items"], row["num_positions"]) for row in result["results"]}
    assert sizes == {(90, 20), (90, 40)}
    methods = [row["method"] for row in result["results"]]
    assert methods == ["ours", "checkpoint"] * 2  # the plain form is over the memory limit
    assert [row["num_items"] for row in result["training_steps"]] == [50, 50]
    assert (result["channels"], result["max_scores"]) == (4, 900)


def test_other_gradients_are_not_timed(
    run_benchmark: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = module.linear_cross_entropy

    def wrong(users: Tensor, items: Tensor, target: Tensor, max_scores: int) -> Tensor:
        return right(users, items, target, max_scores=max_scores) * 1.01

    monkeypatch.setattr(module, "linear_cross_entropy", wrong)
    with pytest.raises(SystemExit, match="ours gives other gradients at 300 items"):
        run_benchmark("loss.py", "--short", "--threads", 1, "--out", tmp_path / "loss.json")
