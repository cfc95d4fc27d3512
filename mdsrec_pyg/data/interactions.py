"""Who took what, and when: the one table that everything else is derived from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

__all__ = ["Interactions", "k_core"]

Seconds = NDArray[np.int64 | np.float64]


@dataclass(frozen=True, eq=False)
class Interactions:
    r"""Interactions of users with items, grouped by user and in time order within each user.

    Row :math:`r` says that user ``user_id[r]`` took item ``item_id[r]`` at ``timestamp[r]``. Rows
    of a user that share a timestamp keep the order in which they came; without timestamps the
    order of the rows is the order in time. Use :meth:`from_arrays` for rows in any order.

    Args:
        user_id: User of each row, ascending, from ``0`` to ``num_users - 1``. int64 ``[n]``.
        item_id: Item of each row, from ``0`` to ``num_items - 1``. int64 ``[n]``.
        timestamp: Seconds since 1970-01-01 UTC ``[n]``, int64, or float64 where there are fractions
            (they tell a quarter of a microsecond apart today); ``None`` where only the order is
            known.
        num_users: Number of users, those without a row included.
        num_items: Number of items, those without a row included.

    Raises:
        ValueError: The arrays differ in length or have another type, an id is out of range, a time
            is not finite, or the rows are not sorted.
    """

    user_id: NDArray[np.int64]
    item_id: NDArray[np.int64]
    timestamp: Seconds | None
    num_users: int
    num_items: int

    def __post_init__(self) -> None:
        """Checks types, lengths, ranges and the order of the rows."""
        _check_ids("user_id", self.user_id, self.num_users, len(self.user_id))
        _check_ids("item_id", self.item_id, self.num_items, len(self.user_id))
        step = np.diff(self.user_id)
        if (step < 0).any():
            row = int((step < 0).argmax()) + 1
            raise ValueError(
                f"'user_id' must be ascending (row {row} has user {self.user_id[row]} after "
                f"{self.user_id[row - 1]}); Interactions.from_arrays sorts"
            )
        if self.timestamp is None:
            return
        _check_seconds(self.timestamp, len(self.user_id))
        back = (step == 0) & (np.diff(self.timestamp) < 0)
        if back.any():
            row = int(back.argmax()) + 1
            raise ValueError(
                f"'timestamp' must ascend within a user (row {row} of user {self.user_id[row]} is "
                "older than the row before); Interactions.from_arrays sorts"
            )

    @classmethod
    def from_arrays(
        cls,
        user_id: ArrayLike,
        item_id: ArrayLike,
        timestamp: ArrayLike | None = None,
        *,
        num_users: int | None = None,
        num_items: int | None = None,
    ) -> Interactions:
        """Builds interactions from rows in any order; rows that tie keep their order.

        Args:
            user_id: User of each row ``[n]``.
            item_id: Item of each row ``[n]``.
            timestamp: Seconds since 1970 ``[n]``, integers or floats; ``None``: the order of the
                rows counts.
            num_users: Number of users. Default: the largest user id plus one.
            num_items: Number of items. Default: the largest item id plus one.
        """
        user, item = _as_int64("user_id", user_id), _as_int64("item_id", item_id)
        time = None if timestamp is None else _as_seconds(timestamp)
        for name, array in (("item_id", item), ("timestamp", time)):
            if array is not None and len(array) != len(user):
                raise ValueError(
                    f"'{name}' must have one value a row (got {len(array)} for {len(user)} rows)"
                )
        order = np.argsort(user, kind="stable") if time is None else np.lexsort((time, user))
        return cls(
            user_id=user[order],
            item_id=item[order],
            timestamp=None if time is None else time[order],
            num_users=int(user.max(initial=-1)) + 1 if num_users is None else num_users,
            num_items=int(item.max(initial=-1)) + 1 if num_items is None else num_items,
        )

    def __len__(self) -> int:
        """Number of interactions."""
        return len(self.user_id)

    def __repr__(self) -> str:
        """Counts and the span of time."""
        return (
            f"Interactions({len(self):,}, users={self.num_users:,}, items={self.num_items:,}, "
            f"time={time_span(self.timestamp)})"
        )

    @cached_property
    def user_ptr(self) -> NDArray[np.int64]:
        """User ``u`` has the rows ``user_ptr[u]:user_ptr[u + 1]``. int64 ``[num_users + 1]``."""
        return np.searchsorted(self.user_id, np.arange(self.num_users + 1)).astype(np.int64)

    def select(self, mask: NDArray[np.bool_]) -> Interactions:
        """Keeps the rows where ``mask`` ``[n]`` is true. Ids, users and items stay as they are."""
        mask = np.asarray(mask)
        if mask.dtype != np.bool_ or mask.shape != (len(self),):
            raise ValueError(
                f"'mask' must be bool of shape ({len(self)},) (got {mask.dtype} of shape "
                f"{mask.shape})"
            )
        return replace(
            self,
            user_id=self.user_id[mask],
            item_id=self.item_id[mask],
            timestamp=None if self.timestamp is None else self.timestamp[mask],
        )

    def to_csr(self) -> sp.csr_matrix:
        """The binary user x item matrix, float32 ``[num_users, num_items]``."""
        matrix = sp.csr_matrix(
            (np.ones(len(self), np.float32), self.item_id, self.user_ptr),
            shape=(self.num_users, self.num_items),
            copy=True,
        )
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix

    def item_counts(self) -> NDArray[np.int64]:
        """Number of rows of each item, repetitions included. int64 ``[num_items]``."""
        return np.bincount(self.item_id, minlength=self.num_items).astype(np.int64)


def k_core(interactions: Interactions, k: int) -> NDArray[np.bool_]:
    """Rows that remain when users and items with fewer than ``k`` rows go out, over and over.

    Each round drops the rows of all users and all items that have fewer than ``k`` remaining rows,
    until none is left to drop. The result does not depend on the order of dropping. Repetitions of
    the same user and item count as rows.

    Args:
        interactions: The interactions, *n* rows.
        k: Fewest rows a user or an item must have, at least 1.

    Returns:
        Mask ``[n]``, true for the rows that stay.

    Raises:
        ValueError: ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"'k' must be at least 1 (got {k})")
    keep = np.ones(len(interactions), bool)
    user, item = interactions.user_id, interactions.item_id
    while True:
        users = np.bincount(user[keep], minlength=interactions.num_users)
        items = np.bincount(item[keep], minlength=interactions.num_items)
        drop = keep & ((users[user] < k) | (items[item] < k))
        if not drop.any():
            return keep
        keep &= ~drop


def show_time(seconds: float) -> str:
    """A time in words; without the fraction or the clock where they are zero."""
    text = str(np.datetime64(round(seconds * 1e6), "us")).replace("T", " ")
    return text.removesuffix(".000000").removesuffix(" 00:00:00")


def time_span(timestamp: Seconds | None) -> str:
    """First and last day."""
    if timestamp is None or not len(timestamp):
        return "order only"
    return f"{show_time(timestamp.min())[:10]} to {show_time(timestamp.max())[:10]}"


def _as_int64(name: str, values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"'{name}' must be a vector of integers (got {array.dtype} of shape {array.shape})"
        )
    return array.astype(np.int64)


def _as_seconds(values: ArrayLike) -> Seconds:
    array = np.asarray(values)
    if array.ndim == 1 and array.dtype.kind == "f":
        return array.astype(np.float64)
    return _as_int64("timestamp", array)


def _check_seconds(array: Seconds, length: int) -> None:
    if array.dtype not in (np.int64, np.float64) or array.shape != (length,):
        raise ValueError(
            f"'timestamp' must be int64 or float64 of shape ({length},) (got {array.dtype} of "
            f"shape {array.shape})"
        )
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"'timestamp' must be finite (got {array[row]} in row {row})")


def _check_int64(name: str, array: NDArray[np.int64], length: int) -> None:
    if array.dtype != np.int64 or array.shape != (length,):
        raise ValueError(
            f"'{name}' must be int64 of shape ({length},) (got {array.dtype} of shape "
            f"{array.shape})"
        )


def _check_ids(name: str, array: NDArray[np.int64], size: int, length: int) -> None:
    _check_int64(name, array, length)
    bad = (array < 0) | (array >= size)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"'{name}' must lie in 0..{size - 1} (got {array[row]} in row {row})")
