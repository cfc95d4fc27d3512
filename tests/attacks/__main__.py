"""The standing attack, and its counts as a table.

    python -m tests.attacks                                    the short form, in a minute
    python -m tests.attacks --full --out FILE.json             all of it, in less than an hour
    python -m tests.attacks --only killed damaged --seed 7     some of it, other moments and damages
    python -m tests.attacks --table BEFORE.json AFTER.json     docs/attacks_table.md of two files

The exit code is 1 where a try ended as none may.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.about import about
from mdsrec_pyg.io import write_json
from tests.attacks.attacks import ATTACKS
from tests.attacks.harness import Count, table
from tests.attacks.page import write_page

SHORT = 0.04


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.attacks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="all tries")
    parser.add_argument("--scale", type=float, default=SHORT, help="share of all tries (1: all)")
    parser.add_argument("--only", nargs="+", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the counts as JSON")
    parser.add_argument("--table", nargs=2, type=Path, metavar="FILE", help="write the docs' table")
    return parser.parse_args()


def main() -> int:
    """Attacks, prints, writes."""
    args = parse()
    if args.table:
        write_page(*args.table)
        return 0
    torch.set_num_threads(1)
    scale = 1.0 if args.full else args.scale
    counts: list[Count] = []
    started = time.monotonic()
    for name in args.only:
        for count in ATTACKS[name](scale, args.seed):
            counts.append(count)
            print(f"{time.monotonic() - started:6.0f} s  {count.attack}: {dict(count.ends)}")
            for example in count.examples:
                print(f"          {example['end']}: {example['case']}: {example['detail']}")
            sys.stdout.flush()
    print(f"\n{table(counts)}")
    if args.out:
        rows = [count.to_dict() for count in counts]
        seconds = round(time.monotonic() - started)
        where = {**about(1), "command": f"python -m tests.attacks{' --full' * args.full}"}
        write_json(args.out, {"about": where, "seconds": seconds, "counts": rows})
    return 1 if any(count.faults for count in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
