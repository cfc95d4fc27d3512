"""Columns of dates, date-times or seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mdsrec_pyg.data.interactions import Seconds
from mdsrec_pyg.datasets.reading.digits import NUMBER, all_digits, first
from mdsrec_pyg.datasets.reading.table import Table, check_filled, is_string

# Year 5138 in seconds, March 1973 in milliseconds.
LARGEST_SECONDS = 100_000_000_000


def timestamps(table: Table, column: str) -> Seconds | None:
    """Seconds since 1970 UTC of a column of dates, date-times or seconds.

    Returns:
        int64 ``[n]``, float64 where one has a fraction, or ``None`` where the column is missing or
        empty throughout.
    """
    values = table.columns.get(column)
    if values is None or values.null_count == len(values):
        return None
    if is_string(values) and pc.all(pc.equal(pc.fill_null(values, ""), "")).as_py():
        return None
    check_filled(table, column, "a time in every row or in none")
    if pa.types.is_temporal(values.type):
        return from_datetimes(pd.Series(values.to_pandas()))
    if not is_string(values):
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            raise table.error(0, column, f"a time or number of seconds (not {values.type})")
        return _from_seconds(table, column, values.cast(pa.float64(), safe=False))
    if all_digits(values):
        return _from_seconds(table, column, values.cast(pa.float64()))
    number = pc.match_substring_regex(values, NUMBER)
    if number[0].as_py():
        row = first(pc.invert(number))
        if row is not None:
            raise table.error(row, column, "a number of seconds, like the rows before")
        return _from_seconds(table, column, values.cast(pa.float64()))
    text = pd.Series(values.to_pandas())
    time = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    bad = time.isna().to_numpy() | number.to_numpy(zero_copy_only=False)
    if bad.any():
        expected = "a date (2015-06-23), date-time (2015-06-23T10:00:00) or seconds since 1970"
        raise table.error(int(bad.argmax()), column, expected)
    return from_datetimes(time)


def from_datetimes(time: pd.Series) -> Seconds:
    """Seconds since 1970 UTC, with a fraction where one has it; without a zone: UTC."""
    index = pd.DatetimeIndex(pd.to_datetime(time, utc=True))
    ticks = np.asarray(index.asi8, dtype=np.int64)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[index.unit]
    whole, rest = np.divmod(ticks, per_second)
    return whole + rest / per_second if rest.any() else whole


def _from_seconds(table: Table, column: str, values: Any) -> Seconds:
    seconds = values.to_numpy(zero_copy_only=False)
    bad = ~(np.abs(seconds) < LARGEST_SECONDS)
    if bad.any():
        expected = f"seconds since 1970, below {LARGEST_SECONDS:,} (milliseconds must be divided)"
        raise table.error(int(bad.argmax()), column, expected)
    whole = seconds.astype(np.int64)
    return whole if (whole == seconds).all() else seconds
