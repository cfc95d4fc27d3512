"""What RecBole's ``.item`` files say of items: texts, addresses of images, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.datasets.atomic import typed_column
from mdsrec_pyg.datasets.raw import RawFeature, RawItems
from mdsrec_pyg.datasets.reading.delimited import TABS, column_names
from mdsrec_pyg.datasets.reading.digits import NUMBER, first
from mdsrec_pyg.datasets.reading.table import (
    Table,
    identifiers,
    read_table,
    repeated_id,
    unused_columns,
)
from mdsrec_pyg.datasets.text import item_text

TEXT_TYPES = ("token", "token_seq", "float")
VECTOR = "float_seq"


def read_items(
    path: Path,
    item: str,
    text: Sequence[str] | None,
    image_url: str | None,
    features: Sequence[str] | None,
) -> RawItems:
    """Reads an ``.item`` file; see :class:`RecBoleDataset` for the columns.

    Raises:
        ValueError: A column is missing or of another type, an id stands there twice, or a vector
            is not as long as the others; the message has file, line and column.
    """
    header = column_names(path, TABS)
    key = typed_column(path, header, item, "token", True)
    types = dict(column.rpartition(":")[::2] for column in header)
    image = None if image_url is None else _column(path, types, image_url, TEXT_TYPES)
    if text is None:
        chosen = [
            column
            for column in header
            if column.endswith((":token", ":token_seq")) and column not in (key, image)
        ]
    else:
        chosen = [_column(path, types, name, TEXT_TYPES) for name in text]
    if features is None:
        features = [name for name, kind in types.items() if kind == VECTOR]
    vectors = {name: _column(path, types, name, (VECTOR,)) for name in features}
    others = [] if image is None else [image]
    table = read_table(path, [key, *dict.fromkeys([*chosen, *others, *vectors.values()])])
    number, ids = identifiers(table, key, text_as_integers=True)
    if len(ids) < len(table):
        raise repeated_id(table, key, number)
    ids = ids[number]
    values = [table.columns[column].to_pylist() for column in chosen]
    rows, notes = {}, unused_columns(table)
    for name, column in vectors.items():
        feature = _vectors(table, column, ids)
        if feature is None:
            notes.append(f"{path.name}: '{column}' is empty: no modality {name}")
        else:
            rows[name] = feature
    return RawItems(
        ids,
        text=[item_text({"features": parts}) for parts in zip(*values, strict=True)]
        if chosen
        else None,
        image_urls=None if image is None else table.columns[image].to_pylist(),
        features=rows,
        source=str(path),
        notes=tuple(notes),
    )


def _vectors(table: Table, column: str, ids: NDArray[Any]) -> RawFeature | None:
    """A column of numbers with blanks between them, of the same length in each row that has any."""
    text = pc.utf8_trim(table.columns[column].cast(pa.large_string()), " ")
    place = np.flatnonzero(pc.not_equal(text, "").to_numpy(zero_copy_only=False))
    if not len(place):
        return None
    parts = pc.split_pattern(text.take(pa.array(place)), " ")
    length = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
    other = np.flatnonzero(length != length[0])
    if len(other):
        raise table.error(
            int(place[other[0]]), column, f"{length[0]} numbers as in the first row that has any"
        )
    flat = parts.flatten()
    wrong = first(pc.invert(pc.match_substring_regex(flat, NUMBER)))
    if wrong is not None:
        row = int(place[wrong // length[0]])
        raise table.error(row, column, "numbers with one blank between two")
    x = flat.cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(len(place), -1)
    return RawFeature(ids[place], x, f"{table.path}, column '{column}'")


def _column(path: Path, types: dict[str, str], name: str, allowed: Sequence[str]) -> str:
    """The header's column ``name:type``."""
    if types.get(name) not in allowed:
        known = ", ".join(f"'{column}:{kind}'" for column, kind in types.items())
        kinds = " or ".join([", ".join(allowed[:-1]), allowed[-1]] if allowed[1:] else allowed)
        raise ValueError(f"{path}, line 1: expected a column '{name}' of type {kinds}, got {known}")
    return f"{name}:{types[name]}"
