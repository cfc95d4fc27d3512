"""What a change did to the figures: nothing, or the row and the figure that it moved."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ROWS = ["EASE 300", "GRU4Rec, two", "MDSRec best, plain sum", "graph, product, w", "interest"]
OPTIONS = ["--only", *ROWS, "--epochs", 1, "--users", 200]


@pytest.fixture
def run(run_benchmark: Callable[..., str]) -> Callable[..., str]:
    """Runs the script; what it printed."""
    return partial(run_benchmark, "figures.py")


@pytest.fixture
def figures() -> Any:
    """The script as a module."""
    return importlib.import_module("benchmarks.figures")


def test_the_same_code_gives_the_same_figures_and_a_change_is_found(
    run: Callable[..., str], tmp_path: Path
) -> None:
    before, after, other = (tmp_path / name for name in ("before.json", "after.json", "other.json"))
    printed = run("--out", before, *OPTIONS)
    assert printed.startswith("5 rows in before.json")
    result = json.loads(before.read_text())
    found = result["rows"]["synthetic: MDSRec best, plain sum"]["figures"]
    for name in (
        *("epoch 1 loss", "epoch 1 ndcg@10", "test mrr, masked", "test ranks, kept", "weights"),
        *("scores", "recommended kept: voter_shares", "recommended by candidates: item"),
        *("graph image: edges", "relations text: weights"),
    ):
        assert name in found, name
    assert "epoch 2 loss" not in found
    assert found["first weights"] != found["weights"]
    assert str(tmp_path) not in before.read_text()

    part = json.loads(before.read_text())
    for row in ("synthetic: GRU4Rec, two layers", "synthetic: MDSRec best, plain sum"):
        del part["rows"][row]
    after.write_text(json.dumps(part))
    run("--out", after, *OPTIONS)  # only what is missing is made ...
    made = json.loads(after.read_text())["rows"]
    assert all(made[row] == part["rows"][row] for row in part["rows"])
    assert "5 of 5 rows are identical" in run("--compare", before, after)  # ... the same again

    mrr = float.fromhex(found["test mrr, masked"])
    found["test mrr, masked"] = float(np.nextafter(mrr, 1)).hex()  # by the last bit
    other.write_text(json.dumps(result))
    with pytest.raises(SystemExit) as error:
        run("--compare", before, other)
    assert error.value.code == 1
    with pytest.raises(SystemExit, match="must be a new file"):
        run("--out", before, *OPTIONS[:-1], 250)


def test_what_differs_is_named_with_its_distance(
    figures: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"hardware": "one", "versions": {"torch": "2"}}
    rows = {
        "shop: a": {"figures": {"loss": (2.0).hex(), "scores": figures.digest(np.ones(3))}},
        "shop: b": {"figures": {"loss": (2.0).hex()}},
    }
    before: dict[str, Any] = {"about": about, "rows": rows}
    after = json.loads(json.dumps(before))
    assert figures.compare(before, after)
    capsys.readouterr()
    after["rows"]["shop: a"]["figures"] |= {
        "loss": (2.25).hex(),
        "scores": figures.digest(np.ones(3) * 2),
        "seconds": (1.0).hex(),
    }
    after["rows"]["shop: c"] = after["rows"].pop("shop: b")
    after["about"] = {**about, "versions": {"torch": "3"}}
    assert not figures.compare(before, after)
    printed = capsys.readouterr().out
    assert "2 -> 2.25 (+2.50e-01)" in printed
    assert "other bytes, sum 3 -> 6 (+3.00e+00)" in printed
    assert "other versions" in printed
    (line,) = [line for line in printed.splitlines() if "seconds" in line]
    assert "only after" in line
    verdicts = {line[:7]: line for line in printed.splitlines() if line.startswith("shop: ")}
    assert "only before" in verdicts["shop: b"]
    assert "only after" in verdicts["shop: c"]
    assert "0 of 3 rows are identical" in printed


def test_the_last_bit_counts(figures: Any) -> None:
    assert float.fromhex(figures.exact(0.1 + 0.2)) == 0.1 + 0.2 != 0.3
    values = np.ones(3, np.float32)
    assert figures.digest(values) == figures.digest(values.copy())
    assert figures.digest(values) != figures.digest(np.nextafter(values, np.float32(2)))
    assert figures.digest_words([[0.1 + 0.2]]) != figures.digest_words([[0.3]])


def test_order_of_storage_is_no_difference(figures: Any) -> None:
    edge_index = torch.tensor([[2, 0, 1, 0], [0, 1, 0, 2]])
    weight = torch.tensor([0.5, 0.25, 1.0, 2.0])
    found = figures.edge_figures("g", (edge_index, weight))
    order = torch.tensor([3, 1, 0, 2])
    assert figures.edge_figures("g", (edge_index[:, order], weight[order])) == found
    assert figures.edge_figures("g", (edge_index.flip(0), weight)) != found  # other directions
    assert figures.edge_figures("g", (edge_index, weight[order])) != found  # other edges' weights
    last = torch.tensor([[2, 0, 1, 0], [0, 1, 0, 3]])
    assert figures.edge_figures("g", (last, weight)) != found  # another target
    parts = [torch.ones(2, 3), torch.zeros(4)]
    assert figures.digest_set(parts) == figures.digest_set(parts[::-1])
    assert figures.digest_set(parts) != figures.digest_set([parts[0].t(), parts[1]])


def test_a_row_that_cannot_be_made_is_named_and_the_others_are_kept(
    figures: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*arguments: Any) -> Any:
        raise TypeError("another API")

    monkeypatch.setitem(figures.models.ARRAYS, "interest centers", broken)
    out = tmp_path / "out.json"
    with pytest.raises(SystemExit, match="failed: synthetic: interest centers"):
        run("--out", out, "--only", "EASE 300", "interest", "--users", 200)
    assert list(json.loads(out.read_text())["rows"]) == ["synthetic: EASE 300/30"]


def test_a_folder_after_the_names_of_rows_is_not_lost(
    run: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="no row begins with"):
        run("--out", tmp_path / "out.json", *OPTIONS[:2], tmp_path)
