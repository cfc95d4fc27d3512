"""Recommendations from a trained run, with raw ids in and out and the why of each.

    python examples/train_mdsrec.py --epochs 3 --directory runs/demo
    python examples/recommend.py runs/demo --user user-0 user-1
    python examples/recommend.py runs/demo --history item-398,item-1289
    python examples/recommend.py runs/demo --histories histories.tsv --output table.parquet

``--user`` takes users of the data set with all they have taken, ``--history`` a new user, oldest
item first, ``--histories`` many: a table with the columns ``user``, ``item`` and perhaps
``timestamp`` (tab-separated, or parquet). New users need no training, and no data set is read but
for ``--user``: the run's folder holds a model that stands alone. What to expect for ``runs/demo``:
an item a line with its score and text, and as the why the items of the history that voted for it,
over which modality and with what share of the votes, after a few seconds.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from mdsrec_pyg import FolderDataset, MDSRec, SyntheticDataset, recommend
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.io import atomic_write


def load_run(directory: Path) -> MDSRec:
    """The model of a run of ``train_mdsrec.py``, which stands alone."""
    if not (directory / "model").is_dir():
        raise ValueError(f"{directory} holds no run of train_mdsrec.py that has ended")
    return MDSRec.load(directory / "model")


def load_data(directory: Path, data: Path | None) -> RecommendationDataset:
    """The data set that is named, or that of the run."""
    settings = json.loads((directory / "settings.json").read_text(encoding="utf-8"))
    folder = data or settings["data"]
    if folder is None:
        return SyntheticDataset(seed=0)
    return FolderDataset(folder, settings["modalities"], duplicates=settings["duplicates"])


def users_of(dataset: RecommendationDataset, names: list[str]) -> dict[str, list[str]]:
    """All that users of the data set have taken, oldest first."""
    rows = dataset.interactions
    index = {str(user): i for i, user in enumerate(dataset.user_ids.tolist())}
    unknown = [name for name in names if name not in index]
    if unknown:
        raise ValueError(f"--user must name users of {dataset.name} (got {unknown[0]!r})")
    parts = {name: slice(*rows.user_ptr[index[name] : index[name] + 2]) for name in names}
    return {
        name: [str(item) for item in dataset.item_ids[rows.item_id[part]]]
        for name, part in parts.items()
    }


def read_histories(path: Path) -> pd.DataFrame:
    """Columns user and item as text, and timestamp if the file has it."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep="\t")
    return table.astype({name: str for name in ("user", "item") if name in table})


def why(row: dict[Any, Any]) -> str:
    """The items of the history that voted for an item, or the modality that weighed most."""
    if not row["voter_items"]:
        return f"{row['modality']}, interest {row['center']}"
    votes = zip(row["voter_items"], row["voter_modalities"], row["voter_shares"], strict=True)
    return ", ".join(f"{item} by {modality} {share:.0%}" for item, modality, share in votes)


def main(argv: list[str] | None = None) -> None:
    """Reads histories, prints a table or writes one."""
    parser = argparse.ArgumentParser(description="Recommend from a trained run.")
    parser.add_argument("directory", type=Path, help="folder of the run")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--user", nargs="+", metavar="ID", help="users of the data set")
    source.add_argument("--history", metavar="ID,ID,...", help="items of a new user")
    source.add_argument("--histories", type=Path, metavar="FILE", help="users and items")
    parser.add_argument("--data", type=Path, help="data set of --user; default: the run's")
    parser.add_argument("-k", type=int, default=5, help="items a user")
    parser.add_argument("--keep-seen", action="store_true", help="recommend seen items, too")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write parquet, print nothing")
    args = parser.parse_args(argv)

    model = load_run(args.directory)
    histories: dict[str, list[str]] | pd.DataFrame
    if args.user:
        histories = users_of(load_data(args.directory, args.data), args.user)
    elif args.history:
        histories = {"new user": args.history.split(",")}
    else:
        histories = read_histories(args.histories)
    assert model.item_ids is not None
    item_ids = [str(item) for item in model.item_ids]
    table = recommend(
        model,
        histories,
        args.k,
        exclude_seen=not args.keep_seen,
        item_ids=item_ids,
        explain=True,
    )
    texts = args.directory / "texts.json"
    if texts.is_file():
        short = [
            textwrap.shorten(text, 48, placeholder=" ...")
            for text in json.loads(texts.read_text(encoding="utf-8"))
        ]
        table["text"] = table["item"].map(dict(zip(item_ids, short, strict=True)))
    if args.output is not None:
        with atomic_write(args.output) as temporary:
            table.to_parquet(temporary, index=False)
        return
    table["why"] = [why(row) for row in table.to_dict("records")]
    shown = [name for name in ("item", "score", "text", "why") if name in table]
    for user, rows in table.groupby("user", sort=False):
        print(f"\n{user}")
        print(rows[shown].to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # a mistake in the options or the data, said by the library
        raise SystemExit(f"error: {error}") from error
