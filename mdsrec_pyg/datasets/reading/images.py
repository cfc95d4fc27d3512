"""Which items have an image file. The encoders read them; here they are found and counted."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import numpy as np

from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.raw import RawInteractions
from mdsrec_pyg.datasets.reading.collect import select
from mdsrec_pyg.datasets.reading.files import PathLike
from mdsrec_pyg.datasets.reading.image_files import find_images


def image_files(images: PathLike | None) -> dict[str, Path]:
    """The image file of each raw id; none without ``images``."""
    if images is None:
        return {}
    return find_images(images)


def only_with_image(raw: RawInteractions, found: Container[str]) -> RawInteractions:
    """Drops items without an image."""
    known = np.array([str(raw_id) in found for raw_id in raw.item_ids.tolist()], bool)
    return select(raw, known[raw.item], "items with an image")


def count_images(dataset: RecommendationDataset, found: Container[str], images: PathLike) -> None:
    """Notes how many items have an image, in ``report`` and ``meta``."""
    number = sum(str(raw_id) in found for raw_id in dataset.item_ids.tolist())
    note = f"{number:,} of {dataset.num_items:,} items have an image in {images}"
    dataset.report.append(note)
    dataset.meta["items"] = [*dataset.meta["items"], note]
