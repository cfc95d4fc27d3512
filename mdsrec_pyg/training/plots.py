"""The picture of a training run. Needs matplotlib, the extra ``plot``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import showable

__all__ = ["plot_learning"]

# The colors of the project's other pictures.
MAIN, SECOND, OTHERS, DARK = "#c9751a", "#2f6fb3", "#b3bac4", "#333333"
SMALL = 9


def plot_learning(
    rows: Sequence[Mapping[str, Any]],
    baselines: Mapping[str, float],
    path: str | os.PathLike[str],
    *,
    metric: str = "ndcg@10",
    start: float | None = None,
    title: str = "",
) -> Path:
    """Draws the course of a training run: its loss, and a validation metric beside baselines.

    The same input gives the same file, byte by byte.

    Example:
        >>> history = Trainer(model).fit(split.train, split.val)
        >>> value = evaluate(Popularity(split.train), split.val).metrics["ndcg@10"]
        >>> plot_learning(history.rows, {"popularity": value}, "learning.svg")

    Args:
        rows: One an epoch, as in ``History.rows`` and ``metrics.jsonl``: ``epoch``, ``loss`` and,
            where the epoch was evaluated, the metric.
        baselines: Values of other models by name, each a horizontal line. They must follow the
            same rule for seen items as the rows do, which say it in ``exclude_seen``.
        path: The file to write, ``.svg`` or ``.png``. Its folder must exist.
        metric: The metric that is drawn.
        start: Its value before training, drawn as epoch 0.
        title: What stands above the picture.

    Returns:
        The file.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Another kind of file, or no row with the metric.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise ValueError(f"'path' must end in .svg or .png (got {str(path)!r})")
    evaluated = [row for row in rows if metric in row]
    if not evaluated:
        raise ValueError(f"'rows' must hold {metric!r} at least once (got {len(rows)} rows)")
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install 'mdsrec_pyg[plot]'"
        ) from error
    from matplotlib.figure import Figure

    # A figure of its own, not pyplot's: no display, no global state.
    figure = Figure(figsize=(9.2, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.4])
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=SMALL)
        ax.set_xlabel("epoch", fontsize=SMALL)
        ax.xaxis.get_major_locator().set_params(integer=True)
    left.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], color=SECOND, lw=2)
    left.set_title("Training loss", fontsize=11)
    _draw_metric(right, evaluated, baselines, metric, start)
    if title:
        text = showable(title, 90)
        figure.suptitle(text, fontsize=12, fontweight="bold", parse_math=False)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with (
        matplotlib.rc_context({"svg.hashsalt": "mdsrec_pyg"}),
        atomic_write(path) as temporary,
        warnings.catch_warnings(),
    ):
        # Letters that the font lacks are boxes in the picture.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(temporary, dpi=130, metadata=metadata)
    return path


def _draw_metric(
    ax: Any,
    rows: Sequence[Mapping[str, Any]],
    baselines: Mapping[str, float],
    metric: str,
    start: float | None,
) -> None:
    """The metric by epoch, its best value, and a line for each baseline."""
    points = [] if start is None else [(0, start)]
    points += [(row["epoch"], row[metric]) for row in rows]
    epoch, value = zip(*points, strict=True)
    ax.plot(epoch, value, "o-", color=MAIN, lw=2, ms=3)
    best = max(rows, key=lambda row: row[metric])
    ax.plot(best["epoch"], best[metric], "o", color=MAIN, ms=8)
    notes = [(best["epoch"], best[metric], f"best {best[metric]:.4f}", "center", 8)]
    if start is not None:
        notes.append((0, start, f"before training {start:.4f}", "left", -16))
    for name, height in baselines.items():
        ax.axhline(height, color=OTHERS, lw=1.5, ls="--")
        notes.append((epoch[-1], height, f"{showable(name, 40)} {height:.4f}", "right", 5))
    for x, y, text, side, above in notes:
        ax.annotate(
            text,
            (x, y),
            xytext=(0, above),
            textcoords="offset points",
            ha=side,
            fontsize=SMALL,
            color=DARK,
            parse_math=False,
        )
    ax.set_ylim(0, 1.12 * max(*value, *baselines.values()))
    seen = "masked" if rows[-1].get("exclude_seen") else "kept as candidates"
    title = f"Validation {showable(metric, 40)}, seen items {seen}"
    ax.set_title(title, fontsize=11, parse_math=False)
