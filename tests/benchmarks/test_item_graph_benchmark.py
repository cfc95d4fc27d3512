"""The benchmark of the item graphs runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.catalog import load_catalog

Run = Callable[..., str]


@pytest.fixture
def run(run_benchmark: Callable[..., str]) -> Callable[..., str]:
    """Runs the benchmark; what it printed."""
    return partial(run_benchmark, "item_graph.py")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_short_form(run: Run, tmp_path: Path) -> None:
    out, rows = tmp_path / "out.json", tmp_path / "rows.jsonl"
    options = ["--short", "--threads", 1, "--folder", tmp_path, "--rows", rows, "--out", out]
    printed = run(*options)
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    assert len(result["results"]) == 9
    assert read(rows) == result["results"]
    assert all(row["seconds"] > 0 for row in result["results"])
    found = {row["method"]: row for row in result["results"]}
    assert found["product"]["edges"] == found["dense N x N"]["edges"] == 6000
    assert 0.9 < found["cells"]["recall@10"] <= 1
    # The same rows are not measured again; a sample of targets is another row.
    again = run(*options)
    assert json.loads(again.splitlines()[-1])["results"] == result["results"]
    run(*options, "--methods", "local ridge", "--targets", 50)
    (row,) = read(rows)[9:]
    assert (row["targets"], row["asked"]) == (50, 50)
    assert "extrapolated_s" in row  # at this size a difference of milliseconds


@pytest.mark.slow
def test_a_process_of_its_own_and_what_does_not_fit(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--num-items", 400, "--num-features", 8, "--folder", tmp_path, "--out", out]
    options += ["--threads", 1, "--memory", 1e-4, "--methods", "product", "dense N x N"]
    printed = run(*options)
    own, too_large = json.loads(out.read_text())["results"]
    assert own["peak_MB"] is None or own["peak_MB"] > 0
    assert own["edges"] == 4000
    assert too_large["note"].startswith("needs")
    assert "seconds" not in too_large
    assert str(tmp_path) not in printed.splitlines()[-1]


def test_catalog_is_made_once_and_by_its_seed(tmp_path: Path) -> None:
    first, again = (load_catalog(tmp_path, 400, 8) for _ in range(2))
    assert np.array_equal(first.x, again.x)
    assert first.x.dtype == np.float16
    assert len(first.interactions) == 8000
    other = load_catalog(tmp_path, 400, 8, seed=1)
    assert not np.array_equal(first.x, other.x)
    # A few items are popular, and who is taken by the same user is alike.
    counts = np.sort(first.interactions.item_counts())[::-1]
    assert counts[:40].sum() > 0.25 * counts.sum()
    unit = np.asarray(first.x, np.float32) - np.asarray(first.x, np.float32).mean(0)
    item = first.interactions.item_id.reshape(-1, 20)
    same = (unit[item[:, 0]] * unit[item[:, 1]]).sum(1).mean()
    assert same > 2 * abs((unit[item[:, 0]] * unit[np.roll(item[:, 1], 1)]).sum(1).mean())
