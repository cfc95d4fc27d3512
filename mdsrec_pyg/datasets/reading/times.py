"""Columns of times: one form for the whole column, and a row of another is refused with its place.

The forms are:

- numbers: seconds since 1970 UTC, with a fraction or without, below 100,000,000,000 (milliseconds
  must be divided);
- ISO 8601: a date, ``2015-06-23``, or a date-time, ``2015-06-23T10:00:00``, with a space for the
  ``T`` and a fraction if you like; a zone at its end (``Z``, ``+02:00``) is honored, without one
  the time is in UTC; slashes may stand for the hyphens as long as the year comes first;
- datetimes, where the file knows types.

What is left out on purpose: ``9.1.2026`` and ``1/9/2026`` (day or month first?), ``20200109``
(a date or a number?), names of months and of zones.
"""

from __future__ import annotations

from collections.abc import Callable
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
# What pandas takes for ISO 8601 beyond that, such as 'now' and 'today', is none.
ISO_8601 = (
    r"^[0-9]{4}[-/]?[0-9]{1,2}([-/]?[0-9]{1,2}([T ][0-9]{2}(:?[0-9]{2}(:?[0-9]{2}([.,][0-9]+)?)?)?"
    r"( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?)?)?$"
)
# A date without hyphens: as seconds they are all in August and September of 1970.
COMPACT_DATE = r"^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$"
EXPECTED = "a date (2015-06-23), date-time (2015-06-23T10:00:00) or seconds since 1970"

Wrong = Callable[[int, str], ValueError]


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
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return from_datetimes(pd.Series(values.to_pandas()))

    def wrong(row: int, expected: str) -> ValueError:
        return table.error(row, column, expected)

    if is_string(values):
        return text_times(values, wrong)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise table.error(0, column, f"a time or number of seconds (not {values.type})")
    return _from_seconds(values.cast(pa.float64(), safe=False), wrong)


def text_times(values: Any, wrong: Wrong) -> Seconds:
    """Seconds since 1970 UTC of text, all of it numbers or all of it ISO 8601.

    Args:
        values: Arrow array of text.
        wrong: Makes the error about a row, of its number and what was expected.
    """
    if not len(values):
        return np.empty(0, np.int64)
    if all_digits(values):
        if pc.all(pc.match_substring_regex(values, COMPACT_DATE)).as_py():
            raise wrong(0, f"{EXPECTED}, and no date without hyphens")
        return _from_seconds(values.cast(pa.float64()), wrong)
    number = pc.match_substring_regex(values, NUMBER)
    if number[0].as_py():
        row = first(pc.invert(number))
        if row is not None:
            raise wrong(row, "a number of seconds, like the rows before")
        return _from_seconds(values.cast(pa.float64()), wrong)
    form = pc.match_substring_regex(values, ISO_8601)
    time = pd.to_datetime(
        pd.Series(values.to_pandas()), format="ISO8601", errors="coerce", utc=True
    )
    bad = time.isna().to_numpy() | ~form.to_numpy(zero_copy_only=False)
    bad |= number.to_numpy(zero_copy_only=False)
    if bad.any():
        raise wrong(int(bad.argmax()), EXPECTED)
    return from_datetimes(time)


def from_datetimes(time: pd.Series) -> Seconds:
    """Seconds since 1970 UTC, with a fraction where one has it; without a zone: UTC."""
    index = pd.DatetimeIndex(pd.to_datetime(time, utc=True))
    ticks = np.asarray(index.asi8, dtype=np.int64)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[index.unit]
    whole, rest = np.divmod(ticks, per_second)
    return whole + rest / per_second if rest.any() else whole


def _from_seconds(values: Any, wrong: Wrong) -> Seconds:
    seconds = values.to_numpy(zero_copy_only=False)
    bad = ~(np.abs(seconds) < LARGEST_SECONDS)
    if bad.any():
        expected = f"seconds since 1970, below {LARGEST_SECONDS:,} (milliseconds must be divided)"
        raise wrong(int(bad.argmax()), expected)
    whole = seconds.astype(np.int64)
    return whole if (whole == seconds).all() else seconds
