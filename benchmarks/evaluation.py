"""Users ranked a second over the whole catalog, ours beside RecBole's full-sort evaluation.

Both get the same scores, products of given vectors, and must find the same metrics.

python -m benchmarks.evaluation DATA/scientific_full --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.about import about
from benchmarks.harness import (
    add_common_arguments,
    device,
    megabytes,
    positive,
    result_path,
    save,
    table,
)
from benchmarks.peers.environments import PeerError, Worker, interpreter, make, take_turns
from mdsrec_pyg import FolderDataset, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.memory import use_huge_pages

TOLERANCE = 1e-6  # RecBole rounds nothing here; the means are taken in another order
PULL = 0.15  # of the target's vector on the user's, so that some targets stand among the first 20
SCORES = "the scores alone"  # our loop without any ranking: no evaluation can be faster
COLUMNS = ("catalog", "system", "batch", "queries", "users_s", "min", "max", "times", "peak_mb")

Data = dict[str, NDArray[Any]]


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", choices=("none", "recbole", "all"), default="all")
    parser.add_argument("--channels", type=positive, default=64, help="width of the vectors")
    parser.add_argument("--batch-size", type=positive, default=512, help="queries scored at a time")
    parser.add_argument("--items", type=int, nargs="*", help="sizes of synthetic catalogs")
    parser.add_argument("--queries", type=positive, help="users of each synthetic catalog")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu"
    )
    add_common_arguments(parser)
    args = parser.parse_args()
    default_items, default_queries = ([300], 200) if args.short else ([10_000, 100_000], 4096)
    args.items = default_items if args.items is None else args.items
    args.queries = args.queries or default_queries
    args.repeats = args.repeats or (1 if args.short else 5)
    return args


def catalogs(args: argparse.Namespace) -> Iterator[tuple[str, Data]]:
    """Name, interactions and vectors: of the folder, and of synthetic catalogs."""
    dataset = FolderDataset(args.folder, modalities=[])
    split = leave_last_out(dataset.interactions)
    train, val, test = split.train, split.val, split.test
    user = np.concatenate([train.user_id, val.user_id, test.user_id])
    item = np.concatenate([train.item_id, val.target, test.target])
    order = np.argsort(user, kind="stable")  # within a user: training, validation, test
    yield dataset.name, with_vectors(user[order], item[order], dataset.num_items, args)
    rng = np.random.default_rng(args.seed)
    for size in args.items:
        user, item = (
            np.repeat(np.arange(args.queries), 7),
            rng.integers(size, size=7 * args.queries),
        )
        yield f"{size:,} items", with_vectors(user, item, size, args)


def with_vectors(
    user: NDArray[np.int64], item: NDArray[np.int64], num_items: int, args: argparse.Namespace
) -> Data:
    """Adds random vectors, those of the users a little like that of their last item."""
    rng = np.random.default_rng(args.seed)
    items = rng.standard_normal((num_items, args.channels), np.float32)
    users = rng.standard_normal((int(user[-1]) + 1, args.channels), np.float32)
    last = np.flatnonzero(np.append(np.diff(user) != 0, True))
    users[user[last]] += np.float32(PULL * 64 / args.channels) * items[item[last]]
    return {
        "user": user,
        "item": item,
        "num_items": np.array(num_items),
        "users": users,
        "items": items,
    }


def start(
    args: argparse.Namespace, data: Path, folder: Path
) -> tuple[dict[str, tuple[Worker, int]], dict[str, str]]:
    """Processes and their batch sizes, set up; and why peers are missing."""
    spec = {"data": str(data), "device": args.device, "seed": args.seed, "max_length": 50}
    systems = {"ours": (Path(sys.executable), "ours", args.batch_size)}
    systems[SCORES] = systems["ours"]
    skipped: dict[str, str] = {}
    if args.peers != "none":
        try:
            make("recbole")
            systems["RecBole"] = (interpreter("recbole"), "recbole", args.batch_size)
            systems["RecBole, its batch size"] = (interpreter("recbole"), "recbole", 4096)
        except (PeerError, OSError) as error:
            skipped["recbole"] = str(error)
    workers = {}
    for name, (python, script, batch_size) in systems.items():
        own = {**spec, "batch_size": batch_size, "scores_only": name == SCORES}
        place, module = folder / name, f"benchmarks.peers.{script}_ranking"
        try:
            workers[name] = Worker(name, python, module, own, place, args.threads), batch_size
        except PeerError as error:
            if script == "ours":
                raise
            skipped[script] = str(error)
    return workers, skipped


def compare(
    catalog: str, workers: dict[str, tuple[Worker, int]], repeats: int
) -> list[dict[str, Any]]:
    """Rows of one catalog: asserts that the metrics agree, then times in turn."""
    first = {name: worker.ask("rank") for name, (worker, _) in workers.items()}
    for name, answer in first.items():
        if name == SCORES:
            continue
        for metric, value in first["ours"]["metrics"].items():
            other = answer["metrics"][metric]
            assert abs(value - other) < TOLERANCE, (catalog, name, metric, value, other)
    answers = take_turns({name: worker for name, (worker, _) in workers.items()}, "rank", repeats)
    rows = []
    for name, found in answers.items():
        worker, batch_size = workers[name]
        rates = [answer["queries"] / answer["seconds"] for answer in found]
        peaks = [answer["peak"] for answer in found if answer["peak"] is not None]
        rows.append(
            {
                "catalog": catalog,
                "system": name,
                "batch": batch_size,
                "queries": found[0]["queries"],
                "users_s": float(f"{statistics.median(rates):.4g}"),
                "min": float(f"{min(rates):.4g}"),
                "max": float(f"{max(rates):.4g}"),
                "peak_mb": megabytes(max(peaks)) if peaks else None,
                "metrics": found[0].get("metrics"),
                "versions": worker.ready,
            }
        )
    for row in rows:
        row["times"] = round(rows[0]["users_s"] / row["users_s"], 3)
    return rows


def main() -> None:
    """Prints a table, and one line of JSON."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    print(f"{args.repeats} timed runs after 1 of warm-up, in turn; {args.channels} channels;")
    print("seen items are candidates (RecBole masks none for sequential models), all items ranked")
    with tempfile.TemporaryDirectory() as scratch:
        for number, (catalog, data) in enumerate(catalogs(args)):
            path = Path(scratch) / f"{number}.npz"
            np.savez(path, allow_pickle=False, **data)
            workers, missing = start(args, path, Path(scratch) / str(number))
            skipped |= {f"{name}, {catalog}": reason for name, reason in missing.items()}
            rows += compare(catalog, workers, args.repeats)
            for worker, _ in workers.values():
                worker.close()
    print(table(rows, COLUMNS))
    for name, reason in skipped.items():
        print(f"without {name}: {reason}")
    about_run = about(args.threads, args.device)
    result = {
        "benchmark": "evaluation",
        **about_run,
        "seen_items": "kept",
        "channels": args.channels,
        "skipped": skipped,
        "results": rows,
    }
    path = result_path("evaluation", about_run["date"], args.device, args.threads)
    save(result, args.out or path)


if __name__ == "__main__":
    sys.exit(run_script(main))
