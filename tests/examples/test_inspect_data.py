"""``examples/inspect_data.py`` prints a table and warnings, and writes pictures and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mdsrec_pyg import SyntheticDataset

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PICTURES = ["interactions.png", "modalities.png", "pairs-image-text.png"]

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, run_script: Callable[..., str], tmp_path: Path) -> Run:
    """Runs the example in an empty folder; what it printed."""
    monkeypatch.chdir(tmp_path)
    return partial(run_script, EXAMPLES, "inspect_data.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set whose text belongs to other items."""
    path = tmp_path / "data" / "shop"
    SyntheticDataset(250, 310, shuffle_modality="text", seed=0).save(path)
    return path


def test_table_warnings_and_files(run: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = run(folder)
    assert "shop: all interactions" in output
    assert "[not_aligned] text" in output
    assert "[not_aligned] image" not in output
    out = tmp_path / "runs" / "inspect-shop"
    assert sorted(path.name for path in out.iterdir()) == ["inspection.json", *PICTURES]
    for name in ("inspection.json", *PICTURES):
        assert f"wrote runs/inspect-shop/{name}" in output
    content = json.loads((out / "inspection.json").read_text())
    assert content["warnings"][0]["code"] == "not_aligned"


def test_options(run: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    np.save(folder / "audio.npy", np.random.default_rng(0).standard_normal((310, 4)))
    options = (
        *("--out", tmp_path / "out", "--format", "svg", "--modalities", "image", "audio"),
        *("--cutoff", 5, "--neighbors", 3, "--centers", 4, "--examples", 1),
        *("--max-queries", 200, "--seed", 7, "--duplicates", "drop"),
    )
    output = run(folder, *options)
    content = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert list(content["features"]) == ["image", "audio"]
    assert content["seed"] == 7
    assert content["alignment"]["image"]["k"] == 5
    assert content["alignment"]["image"]["num_queries"] == 200
    (pair,) = content["differences"]
    assert (pair["num_neighbors"], pair["num_centers"], len(pair["examples"])) == (3, 4, 2)
    assert any("user's item dropped" in note for note in content["notes"])
    assert (tmp_path / "out" / "pairs-image-audio.svg").exists()
    assert "pairs-image-audio.svg" in output


def test_without_matplotlib_there_is_the_table(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    output = run(folder)
    assert "shop: all interactions" in output
    assert "no pictures: plots need matplotlib" in output
    names = [path.name for path in (tmp_path / "runs" / "inspect-shop").iterdir()]
    assert names == ["inspection.json"]


def test_says_what_is_wrong(run: Run, folder: Path, tmp_path: Path) -> None:
    x = np.load(folder / "image.npy")
    x[7, 3] = np.inf
    np.save(folder / "image.npy", x)
    with pytest.raises(SystemExit, match=r"image.npy, row 7 .*column 3: expected a finite"):
        run(folder)
    with pytest.raises(SystemExit, match="'root' must be a folder"):
        run(tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="'modalities' must be among"):
        run(folder, "--modalities", "smell")
    with pytest.raises(SystemExit, match=r"'k' must be at least 1 \(got 0\)"):
        run(folder, "--modalities", "text", "--cutoff", 0)
    assert not (tmp_path / "runs").exists()
