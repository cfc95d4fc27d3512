"""The items of a data set folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.items import raw_item_ids
from mdsrec_pyg.datasets.reading.table import read_table


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
    raw_ids, order = raw_item_ids(table)
    values: list[str | None] = [None] * len(raw_ids)
    if column is not None:
        values = _text(found[0], table.columns.get(column), column, order)
    return Items(found[0], raw_ids, values)


def _text(path: Path, column: Any, name: str, order: NDArray[np.int64]) -> list[str | None]:
    if column is None or pa.types.is_null(column.type) or column.null_count == len(column):
        raise ValueError(f"{path}: expected a column '{name}' with text, got none")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"{path}, column '{name}': expected text, got {column.type}")
    return column.take(pa.array(order)).to_pylist()
