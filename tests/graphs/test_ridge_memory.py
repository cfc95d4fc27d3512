"""The exact ridge takes the memory that it promises, however densely items co-occur."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import numpy as np
from mdsrec_pyg.data import Interactions
from mdsrec_pyg.graphs import build_item_graph, ridge_memory

NUM_ITEMS, LENGTH = 2000, 700

def data(num_items, length):
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.permutation(num_items)[:length] for _ in range(40)])
    user = np.repeat(np.arange(40), length)
    return rng.standard_normal((num_items, 8)), Interactions.from_arrays(user, item)

def status(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return 1024 * int(line.split()[1])

build_item_graph(*data(30, 20), weighting="ridge")  # libraries, their buffers
given = data(NUM_ITEMS, LENGTH)
before = status("VmHWM")
limit = ridge_memory(NUM_ITEMS)
graph = build_item_graph(*given, weighting="ridge", memory_limit=limit)
assert graph.solver == "exact"
print(limit, status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's high-water mark")
def test_the_exact_ridge_keeps_its_promise() -> None:
    run = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True)
    assert not run.returncode, run.stderr
    limit, grown = map(int, run.stdout.split())
    assert grown < limit + 25_000_000  # a dense block more would be 32 MB, a sparse one 48
