"""Draws the test NDCG@10 of every model from the rows of benchmarks/accuracy.py.

    python docs/draw_results.py

Needs matplotlib (the extra ``plot``). Writes ``docs/results.svg``: one panel a data set, mean over
the seeds of the winning trial, seen items kept as candidates or masked, as the trials were chosen;
the line at the end of each bar is the range of the seeds.
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

from benchmarks.accuracy_rows import RESULTS, RULES, of_one_rule, read_rows  # noqa: E402
from benchmarks.accuracy_table import final_rows, rule_of  # noqa: E402
from benchmarks.trials import TRIALS  # noqa: E402
from mdsrec_pyg.io import atomic_write  # noqa: E402

NAMES = {"MDSRec-paper": "MDSRec, paper's form", "EASE+features": "EASE with features"}
# The edges of docs/draw_architecture.py.
OURS, PAPERS, OTHERS = "#c9751a", "#2f6fb3", "#b3bac4"


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--trials-of", default="scientific_full", help="for sets without trials")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.svg")
    return parser.parse_args()


def panel(ax: Any, rows: list[dict[str, Any]], dataset: str, trials_of: str) -> None:
    """One bar a model, from the weakest to the best."""
    values, seen = {}, RULES[rule_of(rows)]
    for model in TRIALS:
        found = final_rows(rows, dataset, model, trials_of)
        if found:
            values[model] = [row["test"][seen]["ndcg@10"] for row in found]
    order = sorted(values, key=lambda model: sum(values[model]) / len(values[model]))
    for place, model in enumerate(order):
        mean = sum(values[model]) / len(values[model])
        color = {"MDSRec": OURS, "MDSRec-paper": PAPERS}.get(model, OTHERS)
        ax.barh(place, mean, color=color, height=0.72)
        ax.plot([min(values[model]), max(values[model])], [place, place], color="#333333", lw=1.5)
        ax.text(mean + 0.002, place, f"{mean:.4f}".removeprefix("0"), va="center", fontsize=9)
    ax.set_yticks(range(len(order)), [NAMES.get(model, model) for model in order])
    ax.set_title(dataset, fontsize=11, fontweight="bold", parse_math=False)
    ax.set_xlim(0, 0.155)
    ax.set_xlabel(f"test NDCG@10, whole catalog, seen items {seen}", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Draws and writes the picture."""
    args = parse()
    matplotlib.rcParams["svg.hashsalt"] = "mdsrec_pyg"  # the same rows, the same file
    rows = of_one_rule(read_rows(args.rows))
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    if not datasets:
        raise SystemExit(f"no rows in {args.rows}: run benchmarks/accuracy.py first")
    figure, axes = plt.subplots(1, len(datasets), figsize=(4.6 * len(datasets), 3.2))
    for ax, dataset in zip([axes] if len(datasets) == 1 else axes, datasets, strict=True):
        panel(ax, rows, dataset, args.trials_of)
    figure.tight_layout()
    with atomic_write(args.out) as path:
        figure.savefig(path, format="svg", metadata={"Date": None})
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
