"""Draws a result of benchmarks/propagation.py: time of each method, by size of the catalog.

python -m benchmarks.propagation_plot benchmarks/results/DATE-propagation-HARDWARE.json

Needs matplotlib (the extra ``plot``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.propagation_methods import OURS
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.io import atomic_write

# The edges of docs/draw_architecture.py.
MAIN, OTHERS, FLOOR = "#c9751a", "#b3bac4", "#333333"
LEFT_OUT = ("LightGraphConv trainable weights",)  # does more than the others


def chosen(result: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Rows of forward and backward by N, where most sizes share H, D and dtype."""
    rows = [
        row
        for row in result["results"]
        if row["pass"] == "forward+backward" and row["method"] not in LEFT_OUT
    ]
    shapes = [(row["num_neighbors"], row["channels"], row["dtype"]) for row in rows]
    common = max(shapes, key=shapes.count)
    found: dict[int, list[dict[str, Any]]] = {}
    for row, shape in zip(rows, shapes, strict=True):
        if shape == common:
            found.setdefault(row["num_nodes"], []).append(row)
    return found


def panel(ax: Any, rows: list[dict[str, Any]]) -> None:
    """One bar a method, the fastest at the top; the line is the byte floor."""
    floor = next(row for row in rows if row["method"].startswith("bytes"))
    bars = sorted((row for row in rows if row is not floor), key=lambda row: -row["median_ms"])
    for place, row in enumerate(bars):
        ours = row["method"] == OURS
        ax.barh(place, row["median_ms"], color=MAIN if ours else OTHERS, height=0.72)
        text = number(row["median_ms"]) + ("" if ours else f"  ({row['ratio_to_ours']:.3g}x)")
        ax.text(row["median_ms"] * 1.06, place, text, va="center", fontsize=8)
    ax.axvline(floor["median_ms"], color=FLOOR, lw=1, ls="--")
    ax.set_yticks(range(len(bars)), [row["method"] for row in bars], fontsize=8)
    ax.set_xscale("log")
    ax.set_xlim(floor["median_ms"] * 0.7, bars[0]["median_ms"] * 8)
    ax.set_title(f"{rows[0]['num_nodes']:,} items", fontsize=11, fontweight="bold")
    ax.set_xlabel("ms, median (dashed: fewest bytes at copy speed)", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def number(value: float) -> str:
    """Three digits, never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(result: dict[str, Any], path: Path) -> None:
    """Writes the picture; the ending of ``path`` says in which format."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "the picture needs matplotlib, which is not installed: pip install 'mdsrec_pyg[plot]'"
        ) from error
    sizes = chosen(result)
    columns = 3 if len(sizes) == 3 else min(2, len(sizes))
    rows = -(-len(sizes) // columns)
    figure = Figure(figsize=(5.6 * columns, 3.4 * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(sizes) :]:
        ax.set_visible(False)
    for ax, size in zip(axes.flat, sorted(sizes), strict=False):
        panel(ax, sizes[size])
    any_row = next(iter(sizes.values()))[0]
    shape = f"H={any_row['num_neighbors']}, D={any_row['channels']}, {any_row['dtype']}"
    figure.suptitle(
        f"Propagation forward and backward, {shape}, {result['hardware']}",
        fontsize=11,
        parse_math=False,
    )
    figure.tight_layout()
    # A salt for the names in it: the same figures, the same file.
    with (
        matplotlib.rc_context({"svg.hashsalt": "mdsrec_pyg"}),
        atomic_write(path) as temporary,
    ):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(temporary, metadata=metadata)


def read_result(path: Path) -> dict[str, Any]:
    """A result of ``propagation.py``.

    Raises:
        ValueError: The file is none.
    """
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if chosen(result):
            return result
        reason = "it has no rows"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ValueError(f"{path} must be a result of benchmarks.propagation ({reason})")


def main() -> None:
    """Draws the picture that the README shows, or another."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("result", type=Path)
    default = Path(__file__).parent.parent / "docs" / "propagation.svg"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args()
    draw(read_result(args.result), args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    sys.exit(run_script(main))
