"""The columns that every items file has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.table import Table, identifiers, integers


def raw_item_ids(table: Table) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Raw ids ``[N]`` in the order of the items, and the row of each item ``[N]``.

    Raises:
        ValueError: The items are not ``0..N-1``, each once, or a raw id stands there twice.
    """
    size = len(table)
    expected = f"each of 0..{size - 1} once (the file has {size} items)"
    item = integers(table, "item", expected)
    bad = (item < 0) | (item >= size)
    if not bad.any():
        bad = _repeated(item)
    if bad.any():
        raise table.error(int(bad.argmax()), "item", expected)
    number, raw = identifiers(table, "raw_id", text_as_integers=False)
    if len(raw) < size:
        row = int(_repeated(number).argmax())
        raise table.error(row, "raw_id", "an id that no other item has")
    order = np.argsort(item)
    return raw[number[order]], order


def _repeated(values: NDArray[Any]) -> NDArray[np.bool_]:
    """True where the same value stands in an earlier row."""
    repeated = np.ones(len(values), bool)
    repeated[np.unique(values, return_index=True)[1]] = False
    return repeated
