"""Predicted positions a second in training, ours beside the SASRec of RecBole and RecTools.

python -m benchmarks.training DATA/scientific_full --threads 2
"""

from __future__ import annotations

import argparse
import statistics
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
    megabytes,
    positive,
    result_path,
    save,
    spread,
    table,
)
from benchmarks.peers.environments import (
    CHOICES,
    PeerError,
    Worker,
    chosen,
    interpreter,
    make,
    take_turns,
)
from benchmarks.peers.equal_time import equal_time
from mdsrec_pyg import FolderDataset
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import Split
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.memory import use_huge_pages

#: Ours: name of the row, model of ``trials.py``, options.
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "SASRec": ("SASRec", {}),
    "SASRec, no history bias": ("SASRec", {"history_bias": False}),
    "MDSRec": ("MDSRec", {}),
    "MDSRec, 128 components": ("MDSRec", {"num_components": 128}),
    "MDSRec-paper": ("MDSRec-paper", {}),
}
#: The split that the peers make by themselves, too.
USUAL_SPLIT = "leave_last_out"
#: Rows that the goals are for.
FORMS = ("MDSRec", "MDSRec, 128 components")
#: Of the peers: name of the row, peer, batch size other than the common one.
THEIRS: dict[str, tuple[str, int | None]] = {
    "RecBole SASRec": ("recbole", None),
    "RecBole SASRec, batch 2048": ("recbole", 2048),
    "RecTools SASRec": ("rectools", None),
}
#: What MDSRec's positions a second are to reach at least, as a multiple of these systems'.
GOALS = {"RecBole SASRec": 10.0, "SASRec": 0.5}
COLUMNS = ("system", "batch", "positions_s", "min", "max", "positions", "epoch_ms", "peak_mb")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument(
        "--split", choices=sorted(SPLITS), default=USUAL_SPLIT, help="another: with --peers none"
    )
    parser.add_argument("--ours", nargs="+", choices=OURS, default=list(OURS), help="default: all")
    parser.add_argument("--peers", choices=CHOICES, default="all")
    parser.add_argument("--channels", type=positive, help="width (default: 64; 8 in short form)")
    parser.add_argument("--num-layers", type=int, default=1)
    parser.add_argument("--num-heads", type=positive, default=2)
    parser.add_argument("--max-length", type=positive, default=50)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--batch-size", type=positive, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--steps", type=positive, help="time so many steps instead of whole epochs")
    parser.add_argument(
        "--accuracy-minutes",
        type=float,
        default=0.0,
        help="then train each anew for so long and rank the test part (0: not)",
    )
    add_common_arguments(parser)
    args = parser.parse_args()
    args.channels = args.channels or (8 if args.short else 64)
    args.steps = args.steps or (2 if args.short else None)
    args.repeats = args.repeats or (1 if args.short else 5)
    return args


def common_spec(args: argparse.Namespace, folder: Path, split: Split) -> dict[str, Any]:
    """What all systems have in common; writes the interactions for the peers."""
    train, val, test = split.train, split.val, split.test
    user = np.concatenate([train.user_id, val.user_id, test.user_id])
    item = np.concatenate([train.item_id, val.target, test.target])
    order = np.argsort(user, kind="stable")  # within a user: training, validation, test
    path = folder / "interactions.npz"
    np.savez(path, user=user[order], item=item[order], num_items=train.num_items)
    names = ("channels", "num_layers", "num_heads", "max_length", "dropout", "batch_size", "lr")
    return {
        **{name: getattr(args, name) for name in (*names, "seed", "device", "modalities", "split")},
        "folder": str(args.folder.resolve()),
        "data": str(path),
    }


def start(
    args: argparse.Namespace,
    spec: Mapping[str, Any],
    folder: Path,
    theirs: Mapping[str, tuple[str, int | None]] = THEIRS,
) -> tuple[dict[str, Worker], dict[str, str]]:
    """A process for each system, set up; and why peers are missing."""
    workers: dict[str, Worker] = {}
    skipped: dict[str, str] = {}
    for name in args.ours:
        model, options = OURS[name]
        own = {**spec, "model": model, "options": options}
        place = folder / str(len(workers))
        module = "benchmarks.peers.ours_training"
        workers[name] = Worker(name, Path(sys.executable), module, own, place, args.threads)
    for name, (peer, batch_size) in theirs.items():
        if peer not in chosen(args.peers) or peer in skipped:
            continue
        own = {**spec, "batch_size": batch_size or spec["batch_size"]}
        place = folder / f"{len(workers)}-{peer}"
        try:
            make(peer)
            module = f"benchmarks.peers.{peer}_training"
            workers[name] = Worker(name, interpreter(peer), module, own, place, args.threads)
        except (PeerError, OSError) as error:
            skipped[peer] = str(error)
            print(f"goes on without {peer}: {error}")
    return workers, skipped


def rows_of(workers: Mapping[str, Worker], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Times all systems in turn."""
    answers = take_turns(workers, "epoch", args.repeats, steps=args.steps)
    rows = []
    for name, found in answers.items():
        rates = [answer["positions"] / answer["seconds"] for answer in found]
        seconds = [answer["seconds"] for answer in found]
        peaks = [answer["peak"] for answer in found if answer["peak"] is not None]
        rows.append(
            {
                "system": name,
                "batch": THEIRS.get(name, ("", None))[1] or args.batch_size,
                "positions_s": float(f"{statistics.median(rates):.4g}"),
                "min": float(f"{min(rates):.4g}"),
                "max": float(f"{max(rates):.4g}"),
                "positions": found[-1]["positions"],
                "epoch_ms": spread(seconds)["median_ms"],
                "peak_mb": megabytes(max(peaks)) if peaks else None,
                "versions": workers[name].ready,
            }
        )
    return rows


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """MDSRec's positions a second over those of each other system."""
    rates = {row["system"]: row["positions_s"] for row in rows}
    mine = {name: rates.pop(name) for name in OURS if name in rates and name in FORMS}
    return {
        f"{name} / {other}": round(rate / others, 3)
        for name, rate in mine.items()
        for other, others in rates.items()
    }


def verdict(name: str, value: float) -> str:
    """The goal of a ratio, and whether it is met."""
    goal = GOALS.get(name.split(" / ")[1])
    if goal is None:
        return ""
    return f" (goal: at least {goal:g}, {'met' if value >= goal else 'missed'})"


def main() -> None:
    """Prints the tables, and one line of JSON."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    dataset = FolderDataset(args.folder, modalities=args.modalities)
    if args.split != USUAL_SPLIT and args.peers != "none":
        raise ValueError(f"--split {args.split} needs --peers none: peers split by themselves")
    split = SPLITS[args.split](dataset)
    accuracy: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        spec = common_spec(args, folder, split)
        settings = {name: value for name, value in spec.items() if name not in ("folder", "data")}
        print(f"{dataset.name}, {split.method}; {args.repeats} timed runs after 1 of warm-up, of")
        print("whole epochs" if args.steps is None else f"{args.steps} steps", "in turn;", settings)
        workers, skipped = start(args, spec, folder / "speed")
        rows = rows_of(workers, args)
        close(workers)
        print(table(rows, COLUMNS))
        for name, value in ratios(rows).items():
            judged = "" if args.short else verdict(name, value)
            print(f"positions a second, {name}: {value:.3g}{judged}")
        if args.accuracy_minutes:
            workers, skipped = start(args, spec, folder / "accuracy")
            accuracy = equal_time(workers, args.accuracy_minutes, split, folder)
            close(workers)
            print(table(accuracy))
    about_run = about(args.threads, args.device)
    result = {
        "benchmark": "training",
        **about_run,
        "dataset": dataset.name,
        "split": split.method,
        "settings": {**settings, "steps": args.steps, "accuracy_minutes": args.accuracy_minutes},
        "skipped": skipped,
        "ratios": ratios(rows),
        "goals": GOALS,
        "results": rows,
        "accuracy": accuracy,
    }
    path = result_path("training", about_run["date"], args.device, args.threads)
    save(result, args.out or path)


def close(workers: Mapping[str, Worker]) -> None:
    """Ends all processes."""
    for worker in workers.values():
        worker.close()


if __name__ == "__main__":
    sys.exit(run_script(main))
