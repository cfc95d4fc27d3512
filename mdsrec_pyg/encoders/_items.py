"""The items of a data set folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.table import identifiers, integers, read_table


@dataclass(frozen=True)
class Items:
    """Raw ids ``[N]`` and one column of text ``[N]`` (``None`` where empty), item by item."""

    path: Path
    raw_ids: NDArray[Any]
    values: list[str | None]

    def __len__(self) -> int:
        """Number of items."""
        return len(self.raw_ids)


def read_items(folder: str | os.PathLike[str], column: str | None) -> Items:
    """Reads ``items.jsonl`` or ``items.parquet`` of a data set folder.

    Raises:
        ValueError: There is none or more than one, ``column`` is missing or not text, or the items
            are not ``0..N-1``.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"'folder' must be a folder (got {root})")
    found = [root / name for name in ("items.jsonl", "items.parquet") if (root / name).is_file()]
    if len(found) != 1:
        given = "both" if found else "neither"
        raise ValueError(
            f"'folder' must hold one of items.jsonl and items.parquet (got {given} in {root})"
        )
    table = read_table(found[0], ["item", "raw_id"], [] if column is None else [column])
    size = len(table)
    expected = f"each of 0..{size - 1} once (the file has {size} items)"
    item = integers(table, "item", expected)
    wrong = (item < 0) | (item >= size)
    if not wrong.any():
        wrong = np.ones(size, bool)
        wrong[np.unique(item, return_index=True)[1]] = False
    if wrong.any():
        raise table.error(int(wrong.argmax()), "item", expected)
    order = np.argsort(item)
    number, raw = identifiers(table, "raw_id", text_as_integers=False)
    if len(raw) < size:
        raise ValueError(f"{found[0]}: expected a 'raw_id' of its own for each item")
    values: list[str | None] = [None] * size
    if column is not None:
        values = _text(found[0], table.columns.get(column), column, order)
    return Items(found[0], raw[number[order]], values)


def _text(path: Path, column: Any, name: str, order: NDArray[np.int64]) -> list[str | None]:
    if column is None or pa.types.is_null(column.type) or column.null_count == len(column):
        raise ValueError(f"{path}: expected a column '{name}' with text, got none")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"{path}, column '{name}': expected text, got {column.type}")
    return column.take(pa.array(order)).to_pylist()
