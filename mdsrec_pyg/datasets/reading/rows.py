"""Large tables of text, a block of lines at a time, each column of its type.

Arrow parses whole blocks; only a block in which something is wrong is gone through line by line, to
say which line it is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mdsrec_pyg.datasets.reading.fields import Field
from mdsrec_pyg.datasets.reading.lines import Block, Problems, read_blocks, show

Columns = dict[str, Any]
# Arrow reads 0x10 as 16; where such a value begins, the lines are looked at one by one.
HEXADECIMAL = re.compile(rb"(?:^|[\s,;:|\"])-?0[xX][0-9a-fA-F]", re.MULTILINE)


@dataclass(frozen=True)
class Form:
    """How a table of text is written.

    Args:
        delimiter: What stands between two values: one character, or one character repeated.
        names: Names of all columns in their order, for a file without a line of names; ``None``:
            the first line has them.
        quotes: Whether values may stand in double quotes. None may hold a line break.
    """

    delimiter: str
    names: tuple[str, ...] | None = None
    quotes: bool = False

    def split(self, line: str) -> list[str]:
        """The values of a line."""
        if self.quotes:
            return next(csv.reader([line], delimiter=self.delimiter, strict=True))
        return line.split(self.delimiter)


def read_rows(
    path: Path, form: Form, fields: Sequence[Field], problems: Problems
) -> Iterator[Columns]:
    """Reads columns of a table of text, plain or gzip, in constant memory.

    Args:
        path: The file.
        form: How it is written.
        fields: The columns to be read, and what their values must be.
        problems: What becomes of a line that cannot be used.

    Yields:
        The values of each field, a block at a time, an Arrow array each.

    Raises:
        ValueError: A column is missing, a line has too few or too many values, a value is not what
            it must be, or there is no line; the message has file, line and column.
    """
    names, rows = form.names, 0
    problems.say_unused(names or (), [field.name for field in fields])
    for block in read_blocks(path, problems):
        if names is None:
            head, _, rest = block.data.partition(b"\n")
            names = _header(path, form, fields, head)
            problems.say_unused(names, [field.name for field in fields])
            block = Block(path, rest, block.first + 1)
        if not block.data:
            continue
        columns = _parse_quickly(block, form, names, fields)
        if columns is None:
            columns = _parse_slowly(block, form, names, fields, problems)
        rows += len(columns[fields[0].name])
        yield columns
    if not rows:
        skipped = "".join(f" ({note})" for note in problems.notes(path))
        raise ValueError(f"{path}: expected at least one row, got none{skipped}")


def _header(path: Path, form: Form, fields: Sequence[Field], line: bytes) -> tuple[str, ...]:
    try:
        names = tuple(form.split(line.decode().strip("\r")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}, line 1: expected column names in UTF-8 ({error})") from error
    for field in fields:
        if names.count(field.name) != 1:
            raise ValueError(
                f"{path}, line 1: expected one column '{field.name}', got "
                f"{', '.join(map(repr, names[:30]))}"
            )
    return names


def _parse_quickly(
    block: Block, form: Form, names: Sequence[str], fields: Sequence[Field]
) -> Columns | None:
    """The columns of a block, or ``None`` if there is anything wrong or unusual in it."""
    # Between the characters of a longer delimiter stand columns that must be empty.
    gap = len(form.delimiter) - 1
    every: list[str] = []
    for name in names:
        every += [*([f"\0{len(every)}" for _ in range(gap)] if every else []), name]
    empty = [name for name in every if name.startswith("\0")]
    types: dict[str, Any] = {field.name: field.type for field in fields}
    if pa.int64() in types.values() and _has_hexadecimal(block.data):
        return None
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(block.data),
            read_options=pa.csv.ReadOptions(
                column_names=every, block_size=max(len(block.data), 1 << 20)
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=form.delimiter[0],
                quote_char='"' if form.quotes else False,
                ignore_empty_lines=False,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={**types, **dict.fromkeys(empty, pa.string())},
                include_columns=[*types, *empty],
                strings_can_be_null=False,
                timestamp_parsers=[pa.csv.ISO8601],
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    lines = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
    if len(table) != lines:
        return None
    columns = {name: table[name].combine_chunks() for name in types}
    if any(pc.any(pc.not_equal(table[name], "")).as_py() for name in empty):
        return None
    if any(not field.valid(columns[field.name]) for field in fields):
        return None
    return columns


def _has_hexadecimal(data: bytes) -> bool:
    # Looking for two bytes is ten times as fast as the expression.
    return (b"0x" in data or b"0X" in data) and HEXADECIMAL.search(data) is not None


def _parse_slowly(
    block: Block,
    form: Form,
    names: Sequence[str],
    fields: Sequence[Field],
    problems: Problems,
) -> Columns:
    """The same, line by line."""
    place = {field.name: names.index(field.name) for field in fields}
    values: dict[str, list[Any]] = {field.name: [] for field in fields}
    # Not splitlines(): it splits at more than line feeds.
    for number, line in enumerate(block.data.split(b"\n"), block.first):
        line = line.removesuffix(b"\r")
        if not line.strip():
            continue
        try:
            row = _parse_line(line, form, names, fields, place)
        except ValueError as error:
            problems.add(f"{block.path}, line {number}{error}")
            continue
        for name, value in row.items():
            values[name].append(value)
    return {field.name: pa.array(values[field.name], field.type) for field in fields}


def _parse_line(
    line: bytes,
    form: Form,
    names: Sequence[str],
    fields: Sequence[Field],
    place: dict[str, int],
) -> dict[str, Any]:
    """The values of a line; an error begins with what follows its number in the message."""
    try:
        parts = form.split(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f": expected UTF-8 text ({error})") from error
    except csv.Error as error:
        raise ValueError(
            f": expected quotes that are closed ({error}), got {show(line)}"
        ) from error
    if len(parts) != len(names):
        raise ValueError(
            f": expected {len(names)} values separated by {form.delimiter!r} "
            f"({', '.join(names[:8])}), got {len(parts)}: {show(line)}"
        )
    row = {}
    for field in fields:
        text = parts[place[field.name]]
        try:
            row[field.name] = field.parse(text)
        except ValueError as error:
            raise ValueError(f", column '{field.name}': {error}") from error
    return row
