"""Is MDSRec better than a baseline, and for which items? Paired tests on the queries of the test.

python -m benchmarks.compare DATA/scientific_full

Trains the winners that ``accuracy.py`` has chosen on validation once more, with one seed, and
compares the NDCG@10 of each query: bootstrap interval of the difference, permutation test, and the
metrics by how often the target occurs in training. Leave-last-out, the whole catalog, seen items
kept as candidates, ties at the mean rank.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.about import about
from benchmarks.accuracy import RESULTS, TRAINER, chosen, train_model
from benchmarks.trials import TRIALS
from mdsrec_pyg import FolderDataset, evaluate, leave_last_out
from mdsrec_pyg.evaluation import metrics_by_popularity, per_user_metric
from mdsrec_pyg.evaluation.significance import compare_with_all
from mdsrec_pyg.io import atomic_write


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="data set (FolderDataset)")
    parser.add_argument("--models", nargs="+", default=["EASE+features"], choices=list(TRIALS))
    parser.add_argument("--modalities", nargs="+", default=["image", "text"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials-of", help="take the winners of this data set")
    parser.add_argument("--metric", default="ndcg@10")
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--epochs", type=int, default=TRAINER["epochs"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the result here, too (JSON)")
    return parser.parse_args()


def main() -> None:
    """Prints the comparison and one line of JSON."""
    args = parse()
    torch.set_num_threads(args.threads)
    dataset = FolderDataset(args.folder, modalities=args.modalities)
    split = leave_last_out(dataset.interactions)
    tuned_on = args.trials_of or dataset.name
    values, buckets = {}, {}
    for name in ["MDSRec", *args.models]:
        options = chosen(args.rows, tuned_on, name)
        start = time.perf_counter()
        model, _ = train_model(dataset, split, name, args.seed, options, args.epochs)
        ranks = evaluate(model, split.test).ranks
        values[name] = per_user_metric(ranks, args.metric)
        counts = split.train.item_counts()
        buckets[name] = metrics_by_popularity(ranks, np.asarray(split.test.target), counts)
        print(
            f"{name:16} {values[name].mean():.4f}  {time.perf_counter() - start:.0f} s  {options}"
        )
    table = compare_with_all(values, "MDSRec", seed=args.seed)
    print(f"\n{dataset.name}, test {args.metric}, MDSRec (a) against each other model (b):")
    print(table.to_string(float_format="{:.4f}".format))
    by_count = {name: bucket[args.metric] for name, bucket in buckets.items()}
    queries = buckets["MDSRec"]["queries"]
    print(f"\n{args.metric} by the target's training count:")
    for label in queries.index:
        cells = "  ".join(f"{name} {column[label]:.4f}" for name, column in by_count.items())
        print(f"{label:>8}  {queries[label]:>6,} queries  {cells}")
    result = {
        "dataset": dataset.name,
        "metric": args.metric,
        "seed": args.seed,
        "rules": "leave-last-out, whole catalog, seen items kept, ties at the mean rank",
        **about(args.threads),
        "comparison": json.loads(table.to_json(orient="index")),
        "by_training_count": {
            label: {"queries": int(queries[label])}
            | {name: float(column[label]) for name, column in by_count.items()}
            for label in queries.index
        },
    }
    text = json.dumps(result)
    print(f"\n{text}")
    if args.out:
        with atomic_write(args.out) as path:
            path.write_text(text + "\n")


if __name__ == "__main__":
    main()
