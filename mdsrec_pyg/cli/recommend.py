"""``mdsrec recommend``: the best items for histories, from a run."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from mdsrec_pyg.cli.device import check_device
from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.cli.source import open_run
from mdsrec_pyg.retrieval import (
    explain_row,
    read_history_file,
    recommend,
    user_histories,
    write_recommendations,
)
from mdsrec_pyg.retrieval.answerable import MOST_NAMED
from mdsrec_pyg.showing import counted, json_text, showable
from mdsrec_pyg.training import Run

EXAMPLES = """\
  mdsrec recommend runs/shop --history B001,B002,B003 -k 5 --explain
  mdsrec recommend runs/shop --item "red, size 3" B002
  mdsrec recommend runs/shop --user A1 A2 --json | jq '.[0].items[].item'
  mdsrec recommend runs/shop --user A1 --exclude @out_of_stock.txt --modality image
  mdsrec recommend runs/shop --histories histories.tsv --output best.parquet

A history is all that is needed: new users need no training, and no data set is read but for --user
(and --empty popularity, where the model does not know how often items were taken). With --json, a
skipped user has a reason in place of items. A file of --include or --exclude holds an id a line.
--histories takes a table with the columns user, item and perhaps timestamp (.parquet, .csv, or
tab-separated)."""


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        "recommend",
        "Recommend items from a run of mdsrec train.",
        EXAMPLES,
        usage="mdsrec recommend RUN (--history IDS | --item ID ... | --histories FILE | "
        "--user ID ...) [OPTIONS]",
    )
    parser.add_argument("run", metavar="RUN", help="folder of the run, or of a saved model")
    parser.add_argument("--history", metavar="ID,ID,...", help="items of a user, oldest first")
    parser.add_argument(
        "--item", nargs="+", metavar="ID", help="the same, an item a word: ids may hold commas"
    )
    parser.add_argument("--histories", metavar="FILE", help="table of many users")
    parser.add_argument(
        "--user", nargs="+", metavar="ID", help="users of the data set, with all they have taken"
    )
    parser.add_argument(
        "--data", metavar="FOLDER", help="data set of --user and --empty; default: the run's"
    )
    parser.add_argument("-k", type=int, default=10, metavar="INT", help="items a user")
    parser.add_argument("--keep-seen", action="store_true", help="recommend seen items, too")
    _add_rules(parser)
    parser.add_argument("--explain", action="store_true", help="say why each item is recommended")
    parser.add_argument("--device", metavar="DEVICE", help="default: the CPU")
    parser.add_argument("--json", action="store_true", help="print JSON: a list of users")
    parser.add_argument(
        "--output", metavar="FILE", help="write .parquet, .tsv, .csv or .jsonl, print nothing"
    )
    return parser


def _add_rules(parser: Parser) -> None:
    """What may be recommended, and what becomes of users who cannot be answered."""
    for name, which in (("include", "only these items"), ("exclude", "never these items")):
        parser.add_argument(f"--{name}", metavar="IDS|@FILE", help=f"recommend {which}: ID,ID,...")
    parser.add_argument(
        "--modality", metavar="NAME", help="the only modality that counts; default: all"
    )
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="skip users who cannot be answered, and name them",
    )
    parser.add_argument(
        "--empty",
        choices=("raise", "popularity"),
        default="raise",
        help="most popular items of training for users without a history",
    )
    parser.add_argument(
        "--unknown",
        choices=("raise", "drop"),
        default="raise",
        help="leave items that the catalog lacks out of histories, and name them",
    )


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options; exactly one source of histories."""
    parser = make_parser()
    args = parser.read(argv)
    sources = ("history", "item", "histories", "user")
    given = [name for name in sources if getattr(args, name) is not None]
    if len(given) != 1:
        found = " and ".join(f"--{name}" for name in given) or "none"
        parser.error(f"give one of --history, --item, --histories and --user (got {found})")
    if args.data is not None and args.user is None and args.empty == "raise":
        parser.error("--data has no effect without --user or --empty popularity")
    if args.empty == "popularity" and args.histories is not None and args.unknown == "raise":
        parser.error(
            "--empty has no effect with --histories, but with --unknown drop: every row holds an "
            "item; ask with --history ''"
        )
    return args


def run(args: Namespace) -> int:
    """Reads histories, prints a table or writes one."""
    check_device(args.device)
    trained = open_run(args.run, args.data)
    counts = None
    if args.empty == "popularity" and (args.data or trained.model.item_counts is None):
        trained.check_items()
        counts = trained.split.train.item_counts()
    histories = _histories(args, trained)
    with _naming(args):
        table = recommend(
            trained.model,
            histories,
            args.k,
            exclude_seen=not args.keep_seen,
            include=_listed(args.include),
            exclude=_listed(args.exclude),
            modality=args.modality,
            item_ids=trained.item_ids,
            explain=args.explain,
            device=args.device,
            on_error=args.on_error,
            empty=args.empty,
            unknown=args.unknown,
            item_counts=counts,
        )
    table = with_texts(table, trained)
    if args.output is not None:
        write_recommendations(table, args.output)
        print(f"{counted(len(table), 'row')} written to {args.output}", file=sys.stderr)
    elif args.json:
        users: list[dict[str, Any]] = [*as_json(table), *table.attrs.get("skipped", ())]
        print(json_text(users, 2))
    else:
        _print(table)
    if not args.json:  # the warning names the first few only
        for part in table.attrs.get("skipped", [])[MOST_NAMED:]:
            print(f"skipped: {showable(part['reason'])}", file=sys.stderr)
    return 0


def _histories(args: Namespace, trained: Run) -> dict[str, list[str]] | pd.DataFrame:
    """From the one source that is given."""
    if args.user is not None:
        return user_histories(trained.dataset, args.user)
    if args.history is not None:
        items = [item.strip() for item in args.history.split(",")]
        return {"new user": items if args.history.strip() else []}
    if args.item is not None:
        return {"new user": list(args.item)}  # as they are: no comma, no blank is cut off
    return read_history_file(args.histories)


def _listed(given: str | None) -> list[str] | None:
    """The ids of ``--include`` or ``--exclude``: with commas, or a line each in a file."""
    if given is None:
        return None
    if not given.startswith("@"):
        return [item.strip() for item in given.split(",")] if given.strip() else []
    path = Path(given[1:])
    if not path.is_file():
        raise ValueError(f"'@FILE' must name a file with an id a line (got {path})")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text with an id a line ({error})") from error
    return [line.rstrip("\r") for line in lines if line.rstrip("\r")]


@contextmanager
def _naming(args: Namespace) -> Iterator[None]:
    """Adds the name of the file to an error about something in it, or what may help."""
    try:
        yield
    except ValueError as error:
        for name in ("include", "exclude"):
            given = getattr(args, name)
            if str(error).startswith(f"'{name}'") and given.startswith("@"):
                raise ValueError(f"{given[1:]}: {error}") from error
        if not str(error).startswith("'histories'"):
            raise
        if args.histories is not None:
            raise ValueError(f"{args.histories}: {error}") from error
        if args.history is not None and "," in args.history:
            raise ValueError(f"{error}; an id with a comma in it needs --item") from error
        raise


def as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A list of users, each with a list of items and what was left out of the history."""
    dropped = {part["user"]: part["items"] for part in table.attrs.get("dropped", ())}
    table = table.copy()
    table.attrs = {}  # pandas compares them for each group
    return [
        {
            "user": user,
            "items": json.loads(rows.drop(columns="user").to_json(orient="records")),
            **({"dropped": dropped[user]} if user in dropped else {}),
        }
        for user, rows in table.groupby("user", sort=False)
    ]


def with_texts(table: pd.DataFrame, trained: Run) -> pd.DataFrame:
    """Adds the text of each item where the run knows texts."""
    texts = trained.item_text
    if texts is None:
        return table
    named = dict(zip(trained.item_ids, texts, strict=True))
    return table.assign(text=table["item"].map(named))


def for_a_terminal(table: pd.DataFrame) -> pd.DataFrame:
    """The table with texts shortened, and no command to the terminal in its words."""
    if "text" in table:
        texts = [textwrap.shorten(str(text), 48, placeholder=" ...") for text in table["text"]]
        table = table.assign(text=texts)
    words = [name for name in ("item", "text") if name in table]
    return table.assign(**{name: table[name].map(showable) for name in words})


def _why(row: dict[Any, Any]) -> str:
    return "" if row.get("source") == "popularity" else explain_row(row)


def _print(table: pd.DataFrame) -> None:
    if "voter_items" in table:
        table = table.assign(why=[_why(row) for row in table.to_dict("records")])
    table = for_a_terminal(table)
    shown = [name for name in ("item", "score", "source", "text", "why") if name in table]
    for number, (user, rows) in enumerate(table.groupby("user", sort=False)):
        print(f"{'' if number == 0 else chr(10)}{showable(user)}")
        print(rows[shown].to_string(index=False, float_format="{:.3f}".format))
