"""Times all ways of propagating over an item graph, side by side, against ours and the hardware.

python -m benchmarks.propagation --num-nodes 23000 --num-neighbors 10 --channels 64
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.about import about
from benchmarks.harness import (
    add_common_arguments,
    device,
    interleave,
    megabytes,
    peak_memory,
    positive,
    result_path,
    save,
    spread,
    table,
    write,
)
from benchmarks.propagation_methods import OURS, Method, Propagation, methods, own_layer
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.memory import use_huge_pages

SIZES = (7_000, 23_000, 200_000, 1_000_000)
DTYPES = {"float32": torch.float32, "float64": torch.float64}
COLUMNS = ("method", "pass", "median_ms", "min_ms", "max_ms", "ratio_to_ours", "ratio_to_floor")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_common_arguments(parser)
    parser.add_argument("--num-nodes", type=positive, nargs="+", help=f"N (default: {SIZES})")
    parser.add_argument(
        "--num-neighbors", type=positive, nargs="+", help="H (default: 10; 5, 20 once)"
    )
    parser.add_argument(
        "--channels", type=positive, nargs="+", help="D (default: 64; 32, 128 once)"
    )
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["float32"])
    parser.add_argument("--device", type=device, default="cpu")
    parser.add_argument("--methods", nargs="+", help="only these, beside ours (default: all)")
    parser.add_argument("--layer", action="append", default=[], help="module:Class, to compare too")
    parser.add_argument("--seconds", type=float, default=20, help="about, a configuration")
    parser.add_argument("--memory-limit", type=float, default=8, help="GB for rows of D an edge")
    parser.add_argument("--plot", type=Path, help="draw the result (svg or png)")
    return parser.parse_args()


def configurations(args: argparse.Namespace) -> Iterator[tuple[int, int, int, str]]:
    """N, H, D, dtype: the product of what was asked for, or one axis at a time."""
    if args.num_nodes or args.num_neighbors or args.channels:
        sizes = args.num_nodes or [23_000]
        neighbors, channels = args.num_neighbors or [10], args.channels or [64]
        yield from itertools.product(sizes, neighbors, channels, args.dtype)
    elif args.short:
        yield from ((500, 4, 16, dtype) for dtype in args.dtype)
    else:
        for dtype in args.dtype:
            yield from ((size, 10, 64, dtype) for size in SIZES[:-1])
            yield from ((23_000, h, 64, dtype) for h in (5, 20))
            yield from ((23_000, 10, d, dtype) for d in (32, 128))
            yield (SIZES[-1], 10, 64, dtype)  # last, as it takes most of the time


def random_graph(
    num_nodes: int, num_neighbors: int, dtype: torch.dtype, device: str = "cpu"
) -> Data:
    """H random neighbors an item, sorted by target: no locality, the worst case for caches."""
    generator = torch.Generator(device).manual_seed(0)
    target = torch.arange(num_nodes, device=device).repeat_interleave(num_neighbors)
    source = torch.randint(num_nodes, target.shape, generator=generator, device=device)
    order = torch.argsort(target * num_nodes + source)
    weight = torch.rand(len(order), generator=generator, dtype=dtype, device=device)
    weight /= num_neighbors
    return Data(
        edge_index=torch.stack([source[order], target]), edge_weight=weight, num_nodes=num_nodes
    )


def floor_bytes(num_nodes: int, num_neighbors: int, channels: int, dtype: torch.dtype) -> int:
    """Fewest bytes of a product: x, y, columns (int32), weights and row pointers, each once."""
    size, edges = dtype.itemsize, num_nodes * num_neighbors
    return 2 * num_nodes * channels * size + edges * (4 + size) + 4 * (num_nodes + 1)


class Case:
    """One configuration: what is run, and what came out."""

    def __init__(self, args: argparse.Namespace, size: tuple[int, int, int, str]) -> None:
        self.args, self.size = args, size
        num_nodes, num_neighbors, channels, name = size
        dtype, device = DTYPES[name], args.device
        self.graph = random_graph(num_nodes, num_neighbors, dtype, device)
        generator = torch.Generator(device).manual_seed(1)
        self.x, self.grad = (
            torch.randn(num_nodes, channels, generator=generator, dtype=dtype, device=device)
            for _ in range(2)
        )
        self.bytes = floor_bytes(num_nodes, num_neighbors, channels, dtype)
        self.skipped: dict[str, str] = {}
        self.ready = dict(self._prepare())

    def _prepare(self) -> Iterator[tuple[str, Propagation]]:
        num_nodes, num_neighbors, channels, dtype = self.size
        buffer = num_nodes * num_neighbors * channels * DTYPES[dtype].itemsize
        chosen: dict[str, Method] = methods()
        if self.args.methods:
            chosen = {k: m for k, m in chosen.items() if k in (OURS, *self.args.methods)}
        chosen |= {text: own_layer(text) for text in self.args.layer}
        expected: tuple[Tensor, Tensor] | None = None
        for name, method in chosen.items():
            if torch.device(self.args.device).type not in method.devices:
                continue
            if DTYPES[dtype] not in method.dtypes:
                continue
            if method.edge_buffer and 3 * buffer > self.args.memory_limit * 1e9:
                self.skipped[name] = f"3 buffers of {buffer / 1e9:.1f} GB, one row an edge"
                continue
            made = method.make(self.graph, channels)
            found = self._both(made)
            if expected is None:
                expected = found
            elif method.exact:
                check_equal(name, found, expected)
            yield name, made

    def _both(self, propagate: Propagation) -> tuple[Tensor, Tensor]:
        x = self.x.clone().requires_grad_()
        out = propagate(x)
        out.backward(self.grad)
        assert x.grad is not None
        return out.detach(), x.grad

    def forward(self, propagate: Propagation) -> None:
        """One product, no gradient."""
        with torch.no_grad():
            propagate(self.x)

    def forward_backward(self, propagate: Propagation) -> None:
        """One product and the gradient with respect to x."""
        x = self.x.detach().requires_grad_()
        propagate(x).backward(self.grad)

    def rows(self) -> list[dict[str, Any]]:
        """Times everything in turn."""
        passes: dict[str, Callable[[Propagation], None]] = {
            "forward": self.forward,
            "forward+backward": self.forward_backward,
        }
        runs: dict[str, Callable[[], object]] = {}
        for factor, what in enumerate(passes, start=1):
            half = torch.empty(factor * self.bytes // 2, dtype=torch.uint8, device=self.x.device)
            runs[f"floor|{what}"] = partial(torch.empty_like(half).copy_, half)  # into kept memory
        for name, made in self.ready.items():
            runs |= {f"{name}|{what}": partial(run, made) for what, run in passes.items()}
        seconds = self._time(runs)
        memory = {key: peak_memory(run, self.args.device) for key, run in runs.items()}
        num_nodes, num_neighbors, channels, dtype = self.size
        found = []
        for key, values in seconds.items():
            name, what = key.split("|")
            ratio = {
                f"ratio_to_{base}": round(
                    statistics.median(values) / statistics.median(seconds[f"{of}|{what}"]), 3
                )
                for base, of in (("ours", OURS), ("floor", "floor"))
            }
            found.append(
                {
                    "method": "bytes at copy speed" if name == "floor" else name,
                    "num_nodes": num_nodes,
                    "num_neighbors": num_neighbors,
                    "channels": channels,
                    "dtype": dtype,
                    "device": str(self.args.device),
                    "threads": self.args.threads,
                    "pass": what,
                    **spread(values),
                    **ratio,
                    "peak_mb": None if name == "floor" else megabytes(memory[key]),
                }
            )
        return sorted(found, key=lambda row: (row["pass"], row["median_ms"]))

    def _time(self, runs: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
        once = interleave(runs, 1, device=self.args.device)
        turn = sum(values[0] for values in once.values())
        repeats = self.args.repeats or int(min(200, max(5, self.args.seconds / turn)))
        return interleave(runs, repeats, device=self.args.device)


def check_equal(name: str, found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """Stops the benchmark where a method computes something else."""
    for what, a, b in zip(("A x", "gradient"), found, expected, strict=True):
        error = float((a - b).abs().max() / b.abs().max())
        if error > 1e-5:
            raise SystemExit(f"{name}: {what} differs from {OURS} by {error:.1e} (relative)")


def main() -> None:
    """Prints a table for each configuration, writes the result, draws it."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    # Before torch-sparse and others warn at every call, for every method.
    torch.sparse.check_sparse_tensor_invariants.disable()
    sizes = list(configurations(args))
    print(f"{len(sizes)} configurations on {args.device}, {args.threads} thread(s), random graphs")
    info = about(args.threads, args.device)
    path = args.out or result_path("propagation", info["date"], args.device, args.threads)
    results: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    result = {"benchmark": "propagation", **info, "results": results, "skipped": skipped}
    for size in tqdm(sizes, "configurations", disable=None):
        case = Case(args, size)
        keys = ("num_nodes", "num_neighbors", "channels", "dtype")
        print(f"\nN={size[0]:,}  H={size[1]}  D={size[2]}  {size[3]}")
        rows = case.rows()
        print(table(rows, [*COLUMNS, "peak_mb"]))
        for name, why in case.skipped.items():
            print(f"left out: {name} ({why})")
            skipped.append({"method": name, **dict(zip(keys, size, strict=True)), "why": why})
        results += rows
        write(result, path)  # what is finished is kept where the run is stopped
    if args.plot:
        from benchmarks.propagation_plot import draw

        draw(result, args.plot)
    save(result, path)


if __name__ == "__main__":
    sys.exit(run_script(main))
