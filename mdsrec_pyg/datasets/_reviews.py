"""Interactions out of JSON lines, a block at a time: who, what, when; texts are never kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Seconds, show_time
from mdsrec_pyg.datasets.raw import RawInteractions
from mdsrec_pyg.datasets.reading.ids import IdEncoder
from mdsrec_pyg.datasets.reading.jsonl import safe_for_arrow
from mdsrec_pyg.datasets.reading.lines import Block, Problems, parse_object, read_blocks


@dataclass(frozen=True)
class ReviewFields:
    """Where a review has its user, item and time.

    Args:
        user: Field of the user's raw id.
        item: Field of the item's raw id.
        time: Field of the time.
        per_second: Units of that time in a second: 1, or 1,000 for milliseconds.
        earliest: First second that can be right.
        latest: First second that cannot be right any more.
    """

    user: str
    item: str
    time: str
    per_second: int
    earliest: int
    latest: int

    @property
    def names(self) -> tuple[str, str, str]:
        """User, item, time."""
        return self.user, self.item, self.time

    def valid_time(self, time: NDArray[np.int64]) -> NDArray[np.bool_]:
        """True where a time can be right."""
        return (time >= self.earliest * self.per_second) & (time < self.latest * self.per_second)


def read_reviews(path: Path, fields: ReviewFields, on_error: str = "raise") -> RawInteractions:
    """Reads the interactions of a file of reviews, one JSON object a line, plain or gzip.

    Other fields are ignored. Arrow parses whole blocks; only a block in which something is wrong is
    gone through line by line. Users and items are numbered in the order of their first row.

    Args:
        path: The file.
        fields: Where user, item and time stand.
        on_error: ``'raise'`` an error at the first line that cannot be used, or ``'skip'`` and
            count such lines; the first step says how many.

    Raises:
        ValueError: A line is no JSON object in UTF-8, a field is missing or of another type, or a
            time cannot be right; or no line is left. The message names file and line.
    """
    problems = Problems(on_error)
    users, items = IdEncoder(), IdEncoder()
    times: list[Seconds] = []
    for block in read_blocks(path, problems):
        if not times:
            problems.say_unused(first_fields(block), fields.names)
        parsed = _parse_quickly(block, fields)
        user, item, seconds = _parse_slowly(block, fields, problems) if parsed is None else parsed
        users.add(user)
        items.add(item)
        times.append(seconds)
    if not sum(map(len, times)):
        skipped = "".join(f" ({note})" for note in problems.notes(path))
        raise ValueError(f"{path}: expected at least one review, got none{skipped}")
    (user_code, user_ids), (item_code, item_ids) = users.finish(), items.finish()
    raw = RawInteractions(
        user_code, item_code, np.concatenate(times), user_ids, item_ids, source=str(path)
    )
    return raw.noted(*problems.notes(path)).told(*problems.not_read(path))


def _parse_quickly(block: Block, fields: ReviewFields) -> tuple[pa.Array, pa.Array, Seconds] | None:
    """The three columns of a block, or ``None`` if there is anything wrong or unusual in it."""
    schema = pa.schema(
        [(fields.user, pa.string()), (fields.item, pa.string()), (fields.time, pa.int64())]
    )
    if not safe_for_arrow(block.data):
        return None
    try:
        block.data.decode()
        table = pa.json.read_json(
            pa.BufferReader(block.data),
            # In pieces, a line that is longer than a piece would be an error.
            read_options=pa.json.ReadOptions(block_size=len(block.data) + 1),
            parse_options=pa.json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    lines = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
    if len(table) != lines or any(table[name].null_count for name in fields.names):
        return None  # blank lines; or two objects in one line, or one object in two
    user, item, time = (table[name].combine_chunks() for name in fields.names)
    seconds = time.to_numpy(zero_copy_only=False)
    empty = pc.any(pc.or_(pc.equal(user, ""), pc.equal(item, ""))).as_py()
    if empty or not fields.valid_time(seconds).all():
        return None
    return user, item, _to_seconds(seconds, fields)


def _parse_slowly(
    block: Block, fields: ReviewFields, problems: Problems
) -> tuple[pa.Array, pa.Array, Seconds]:
    """The same, line by line."""
    users, items, times = [], [], []
    for number, line in block.lines():
        try:
            record = parse_object(line)
            user, item = (read_id(record, name) for name in (fields.user, fields.item))
            time = _read_time(record, fields)
        except ValueError as error:
            problems.add(f"{block.path}, line {number}: {error}")
            continue
        users.append(user)
        items.append(item)
        times.append(time)
    seconds = _to_seconds(np.array(times, np.int64), fields)
    return pa.array(users, pa.string()), pa.array(items, pa.string()), seconds


def _to_seconds(time: NDArray[np.int64], fields: ReviewFields) -> Seconds:
    if fields.per_second == 1:
        return time
    return time / fields.per_second  # fractions kept: they order a user's reviews


def first_fields(block: Block) -> list[str]:
    """Names of the fields of the first object that can be read."""
    for _, line in block.lines():
        try:
            return list(parse_object(line))
        except ValueError:  # counted or raised by those who read the values
            continue
    return []


def read_id(record: dict[str, Any], name: str) -> str:
    """A raw id: text that is not empty and can be written as UTF-8."""
    if name not in record:
        found = ", ".join(map(repr, list(record)[:12])) or "no field"
        raise ValueError(f"expected a field '{name}', got {found}")
    value = record[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"field '{name}': expected an id, text that is not empty, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"field '{name}': expected text, got {value!r} ({error})") from error
    return value


def _read_time(record: dict[str, Any], fields: ReviewFields) -> int:
    value = record.get(fields.time)
    unit = "seconds" if fields.per_second == 1 else "milliseconds"
    expected = (
        f"field '{fields.time}': expected {unit} since 1970, from {show_time(fields.earliest)} and "
        f"before {show_time(fields.latest)}"
    )
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise ValueError(f"{expected}, got {value!r}")
    # Not divided: an integer of any length may stand here.
    first, last = fields.earliest * fields.per_second, fields.latest * fields.per_second
    if not first <= value < last:
        near = abs(value) < 10 * last
        shown = f" ({show_time(value / fields.per_second)})" if near else ""
        raise ValueError(f"{expected}, got {str(value)[:40]}{shown}")
    return int(value)
