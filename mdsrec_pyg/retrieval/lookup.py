"""Items of histories in a catalog of raw ids."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mdsrec_pyg.data.raw_ids import is_integer_id

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def look_up(items: pd.Index, catalog: pd.Index) -> NDArray[np.int64]:
    """Index of each item, -1 where there is none.

    Between text and integers the text decides: ``'7'`` is item ``7``, ``'007'`` is not. In a
    catalog of several types an item is found under its own type only. Nothing else is converted:
    ``7.0`` and ``True`` are no items of a catalog of integers, though Python calls them equal.
    """
    kinds = {_kind_of(items), _kind_of(catalog)}
    if kinds == {"integer"} and all(map(is_integer_id, items.tolist())):
        items = items.astype(np.int64)
    if kinds == {"string"}:  # or pandas turns the whole catalog, each time
        items = items.astype(catalog.dtype)
    if kinds in ({"integer"}, {"string"}):
        return catalog.get_indexer(items).astype(np.int64)
    if _kind_of(catalog) in ("string", "integer"):
        # The few items take the type of the catalog, which may hold millions.
        as_text = _kind_of(catalog) == "string"
        keys = [_text_of(value) if as_text else _integer_of(value) for value in items.tolist()]
        there = np.array([key is not None for key in keys], bool)
        found = np.full(len(keys), -1)
        kind = catalog.dtype if as_text else np.int64
        wanted = pd.Index([key for key in keys if key is not None], dtype=kind)
        found[there] = catalog.get_indexer(wanted)
        return found
    typed = {_typed(value): row for row, value in enumerate(catalog.tolist())}
    return np.array([typed.get(_typed(value), -1) for value in items.tolist()], np.int64)


def _text_of(value: Any) -> str | None:
    return str(value) if isinstance(value, str) or is_integer_id(value) else None


def _integer_of(value: Any) -> int | None:
    if isinstance(value, str):
        value = int(value) if _INTEGER.fullmatch(value) else None
    return int(value) if is_integer_id(value) else None


def _typed(value: Any) -> tuple[type, Any] | None:
    """A key that is the same for a value of the same type only; ``None`` for one that is none."""
    try:
        hash(value)
    except TypeError:
        return None
    return type(value), value


def _kind_of(values: pd.Index) -> str:
    return str(pd.api.types.infer_dtype(values, skipna=False))
