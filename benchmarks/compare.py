"""Is MDSRec better than the baselines, and for which items? Paired tests on the test's queries.

    python -m benchmarks.compare DATA/scientific_full DATA/hm_week
    python -m benchmarks.compare DATA/shop --model EASE --models SASRec GRU4Rec --split temporal

Reads the ranks that ``accuracy.py`` has kept of the winners chosen on validation. Each query's
metric is averaged over the seeds first; then the models are compared query by query: bootstrap
interval of the difference, permutation test, paired t-test. The p-values of the permutation test
are corrected by Holm's method, over the data sets for each baseline (``p_holm_sets``) and over the
baselines for each data set (``p_holm_models``). By how often the target occurs in training: means,
differences and the standard error of each. The whole catalog, seen items masked, ties at the mean
rank. A winner whose ranks are not there is trained once more, and that is said.

All of it twice: over all queries, and over *new targets only*, without the queries whose target
stands in its own history. There it stays a candidate while the other seen items are masked, and
ranks that were made when its history bias still counted credit the models that have none.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.about import about
from benchmarks.accuracy import (
    TRAINER,
    figures,
    keep_ranks,
    key_of,
    settings_of,
    train_model,
)
from benchmarks.accuracy_rows import (
    RESULTS,
    RULE,
    SEEN,
    USUAL_SPLIT,
    chosen,
    kept_ranks,
    models_for,
    tuned_on,
)
from benchmarks.compare_tables import (
    ALL,
    NEW,
    Judged,
    as_json,
    differences_table,
    judge,
    means_table,
    over_sets,
    print_buckets,
)
from benchmarks.harness import positive
from benchmarks.trials import TRIALS, UNTUNED
from mdsrec_pyg import FolderDataset
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import Split
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.evaluation import per_user_metric
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import json_text

#: The ranks of a query under each rule for seen items.
COLUMNS = {"masked": "rank_masked", "kept": "rank"}


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="data sets (FolderDataset)")
    every = [*TRIALS, *UNTUNED]
    parser.add_argument("--model", default="MDSRec", choices=every, help="(a)")
    parser.add_argument(
        "--models", nargs="+", choices=every, help="(b); default: all that have trials"
    )
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--split", choices=sorted(SPLITS), default=USUAL_SPLIT)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--seen", choices=list(COLUMNS), default=SEEN, help="seen items")
    parser.add_argument("--trials-of", help="whose winners data sets without trials take")
    parser.add_argument("--metric", default="ndcg@10")
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--epochs", type=positive, default=TRAINER["epochs"])
    parser.add_argument("--num-negatives", type=positive, help="as accuracy.py was given it")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--out", type=Path, help="write the result here, too (JSON)")
    return parser.parse_args()


def ranks_of(
    args: argparse.Namespace, dataset: FolderDataset, split: Split, model: str, seed: int
) -> pd.DataFrame:
    """Ranks of a winner, in the order of the test queries: read, or made where there are none.

    Raises:
        ValueError: The file is of other queries.
    """
    tuned = tuned_on(args.rows, dataset.name, model, args.split, args.trials_of)
    options = chosen(args.rows, tuned, model, settings_of(args, dataset))
    model, _ = UNTUNED.get(model, (model, options))
    key = key_of(args, dataset, model, seed, options)
    path = kept_ranks(args.rows, key)
    if not path.exists():
        print(f"{model}, seed {seed}: no ranks in {path.parent.name}, trained once more")
        trained, _ = train_model(dataset, split, model, seed, options, key["trainer"])
        keep_ranks(args.rows, key, figures(trained, split)[1], dataset)
    ranks = pd.read_parquet(path)
    expected = {
        "user": dataset.user_ids[split.test.user_id],
        "target": dataset.item_ids[split.test.target],
    }
    for name, ids in expected.items():
        if list(map(str, ranks[name])) != list(map(str, ids)):
            raise ValueError(
                f"{path} must hold the queries of {dataset.name}, split {args.split} (the column "
                f"{name!r} differs): the data have changed, remove it and its row"
            )
    return ranks


def values_of(
    args: argparse.Namespace, dataset: FolderDataset, split: Split, model: str
) -> NDArray[np.float64]:
    """The metric of each query, the mean over the seeds [Q]."""
    column = COLUMNS[args.seen]
    ranks = [ranks_of(args, dataset, split, model, seed)[column] for seed in args.seeds]
    mean = np.mean([per_user_metric(rank, args.metric) for rank in ranks], axis=0)
    return np.asarray(mean, np.float64)


def compare(args: argparse.Namespace, folder: Path) -> tuple[str, list[str], dict[str, Judged]]:
    """One data set: its name, its modalities, and what each judgment finds."""
    dataset = FolderDataset(folder, modalities=args.modalities)
    others = models_for(dataset, args.models)
    names = models_for(dataset, list(dict.fromkeys([args.model, *others])))
    if len(names) < 2:
        raise ValueError(f"--models must name another model than {args.model}")
    split = SPLITS[args.split](dataset)
    values = {name: values_of(args, dataset, split, name) for name in names}
    counts, new = split.train.item_counts(), ~split.test.repeated
    every = judge(values, args.model, split.test.target, counts)
    found = {ALL: every}
    if new.all():
        found[NEW] = replace(every, table=every.table.copy())
    elif new.sum() > 1:
        part = {name: value[new] for name, value in values.items()}
        found[NEW] = judge(part, args.model, split.test.target[new], counts)
    return dataset.name, list(dataset.features), found


def main() -> None:
    """Prints the comparisons and one line of JSON."""
    args = parse()
    torch.set_num_threads(args.threads)
    per_user_metric([0.0], args.metric)  # a wrong name is an error before the work
    found: dict[str, dict[str, Judged]] = {}
    modalities: dict[str, list[str]] = {}
    for folder in args.folders:
        name, read, judged = compare(args, folder)
        if name in found:
            raise ValueError(f"two of the folders hold the data set {name}: compare them apart")
        found[name], modalities[name] = judged, read
    for judgment in (ALL, NEW):
        tables = {name: own[judgment].table for name, own in found.items() if judgment in own}
        for name, table in over_sets(tables).items():
            found[name][judgment].table = table
    print(f"Test {args.metric}, seen items {args.seen}, each query's mean over the seeds:\n")
    print(means_table(found))
    for judgment in (ALL, NEW):
        print(f"\n{args.model} minus each other model, {judgment}: difference, paired t, p of the")
        print("permutation test (Holm over the data sets):\n")
        print(differences_table(found, judgment))
    print_buckets(found, args.metric)
    result = {
        "model": args.model,
        "metric": args.metric,
        "seeds": args.seeds,
        "rules": f"{args.split}, whole catalog, seen items {args.seen}, ties at the mean rank, "
        "each query's mean over the seeds",
        "chosen_by": RULE,
        **about(args.threads),
        "datasets": {
            name: {"modalities": modalities[name], **as_json(own)} for name, own in found.items()
        },
    }
    text = json_text(result)
    print(f"\n{text}")
    if args.out:
        with atomic_write(args.out) as path:
            path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_script(main))
