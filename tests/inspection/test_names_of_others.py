"""Names and texts that would act on a terminal, a formula, a page or a folder are only shown."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest
import torch

from mdsrec_pyg import ModalFeature, SyntheticDataset
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.inspection import Inspection, inspect_dataset, plot_inspection

HOSTILE = "\x1b[2J\u202e$x^{$\n=HYPERLINK(1)<script>\x9b"
NAMES = ("$x^{$", "../../" + HOSTILE, "long" * 200)


@pytest.fixture(scope="module")
def dataset() -> RecommendationDataset:
    made = SyntheticDataset(60, 93, seed=0)
    x = torch.randn(93, 4, generator=torch.Generator().manual_seed(0))
    x[5] = x[4]  # the report names both
    x[7] = 0
    return RecommendationDataset(
        HOSTILE,
        made.interactions,
        {name: ModalFeature(x + i * x.roll(1, 0)) for i, name in enumerate(NAMES)},
        user_ids=[f"{HOSTILE}{i}" for i in range(60)],
        item_ids=[f"{HOSTILE}{i}" for i in range(93)],
        item_text=[f"{HOSTILE} {i}" for i in range(93)],
        report=[f"read {HOSTILE}"],
    )


@pytest.fixture(scope="module")
def inspection(dataset: RecommendationDataset) -> Inspection:
    return inspect_dataset(dataset)


def commands(text: str) -> list[str]:
    return re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_the_table_is_text(inspection: Inspection, dataset: RecommendationDataset) -> None:
    for text in (str(inspection), repr(dataset)):
        assert commands(text) == []
        assert not re.search("^=HYPERLINK", text, re.MULTILINE)  # no line of its own
        assert "\\x1b[2J" in text
    assert max(map(len, str(inspection).splitlines())) < 200


def test_the_json_keeps_them_exactly(inspection: Inspection, tmp_path: Path) -> None:
    inspection.save(tmp_path / "i.json")
    content = json.loads((tmp_path / "i.json").read_text(encoding="utf-8"))
    assert content["name"] == HOSTILE
    assert list(content["features"]) == list(NAMES)


def test_the_pictures_are_drawn_in_their_folder(
    inspection: Inspection, dataset: RecommendationDataset, tmp_path: Path
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    folder = tmp_path / "a" / "b" / "c"
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none"}):
        warnings.simplefilter("error")
        paths = plot_inspection(inspection, dataset, folder, file_format="svg")
    assert len(paths) == 2 + 3
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert "cosine in $x^{$" in text
    assert "<script" not in text
    assert commands(text) == []
