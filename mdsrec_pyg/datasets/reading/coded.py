"""Columns of ids that repeat: a number a row, and each text once (Arrow's dictionary arrays)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.digits import all_plain_integers, first

CODED = pa.dictionary(pa.int32(), pa.string())


def is_coded(column: Any) -> bool:
    """Whether a column is of this kind."""
    return pa.types.is_dictionary(column.type)


def combine_coded(column: pa.ChunkedArray, size: int) -> Any:
    """The first rows of a column in one piece, its texts in the order of their first row."""
    whole = column.unify_dictionaries().combine_chunks()
    if size == len(whole):
        return whole
    return whole.slice(0, size).cast(pa.string()).dictionary_encode()  # no text that no row has


def first_with(column: Any, text: str) -> int | None:
    """The first row that has this text."""
    code = pc.index(column.dictionary, text).as_py()
    return None if code < 0 else first(pc.equal(column.indices, code))


def number_coded(column: Any, text_as_integers: bool) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """The number of each row, and the raw id of each number: integers ascending, text as it is."""
    code = column.indices.to_numpy(zero_copy_only=False)
    if text_as_integers and all_plain_integers(column.dictionary):
        raw = column.dictionary.cast(pa.int64()).to_numpy(zero_copy_only=False)
        order = np.argsort(raw)
        rank = np.empty(len(raw), np.int32)
        rank[order] = np.arange(len(raw))
        return rank[code], raw[order]
    raw = np.empty(len(column.dictionary), object)
    raw[:] = column.dictionary.to_pylist()
    return code, raw
