"""What the readers of other toolkits' folders share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Seconds
from mdsrec_pyg.datasets._recognize import other_reader
from mdsrec_pyg.datasets.raw import RawFeature, Rows
from mdsrec_pyg.datasets.reading.fields import FUTURE
from mdsrec_pyg.datasets.reading.files import PathLike
from mdsrec_pyg.datasets.reading.table import Table, integers, read_table
from mdsrec_pyg.datasets.reading.times import timestamps


def find_name(root: PathLike, name: str | None, suffix: str, own: str) -> str:
    """The name of the data set, if ``root`` or its folder ``raw`` has one ``<name><suffix>``.

    Raises:
        ValueError: ``root`` is no folder, or ``name`` is needed as there are none or several.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"'root' must be a folder (got {root})")
    if name is not None:
        return name
    paths = [*root.glob(f"*{suffix}"), *(root / "raw").glob(f"*{suffix}")]
    found = sorted({path.name.removesuffix(suffix) for path in paths})
    if len(found) != 1:
        hint = "" if found else _below(root, suffix) or other_reader(root, own)
        raise ValueError(
            f"'name' must say which data set to read where 'root' does not hold one file *{suffix} "
            f"(got {', '.join(found) or 'none'} in {root}){hint}"
        )
    return found[0]


def _below(root: Path, suffix: str) -> str:
    """Where such files are, if a folder in ``root`` has them and not ``root``."""
    folders = sorted({path.parent for path in root.glob(f"*/*{suffix}")})
    return f"; {folders[0]} has one: give that folder as 'root'" if folders else ""


def seconds(table: Table, column: str) -> Seconds | None:
    """The times of a column, of which none may be before 1970 or after July 2100."""
    time = timestamps(table, column)
    if time is None:
        return None
    bad = (time < 0) | (time >= FUTURE)
    if bad.any():
        raise table.error(int(bad.argmax()), column, "a time from 1970 to 2100")
    return time


def largest_catalog(rows: int) -> int:
    """How many users or items so many rows may have, where all numbers below the largest count.

    One damaged number would else take all memory.
    """
    return max(1_000_000, 100 * rows)


def numbers(table: Table, column: str, size: int | None) -> NDArray[np.int64]:
    """A column of numbers of users or items, ``0..size - 1``; ``None``: without large gaps."""
    size = largest_catalog(len(table)) if size is None else size
    expected = f"an integer from 0 to {size - 1}"
    values = integers(table, column, expected)
    bad = (values < 0) | (values >= size)
    if bad.any():
        raise table.error(int(bad.argmax()), column, expected)
    return values


def read_mapping(path: Path, raw_column: str | None, column: str) -> NDArray[Any]:
    """Raw ids in the order of their numbers, out of a table with a row for each.

    Args:
        path: The file, separated by tabs.
        raw_column: Column of raw ids. Default: the first of the file.
        column: Column of the numbers.

    Raises:
        ValueError: A number is missing or there twice, or a raw id is; the message has the line.
    """
    if raw_column is None:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            raw_column = lines.readline().rstrip("\r\n").split("\t")[0]
    table = read_table(path, [raw_column, column])
    return in_order(table, raw_column, numbers(table, column, len(table)), column)


def in_order(table: Table, raw_column: str, number: NDArray[np.int64], column: str) -> NDArray[Any]:
    """The values of a column in the order of the numbers, each of which must be there once."""
    size = len(table)
    first = np.zeros(size, bool)
    first[np.unique(number, return_index=True)[1]] = True
    if not first.all():
        row = int((~first).argmax())
        raise table.error(row, column, f"each of 0..{size - 1} once")
    ids = np.empty(size, object)
    ids[number] = table.columns[raw_column].to_pylist()
    seen: set[Any] = set()
    for row, raw in enumerate(table.columns[raw_column].to_pylist()):
        if raw in seen or raw == "":
            raise table.error(row, raw_column, "an id that no other row has")
        seen.add(raw)
    return ids


def feature_rows(
    path: Path, array: NDArray[Any], ids: NDArray[Any], zero_rows: str
) -> tuple[RawFeature, str]:
    """Features of items, a row for each of ``ids``, and how many rows are all zeros.

    Args:
        path: The file, for messages.
        array: The rows ``[N, F]``, in memory or on disk.
        ids: Raw id of each row ``[N]``.
        zero_rows: ``'keep'`` rows that are all zeros, or take them for ``'missing'``.
    """
    if zero_rows not in ("keep", "missing"):
        raise ValueError(f"'zero_rows' must be 'keep' or 'missing' (got {zero_rows!r})")
    if array.ndim != 2 or len(array) != len(ids) or not array.shape[1]:
        raise ValueError(
            f"{path}: expected shape ({len(ids)}, F), a row for each of the {len(ids):,} items, "
            f"got {array.shape}"
        )
    filled = np.empty(len(array), bool)
    for start in range(0, len(array), 4_096):
        filled[start : start + 4_096] = (array[start : start + 4_096] != 0).any(1)
    zeros = int((~filled).sum())
    note = f"{path.name}: {zeros:,} of {len(ids):,} rows are all zeros"
    rows: Rows = array
    if zero_rows == "missing":
        place = np.flatnonzero(filled)
        rows, ids, note = _Subset(array, place), ids[place], f"{note}, taken for missing"
    return RawFeature(ids, rows, str(path)), note


class _Subset:
    """Some rows of an array that stays where it is."""

    def __init__(self, array: NDArray[Any], place: NDArray[np.int64]) -> None:
        self.array, self.place = array, place

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[Any]:
        return self.array[self.place[rows]]
