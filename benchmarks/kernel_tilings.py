"""Times the Triton kernel alone in each tiling, forward and transposed, on a GPU; for its defaults.

python -m benchmarks.kernel_tilings --num-nodes 23000 1000000 --num-neighbors 10 20 --channels 64
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.about import about
from benchmarks.harness import positive, result_path, save, table
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.nn.conv._adjacency import Adjacency

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
COLUMNS = ("num_nodes", "num_neighbors", "channels", "side", "rows", "num_warps", "steps", "ms")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num-nodes", type=positive, nargs="+", default=[23_000, 1_000_000])
    parser.add_argument("--num-neighbors", type=positive, nargs="+", default=[10, 20])
    parser.add_argument("--channels", type=positive, nargs="+", default=[64, 128])
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--rows", type=positive, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--num-warps", type=positive, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=positive, nargs="+", default=[4, 10, 20])
    parser.add_argument("--out", type=Path, help="result file (default: under benchmarks/results)")
    return parser.parse_args()


def graph(num_nodes: int, num_neighbors: int) -> tuple[Adjacency, Tensor]:
    """H random neighbors a node, made where they are used, and weights."""
    generator = torch.Generator("cuda").manual_seed(0)
    num_edges = num_nodes * num_neighbors
    col = torch.randint(num_nodes, (num_edges,), generator=generator, device="cuda")
    rowptr = torch.arange(num_nodes + 1, device="cuda") * num_neighbors
    weight = torch.rand(num_edges, generator=generator, device="cuda")
    return Adjacency(rowptr, col, None, num_nodes), weight


def milliseconds(call: Callable[[], object], launches: int) -> float:
    """Of one launch on the device: several in a CUDA graph, so that the host does not count."""
    call()
    torch.cuda.synchronize()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        for _ in range(launches):
            call()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    captured.replay()
    found = []
    for _ in range(3):
        begin.record()
        captured.replay()
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) / launches)
    return float(f"{min(found):.4g}")


def rows_of(args: argparse.Namespace, size: tuple[int, int, int]) -> Iterator[dict[str, Any]]:
    """Every tiling over one graph, with the speed at which it gathers."""
    from mdsrec_pyg.nn.conv import _triton

    num_nodes, num_neighbors, channels = size
    dtype = DTYPES[args.dtype]
    adj, weight = graph(num_nodes, num_neighbors)
    weight = weight.to(torch.promote_types(dtype, torch.float32))
    x = torch.randn(num_nodes, channels, device="cuda").to(dtype)
    columns = _triton.tiling(channels, x.element_size()).columns
    for transpose in (False, True):
        value = weight[adj.perm_t] if transpose else weight
        for rows, warps, steps in itertools.product(args.rows, args.num_warps, args.steps):
            chosen = _triton.Tiling(rows, columns, steps, warps)
            usual, _triton.tiling = _triton.tiling, lambda *_, chosen=chosen: chosen
            try:
                kernel = _triton.Rows(*adj.side(transpose))
                launches = 20 if num_nodes < 100_000 else 3
                found = milliseconds(partial(kernel.sums, value, x, dtype), launches)
            finally:
                _triton.tiling = usual
            gathered = num_nodes * num_neighbors * channels * x.element_size()
            yield {
                **dict(zip(COLUMNS, (*size, "back" if transpose else "forth"), strict=False)),
                **{"rows": rows, "num_warps": warps, "steps": steps, "ms": found},
                "gathered_tb_s": round(gathered / found / 1e9, 2),
            }


def main() -> None:
    """Prints the best of each graph, writes all."""
    args = parse()
    if not torch.cuda.is_available():
        raise ValueError("kernel_tilings needs a GPU")
    results: list[dict[str, Any]] = []
    for size in itertools.product(args.num_nodes, args.num_neighbors, args.channels):
        found = sorted(rows_of(args, size), key=lambda row: (row["side"], row["ms"]))
        for side in ("forth", "back"):
            best = [row for row in found if row["side"] == side][:4]
            print(table(best, (*COLUMNS, "gathered_tb_s")))
        results += found
    info = about(1, "cuda")
    path = args.out or result_path("kernel-tilings", info["date"], "cuda", 1)
    save({"benchmark": "kernel_tilings", **info, "dtype": args.dtype, "results": results}, path)


if __name__ == "__main__":
    sys.exit(run_script(main))
