"""How long the graphs and the interest centers of up to 1M items take, and how much memory.

Every measurement runs in a process of its own, so that no memory is taken over from another one.
Finished rows are kept in a file, and a second run skips them.

    python -m benchmarks.item_graph --short
    python -m benchmarks.item_graph --num-items 10000 100000
    python -m benchmarks.item_graph --num-items 1000000 --methods "local ridge" --targets 5000
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.about import about, code_version
from benchmarks.catalog import load_catalog
from benchmarks.graph_methods import (
    CENTERS,
    METHODS,
    NEIGHBORS,
    Result,
    Settings,
    dense_neighbors,
)
from benchmarks.harness import (
    add_common_arguments,
    child_environment,
    megabytes,
    peak_memory,
    positive,
    result_path,
    save,
    table,
)
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import ModalFeature
from mdsrec_pyg.graphs import local_ridge_graph, ridge_graph, ridge_precision
from mdsrec_pyg.graphs.nearest import nearest
from mdsrec_pyg.graphs.neighbors import unit_rows
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.showing import json_text

# Bytes that each needs for N items, where that grows with the square ...
BYTES = {"exact ridge": 12, "dense N x N": 4}
# ... and the most items where it is the time that does.
MOST_ITEMS = {"scikit-learn neighbors": 100_000, "exact ridge": 20_000}


def why_not(method: str, num_items: int, memory: float) -> str | None:
    """Why a method is left out at this size, or ``None``."""
    needed = BYTES.get(method, 0) * num_items**2 / 1e9
    if needed > memory:
        return f"needs {needed:,.0f} GB"
    return "takes hours" if num_items > MOST_ITEMS.get(method, num_items) else None


def check() -> None:
    """Ours and the dense way agree on a small catalog."""
    with tempfile.TemporaryDirectory() as folder:
        data = load_catalog(Path(folder), 300, 16)
        unit, _ = unit_rows(ModalFeature(torch.as_tensor(data.x)))
        value = nearest(unit, torch.arange(300), NEIGHBORS)[2].view(300, -1)
        expected = dense_neighbors(torch.as_tensor(data.x).float(), NEIGHBORS)[0]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
        local = local_ridge_graph(data.interactions, data.x, num_candidates=299)
        exact = ridge_graph(ridge_precision(data.interactions, data.x))
        torch.testing.assert_close(
            local.edge_weight.sum(), exact.edge_weight.sum(), rtol=1e-3, atol=0
        )


def measure(args: Settings, method: str, num_items: int) -> Result:
    """Seconds and peak memory of one method, after a run on a small catalog."""
    torch.set_num_threads(args.threads)
    run = METHODS[method]
    data = load_catalog(args.folder, num_items, args.num_features)
    small = load_catalog(args.folder, 300, args.num_features)
    run(small, argparse.Namespace(**{**vars(args), "targets": None}))
    found: Result = {}

    def timed() -> None:
        start, busy = time.perf_counter(), time.process_time()
        found.update(run(data, args))
        found["seconds"] = float(f"{time.perf_counter() - start:.4g}")
        found["cpu_s"] = float(f"{time.process_time() - busy:.4g}")  # of all threads together

    peak = peak_memory(timed)
    return {**found, "peak_MB": megabytes(peak)}


def child(args: Settings, method: str, num_items: int) -> Result:
    """A measurement in a process of its own; in the short form here, where nothing is judged."""
    if args.short:
        return measure(args, method, num_items)
    command = [sys.executable, "-m", "benchmarks.item_graph"]
    command += ["--one", method, "--num-items", str(num_items)]
    for name in ("threads", "folder", "num_features", "candidates", "queries", "search", "targets"):
        value = getattr(args, name)
        if value is not None and (name != "targets" or method == "local ridge"):
            command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(
        command, env=child_environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def key(row: Result) -> tuple[Any, ...]:
    """What a finished row is known by."""
    names = ("method", "num_items", "num_features", "threads", "repeat", "candidates", "asked")
    return tuple(row.get(name) for name in names)


def measure_all(args: Settings) -> list[Result]:
    """All rows asked for, those already on file included."""
    args.rows.parent.mkdir(parents=True, exist_ok=True)
    lines = args.rows.read_text().splitlines() if args.rows.exists() else []
    done = {key(row): row for row in map(json.loads, lines)}
    rows = []
    jobs = [(r, n, m) for n in args.num_items for r in range(args.repeats) for m in args.methods]
    for repeat, num_items, method in tqdm(jobs, desc="measurements"):
        row: Result = {"method": method, "num_items": num_items, "threads": args.threads}
        row |= {"num_features": args.num_features, "repeat": repeat}
        if method == "local ridge":
            row |= {"candidates": args.candidates, "asked": args.targets}
        if key(row) not in done:
            reason = why_not(method, num_items, args.memory)
            row |= {"note": reason} if reason else child(args, method, num_items)
            row["code"] = code_version()
            with args.rows.open("a") as file:
                file.write(json_text(row) + "\n")
            done[key(row)] = row
        rows.append(done[key(row)])
    return rows


def summary(rows: list[Result]) -> list[Result]:
    """One line a method and size: median, smallest and largest time, largest peak."""
    lines = []
    for name in dict.fromkeys((row["method"], row["num_items"]) for row in rows):
        same = [row for row in rows if (row["method"], row["num_items"]) == name]
        line: Result = {"method": name[0], "items": name[1], "runs": len(same)}
        if "note" in same[0]:
            line["note"] = same[0]["note"]
        else:
            seconds = [row["seconds"] for row in same]
            line |= {"s": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
            line["cpu_s"] = statistics.median(row["cpu_s"] for row in same)
            line["peak_MB"] = max(row["peak_MB"] or 0 for row in same) or None
            known = {k: v for k, v in same[0].items() if k not in (*line, *HIDDEN)}
            line |= {"note": ", ".join(f"{k} {round_up(v)}" for k, v in known.items())}
        lines.append(line)
    return lines


COLUMNS = ["method", "items", "runs", "s", "min", "max", "cpu_s", "peak_MB", "note"]
HIDDEN = ("num_items", "threads", "num_features", "repeat", "seconds", "cpu_s", "code", "asked")


def round_up(value: Any) -> str:
    """A number for a note."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def parse() -> Settings:
    """Options; the short form replaces the sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser)
    parser.add_argument("--num-items", type=positive, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--num-features", type=positive, default=768)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--targets", type=positive, help="local ridge: solve so many, extrapolate")
    parser.add_argument("--candidates", type=positive, default=200, help="of a target, local ridge")
    parser.add_argument("--search", choices=["exact", "cells"], help="local ridge; by size")
    parser.add_argument("--queries", type=positive, default=500, help="of the recall of the cells")
    parser.add_argument("--memory", type=float, default=20, help="GB that a method may need")
    folder = Path(tempfile.gettempdir()) / "mdsrec-item-graph"
    parser.add_argument("--folder", type=Path, default=folder, help="of the synthetic catalogs")
    parser.add_argument("--rows", type=Path, help="finished rows (default: in the folder)")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.short:
        args.num_items, args.num_features, args.candidates, args.queries = [600], 32, 20, 50
    if args.targets is not None and args.targets < 2:
        parser.error(f"--targets must be at least 2 (got {args.targets})")
    args.repeats = args.repeats or 1
    args.rows = args.rows or args.folder / "rows.jsonl"
    return args


def main() -> None:
    """Measures, prints a table, writes a file."""
    use_huge_pages()
    args = parse()
    if args.one is not None:
        print(json_text(measure(args, args.one, args.num_items[0])))
        return
    print(
        f"items {args.num_items}, {args.num_features} features float16, 20 interactions an item, "
        f"{NEIGHBORS} neighbors (ridge: 50 of {args.candidates} candidates), {CENTERS} centers, "
        f"{args.threads} thread(s)"
    )
    check()
    for num_items in args.num_items:
        load_catalog(args.folder, num_items, args.num_features)
    rows = measure_all(args)
    print(table(summary(rows), COLUMNS))
    result = {"benchmark": "item_graph", **about(args.threads), "repeats": args.repeats}
    result["results"] = rows
    save(result, args.out or result_path("item-graph", result["date"], "cpu", args.threads))


if __name__ == "__main__":
    sys.exit(run_script(main))
