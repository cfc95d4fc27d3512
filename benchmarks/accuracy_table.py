"""Makes the result tables from the rows of ``accuracy.py``.

    python -m benchmarks.accuracy_table --write

``--write`` puts them where people read them: one table of NDCG@10 into the README, all of them into
``docs/results.md``. By what trials and epochs were chosen stands above them. A table is of one data
set, its modalities, which stand beside its name, and settings of the trainer: a file that holds
several gives several tables, and the models of IDs, which read no modality, stand in each.
``--modalities`` takes one of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.accuracy_rows import (
    RESULTS,
    RULE,
    SEEN,
    USUAL_SPLIT,
    final_rows,
    parts,
    ranks_folder,
    read_rows,
)
from benchmarks.trials import ABLATIONS, TRIALS, UNTUNED
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.evaluation import per_user_metric
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import markdown_text

ROOT = Path(__file__).parent.parent
README, PAGE = ROOT / "README.md", ROOT / "docs" / "results.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
LABELS = {
    "MDSRec-paper": "MDSRec, paper's form",
    "MDSRec": "**MDSRec**, tuned",
    "MDSRec-default": "**MDSRec**, defaults",
}
Rows = list[dict[str, Any]]


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--split", choices=sorted(SPLITS), default=USUAL_SPLIT)
    parser.add_argument(
        "--modalities", nargs="+", help="of data sets that were run with several: only with these"
    )
    parser.add_argument("--write", action="store_true", help="into README.md and docs/results.md")
    parser.add_argument("--trials-of", default="scientific_full", help="for sets without trials")
    return parser.parse_args()


def both_cells(rows: Rows, metric: str) -> str:
    """Seen items kept as candidates / masked."""
    return f"{cell(rows, 'kept', metric)} / {cell(rows, 'masked', metric)}"


def tied_note(rows: Rows) -> str:
    """A sentence on the targets that share the time of their history; empty where none does."""
    dataset, tied = rows[0]["dataset"], rows[0]["test"]["tied"]
    if not tied:
        return ""
    return (
        f"\n\n{tied:.1%} of {dataset}'s test targets have the timestamp of the newest item of "
        "their history: what comes next is there mostly what else is in the basket."
    )


def cell(rows: Rows, seen: str, metric: str, part: str = "test") -> str:
    """Mean over the seeds, with the standard deviation in units of the last digit."""
    values = np.array([row[part][seen][metric] for row in rows])
    mean = f"{values.mean():.4f}".removeprefix("0")
    if np.ptp(values) == 0:  # one run, or nothing random in it
        return mean
    return f"{mean} ({values.std(ddof=1) * 1e4:.0f})"


def markdown(rows: list[list[str]]) -> str:
    """A table that lines up in the source, too; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def dataset_table(name: str, rows: Rows, others: Rows) -> str:
    """One table: a row a model, seen items kept and masked."""
    lines = [[markdown_text(name), *METRICS, "ndcg@10 on validation", "runs"]]
    for model in (*TRIALS, *UNTUNED):
        found = final_rows(rows, model, others)
        if not found:
            continue
        cells = [both_cells(found, metric) for metric in METRICS]
        cells.append(cell(found, SEEN, "ndcg@10", "val"))
        lines.append([LABELS.get(model, model), *cells, str(len(found))])
    return markdown(lines) + tied_note(rows)


def ablation_table(tables: dict[str, Rows], others: Rows, ranks: Path) -> str:
    """Each part of MDSRec off in turn: NDCG@10 and the change against the whole model.

    The whole model is that of the defaults.

    Args:
        tables: Rows of each table.
        others: Those whose winners tables without trials take.
        ranks: The folder of the ranks.
    """
    head, columns = ["NDCG@10"], []
    for name, rows in tables.items():
        whole = final_rows(rows, "MDSRec-default", others)
        found = {kind: ablation_rows(rows, kind, whole) for kind in kinds_of(rows)}
        found = {kind: cut for kind, cut in found.items() if cut}
        if found:
            head += [f"{markdown_text(name)}, {part}" for part in ("val", "test")] + ["seeds"]
            columns.append((whole, found))
    if not columns:
        return ""
    head[0] += f", seen items {SEEN}"
    lines = [head, ["whole"]]
    for whole, found in columns:
        seeds = {row["seed"] for cut in found.values() for row in cut}
        same = [row for row in whole if row["seed"] in seeds]
        lines[1] += [*(cell(same, SEEN, "ndcg@10", part) for part in ("val", "test"))]
        lines[1].append(str(len(same)))
    for kind in dict.fromkeys(kind for _, found in columns for kind in found):
        lines.append([kind.removeprefix("ablation: ")])
        for whole, found in columns:
            lines[-1] += ablation_cells(found.get(kind, []), whole, ranks)
    note = (
        "In brackets the change against the whole model over the same seeds, its standard error "
        "over them, and t of a paired test over the test's queries, each query's mean over the "
        "seeds, where the ranks are kept."
    )
    return f"{markdown(lines)}\n\n{note}"


def kinds_of(rows: Rows) -> list[str]:
    """The ablations that have rows."""
    kinds = dict.fromkeys(row["kind"] for row in rows)
    return [kind for kind in kinds if kind.startswith("ablation: ")]


def ablation_rows(rows: Rows, kind: str, whole: Rows) -> Rows:
    """The runs of an ablation, the newest of those of one seed, that differ in nothing else."""
    seeds = {row["seed"] for row in whole}
    cut = [row for row in rows if row["kind"] == kind and row["seed"] in seeds]
    change = ABLATIONS.get(kind.removeprefix("ablation: "))
    if change is None or not whole:
        return []
    wanted = {**whole[0]["options"], **change}
    cut = [row for row in cut if row["options"] == wanted]
    return list({row["seed"]: row for row in cut}.values())


def ablation_cells(cut: Rows, whole: Rows, ranks: Path) -> list[str]:
    """Validation, test and number of seeds of an ablation."""
    if not cut:
        return [""] * 3
    by_seed = {row["seed"]: row for row in whole}
    same = [by_seed[row["seed"]] for row in cut]
    cells = []
    for part in ("val", "test"):
        one, two = ([row[part][SEEN]["ndcg@10"] for row in rows] for rows in (cut, same))
        change = np.subtract(one, two)
        words = f"{change.mean().round(4) + 0.0:+.4f}".replace("0.", ".", 1)  # not -.0000
        if len(change) > 1:
            words += f" ± {stats.sem(change):.4f}".replace("0.", ".", 1)
        t = paired_t(cut, same, ranks) if part == "test" else None
        words += "" if t is None else f", t {t:.1f}"
        cells.append(f"{np.mean(one):.4f}".removeprefix("0") + f" ({words})")
    return [*cells, str(len(cut))]


def paired_t(a: Rows, b: Rows, folder: Path) -> float | None:
    """Paired t over the test's queries, each query's NDCG@10 averaged over the runs.

    None where ranks are missing, or no query differs.

    Raises:
        ValueError: The ranks are of different queries.
    """
    names = [row.get("ranks") for row in (*a, *b)]
    if not all(name and (folder / name).exists() for name in names):
        return None
    kept = [pd.read_parquet(folder / str(name)) for name in names]
    for name, table in zip(names, kept, strict=True):
        if not table[["user", "target"]].equals(kept[0][["user", "target"]]):
            raise ValueError(f"{folder / str(name)} must hold the queries of {names[0]}")
    values = np.array([per_user_metric(table["rank_masked"], "ndcg@10") for table in kept])
    one, two = values[: len(a)].mean(0), values[len(a) :].mean(0)
    return float(stats.ttest_rel(one, two).statistic) if (one != two).any() else None


def summary_table(tables: dict[str, Rows], others: Rows) -> str:
    """Test NDCG@10 of every model on every data set, seen items kept and masked."""
    lines = [["Test NDCG@10, seen items kept / masked", *map(markdown_text, tables)]]
    for model in (*TRIALS, *UNTUNED):
        found = [final_rows(rows, model, others) for rows in tables.values()]
        cells = [both_cells(runs, "ndcg@10") if runs else "" for runs in found]
        if any(found) or model in TRIALS:
            lines.append([LABELS.get(model, model), *cells])
    return markdown(lines)


def write_between(path: Path, text: str) -> None:
    """Replaces what stands between the markers of a page."""
    page = path.read_text()
    if BEGIN not in page or END not in page:
        raise SystemExit(f"{path.name} must contain the markers {BEGIN} and {END}")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    with atomic_write(path) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> None:
    """Prints the tables."""
    args = parse()
    rows = [row for row in read_rows(args.rows) if row["split"] == args.split]
    if not rows:
        raise ValueError(f"no rows of the split {args.split} in {args.rows}: run accuracy.py first")
    rule = f"Trials and epochs were chosen on validation by {RULE.replace('ndcg', 'NDCG')}."
    tables, others = (
        parts(rows, args.modalities),
        [row for row in rows if row["dataset"] == args.trials_of],
    )
    summary = f"{summary_table(tables, others)}\n\n{rule}"
    every = [dataset_table(name, own, others) for name, own in tables.items()]
    cut = ablation_table(tables, others, ranks_folder(args.rows))
    text = "\n\n".join([rule, *every, cut]).strip()
    print(summary, text, sep="\n\n")
    if args.write:
        write_between(README, summary)
        write_between(PAGE, text)


if __name__ == "__main__":
    sys.exit(run_script(main))
