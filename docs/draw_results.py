"""Draws the test NDCG@10 of every model from the rows of benchmarks/accuracy.py.

    python docs/draw_results.py

Needs matplotlib (the extra ``plot``). Writes ``docs/results.svg``: one panel a data set, mean over
the seeds of the winning trial, seen items masked; the line at the end of each bar is the range of
the seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.accuracy_rows import (  # noqa: E402
    RESULTS,
    SEEN,
    final_rows,
    parts,
    read_rows,
)
from benchmarks.trials import TRIALS, UNTUNED  # noqa: E402
from mdsrec_pyg.io import atomic_write  # noqa: E402

NAMES = {
    "MDSRec-paper": "MDSRec, paper's form",
    "MDSRec": "MDSRec, tuned",
    "MDSRec-default": "MDSRec, defaults",
    "EASE+features": "EASE with features",
}
# The edges of docs/draw_architecture.py.
OURS, PAPERS, OTHERS = "#c9751a", "#2f6fb3", "#b3bac4"


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--modalities", nargs="+", help="as of accuracy_table.py")
    parser.add_argument("--trials-of", default="scientific_full", help="for sets without trials")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.svg")
    return parser.parse_args()


def panel(ax: Any, name: str, rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """One bar a model, from the weakest to the best."""
    values = {}
    for model in (*TRIALS, *UNTUNED):
        found = final_rows(rows, model, others)
        if found:
            values[model] = [row["test"][SEEN]["ndcg@10"] for row in found]
    order = sorted(values, key=lambda model: sum(values[model]) / len(values[model]))
    for place, model in enumerate(order):
        mean = sum(values[model]) / len(values[model])
        color = {"MDSRec": OURS, "MDSRec-default": OURS, "MDSRec-paper": PAPERS}.get(model, OTHERS)
        ax.barh(place, mean, color=color, height=0.72)
        ax.plot([min(values[model]), max(values[model])], [place, place], color="#333333", lw=1.5)
        ax.text(mean + 0.002, place, f"{mean:.4f}".removeprefix("0"), va="center", fontsize=9)
    ax.set_yticks(range(len(order)), [NAMES.get(model, model) for model in order])
    ax.set_title(name, fontsize=11, fontweight="bold", parse_math=False)
    ax.set_xlim(0, 0.155)
    ax.set_xlabel(f"test NDCG@10, seen items {SEEN}", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Draws and writes the picture."""
    args = parse()
    matplotlib.rcParams["svg.hashsalt"] = "mdsrec_pyg"  # the same rows, the same file
    rows = read_rows(args.rows)
    if not rows:
        raise SystemExit(f"no rows in {args.rows}: run benchmarks/accuracy.py first")
    tables = parts(rows, args.modalities)
    others = [row for row in rows if row["dataset"] == args.trials_of]
    figure, axes = plt.subplots(1, len(tables), figsize=(4.6 * len(tables), 3.2), squeeze=False)
    for ax, (name, own) in zip(axes[0], tables.items(), strict=True):
        panel(ax, name, own, others)
    figure.tight_layout()
    with atomic_write(args.out) as path:
        figure.savefig(path, format="svg", metadata={"Date": None})
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
