"""Raw ids: what a user or an item may be called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["as_raw_ids", "id_fault", "is_integer_id", "one_type", "same_type"]


def is_integer_id(value: Any) -> bool:
    """Whether a value is a whole number of 64 bits; ``True`` is none."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        return False
    return -(2**63) <= int(value) < 2**63


def id_fault(value: Any) -> str | None:
    """Why a value cannot be a raw id; ``None`` if it can.

    Raw ids are text that is not empty and can be written as UTF-8, or integers of 64 bits: what
    every file keeps as it is, JSON too. A float is none: ``7`` that became ``7.0`` would be another
    id. A date is none: it would be one in a table and text in a saved model.
    """
    if isinstance(value, str):
        if not value:
            return "expected an id, got nothing"
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"expected text that UTF-8 can hold, got {value[:60]!r}"
        return None
    if is_integer_id(value):
        return None
    shown = value.item() if isinstance(value, np.generic) else value
    return (
        f"expected text or an integer of 64 bits, got {str(shown)[:60]!r}, a "
        f"{type(shown).__name__} (str makes text of it)"
    )


def as_raw_ids(name: str, ids: ArrayLike, size: int) -> NDArray[Any]:
    """Raw ids ``[size]`` as they are kept: int64, or an array of objects that are text.

    Args:
        name: What messages call them.
        ids: All different and of one type, see :func:`id_fault`.
        size: How many there must be.

    Raises:
        ValueError: Another shape, an id that occurs twice, is none, or is of another type than the
            first; the message has the place.
    """
    array = np.asarray(ids)
    if array.dtype.kind not in "iuUO":
        array = np.asarray(ids, object)
    if array.shape != (size,):
        raise ValueError(f"'{name}' must have shape ({size},) (got {array.shape})")
    if array.dtype.kind == "u" and size and int(array.max()) >= 2**63:
        array = array.astype(object)  # the fault below has the place
    if array.dtype.kind in "iu":
        array = array.astype(np.int64)
    else:
        # np.asarray makes one text of [1, "a"]: look at what was given.
        array = _objects(ids if array.dtype.kind == "U" else array)
        array = one_type(f"'{name}'", "", array)
    if len(pd.unique(array)) < size:
        raise ValueError(f"'{name}' must all differ (got {size - len(pd.unique(array))} twice)")
    return array


def one_type(where: str, column: str, ids: NDArray[Any]) -> NDArray[Any]:
    """Ids in an array of objects, checked: integers become int64, text stays.

    Args:
        where: The table, for messages.
        column: What stands behind the row in a message.
        ids: One value a row.

    Raises:
        ValueError: A value is no id, or of another type than the first; the message has the row.
    """
    kind = pd.api.types.infer_dtype(ids, skipna=False)
    values = ids.tolist()
    if kind == "string" and "" not in values and _is_utf8(values):
        return _objects(map(str, values))  # np.str_ is text, but prints as something else
    for row, value in enumerate(values):
        fault = id_fault(value)
        if fault is None and kind not in ("string", "integer") and _kind(value) != _kind(values[0]):
            fault = (
                f"expected ids of one type, got {_kind(value)} {value!r} where the first is "
                f"{_kind(values[0])}"
            )
        if fault is not None:
            raise ValueError(f"{where}, row {row}{column}: {fault}")
    return ids.astype(np.int64) if kind == "integer" else _objects(values)


def same_type(*tables: NDArray[Any]) -> list[NDArray[Any]]:
    """Raw ids of several tables in one type: where some have integers and others text, all text.

    ``7`` and ``'7'`` are then one id, ``7`` and ``'007'`` are two.
    """
    if len({_integers(ids) for ids in tables if len(ids)}) < 2:
        return list(tables)
    return [_objects(map(str, ids.tolist())) if _integers(ids) else ids for ids in tables]


def _integers(ids: NDArray[Any]) -> bool:
    return ids.dtype.kind in "iu" or pd.api.types.infer_dtype(ids, skipna=False) == "integer"


def _objects(values: Any) -> NDArray[Any]:
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def _is_utf8(values: list[str]) -> bool:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return "an integer" if is_integer_id(value) else type(value).__name__
