"""Times an epoch of MDSRec beside SASRec on the same data, in turn, and profiles a step.

python -m benchmarks.epoch DATA/scientific_full --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.about import about
from benchmarks.harness import positive
from benchmarks.trials import make_model
from mdsrec_pyg import FolderDataset, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import SequenceLoader
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.nn.models import SequentialRecommender
from mdsrec_pyg.showing import json_text
from mdsrec_pyg.training.optimizer import make_optimizer

MODELS = ("SASRec", "SASRecF", "MDSRec-paper", "MDSRec")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--channels", type=positive, default=64)
    parser.add_argument("--batch-size", type=positive, default=128)
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--out", type=Path, help="write the result here, too (JSON)")
    return parser.parse_args()


def train_epoch(
    model: SequentialRecommender, optimizer: torch.optim.Optimizer, loader: SequenceLoader
) -> None:
    """One pass over the training data."""
    model.train()
    for batch in loader:
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()


def main() -> None:
    """Prints a table, the profile of MDSRec, and one line of JSON."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    dataset = FolderDataset(args.folder, modalities=args.modalities)
    train = leave_last_out(dataset.interactions).train
    loader = SequenceLoader(train, 50, args.batch_size)
    runs = {}
    for name in MODELS:
        model = make_model(name, dataset, train, 0, {"channels": args.channels})
        assert isinstance(model, SequentialRecommender)
        runs[name] = (model, make_optimizer(model, 1e-3, 0.0))
        train_epoch(*runs[name], loader)  # warm-up
    seconds: dict[str, list[float]] = {name: [] for name in MODELS}
    for _ in range(args.repeats):  # in turn, so that a noisy machine is noisy for all
        for name in MODELS:
            start = time.perf_counter()
            train_epoch(*runs[name], loader)
            seconds[name].append(time.perf_counter() - start)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        train_epoch(*runs["MDSRec"], loader)
    print(profiled.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))
    reference = statistics.median(seconds["SASRec"])
    results = [
        {
            "model": name,
            "median_s": round(statistics.median(values), 3),
            "min_s": round(min(values), 3),
            "max_s": round(max(values), 3),
            "ratio_to_sasrec": round(statistics.median(values) / reference, 2),
        }
        for name, values in seconds.items()
    ]
    result = {
        "dataset": dataset.name,
        **about(args.threads),
        "positions": loader.num_positions,
        "results": results,
    }
    print(f"{'model':14}{'median s':>10}{'min':>8}{'max':>8}{'x SASRec':>10}")
    for row in results:
        print(
            f"{row['model']:14}{row['median_s']:10.2f}{row['min_s']:8.2f}{row['max_s']:8.2f}"
            f"{row['ratio_to_sasrec']:10.2f}"
        )
    print(json_text(result))
    if args.out:
        with atomic_write(args.out) as path:
            path.write_text(json_text(result, 1) + "\n")


if __name__ == "__main__":
    sys.exit(run_script(main))
