"""The load test of the service runs in short form; no time is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
def test_serving(run_benchmark: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    out = tmp_path / "serving.jsonl"
    printed = run_benchmark("serving.py", "--short", "--note", "a test", "--out", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["items"], row["clients"]) for row in rows] == [(500, 1), (500, 4)]
    for row in rows:
        assert row["requests"] > 0
        assert row["errors"] == 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["note"] == "a test"
        assert {"code", "hardware", "versions", "date", "command", "load_before"} <= set(row)
        assert str(row["requests"]) in printed
