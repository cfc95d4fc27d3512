"""Rows in order, in time that grows with their number: whole numbers need no comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Seconds


def by_user_and_time(user: NDArray[np.int64], seconds: Seconds | None) -> NDArray[np.int64]:
    """The rows ``[n]`` by user, then time; rows that tie keep their order."""
    if seconds is None:
        return stable_argsort(user)
    order = stable_argsort(seconds)
    return order[stable_argsort(user[order])]


def stable_argsort(values: NDArray[np.int64] | Seconds) -> NDArray[np.int64]:
    """What ``np.argsort(values, kind='stable')`` gives, several times faster for integers.

    NumPy sorts numbers of 16 bits by counting. The digits are sorted from the last to the first.
    """
    if values.dtype.kind != "i" or not len(values):
        return np.argsort(values, kind="stable")
    low, high = int(values.min()), int(values.max())
    if high - low > np.iinfo(np.int64).max:
        return np.argsort(values, kind="stable")
    rest = values.astype(np.int64, copy=False) - low
    order = np.argsort((rest & 0xFFFF).astype(np.uint16), kind="stable")
    for shift in range(16, (high - low).bit_length(), 16):
        digit = ((rest >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order
