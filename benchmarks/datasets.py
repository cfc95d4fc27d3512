"""How long reading up to 10M interactions takes, and how much memory, beside RecBole and pandas.

Every measurement runs in a process of its own; finished rows are kept, and a second run skips them.

    python -m benchmarks.datasets --short
    python -m benchmarks.datasets --rows 1000000 10000000 --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.about import about, code_version
from benchmarks.harness import (
    add_common_arguments,
    megabytes,
    positive,
    result_path,
    save,
    table,
)
from benchmarks.interaction_files import FILES, interaction_file
from benchmarks.peers.environments import PeerError, Worker, interpreter, make
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.showing import json_text

Row = dict[str, Any]

READERS = ("ours", "pandas", "RecBole")
#: What RecBole can read; its reading of the first is what other formats are compared with.
ATOMIC = ("inter", "inter-integers")
#: What must be the same whoever reads.
RESULT = ("interactions", "users", "items", "checksum", "histories")
COLUMNS = ["rows", "format", "reader", "runs", "s", "min", "max", "cpu_s", "peak_MB"]
RATIOS = ["to_ours", "memory"]
WARM_UP = 1000  # rows


class Processes:
    """Starts a process a measurement, or in the short form one for each environment.

    Args:
        scratch: Folder for what they write.
        threads: Threads of each.
        keep: Whether a process takes more than one measurement.
    """

    def __init__(self, scratch: Path, threads: int, keep: bool) -> None:
        self.scratch, self.threads, self.keep = scratch, threads, keep
        self.started = 0
        self.kept: dict[str, Worker] = {}

    def read(self, reader: str, form: str, path: Path, warm_up: Path) -> Row:
        """What a reader found in a file, its seconds, peak memory and versions.

        Raises:
            PeerError: If the process cannot start or breaks off, such as for want of memory.
        """
        name = "recbole" if reader == "RecBole" else "ours"
        worker = self.kept.pop(name, None) or self._start(name)
        answer = worker.ask("read", reader=reader, form=form, path=str(path), warm_up=str(warm_up))
        if self.keep:
            self.kept[name] = worker
        else:
            worker.close()
        return {**answer, "versions": worker.ready}

    def _start(self, name: str) -> Worker:
        python = interpreter(name) if name == "recbole" else Path(sys.executable)
        self.started += 1
        place = self.scratch / str(self.started)
        return Worker(name, python, f"benchmarks.peers.{name}_reading", {}, place, self.threads)

    def close(self) -> None:
        """Ends the processes that were kept."""
        for worker in self.kept.values():
            worker.close()


def key(row: Row) -> tuple[Any, ...]:
    """What a finished row is known by."""
    return tuple(row[name] for name in ("rows", "format", "reader", "threads", "repeat"))


def measure_all(args: argparse.Namespace, readers: list[str], scratch: Path) -> list[Row]:
    """All rows asked for, those already on file included; the readers of a file take turns."""
    lines = args.done.read_text().splitlines() if args.done.exists() else []
    done = {key(row): row for row in map(json.loads, lines)}
    jobs = [
        (num_rows, form, repeat, reader)
        for num_rows in args.rows
        for form in args.formats
        for repeat in range(args.repeats)
        for reader in readers
        if reader != "RecBole" or form in ATOMIC
    ]
    processes, rows = Processes(scratch, args.threads, keep=args.short), []
    for num_rows, form, repeat, reader in tqdm(jobs, desc="measurements", disable=None):
        row: Row = {"rows": num_rows, "format": form, "reader": reader}
        row |= {"threads": args.threads, "repeat": repeat}
        if key(row) not in done:
            path = interaction_file(args.folder, form, num_rows)
            row["file_MB"] = megabytes(path.stat().st_size)
            small = interaction_file(args.folder, form, WARM_UP)
            try:
                row |= processes.read(reader, form, path, small)
            except PeerError as error:
                if reader == "ours":
                    raise
                # Not kept on file: the next run tries again.
                rows.append({**row, "note": str(error)})
                continue
            row["code"] = code_version()
            with args.done.open("a") as file:
                file.write(json_text(row) + "\n")
            done[key(row)] = row
        rows.append(done[key(row)])
        check(rows)
    processes.close()
    return rows


def check(rows: list[Row]) -> None:
    """Whoever reads a file finds the same, and so do readers of other formats of the same ids."""
    first: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if "note" in row:
            continue
        same = first.setdefault((row["rows"], row["format"] == "inter-integers"), row)
        for name in RESULT:
            assert row[name] == same[name], (name, key(row), row[name], key(same), same[name])
        assert row["interactions"] == row["rows"], (key(row), row["interactions"])


def summary(rows: list[Row]) -> list[Row]:
    """One line a reader of a file: median, smallest and largest time, peak, ratios to ours."""
    lines: dict[tuple[Any, ...], Row] = {}
    for name in dict.fromkeys((row["rows"], row["format"], row["reader"]) for row in rows):
        same = [row for row in rows if (row["rows"], row["format"], row["reader"]) == name]
        line: Row = dict(zip(COLUMNS, name, strict=False))
        measured = [row for row in same if "note" not in row]
        if len(measured) < len(same):
            line["note"] = next(row["note"] for row in same if "note" in row)
        if measured:
            seconds = [row["seconds"] for row in measured]
            line["runs"] = len(measured)
            line |= {"s": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
            line["cpu_s"] = statistics.median(row["cpu"] for row in measured)
            line["peak_MB"] = megabytes(max(row["peak"] or 0 for row in measured)) or None
        ours = lines.get((*name[:2], "ours"), line)
        line["to_ours"] = ratio(line, ours, "s")
        line["memory"] = ratio(line, ours, "peak_MB")
        lines[name] = line
    return list(lines.values())


def ratio(line: Row, to: Row, column: str) -> float | None:
    """The quotient of two lines, where both have been measured."""
    if not line.get(column) or not to.get(column):
        return None
    return float(f"{line[column] / to[column]:.3g}")


def goals(lines: list[Row]) -> list[Row]:
    """Ours beside the goals: RecBole's time and memory, pandas' time, memory of 10M rows."""
    by_name = {(line["rows"], line["format"], line["reader"]): line for line in lines}
    found = []
    for (num_rows, form, reader), ours in by_name.items():
        if reader != "ours":
            continue
        theirs = form if form in ATOMIC else ATOMIC[0]
        recbole = by_name.get((num_rows, theirs, "RecBole"), {})
        found.append(
            {
                "rows": num_rows,
                "format": form,
                "RecBole_s": ratio(recbole, ours, "s"),
                "RecBole_MB": ratio(recbole, ours, "peak_MB"),
                "to_pandas": ratio(ours, by_name.get((num_rows, form, "pandas"), {}), "s"),
                "peak_MB": ours["peak_MB"],
            }
        )
    return found


def parse() -> argparse.Namespace:
    """Options; the short form replaces the sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser)
    parser.add_argument("--rows", type=positive, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--formats", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--peers", choices=("none", "all"), default="all", help="RecBole")
    folder = Path(tempfile.gettempdir()) / "mdsrec-interactions"
    parser.add_argument("--folder", type=Path, default=folder, help="of the synthetic files")
    parser.add_argument("--done", type=Path, help="finished rows (default: in the folder)")
    args = parser.parse_args()
    args.folder = args.folder.resolve()  # workers run in folders of their own
    if args.short:
        args.rows = [2000]
    args.repeats = args.repeats or (1 if args.short else 3)
    args.done = args.done or args.folder / "done.jsonl"
    return args


def main() -> None:
    """Measures, prints two tables, writes a file."""
    args = parse()
    args.folder.mkdir(parents=True, exist_ok=True)
    args.done.parent.mkdir(parents=True, exist_ok=True)
    print(f"{args.repeats} processes a reader, in turn, each after {WARM_UP:,} rows of warm-up;")
    print("RecBole builds its data set from the .inter file, nothing filtered, rows not yet sorted")
    readers, skipped = list(READERS), {}
    try:
        if args.peers == "none":
            readers.remove("RecBole")
        else:
            make("recbole")
    except (PeerError, OSError) as error:
        readers.remove("RecBole")
        skipped["RecBole"] = str(error)
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure_all(args, readers, Path(scratch))
    lines = summary(rows)
    notes = ["note"] if any("note" in line for line in lines) else []
    print(table(lines, [*COLUMNS, *RATIOS, *notes]))
    print("\nours beside RecBole's reading of .inter (goal: 5 times) and pandas (goal: up to 2):")
    print(table(goals(lines)))
    for name, reason in skipped.items():
        print(f"without {name}: {reason}")
    result = {"benchmark": "datasets", **about(args.threads), "skipped": skipped, "results": rows}
    save(result, args.out or result_path("datasets", result["date"], "cpu", args.threads))


if __name__ == "__main__":
    sys.exit(run_script(main))
