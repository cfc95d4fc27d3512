"""Timing side by side, peak memory, tables that line up, and result files: for all benchmarks."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.about import processor
from mdsrec_pyg.cli.device import check_device
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import json_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Seconds = dict[str, list[float]]


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that every benchmark has."""
    parser.add_argument("--short", action="store_true", help="small sizes: only shows that it runs")
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--repeats", type=positive, help="timed runs of each, in turn")
    parser.add_argument("--out", type=Path, help="result file (default: under benchmarks/results)")


def positive(text: str) -> int:
    """A whole number from 1, as the type of an option."""
    if not re.fullmatch(r"\d+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 (got {text!r})")
    return int(text)


def device(text: str) -> str:
    """A device that torch has here, as the type of an option."""
    try:
        check_device(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def child_environment() -> dict[str, str]:
    """Environment variables with which a process finds ``benchmarks`` from any folder."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def synchronize(device: torch.device | str) -> None:
    """Waits until the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def interleave(
    runs: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    warmup: int = 1,
    device: torch.device | str = "cpu",
) -> Seconds:
    """Seconds of each run, all runs in turn, so that a noisy machine is noisy for all.

    Each turn has an order of its own: what a run finds in the caches depends on the one before.
    """
    seconds: Seconds = {name: [] for name in runs}
    order, shuffle = list(runs.items()), random.Random(0).shuffle
    for turn in range(warmup + repeats):
        shuffle(order)
        for name, run in order:
            synchronize(device)
            start = time.perf_counter()
            run()
            synchronize(device)
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(seconds: Sequence[float], scale: float = 1e3, unit: str = "ms") -> dict[str, float]:
    """Median, smallest and largest, in milliseconds by default."""
    values = {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
    return {f"{name}_{unit}": float(f"{value * scale:.4g}") for name, value in values.items()}


def peak_memory(run: Callable[[], object], device: torch.device | str = "cpu") -> int | None:
    """Bytes that a run takes at its peak above what is held before it.

    On the CPU the peak of the resident set, which Linux lets a process reset; ``None`` elsewhere.
    It sees whole pages and what the allocator keeps, so a few MB mean nothing.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)
    _give_back_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        run()
        return max(0, _status("VmHWM") - before)
    except OSError:
        return None


def _give_back_freed_memory() -> None:
    """Lets a run take new memory instead of what earlier runs left, which would hide its peak."""
    with contextlib.suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in /proc/self/status")


def digits(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def megabytes(size: int | None) -> float | None:
    """Bytes as MB, with three digits."""
    return None if size is None else float(f"{size / 1e6:.3g}")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as text that lines up: words to the left, numbers to the right, ``-`` for nothing."""
    if not rows:
        return "(nothing)"
    names = list(rows[0]) if columns is None else list(columns)
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    right = [all(not isinstance(row.get(name), str) for row in rows) for name in names]
    width = [max(len(name), *(len(line[c]) for line in cells)) for c, name in enumerate(names)]
    lines = [
        "  ".join(
            text.rjust(width[c]) if right[c] else text.ljust(width[c])
            for c, text in enumerate(line)
        ).rstrip()
        for line in [names, *cells]
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def hardware_name(device: torch.device | str, threads: int) -> str:
    """The hardware as part of a file name, such as ``amd-epyc-avx2-2-threads``."""
    if torch.device(device).type == "cuda":
        return _plain(torch.cuda.get_device_name())
    instructions = _plain(torch.backends.cpu.get_cpu_capability())
    return f"{_plain(processor())}-{instructions}-{threads}-threads"


def _plain(text: str) -> str:
    text = re.sub(r"\(.*?\)|@.*|\bprocessor\b|\bcpu\b", " ", text, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def result_path(name: str, date: str, device: torch.device | str, threads: int) -> Path:
    """Where a benchmark's figures are kept: ``results/<date>-<name>-<hardware>.json``."""
    return RESULTS / f"{date}-{name}-{hardware_name(device, threads)}.json"


def write(result: Mapping[str, Any], path: Path) -> None:
    """Writes a result whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json_text(result, 1) + "\n")


def save(result: Mapping[str, Any], path: Path) -> None:
    """Writes a result whole, says where, and prints it as the last line, for programs."""
    write(result, path)
    print(f"written to {path.name}")
    print(json_text(result))
