"""The pictures are written, and missing matplotlib is said."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mdsrec_pyg import Interactions, ModalFeature, SyntheticDataset
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.inspection import inspect_dataset, plot_inspection


def small() -> RecommendationDataset:
    return SyntheticDataset(60, 93, seed=0)


def test_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    dataset = small()
    paths = plot_inspection(inspect_dataset(dataset), dataset, tmp_path / "new" / "folder")
    names = ["interactions.png", "modalities.png", "pairs-image-text.png"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_svg_shows_the_figures_and_is_the_same_each_time(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    dataset = small()
    assert dataset.item_text is not None
    dataset.item_text = [f"costs $5 or $6, 花 {text}" for text in dataset.item_text]
    inspection = inspect_dataset(dataset)
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        paths = plot_inspection(inspection, dataset, tmp_path, file_format="svg")
        texts = [path.read_text(encoding="utf-8") for path in paths]
        plot_inspection(inspection, dataset, tmp_path, file_format="svg")
    assert [path.read_text(encoding="utf-8") for path in paths] == texts
    assert f"{inspection.alignment['text'].hit_rate:.3f} features" in texts[1]
    assert "60 users, 93 items" in texts[0]
    pair = inspection.differences[0].examples[0]
    assert pair.raw_ids[0] in texts[2]
    assert "costs $5 or $6" in texts[2]
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("times", [None, [0, 0, 0, 0], [0, 10**7, 10**9, 10**16]])
def test_odd_data_sets_are_drawn(times: list[int] | None, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = Interactions.from_arrays([0, 0, 0, 0], [0, 1, 2, 3], times, num_items=5)
    features = {
        "same": ModalFeature(torch.ones(5, 2)),
        "none": ModalFeature(torch.ones(5, 2), torch.zeros(5).bool()),
        "zeros": ModalFeature(torch.zeros(5, 2)),
        "other": ModalFeature(torch.ones(5, 3)),
    }
    dataset = RecommendationDataset("odd", rows, features)
    paths = plot_inspection(inspect_dataset(dataset), dataset, tmp_path)
    assert [path.stem for path in paths] == ["interactions", "modalities", "pairs-same-other"]


def test_long_histories_and_no_features(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    user = np.repeat([0, 1], [500, 3])
    rows = Interactions.from_arrays(user, np.arange(503) % 40)
    dataset = RecommendationDataset("long", rows)
    paths = plot_inspection(inspect_dataset(dataset), dataset, tmp_path)
    assert [path.stem for path in paths] == ["interactions"]


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    dataset = small()
    with pytest.raises(ImportError, match=r"pip install 'mdsrec_pyg\[plot\]'"):
        plot_inspection(inspect_dataset(dataset), dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_format(tmp_path: Path) -> None:
    dataset = small()
    with pytest.raises(ValueError, match=r"'png' or 'svg' \(got 'pdf'\)"):
        plot_inspection(inspect_dataset(dataset), dataset, tmp_path, file_format="pdf")
