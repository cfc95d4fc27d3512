"""The notebook runs from top to bottom, and shows what its text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

TOUR = Path(__file__).resolve().parents[2] / "examples" / "tour.ipynb"


def streams(notebook: Any) -> str:
    """What its cells print."""
    outputs = [part for cell in notebook.cells for part in cell.get("outputs", ())]
    return "".join(part["text"] for part in outputs if part["output_type"] == "stream")


def pictures(notebook: Any) -> int:
    """How many pictures its cells show."""
    outputs = [part for cell in notebook.cells for part in cell.get("outputs", ())]
    return sum("image/png" in part.get("data", {}) for part in outputs)


@pytest.mark.slow
def test_the_tour_runs(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    notebook = nbformat.read(TOUR, as_version=4)
    kept = streams(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    printed = streams(notebook)
    assert pictures(notebook) == 2
    for pattern in (r"[\d.]+% of the neighbors in common", r"test: 600 queries", r"% of the votes"):
        assert re.search(pattern, printed), pattern
    means = re.findall(r"first item: .* (0\.\d+) where it is followed, (0\.\d+) where not", printed)
    assert float(means[0][0]) > float(means[0][1])  # who follows the image gets more by it
    common = re.compile(r"image and text in common: (\d)")
    assert common.findall(kept) == common.findall(printed)


def test_what_the_notebook_holds_was_run_in_order() -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(TOUR, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert pictures(notebook) == 2
    assert not re.search(r"/(home|root|tmp|Users)/|site-packages", TOUR.read_text())
    assert TOUR.stat().st_size < 300_000
