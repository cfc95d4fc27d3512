"""Makes the result tables from the rows of ``accuracy.py``.

    python -m benchmarks.accuracy_table --write

``--write`` puts them where people read them: one table of NDCG@10 into the README, all of them into
``docs/results.md``. All rows of the tables have had their trials and epochs chosen by one rule,
which stands above them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_rows import BEFORE, RESULTS, RULES, of_one_rule, read_rows, winner
from benchmarks.trials import TRIALS
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import markdown_text

ROOT = Path(__file__).parent.parent
README, PAGE = ROOT / "README.md", ROOT / "docs" / "results.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
LABELS = {"MDSRec-paper": "MDSRec, paper's form", "MDSRec": "**MDSRec**"}
Rows = list[dict[str, Any]]


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--split", choices=sorted(SPLITS), default=BEFORE["split"])
    parser.add_argument(
        "--chosen-by", choices=list(RULES), help="default: the first of these that has rows"
    )
    parser.add_argument("--write", action="store_true", help="into README.md and docs/results.md")
    parser.add_argument("--trials-of", default="scientific_full", help="for sets without trials")
    return parser.parse_args()


def rule_of(rows: Rows) -> str:
    """By what the trials and epochs of all the rows were chosen.

    Raises:
        ValueError: By different rules: their figures belong to different tables.
    """
    rules = sorted({row["chosen_by"] for row in rows})
    if len(rules) != 1:
        raise ValueError(f"the rows of a table must be chosen by one rule (got {rules})")
    return str(rules[0])


def final_rows(rows: Rows, dataset: str, model: str, trials_of: str) -> Rows:
    """The final runs of the winning trial; the trial itself while there are none.

    Raises:
        ValueError: The rows were chosen by different rules.
    """
    rule, split = rule_of(rows), rows[0]["split"]
    tuned = any(row["dataset"] == dataset and row["kind"] == "trial" for row in rows)
    options = winner(rows, dataset if tuned else trials_of, model, split, rule)
    wanted = (dataset, model, options)
    found = [row for row in rows if (row["dataset"], row["model"], row["options"]) == wanted]
    final = [row for row in found if row["kind"] == "final"]
    return final or [row for row in found if row["kind"] == "trial"]


def both_cells(rows: Rows, metric: str) -> str:
    """Seen items kept as candidates / masked."""
    return f"{cell(rows, 'kept', metric)} / {cell(rows, 'masked', metric)}"


def tied_note(rows: Rows, dataset: str) -> str:
    """A sentence on the targets that share the time of their history; empty where none does."""
    tied = next(row["test"]["tied"] for row in rows if row["dataset"] == dataset)
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


def dataset_table(rows: Rows, dataset: str, trials_of: str) -> str:
    """One table: a row a model, seen items kept and masked."""
    lines = [[markdown_text(dataset), *METRICS, "ndcg@10 on validation", "runs"]]
    for model in TRIALS:
        found = final_rows(rows, dataset, model, trials_of)
        if not found:
            continue
        cells = [both_cells(found, metric) for metric in METRICS]
        cells.append(cell(found, RULES[rule_of(found)], "ndcg@10", "val"))
        lines.append([LABELS.get(model, model), *cells, str(len(found))])
    return markdown(lines) + tied_note(rows, dataset)


def ablation_table(rows: Rows) -> str:
    """Each part off in turn: the change of NDCG@10 against the whole model, same seed."""
    cut = [row for row in rows if row["kind"].startswith("ablation")]
    if not cut:
        return ""
    datasets = sorted({row["dataset"] for row in cut})
    kinds = list(dict.fromkeys(row["kind"] for row in cut))
    head = [f"{markdown_text(name)}, {part}" for name in datasets for part in ("val", "test")]
    seen = RULES[rule_of(rows)]
    lines = [[f"NDCG@10, seen items {seen}", *head]]
    whole: list[str] = []
    for dataset in datasets:
        seed = next(row["seed"] for row in cut if row["dataset"] == dataset)
        found = final_rows(rows, dataset, "MDSRec", dataset)
        found = [row for row in found if row["seed"] == seed]
        whole += [cell(found, seen, "ndcg@10", part) if found else "" for part in ("val", "test")]
    lines.append(["whole", *whole])
    for kind in kinds:
        cells = []
        for dataset in datasets:
            found = [row for row in cut if (row["kind"], row["dataset"]) == (kind, dataset)][-1:]
            for part in ("val", "test"):
                cells.append(cell(found, seen, "ndcg@10", part) if found else "")
        lines.append([kind.removeprefix("ablation: "), *cells])
    return markdown(lines)


def summary_table(rows: Rows, datasets: list[str], trials_of: str) -> str:
    """Test NDCG@10 of every model on every data set, seen items kept and masked."""
    lines = [["Test NDCG@10, seen items kept / masked", *map(markdown_text, datasets)]]
    for model in TRIALS:
        found = [final_rows(rows, dataset, model, trials_of) for dataset in datasets]
        cells = [both_cells(runs, "ndcg@10") if runs else "" for runs in found]
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


def labeled(rows: Rows) -> Rows:
    """Rows whose data set is called after its modalities, where it was run with several sets."""
    sets: dict[str, list[list[str]]] = {}
    for row in rows:
        known = sets.setdefault(row["dataset"], [])
        if row["modalities"] not in known:
            known.append(row["modalities"])
    return [
        {**row, "dataset": f"{row['dataset']} ({', '.join(row['modalities']) or 'IDs'})"}
        if len(sets[row["dataset"]]) > 1
        else row
        for row in rows
    ]


def main() -> None:
    """Prints the tables."""
    args = parse()
    rows = [row for row in read_rows(args.rows) if row["split"] == args.split]
    rows = labeled(of_one_rule(rows, args.chosen_by))
    if not rows:
        raise ValueError(f"no rows of the split {args.split} in {args.rows}: run accuracy.py first")
    rule = (
        f"Trials and epochs were chosen on validation by {rule_of(rows).replace('ndcg', 'NDCG')}."
    )
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    summary = summary_table(rows, datasets, args.trials_of)
    tables = [dataset_table(rows, dataset, args.trials_of) for dataset in datasets]
    summary = f"{summary}\n\n{rule}"
    text = "\n\n".join([rule, *tables, ablation_table(rows)]).strip()
    print(summary, text, sep="\n\n")
    if args.write:
        write_between(README, summary)
        write_between(PAGE, text)


if __name__ == "__main__":
    sys.exit(run_script(main))
