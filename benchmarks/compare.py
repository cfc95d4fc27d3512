"""Is MDSRec better than a baseline, and for which items? Paired tests on the queries of the test.

    python -m benchmarks.compare DATA/scientific_full
    python -m benchmarks.compare DATA/shop --model EASE --models SASRec GRU4Rec --split temporal

Reads the ranks that ``accuracy.py`` has kept of the winners chosen on validation, with one seed,
and compares the metric of each query: bootstrap interval of the difference, permutation test, and
the metrics by how often the target occurs in training. The whole catalog, seen items kept as
candidates, ties at the mean rank. A winner whose ranks are not there is trained once more, and that
is said.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.about import about
from benchmarks.accuracy import TRAINER, figures, keep_ranks, key_of, train_model
from benchmarks.accuracy_rows import BEFORE, RESULTS, chosen, models_for, ranks_path
from benchmarks.harness import positive
from benchmarks.trials import TRIALS
from mdsrec_pyg import FolderDataset
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import Split
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.evaluation import metrics_by_popularity, per_user_metric
from mdsrec_pyg.evaluation.significance import compare_with_all
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import json_text


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="data set (FolderDataset)")
    parser.add_argument("--model", default="MDSRec", choices=list(TRIALS), help="(a)")
    parser.add_argument(
        "--models", nargs="+", default=["EASE+features"], choices=list(TRIALS), help="(b)"
    )
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--split", choices=sorted(SPLITS), default=BEFORE["split"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials-of", help="take the winners of this data set")
    parser.add_argument("--metric", default="ndcg@10")
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--epochs", type=positive, default=TRAINER["epochs"])
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--out", type=Path, help="write the result here, too (JSON)")
    return parser.parse_args()


def ranks_of(
    args: argparse.Namespace, dataset: FolderDataset, split: Split, model: str
) -> pd.DataFrame:
    """Ranks of a winner, in the order of the test queries: read, or made where there are none.

    Raises:
        ValueError: The file is of other queries.
    """
    tuned_on = args.trials_of or dataset.name
    options = chosen(args.rows, tuned_on, model, args.split, list(dataset.features))
    key = key_of(args, dataset, model, args.seed, options)
    path = ranks_path(args.rows, key)
    if not path.exists():
        print(f"{model}: no ranks in {path.parent.name}, trained once more")
        trained, _ = train_model(dataset, split, model, args.seed, options, args.epochs)
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


def main() -> None:
    """Prints the comparison and one line of JSON."""
    args = parse()
    torch.set_num_threads(args.threads)
    per_user_metric([0.0], args.metric)  # a wrong name is an error before the work
    dataset = FolderDataset(args.folder, modalities=args.modalities)
    names = models_for(dataset, list(dict.fromkeys([args.model, *args.models])))
    if len(names) < 2:
        raise ValueError(f"--models must name another model than {args.model}")
    split = SPLITS[args.split](dataset)
    cutoff = args.metric.partition("@")[2]
    k = [int(cutoff)] if cutoff else [10]
    counts = split.train.item_counts()
    values, buckets = {}, {}
    for name in names:
        ranks = ranks_of(args, dataset, split, name)["rank"].to_numpy()
        values[name] = per_user_metric(ranks, args.metric)
        buckets[name] = metrics_by_popularity(ranks, split.test.target, counts, k=k)
        print(f"{name:16} {values[name].mean():.4f}")
    table = compare_with_all(values, args.model, seed=args.seed)
    print(f"\n{dataset.name}, test {args.metric}, {args.model} (a) against each other model (b):")
    print(table.to_string(float_format="{:.4f}".format))
    result = {
        "dataset": dataset.name,
        "modalities": list(dataset.features),
        "model": args.model,
        "metric": args.metric,
        "seed": args.seed,
        "rules": f"{args.split}, whole catalog, seen items kept, ties at the mean rank",
        **about(args.threads),
        "comparison": json.loads(table.to_json(orient="index", double_precision=15)),
        "by_training_count": by_count(buckets, args),
    }
    text = json_text(result)
    print(f"\n{text}")
    if args.out:
        with atomic_write(args.out) as path:
            path.write_text(text + "\n", encoding="utf-8")


def by_count(buckets: dict[str, pd.DataFrame], args: argparse.Namespace) -> dict[str, Any]:
    """The metric by the target's training count, printed; a bucket without queries has none."""
    columns = {name: bucket[args.metric] for name, bucket in buckets.items()}
    queries = buckets[args.model]["queries"]
    print(f"\n{args.metric} by the target's training count:")
    found = {}
    for label in queries.index:
        cells = {name: float(column[label]) for name, column in columns.items()}
        shown = "  ".join(
            f"{name} {'-' if value != value else f'{value:.4f}'}" for name, value in cells.items()
        )
        print(f"{label:>8}  {queries[label]:>6,} queries  {shown}")
        found[str(label)] = {"queries": int(queries[label]), **cells}
    return found


if __name__ == "__main__":
    sys.exit(run_script(main))
