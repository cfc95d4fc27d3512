"""Recommendations from a trained run, with raw ids in and out and the why of each.

    python examples/train_mdsrec.py --epochs 3 --directory runs/demo
    python examples/recommend.py runs/demo --user user-0 user-1
    python examples/recommend.py runs/demo --history item-398,item-1289
    python examples/recommend.py runs/demo --histories histories.tsv --output table.parquet

``--user`` takes users of the data set with all they have taken, ``--history`` a new user, oldest
item first, ``--histories`` many: a table with the columns ``user``, ``item`` and perhaps
``timestamp`` (parquet, CSV, or tab-separated). New users need no training, and no data set is read
but for ``--user``: the run's folder holds a model that stands alone. What to expect for
``runs/demo``: an item a line with its score and text, and as the why the items of the history that
voted for it, over which modality and with what share of the votes, after a few seconds.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

import pandas as pd

from mdsrec_pyg import recommend
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.retrieval import (
    explain_row,
    read_history_file,
    user_histories,
    write_recommendations,
)
from mdsrec_pyg.training import Run


def main(argv: list[str] | None = None) -> None:
    """Reads histories, prints a table or writes one."""
    parser = argparse.ArgumentParser(description="Recommend from a trained run.")
    parser.add_argument("directory", type=Path, help="folder of the run")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--user", nargs="+", metavar="ID", help="users of the data set")
    source.add_argument("--history", metavar="ID,ID,...", help="items of a new user")
    source.add_argument("--item", nargs="+", metavar="ID", help="the same, ids may hold commas")
    source.add_argument("--histories", type=Path, metavar="FILE", help="users and items")
    parser.add_argument("--data", type=Path, help="data set of --user; default: the run's")
    parser.add_argument("-k", type=int, default=5, help="items a user")
    parser.add_argument("--keep-seen", action="store_true", help="recommend seen items, too")
    parser.add_argument("--skip", action="store_true", help="skip users who cannot be answered")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a table, print nothing")
    args = parser.parse_args(argv)

    run = Run(args.directory, args.data)
    histories: dict[str, list[str]] | pd.DataFrame
    if args.user:
        histories = user_histories(run.dataset, args.user)
    elif args.history or args.item:
        histories = {"new user": args.item or args.history.split(",")}
    else:
        histories = read_history_file(args.histories)
    table = recommend(
        run.model,
        histories,
        args.k,
        exclude_seen=not args.keep_seen,
        item_ids=run.item_ids,
        explain=True,
        on_error="skip" if args.skip else "raise",
    )
    if run.item_text is not None:
        table["text"] = table["item"].map(dict(zip(run.item_ids, run.item_text, strict=True)))
    if args.output is not None:
        write_recommendations(table, args.output)
        return
    table["why"] = [explain_row(row) for row in table.to_dict("records")]
    if "text" in table:
        table["text"] = [textwrap.shorten(t, 48, placeholder=" ...") for t in table["text"]]
    shown = [name for name in ("item", "score", "text", "why") if name in table]
    for user, rows in table.groupby("user", sort=False):
        print(f"\n{user}")
        print(rows[shown].to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    sys.exit(run_script(main))  # a mistake in the options or the data ends in one line
