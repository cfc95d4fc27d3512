"""The ceilings of the synthetic data, as the benchmark prints them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg import SyntheticDataset

Run = Callable[..., str]


def test_who_knows_more_ranks_better(run_benchmark: Run, tmp_path: Path) -> None:
    out = tmp_path / "ceiling.json"
    printed = run_benchmark(
        "ceiling.py", "--items", 620, "--seeds", 0, 1, "--threads", 1, "--out", out
    )
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    found = [row["ndcg@10"] for row in result["results"]]
    assert [row["ceiling"] for row in result["results"]] == [
        "known user",
        "inferred user",
        "learned popularity",
    ]
    assert found[0] > found[1] > found[2] + 0.02 > 0.1
    seeds = [row["ndcg@10"] for row in result["rows"] if row["ceiling"] == "inferred user"]
    assert found[1] == pytest.approx(sum(seeds) / 2, abs=1e-4)


def test_every_option_reaches_the_data(
    run_benchmark: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def made(*args: Any, **options: Any) -> SyntheticDataset:
        given.append((args, options))
        return SyntheticDataset(*args, **options)

    monkeypatch.setattr("mdsrec_pyg.SyntheticDataset", made)
    words = ["--users", 30, "--items", 60, "--interests", 3, "--mean-length", 7, "--drift", 0.5]
    words += ["--random-share", 0.3, "--seeds", 5, "--out", tmp_path / "out.json"]
    run_benchmark("ceiling.py", *words)
    options = {"num_interests": 3, "mean_length": 7.0, "random_share": 0.3, "drift": 0.5, "seed": 5}
    assert given == [((30, 60), options)]
