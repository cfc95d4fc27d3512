"""Columns of tables in memory: raw ids and times, checked as those of files are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Seconds
from mdsrec_pyg.data.raw_ids import one_type
from mdsrec_pyg.datasets.reading.times import LARGEST_SECONDS, from_datetimes, text_times


def column_of(table: pd.DataFrame, label: str, column: str) -> pd.Series:
    """A column of a table.

    Raises:
        ValueError: There is none of this name, or several.
    """
    if column not in table.columns:
        given = ", ".join(map(repr, table.columns))
        raise ValueError(f"'{label}' must have a column {column!r} (got {given or 'none'})")
    values = table[column]
    if isinstance(values, pd.DataFrame):
        raise ValueError(f"'{label}' must have one column {column!r} (got {values.shape[1]})")
    return values


def ids_of(table: pd.DataFrame, label: str, column: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Numbers a column of raw ids.

    Integers are numbered in ascending order, text in the order of its first row.

    Args:
        table: The table.
        label: What messages call it.
        column: Name of the column.

    Returns:
        The number of each row ``[n]``, and the raw id of each number.

    Raises:
        ValueError: A value is empty, neither text nor an integer, or of another type than the
            first; the message has the row. A column of floats is refused whole: an empty cell
            makes floats of integers, and ``007`` was ``7`` before it was ``7.0``.
    """
    values = column_of(table, label, column)
    empty = values.isna().to_numpy()
    if empty.any():
        row = int(empty.argmax())
        raise ValueError(f"'{label}', row {row}, column {column!r}: expected an id, got nothing")
    if pd.api.types.is_float_dtype(values.dtype):
        raise ValueError(
            f"'{label}', column {column!r}: expected integers or text, got {values.dtype}"
        )
    if pd.api.types.is_integer_dtype(values.dtype):
        if len(values) and int(values.max()) > np.iinfo(np.int64).max:
            raise ValueError(
                f"'{label}', column {column!r}: expected integers below 2**63, got {values.max()} "
                "(as text they may be larger)"
            )
        whole = values.to_numpy(np.int64)
    else:
        whole = one_type(f"'{label}'", f", column {column!r}", values.astype(object).to_numpy())
    if whole.dtype.kind == "i":
        ids, code = np.unique(whole, return_inverse=True)
        return code.astype(np.int64), ids
    code, ids = pd.factorize(whole)
    return code.astype(np.int64), ids


def seconds_of(table: pd.DataFrame, label: str, column: str) -> Seconds:
    """Seconds since 1970 of a column of datetimes (without a zone: UTC), text or numbers.

    Text is read as in files: ISO dates and date-times, or numbers throughout.

    Raises:
        ValueError: A value is missing or no time; the message has the row.
    """
    values = column_of(table, label, column)
    empty = values.isna().to_numpy()
    if empty.any():
        row = int(empty.argmax())
        raise ValueError(
            f"'{label}', row {row}, column {column!r}: expected a time in every row, got nothing "
            "(timestamp=None: the order of the rows counts)"
        )
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return from_datetimes(values)
    if pd.api.types.infer_dtype(values, skipna=False) == "string":

        def wrong(row: int, expected: str) -> ValueError:
            given = repr(values.iloc[row])
            return ValueError(
                f"'{label}', row {row}, column {column!r}: expected {expected}, got {given}"
            )

        return text_times(pa.array(values.astype(str), pa.large_string()), wrong)
    if not pd.api.types.is_numeric_dtype(values.dtype) or values.dtype.kind == "b":
        raise ValueError(
            f"'{label}', column {column!r}: expected datetimes or seconds since 1970, got "
            f"{values.dtype} (pandas.to_datetime reads text)"
        )
    seconds = values.to_numpy()
    bad = ~(np.abs(seconds.astype(np.float64)) < LARGEST_SECONDS)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"'{label}', row {row}, column {column!r}: expected seconds since 1970, below "
            f"{LARGEST_SECONDS:,} (milliseconds must be divided), got {seconds[row]}"
        )
    whole = seconds.astype(np.int64)
    return whole if (whole == seconds).all() else seconds.astype(np.float64)
