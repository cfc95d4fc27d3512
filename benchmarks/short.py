"""Runs every benchmark in short form: shows that each runs, and judges no time.

python -m benchmarks.short --peers none
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks.harness import child_environment, table
from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.cli.ending import run_script


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="only these, such as propagation")
    parser.add_argument("--peers", choices=("none", "all"), default="all")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench"), help="takes the results")
    return parser.parse_args()


def commands(folder: Path, peers: str) -> dict[str, list[str]]:
    """Each benchmark's options; their results go into ``folder``."""
    data, rows = str(folder / "shop"), ["--rows", str(folder / "accuracy.jsonl")]
    epochs = ["--epochs", "1"]
    models = ["--models", "Popularity", "EASE+features", "MDSRec"]
    short = ["--short", "--repeats", "2"]
    found = {
        "propagation": [*short, "--plot", str(folder / "propagation.svg")],
        "training": [data, *short, "--peers", peers],
        "evaluation": [data, *short, "--peers", peers],
        "loss": short,
        "datasets": [*short, "--peers", peers, "--folder", str(folder / "interactions")],
        "item_graph": [*short, "--folder", str(folder / "catalogs")],
        "ridge_quality": [data, "--short"],
        "new_items": [data, "--short"],
        "recommend": short,
        "one_user": [data, "--short", "--peers", peers],
        "serving": ["--short"],
        "export": [*short, "--models", "Popularity", "SASRec"],
        "step": [data, *short],
        "epoch": [data, "--repeats", "1"],
        "ceiling": ["--short"],
        "accuracy": [data, *rows, *epochs, "--seeds", "0", *models],
        "accuracy_table": rows,
        "compare": [data, *rows, *epochs, *models[:-1]],  # with MDSRec
        "figures": [*epochs, "--users", "200", "--only", "EASE", "MDSRec best, p"],
    }
    for name, options in found.items():
        if name not in ("accuracy", "accuracy_table"):
            options += ["--out", str(folder / f"{name}.json")]
    return found


def run(name: str, options: list[str], folder: Path) -> tuple[int, float]:
    """Exit status and seconds of one benchmark; what it says goes into ``<name>.txt``."""
    start = time.perf_counter()
    with (folder / f"{name}.txt").open("w") as file:
        command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *options]
        done = subprocess.run(
            command,
            env=child_environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return done.returncode, time.perf_counter() - start


def main() -> None:
    """Prints which benchmarks ran; exit status 1 where one did not."""
    args = parse()
    args.folder.mkdir(parents=True, exist_ok=True)
    SyntheticDataset(200, 150, seed=0).save(args.folder / "shop")
    # What is finished would not be run again.
    for name, kept in (
        ("accuracy", "accuracy.jsonl"),
        ("datasets", "interactions/done.jsonl"),
        ("figures", "figures.json"),
    ):
        if not args.names or name in args.names:
            (args.folder / kept).unlink(missing_ok=True)
    chosen = commands(args.folder, args.peers)
    unknown = sorted(set(args.names) - set(chosen))
    if unknown:
        raise SystemExit(f"no benchmark {unknown} (there are {list(chosen)})")
    rows = []
    for name in tqdm(args.names or list(chosen), "benchmarks", disable=None):
        status, seconds = run(name, chosen[name], args.folder)
        rows.append({"benchmark": name, "seconds": round(seconds, 1), "exit": status})
        if status:
            print((args.folder / f"{name}.txt").read_text()[-3000:])
    print(table(rows))
    print(f"What each printed and its result is in {args.folder}. The sizes are small: these times")
    print("say nothing; benchmarks/README.md has the commands that do.")
    failed = [row["benchmark"] for row in rows if row["exit"]]
    if failed:
        raise SystemExit(f"failed: {', '.join(map(str, failed))}")


if __name__ == "__main__":
    sys.exit(run_script(main))
