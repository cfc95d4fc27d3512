"""The answer for one user beside other libraries'."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.one_user import THEIRS
from mdsrec_pyg import SyntheticDataset
from tests.benchmarks.test_peers import BENCHMARKS, installed

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(run_script: Callable[..., str], tmp_path: Path) -> Run:
    """Runs the benchmark in short form; its result."""
    SyntheticDataset(150, 124, seed=0).save(tmp_path / "shop")
    script, out = partial(run_script, BENCHMARKS, "one_user.py"), tmp_path / "one_user.json"
    options = [tmp_path / "shop", "--short", "--threads", 1, "--ours", "SASRec", "--out", out]

    def call(*more: Any) -> dict[str, Any]:
        script(*options, *more)
        return json.loads(out.read_text())

    return call


@pytest.mark.slow
def test_every_call_of_every_turn_counts(run: Run) -> None:
    (row,) = run("--peers", "none", "--repeats", 2)["results"]
    assert (row["system"], row["calls"], row["times"]) == ("SASRec", 6, 1)
    assert row["p50_ms"] > 0
    with pytest.raises(SystemExit, match=r"'k' must be from 1 to the number of items.*got 200"):
        run("--peers", "none", "-k", 200)


@pytest.mark.parametrize("name", installed)
def test_a_peer_answers(run: Run, name: str) -> None:
    result = run("--peers", name)
    (theirs,) = (system for system, (peer, _) in THEIRS.items() if peer == name)
    assert [row["system"] for row in result["results"]] == ["SASRec", theirs]
    assert result["skipped"] == {}
