"""The pictures of an inspection. Needs matplotlib, the extra ``plot``."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.inspection.findings import Findings
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import file_name

__all__ = ["plot_inspection"]


def plot_inspection(
    inspection: Findings,
    dataset: RecommendationDataset,
    folder: str | os.PathLike[str],
    *,
    file_format: str = "png",
) -> list[Path]:
    """Draws an inspection.

    ``interactions``: lengths, popularity, time. ``modalities``: coverage, hit rates, common
    neighbors (if there are modalities). ``pairs-<a>-<b>``: cosines of two modalities, and the pairs
    of items that they disagree about most. In the names of files, what a file cannot be called
    becomes ``-``, with a hash after it.

    Args:
        inspection: The figures.
        dataset: The data set that they are of.
        folder: Where to write; it is made if needed. Files of the same names are replaced.
        file_format: ``'png'`` or ``'svg'``.

    Returns:
        The files written.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Another format.
    """
    if file_format not in ("png", "svg"):
        raise ValueError(f"'file_format' must be 'png' or 'svg' (got {file_format!r})")
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install 'mdsrec_pyg[plot]'"
        ) from error
    from mdsrec_pyg.inspection import figures

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"interactions": figures.interactions_figure(inspection, dataset.interactions)}
    if inspection.features:
        drawn["modalities"] = figures.modalities_figure(inspection)
    for found in inspection.differences:
        drawn[f"pairs-{file_name(found.first)}-{file_name(found.second)}"] = figures.pairs_figure(
            found
        )
    with matplotlib.rc_context({"svg.hashsalt": "mdsrec_pyg"}):  # the same figures, the same file
        return [_write(figure, folder / f"{name}.{file_format}") for name, figure in drawn.items()]


def _write(figure: Any, path: Path) -> Path:
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with atomic_write(path) as temporary, warnings.catch_warnings():
        # Letters that the font lacks are boxes in the picture; the table and the JSON have them.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(temporary, dpi=130, metadata=metadata)
    return path
