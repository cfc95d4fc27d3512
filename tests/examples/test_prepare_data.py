"""``examples/prepare_data.py`` takes raw files to a folder and says every count."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mdsrec_pyg import FolderDataset

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, run_script: Callable[..., str], tmp_path: Path) -> Run:
    """Runs the example in an empty folder; what it printed."""
    monkeypatch.chdir(tmp_path)
    return partial(run_script, EXAMPLES, "prepare_data.py")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Four users, each of whom took three items, and the first of them twice."""
    rows = [(u, i, 10 * u + i) for u in range(4) for i in (0, 1, 2, 0)]
    reviews = [
        {"reviewerID": f"U{u}", "asin": f"B{i:09}", "unixReviewTime": 1_400_000_000 + time}
        for u, i, time in rows
    ]
    items = [{"asin": f"B{i:09}", "title": f"Cup {i}", "brand": "Nord"} for i in range(3)]
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name, records in (("Home_5.json", reviews), ("meta_Home.json", items)):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_amazon(run: Run, raw: Path, tmp_path: Path) -> None:
    options = ("--root", raw, "--category", "Home", "--generation", 2018, "--out", "shop")
    output = run("amazon", *options, "--k-core", 3)
    lines = output.splitlines()
    assert lines[0].split() == ["source", "amazon"]
    assert ["k_core", "3"] in [line.split() for line in lines]
    start = next(i for i, line in enumerate(lines) if line.startswith("step"))
    assert lines[start].split() == ["step", "users", "items", "interactions", "note"]
    # Each number ends where the name of its column ends.
    ends = [lines[start].index(word) + len(word) for word in ("users", "items", "interactions")]
    numbers = [
        [int(line[:end].split()[-1].replace(",", "")) for end in ends]
        for line in lines[start + 1 : start + 4]
    ]
    assert numbers == [[4, 3, 16], [4, 3, 12], [4, 3, 12]]
    assert "Home)\n  users:        4\n  items:        3" in output
    assert "3 of 3 items have a text" in output
    assert "examples/inspect_data.py shop" in output
    assert "examples/encode_features.py shop --text" in output
    assert "examples/encode_features.py shop --download --image-model" in output
    assert "examples/train_mdsrec.py --data shop" in output
    dataset = FolderDataset(tmp_path / "shop")
    assert len(dataset.interactions) == 12
    assert dataset.item_text == ["Cup 0. Nord", "Cup 1. Nord", "Cup 2. Nord"]
    assert dataset.meta["options"]["k_core"] == 3


def test_options_reach_the_reader(run: Run, raw: Path, tmp_path: Path) -> None:
    paths = ("--reviews", raw / "Home_5.json", "--metadata", raw / "meta_Home.json")
    common = ("amazon", *paths, "--generation", 2018, "--out", "shop")
    options = ("--repeats", "keep", "--k-core", 0, "--max-text-length", 5, "--require", "text")
    run(*common, *options, "--min-coverage", 0.25, "--on-error", "skip")
    dataset = FolderDataset(tmp_path / "shop")
    assert len(dataset.interactions) == 16
    assert dataset.item_text == ["Cup", "Cup", "Cup"]
    assert dataset.meta["options"] == {
        "generation": "2018",
        "category": None,
        "max_text_length": 5,
        "on_error": "skip",
        "repeats": "keep",
        "k_core": None,
        "require": ["text"],
        "keep_cold": False,
        "min_coverage": 0.25,
    }


def test_a_mistake_ends_with_one_line_and_no_folder(run: Run, raw: Path, tmp_path: Path) -> None:
    options = ("--root", raw, "--category", "Home", "--generation", 2018, "--out", "shop")
    with pytest.raises(SystemExit, match=r"^error: .* after the step '5-core', got none of the 12"):
        run("amazon", *options)
    assert not (tmp_path / "shop").exists()
    (tmp_path / "shop").touch()
    with pytest.raises(SystemExit, match=r"^error: 'folder' must not be a file"):
        run("amazon", *options, "--k-core", 3)
