"""Times the answer for one user, ours beside RecBole's and RecTools' own functions.

python -m benchmarks.one_user DATA/scientific_full --threads 1

Each library is asked for the best items of one user after the other, the way its documentation
shows: ours ``Retriever.recommend`` with a history, RecBole ``full_sort_topk`` and RecTools
``model.recommend`` with a user of their data set. The models are untrained and SASRec's are of one
size: the time does not depend on the weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.about import about
from benchmarks.harness import (
    add_common_arguments,
    device,
    digits,
    positive,
    result_path,
    save,
    table,
)
from benchmarks.peers.environments import CHOICES, Worker, take_turns
from benchmarks.training import OURS, USUAL_SPLIT, close, common_spec, start
from benchmarks.training import THEIRS as TRAINED
from mdsrec_pyg import FolderDataset, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.memory import use_huge_pages

#: The peers' rows of the training benchmark, once each: no batch is trained here.
THEIRS = {name: found for name, found in TRAINED.items() if found[1] is None}
COLUMNS = ("system", "p50_ms", "p99_ms", "times", "calls")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--ours", nargs="+", choices=OURS, default=["SASRec", "MDSRec"])
    parser.add_argument("--peers", choices=CHOICES, default="all")
    parser.add_argument("--calls", type=positive, default=100, help="timed calls, each turn")
    parser.add_argument("-k", type=positive, default=10)
    parser.add_argument("--channels", type=positive, default=64)
    parser.add_argument("--num-layers", type=int, default=1)
    parser.add_argument("--num-heads", type=positive, default=2)
    parser.add_argument("--max-length", type=positive, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu"
    )
    add_common_arguments(parser)
    args = parser.parse_args()
    args.dropout, args.batch_size, args.lr, args.split = 0.3, 128, 1e-3, USUAL_SPLIT
    args.repeats = args.repeats or (1 if args.short else 5)
    if args.short:
        args.calls, args.channels = 3, 8
    return args


def rows_of(workers: Mapping[str, Worker], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Asks all systems in turn.

    Raises:
        ValueError: An answer has not ``k`` different items.
    """
    answers = take_turns(workers, "recommend", args.repeats, calls=args.calls, k=args.k)
    rows: list[dict[str, Any]] = []
    for name, found in answers.items():
        for answer in found:
            if len(set(answer["first"])) != args.k:
                raise ValueError(f"{name} must give {args.k} items (got {answer['first']})")
        times = np.concatenate([answer["seconds"] for answer in found]) * 1e3
        row: dict[str, Any] = {"system": name, "p50_ms": digits(np.median(times))}
        if len(times) >= 100:  # a percentile that no call stands for would be a guess
            row["p99_ms"] = digits(np.percentile(times, 99))
        rows.append({**row, "calls": len(times), "versions": workers[name].ready})
    for row in rows:
        row["times"] = digits(row["p50_ms"] / rows[0]["p50_ms"])
    return rows


def main() -> None:
    """Prints a table, and one line of JSON."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    dataset = FolderDataset(args.folder, modalities=args.modalities)
    settings = {
        name: getattr(args, name)
        for name in ("calls", "k", "channels", "num_layers", "num_heads", "max_length", "seed")
    }
    print(f"{dataset.name}, {dataset.num_items:,} items; {args.repeats} turns after 1 of warm-up;")
    print("ours and RecTools leave seen items out, RecBole masks none;", settings)
    with tempfile.TemporaryDirectory() as scratch:
        spec = common_spec(args, Path(scratch), leave_last_out(dataset.interactions))
        workers, skipped = start(args, spec, Path(scratch) / "workers", THEIRS)
        rows = rows_of(workers, args)
        close(workers)
    print(table(rows, COLUMNS))
    print("p50 and p99 of one user's answer in milliseconds; times: of the first row's p50")
    about_run = about(args.threads, args.device)
    result = {
        "benchmark": "one_user",
        **about_run,
        "dataset": dataset.name,
        "items": dataset.num_items,
        "settings": settings,
        "skipped": skipped,
        "results": rows,
    }
    path = result_path("one_user", about_run["date"], args.device, args.threads)
    save(result, args.out or path)


if __name__ == "__main__":
    sys.exit(run_script(main))
