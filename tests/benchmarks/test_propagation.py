"""The propagation benchmark runs in short form; no time is judged."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.propagation import check_equal

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")

OWN = """
from torch_geometric.nn import GCNConv, LGConv
class Mine(GCNConv):
    pass
class NoLayer:
    pass
"""


@pytest.fixture
def run(run_benchmark: Callable[..., str]) -> Callable[..., str]:
    """Runs the benchmark; what it printed."""
    return partial(run_benchmark, "propagation.py", "--short", "--repeats", 1)


def test_rows_and_line_of_json(run: Callable[..., str], tmp_path: Path) -> None:
    out, plot = tmp_path / "result.json", tmp_path / "plot.svg"
    printed = run("--out", out, "--plot", plot, "--dtype", "float32", "float64")
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    assert plot.read_text().count("LightGraphConv edge_index") == 1
    rows: list[dict[str, Any]] = result["results"]
    names = {row["method"] for row in rows}
    assert names >= {"LightGraphConv edge_index", "LGConv edge_index", "EdgeIndex.matmul"}
    keys = "method num_nodes num_neighbors channels dtype device threads pass median_ms"
    for row in rows:
        assert set(row) >= {*keys.split(), "ratio_to_ours", "ratio_to_floor"}
    assert {row["pass"] for row in rows} == {"forward", "forward+backward"}
    assert {row["dtype"] for row in rows} == {"float32", "float64"}
    ours = [row for row in rows if row["method"] == "LightGraphConv edge_index"]
    assert {row["ratio_to_ours"] for row in ours} == {1.0}


def test_sizes_methods_and_memory(run: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    sizes = ["--num-nodes", 90, "--num-neighbors", 3, 5, "--channels", 8, "--threads", 1]
    chosen = ["--methods", "scipy CSR", "LGConv edge_index", "--memory-limit", 4e-5]
    run(*sizes, *chosen, "--out", out)
    result = json.loads(out.read_text())
    shapes = [(r["num_nodes"], r["num_neighbors"], r["channels"]) for r in result["results"]]
    assert set(shapes) == {(90, 3, 8), (90, 5, 8)}
    assert {row["threads"] for row in result["results"]} == {1}
    of = {row["method"] for row in result["results"] if row["num_neighbors"] == 5}
    assert of == {"bytes at copy speed", "LightGraphConv edge_index", "scipy CSR"}
    assert [row["num_neighbors"] for row in result["skipped"]] == [5]  # 3 x 14 kB > 40 kB


def test_a_layer_of_your_own(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_layers.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    out = tmp_path / "result.json"
    run("--layer", "own_layers:Mine", "--methods", "none", "--out", out)
    rows = json.loads(out.read_text())["results"]
    assert "own_layers:Mine" in {row["method"] for row in rows}
    for wrong, message in (
        ("own_layers:Other", "must be module:Class"),
        ("own_layers:NoLayer", "must name a MessagePassing"),
    ):
        with pytest.raises(SystemExit, match=message):
            run("--layer", wrong, "--out", out)


def test_unequal_results_stop_it() -> None:
    right = torch.ones(3, 2), torch.ones(3, 2)
    check_equal("same", right, right)
    with pytest.raises(SystemExit, match="wrong: gradient differs"):
        check_equal("wrong", (right[0], right[1] * 1.001), right)
