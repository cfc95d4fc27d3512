"""Tables of text and parquet files, read whole columns at a time, with errors that point at a line.

Arrow's readers and kernels look at all rows at once. Only when something is wrong does Python go
through the lines, to say which.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.coded import (
    combine_coded,
    first_with,
    is_coded,
    number_coded,
)
from mdsrec_pyg.datasets.reading.delimited import (
    TABS,
    Delimited,
    check_columns,
    column_names,
    line_of,
    read_delimited,
)
from mdsrec_pyg.datasets.reading.digits import (
    all_plain_integers,
    first,
    first_not_integer,
)
from mdsrec_pyg.datasets.reading.jsonl import read_jsonl

# Bytes of text above which a column gets offsets of 64 bits.
LARGEST_STRINGS = 2**31 - 2**20


@dataclass(frozen=True)
class Table:
    """Columns of one file, and where its rows stand in it.

    Args:
        path: The file.
        columns: Arrow array of each column.
        form: How a file of text is written.
        unused: Names of the columns that were not read.
    """

    path: Path
    columns: dict[str, Any]
    form: Delimited = TABS
    unused: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def where(self, row: int) -> str:
        """File and line of a row counted from 0 (parquet has no lines: the row counted from 1)."""
        if self.path.suffix == ".parquet":
            return f"{self.path}, row {row + 1}"
        if self.path.suffix != ".jsonl":
            return f"{self.path}, line {line_of(self.path, self.form, row)}"
        with self.path.open("rb") as lines:
            filled = [number for number, line in enumerate(lines, 1) if line.strip()]
        return f"{self.path}, line {filled[row]}"

    def error(self, row: int, column: str, expected: str) -> ValueError:
        """The error about one value."""
        value = self.columns[column][row].as_py()
        given = "nothing" if value is None or value == "" else repr(value)
        return ValueError(f"{self.where(row)}, column '{column}': expected {expected}, got {given}")


def read_table(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    ids: Sequence[str] = (),
    form: Delimited = TABS,
) -> Table:
    """Reads the named columns of a ``.parquet``, ``.jsonl`` or else delimited file.

    Of the columns ``ids`` of a delimited file each text is held once; only :func:`identifiers`
    reads them. Delimited files may be compressed.
    """
    if path.suffix == ".parquet":
        columns, names = _read_parquet(path, required, optional)
    elif path.suffix == ".jsonl":
        chunks, names = read_jsonl(path, [*required, *optional])
        columns = {name: _combine(column) for name, column in chunks.items()}
    else:
        columns, names = _read_text(path, required, optional, ids, form)
    unused = tuple(name for name in names if name not in columns)
    table = Table(path, columns, form, unused)
    if not len(table):
        raise ValueError(f"{path}: expected at least one row below the column names, got none")
    for name in table.columns:
        _check_utf8(table, name)
    release_memory()
    return table


def unused_columns(*tables: Table) -> list[str]:
    """A sentence for each table that has columns which were not read."""
    return [
        f"{table.path.name}: not read: {', '.join(table.unused)}"
        for table in tables
        if table.unused
    ]


def release_memory() -> None:
    """Gives back what Arrow holds and no longer uses: NumPy, with a pool of its own, needs it."""
    pa.default_memory_pool().release_unused()


def _check_utf8(table: Table, column: str) -> None:
    # Arrow reads JSON and parquet without looking at the text; Python would fail on it later.
    try:
        table.columns[column].validate(full=True)
    except pa.ArrowInvalid as error:
        row = re.search(r"string index (\d+)", str(error))
        where = table.where(int(row[1])) if row else str(table.path)
        raise ValueError(f"{where}, column '{column}': expected UTF-8 text ({error})") from error


def _read_text(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str],
    ids: Sequence[str],
    form: Delimited,
) -> tuple[dict[str, Any], list[str]]:
    names = column_names(path, form)
    check_columns(path, names, required)
    wanted = [name for name in (*required, *optional) if name in names]
    table, size = read_delimited(path, form, wanted, ids)
    chunks = {name: table[name] for name in wanted}
    del table
    return _combine_all(chunks, size), names


def _read_parquet(
    path: Path, required: Sequence[str], optional: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    try:
        names = pa.parquet.read_schema(path).names
        for column in required:
            if column not in names:
                raise ValueError(
                    f"{path}: expected a column '{column}', got {', '.join(map(repr, names))}"
                )
        wanted = [name for name in (*required, *optional) if name in names]
        table = pa.parquet.read_table(path, columns=wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's error, not the file's
        raise ValueError(f"{path}: expected a parquet file ({error})") from error
    chunks = {name: table[name] for name in wanted}
    del table
    return _combine_all(chunks), names


def _combine_all(chunks: dict[str, Any], size: int | None = None) -> dict[str, Any]:
    """Each column in one piece; empties ``chunks``, so that memory never holds all of it twice.

    With ``size``, of a text file: only so many rows, and columns of ids stay coded.
    """
    columns = {}
    for name in list(chunks):
        column = chunks.pop(name)
        coded = size is not None and is_coded(column)
        columns[name] = combine_coded(column, size or 0) if coded else _combine(column)[:size]
    return columns


def _combine(column: pa.ChunkedArray) -> Any:
    value = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    # One array of strings of 32-bit offsets holds less than 2 GiB; a view is read as text.
    if pa.types.is_string_view(value) or (
        pa.types.is_string(value) and column.nbytes > LARGEST_STRINGS
    ):
        column = column.cast(pa.large_string())
    column = column.combine_chunks()
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def is_string(column: Any) -> bool:
    """Whether a column is text."""
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def check_filled(table: Table, column: str, expected: str) -> None:
    """Raises an error at the first row that has nothing in a column."""
    values = table.columns[column]
    if is_coded(values):
        row = first_with(values, "")
    else:
        text = is_string(values)
        empty = pc.equal(values, "") if text else pc.is_null(values, nan_is_null=True)
        row = first(pc.fill_null(empty, True))
    if row is not None:
        raise table.error(row, column, expected)


def integers(table: Table, column: str, expected: str) -> NDArray[np.int64]:
    """A column of whole numbers."""
    check_filled(table, column, expected)
    values = table.columns[column]
    if is_string(values):
        row = first_not_integer(values)
        if row is not None:
            raise table.error(row, column, expected)
    elif not pa.types.is_integer(values.type):
        raise table.error(0, column, f"{expected} in an integer column (not {values.type})")
    try:
        return values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        number = pc.abs(values.cast(pa.float64()))
        raise table.error(int(pc.index(number, pc.max(number)).as_py()), column, expected) from None


def _dates_as_text(table: Table, column: str) -> Any:
    """Ids that are dates, as folders of before may have them: the text of ISO 8601."""
    values = table.columns[column]
    if not (pa.types.is_date(values.type) or pa.types.is_timestamp(values.type)):
        raise table.error(0, column, f"text or integers as ids, not {values.type}")
    return pa.array([value.isoformat() for value in values.to_pylist()], pa.large_string())


def identifiers(
    table: Table, column: str, text_as_integers: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Numbers a column of raw ids of any type.

    Integers are numbered in ascending order, so that ``0..n-1`` stays what it is; other ids in the
    order of their first row. With ``text_as_integers``, for files that know only text, a column of
    text is taken for integers if all of it reads back the same (``7``, not ``007``).

    Returns:
        The number of each row ``[n]``, int32 or int64, and the raw id of each number.
    """
    check_filled(table, column, "an id")
    values = table.columns[column]
    if not (is_coded(values) or is_string(values) or pa.types.is_integer(values.type)):
        values = _dates_as_text(table, column)
    if is_coded(values):
        return number_coded(values, text_as_integers)
    if text_as_integers and is_string(values):
        values = values.cast(pa.int64()) if all_plain_integers(values) else values
    if pa.types.is_integer(values.type):
        number, raw = pd.factorize(values.to_numpy(zero_copy_only=False), sort=True)
        return number.astype(np.int64, copy=False), np.asarray(raw)
    encoded = values.dictionary_encode()
    raw = np.empty(len(encoded.dictionary), object)
    raw[:] = encoded.dictionary.to_pylist()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), raw


def repeated_id(table: Table, column: str, number: NDArray[Any]) -> ValueError:
    """The error about the first id that stands in an earlier row, too.

    Args:
        table: The table.
        column: The column of ids.
        number: Number of the id of each row ``[n]``, which some rows share.
    """
    row = int(pd.Series(number).duplicated().to_numpy().argmax())
    before = table.where(int((number == number[row]).argmax())).removeprefix(f"{table.path}, ")
    expected = f"an id that no other row has ({before} has it)"
    return table.error(row, column, expected)
