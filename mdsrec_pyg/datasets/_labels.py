"""Columns that say which part of a split a row is in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.data.given_split import SPLIT_LABELS
from mdsrec_pyg.datasets.reading.table import Table


def split_labels(
    table: Table, column: str, names: Mapping[str, str] | None = None
) -> NDArray[np.str_] | None:
    """``'train'``, ``'val'`` or ``'test'`` for each row.

    Args:
        table: The table.
        column: Name of the column.
        names: Our name of what the file says. Default: the file says our names.

    Returns:
        The labels ``[n]``, or ``None`` where the column is missing or empty throughout.

    Raises:
        ValueError: A value is none of those; the message has file and line.
    """
    values = table.columns.get(column)
    if values is None or values.null_count == len(values):
        return None
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        values = values.cast(pa.string())
    if pc.all(pc.equal(pc.fill_null(values, ""), "")).as_py():
        return None
    names = {name: name for name in SPLIT_LABELS} if names is None else names
    code = pc.index_in(values, value_set=pa.array(list(names), values.type))
    if code.null_count:
        row = int(pc.index(pc.is_null(code), True).as_py())
        raise table.error(row, column, f"one of {', '.join(names)}")
    return np.array(list(names.values()))[code.to_numpy(zero_copy_only=False)].astype("U5")
