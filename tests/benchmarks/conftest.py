"""What the tests of the benchmarks share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def run_benchmark(run_script: Callable[..., str]) -> Callable[..., str]:
    """Runs a benchmark; what it printed."""
    return partial(run_script, BENCHMARKS)
