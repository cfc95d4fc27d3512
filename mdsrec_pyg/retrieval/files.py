"""Histories as they stand in a data set or a file, and recommendations as a file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.reading.compressed import plain_suffix
from mdsrec_pyg.datasets.reading.delimited import Delimited
from mdsrec_pyg.datasets.reading.table import identifiers, read_table, unused_columns
from mdsrec_pyg.datasets.reading.times import timestamps
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import counted, sheet_cell, showable

__all__ = ["explain_row", "read_history_file", "user_histories", "write_recommendations"]

SUFFIXES = (".parquet", ".tsv", ".csv", ".jsonl")


def user_histories(dataset: RecommendationDataset, users: Sequence[str]) -> dict[str, list[str]]:
    """All that users of a data set have taken, oldest first; ids are text.

    Args:
        dataset: The data set.
        users: Raw ids as text.

    Raises:
        ValueError: The data set has no such user.
    """
    rows = dataset.interactions
    index = {str(user): i for i, user in enumerate(dataset.user_ids.tolist())}
    unknown = [user for user in users if user not in index]
    if unknown:
        raise ValueError(
            f"'users' must be users of {dataset.name}, such as {next(iter(index))!r} (got "
            f"{unknown[0]!r})"
        )
    parts = {user: slice(*rows.user_ptr[index[user] : index[user] + 2]) for user in users}
    return {
        user: [str(item) for item in dataset.item_ids[rows.item_id[part]].tolist()]
        for user, part in parts.items()
    }


def read_history_file(path: str | PathLike[str]) -> pd.DataFrame:
    """A table of histories: ``user`` and ``item`` as the text that stands there.

    It is read as a data set is: no id is taken for a number or for nothing, and a time that cannot
    be read is an error, not another order.

    Args:
        path: ``.parquet``, ``.csv``, or else tab-separated text, with the columns
            ``user``, ``item`` and perhaps ``timestamp``: seconds since 1970, or ISO dates or
            date-times; without it the order of the rows counts. Values of text files may stand in
            double quotes, and the files may be compressed (gzip, bzip2, xz, zstd, zip).

    Returns:
        Columns ``user`` and ``item``, text, and ``timestamp``, seconds, if the file has one.

    Raises:
        ValueError: There is no such file, it is no table, it lacks a column, an id is empty or a
            time is none; the message has the line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"'path' must be a file of histories (got {path})")
    if plain_suffix(path) in (".jsonl", ".json"):
        raise ValueError(f"'path' must be .parquet, .csv or tab-separated text (got {path})")
    form = Delimited("," if plain_suffix(path) == ".csv" else "\t", quotes=True)
    table = read_table(path, ["user", "item"], ["timestamp"], form=form)
    columns: dict[str, Any] = {}
    for column in ("user", "item"):
        number, ids = identifiers(table, column, text_as_integers=False)
        columns[column] = np.array([str(raw) for raw in ids.tolist()], object)[number]
    seconds = timestamps(table, "timestamp")
    if seconds is not None:
        columns["timestamp"] = seconds
    for note in unused_columns(table):
        warnings.warn(note, stacklevel=2)
    return pd.DataFrame(columns)


def explain_row(row: Mapping[Any, Any]) -> str:
    """The why of a recommendation: the items of the history that voted for it, or the modality.

    Args:
        row: A row of :func:`~mdsrec_pyg.recommend` with ``explain=True``.
    """
    if not len(row["voter_items"]):
        interest = "" if pd.isna(row["center"]) else f", interest {row['center']}"
        return f"{showable(row['modality'])}{interest}"
    votes = zip(row["voter_items"], row["voter_modalities"], row["voter_shares"], strict=True)
    return ", ".join(
        f"{showable(item)} by {showable(name)} {share:.0%}" for item, name, share in votes
    )


def write_recommendations(table: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Writes recommendations whole or not at all.

    Parquet and JSON lines are for programs: ids and texts stand there as they are. The text tables
    are for people, whose spreadsheets run what begins like a formula: an id or a text that does so
    gets an apostrophe before it (:func:`~mdsrec_pyg.showing.sheet_cell`), and a warning says how
    many did.

    Args:
        table: What :func:`~mdsrec_pyg.recommend` returned.
        path: ``.parquet``, ``.tsv``, ``.csv`` or ``.jsonl`` (an object a row). In text tables,
            lists are JSON.

    Raises:
        ValueError: Another suffix, or the folder does not exist.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"'path' must end in {', '.join(SUFFIXES)} (got {path})")
    with atomic_write(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        elif path.suffix == ".jsonl":
            rows = (
                json.dumps(row, ensure_ascii=False, allow_nan=False)
                for row in table.to_dict("records")
            )
            temporary.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        else:
            flat = _for_sheets(table, path)
            flat.to_csv(temporary, sep="," if path.suffix == ".csv" else "\t", index=False)


def _for_sheets(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table with lists as JSON and no cell that a spreadsheet runs."""
    flat = table.map(
        lambda cell: json.dumps(cell, allow_nan=False) if isinstance(cell, list) else cell
    )
    safe = flat.map(lambda cell: sheet_cell(cell) if isinstance(cell, str) else cell)
    changed = int(((safe != flat) & flat.notna()).to_numpy().sum())
    if changed:
        warnings.warn(
            f"{path}: an apostrophe before {counted(changed, 'cell')} that a spreadsheet would "
            "take for a formula; .parquet and .jsonl keep ids as they are, for programs",
            stacklevel=3,
        )
    return safe
