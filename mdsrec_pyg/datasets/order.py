"""Rows in order, in time that grows with their number: whole numbers need no comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Seconds


def by_user_and_time(user: NDArray[np.int64], seconds: Seconds | None) -> NDArray[Any]:
    """The rows ``[n]`` by user, then time; rows that tie keep their order."""
    if seconds is None:
        return stable_argsort(user)
    order = stable_argsort(seconds)
    return order[stable_argsort(user[order])]


def stable_argsort(values: NDArray[np.int64] | Seconds) -> NDArray[Any]:
    """What ``np.argsort(values, kind='stable')`` gives, several times faster for integers.

    NumPy sorts numbers of 16 bits by counting. The digits are sorted from the last to the first.
    """
    if values.dtype.kind != "i" or not len(values):
        return np.argsort(values, kind="stable")
    low, high = int(values.min()), int(values.max())
    if high - low > np.iinfo(np.int64).max:
        return np.argsort(values, kind="stable")
    # Numbers no wider than needed: of millions of rows each array counts.
    wide = np.uint32 if high - low <= np.iinfo(np.uint32).max else np.uint64
    rest = np.subtract(values, low, dtype=np.int64).astype(wide)
    order = _argsort_digit(rest, 0)
    for shift in range(16, (high - low).bit_length(), 16):
        order = order[_argsort_digit(rest[order], shift)]
    return order


def _argsort_digit(rest: NDArray[Any], shift: int) -> NDArray[Any]:
    digit = ((rest >> rest.dtype.type(shift)) & rest.dtype.type(0xFFFF)).astype(np.uint16)
    order = np.argsort(digit, kind="stable")
    return order.astype(np.uint32) if len(order) <= np.iinfo(np.uint32).max else order
