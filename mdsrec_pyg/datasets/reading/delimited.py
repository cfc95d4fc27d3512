"""Tables of text whose values are separated by a character: whole columns at a time, by Arrow.

Only when something is wrong, or a file has quotes, does Python go through the lines.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from mdsrec_pyg.datasets.reading.coded import CODED
from mdsrec_pyg.datasets.reading.compressed import DAMAGE, damage, form_of, open_bytes
from mdsrec_pyg.datasets.reading.lines import line_not_utf8

# Of a text file: ids that stand in a block more than once are held once.
BLOCK_SIZE = 2**24
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Delimited:
    """How a file of text is written.

    Args:
        delimiter: What stands between two values.
        quotes: Whether values may stand in double quotes and then hold line breaks.
    """

    delimiter: str = "\t"
    quotes: bool = False


#: As most sources write: tabs, and quotes mean nothing.
TABS = Delimited()


def column_names(path: Path, form: Delimited) -> list[str]:
    """The names in the first line of a file, plain or compressed.

    Raises:
        ValueError: The line is empty, or damaged: no UTF-8. A name that is guessed would drop its
            column without a word.
    """
    with open_bytes(path) as lines:
        try:
            line = lines.readline(1_000_000)
        except DAMAGE as error:
            raise _damaged(path, error) from error
    try:
        header = line.removeprefix(BOM).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}, line 1: expected column names in UTF-8 ({error})") from error
    if not header or "\0" in header:
        given = "an empty line or file" if not header else f"{header[:60]!r}"
        raise ValueError(f"{path}, line 1: expected column names, got {given}")
    if not form.quotes:
        return header.split(form.delimiter)
    try:
        return next(csv.reader([header], delimiter=form.delimiter, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line 1: expected column names ({error})") from error


def check_columns(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    """Raises an error if a required column is missing or a column stands there twice."""
    for column in required:
        if column not in names:
            raise ValueError(
                f"{path}, line 1: expected a column '{column}', got {', '.join(map(repr, names))}"
            )
    for column in names:
        if names.count(column) > 1:
            raise ValueError(f"{path}, line 1: column '{column}' stands there more than once")


def read_delimited(
    path: Path, form: Delimited, wanted: Sequence[str], ids: Sequence[str] = ()
) -> tuple[pa.Table, int]:
    """Columns of text, as it is written, and the number of rows before blank lines at the end.

    Args:
        path: The file, plain or compressed.
        form: How it is written.
        wanted: Names of columns that it has.
        ids: Those of which each text is held once.

    Raises:
        ValueError: A row has too few or too many values, a quote is not closed, or the text is no
            UTF-8; the message has the line.
    """
    if form.quotes and _has_quotes(path):
        _check_quotes(path, form)
    try:
        with open_bytes(path) as stream:
            table = pa.csv.read_csv(
                path if form_of(path) is None else stream,
                # One thread: Arrow then knows the line of an error.
                read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_SIZE),
                parse_options=pa.csv.ParseOptions(
                    delimiter=form.delimiter,
                    quote_char='"' if form.quotes else False,
                    ignore_empty_lines=False,
                    newlines_in_values=form.quotes,
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={name: CODED if name in ids else pa.string() for name in wanted},
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )
    except DAMAGE as error:
        raise _explained(path, form, error) from error
    size = table.num_rows
    while size and all(table[name][size - 1].as_py() == "" for name in wanted):
        size -= 1  # blank lines at the end of the file
    return table, size


def line_of(path: Path, form: Delimited, row: int) -> int:
    """The line in which a row ends, counted from 1; rows from 0, below the column names."""
    if not form.quotes:
        return row + 2
    for number, (line, _) in enumerate(_rows(path, form), -1):
        if number == row:
            return line
    return row + 2


def _rows(path: Path, form: Delimited) -> Iterator[tuple[int, list[str]]]:
    # Whether it is UTF-8 is for Arrow to say.
    with io.TextIOWrapper(open_bytes(path), "utf-8-sig", "replace", newline="") as lines:
        reader = csv.reader(lines, delimiter=form.delimiter, strict=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "field limit" in str(error):
                    return  # longer than Python's reader takes, not wrong
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
            yield reader.line_num, row


def _check_quotes(path: Path, form: Delimited) -> None:
    """Raises an error at a quote that is not closed: Arrow would swallow rows."""
    for _ in _rows(path, form):
        pass


def _has_quotes(path: Path) -> bool:
    with open_bytes(path) as stream:
        try:
            while piece := stream.read(BLOCK_SIZE):
                if b'"' in piece:
                    return True
        except DAMAGE as error:
            raise _damaged(path, error) from error
    return False


def _explained(path: Path, form: Delimited, error: Exception) -> Exception:
    """Arrow's error with file and line."""
    if not isinstance(error, pa.ArrowInvalid):
        return _damaged(path, error)
    if "UTF8" in str(error) and (line := line_not_utf8(path)):
        return ValueError(f"{path}, line {line}: expected UTF-8 text")
    found = re.search(r"Row #(\d+): (.*)", str(error), re.DOTALL)
    if found is None:
        return ValueError(f"{path}: {error}")
    line = line_of(path, form, int(found[1]) - 2)
    return ValueError(f"{path}, line {line}: {found[2]}")


def _damaged(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # the disk's error, not the file's
    return ValueError(f"{path}: {damage(form_of(path), error)}")
