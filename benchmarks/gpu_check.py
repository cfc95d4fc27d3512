"""All that a GPU has to show, in one command of at most six minutes.

python -m benchmarks.gpu_check
python -m benchmarks.gpu_check --parts propagation loss
python -m benchmarks.gpu_check --miniature --device cpu

Each part runs in a process of its own with a limit of its own: one that fails costs only itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.about import about
from benchmarks.gpu_rows import Row, judged
from benchmarks.harness import ROOT, child_environment, device, result_path, table, write
from mdsrec_pyg.cli.ending import run_script

#: Seconds that a part may take at most; all together take what ``--minutes`` says at most. What
#: says most stands first.
PARTS: dict[str, int] = {
    "propagation": 45,
    "tests": 130,
    "step": 70,
    "loss": 30,
    "evaluation": 25,
    "building": 35,
    "training": 90,
    "encoder": 30,
}
COLUMNS = ("part", "what", "value", "unit", "goal", "verdict")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--minutes", type=float, default=6.0, help="for all parts together")
    parser.add_argument("--device", type=device, help="default: the GPU")
    parser.add_argument("--data", type=Path, help="a data set's folder for the steps' times")
    parser.add_argument("--miniature", action="store_true", help="tiny sizes: shows that it runs")
    parser.add_argument("--out", type=Path, help="result file (default: under benchmarks/results)")
    args = parser.parse_args(arguments)
    if args.device is None:
        if not torch.cuda.is_available():
            raise ValueError("gpu_check needs a GPU; --miniature --device cpu shows that it runs")
        args.device = "cuda"
    return args


def command(name: str, args: argparse.Namespace, rows: Path) -> list[str]:
    """What runs one part."""
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu_parts", name]
    words += ["--device", args.device, "--rows", str(rows)]
    if args.data is not None:
        words += ["--data", str(args.data.resolve())]
    return words + ["--miniature"] * args.miniature


def run_part(name: str, words: Sequence[str], rows: Path, limit: float) -> dict[str, Any]:
    """Runs a part in a process of its own: what it wrote until its end or its limit.

    Args:
        name: Of the part.
        words: The command, which writes a line of JSON for each row to ``rows``.
        rows: That file.
        limit: Seconds after which it is ended.

    Returns:
        ``part``, ``seconds``, ``failure`` (``None`` where it came to its end) and ``rows``.
    """
    start, failure = time.perf_counter(), None
    with tempfile.TemporaryFile("w+") as said:
        # What the part starts itself ends with it, so that nothing runs beside the next part.
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=child_environment(),
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            failure = f"ended after {limit:.0f} s"
        finally:
            end_group(process)
        if failure is None and status:
            said.seek(0)
            lines = [line.strip() for line in said.read().splitlines() if line.strip()]
            failure = " | ".join(lines[-3:])[-500:] or f"status {status}"
    seconds = round(time.perf_counter() - start, 1)
    return {"part": name, "seconds": seconds, "failure": failure, "rows": read_rows(rows)}


def end_group(process: subprocess.Popen[str]) -> None:
    """Ends a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_rows(path: Path) -> list[Row]:
    """The whole lines of a file that may be cut."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            found.append(json.loads(line))
    return found


def printed(parts: Sequence[Mapping[str, Any]], miniature: bool) -> str:
    """The rows with goals and verdicts, and what did not come to its end."""
    rows = [
        {"part": part["part"], **row, "verdict": "" if miniature else judged(row)}
        for part in parts
        for row in part["rows"]
    ]
    lines = [table(rows, COLUMNS)]
    lines += [
        f"{part['part']} did not come to its end: {part['failure']}"
        for part in parts
        if part["failure"] is not None
    ]
    missed = sum(row["verdict"] == "missed" for row in rows)
    met = sum(row["verdict"] == "met" for row in rows)
    return "\n".join([*lines, f"goals met: {met}, missed: {missed}"])


def run(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Runs the parts one after the other; the result is written after each."""
    end = time.monotonic() + 60 * args.minutes
    parts: list[dict[str, Any]] = []
    result = {"benchmark": "gpu_check", **about(torch.get_num_threads(), args.device)}
    result |= {"torch_cuda": torch.version.cuda, "miniature": args.miniature, "parts": parts}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.parts:
            own = 60 * args.minutes if args.miniature else PARTS[name]  # whatever else runs there
            limit = min(own, end - time.monotonic())
            rows = Path(folder) / f"{name}.jsonl"
            if limit < 1:
                parts.append({"part": name, "seconds": 0, "failure": "no time left", "rows": []})
            else:
                parts.append(run_part(name, command(name, args, rows), rows, limit))
            seconds, failure = parts[-1]["seconds"], parts[-1]["failure"]
            print(f"{name}: {seconds} s{'' if failure is None else ', ' + failure}", flush=True)
            write(result, path)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs, prints the table, writes the result."""
    args = parse(arguments)
    today = about(1)["date"]
    path = args.out or result_path("gpu-check", today, args.device, torch.get_num_threads())
    result = run(args, path)
    print(printed(result["parts"], args.miniature))
    print(f"written to {path.name}")


if __name__ == "__main__":
    sys.exit(run_script(main))
