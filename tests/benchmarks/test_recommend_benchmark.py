"""The benchmark of recommendations runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_recommend(run_benchmark: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    out = tmp_path / "recommend.json"
    printed = run_benchmark(
        "recommend.py", "--short", "--threads", 1, "--candidates", 50, "--out", out
    )
    result = json.loads(out.read_text())
    assert json.loads(printed.splitlines()[-1]) == result
    assert result["benchmark"] == "recommend"
    assert result["settings"]["candidates"] == 50
    rows = result["results"]
    ways = {"product + topk", "Retriever", "Retriever, FAISS", "recommend()"}
    for model in ("MDSRec", "MDSRec-vectors", "SASRec"):
        assert {row["way"] for row in rows if row["model"] == model} == ways
    # Below 20,000 items the default index is exact.
    assert {row["recall"] for row in rows if "recall" in row} == {1.0}
