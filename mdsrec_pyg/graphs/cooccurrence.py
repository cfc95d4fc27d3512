"""Sparse counts of the training sequences in which two items occur together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Interactions

__all__ = ["count_cooccurrences"]

#: Longest sequence whose pairs all count, where nothing else is said.
MAX_SEQUENCE_LENGTH = 200

# Pairs held at once, before those that a user repeats are dropped.
_PAIRS = 2**22


def count_cooccurrences(
    interactions: Interactions,
    window: int | None = None,
    *,
    max_sequence_length: int = MAX_SEQUENCE_LENGTH,
    diagonal: bool = False,
) -> sp.csr_matrix:
    r"""Counts :math:`C_{ij}`, the sequences in which items *i* and *j* occur within a window.

    A pair counts once a user, however often it repeats. A user of *L* rows costs :math:`O(L^2)`
    without a window; sequences longer than ``max_sequence_length`` are therefore counted with a
    window of that many steps, and the whole costs at most :math:`O(n W)` for *n* interactions and
    :math:`W` the window or ``max_sequence_length``.

    Args:
        interactions: Training interactions.
        window: Most steps between the two items, at least 1; 1 means next to each other. Default:
            anywhere in the sequence.
        max_sequence_length: Longest sequence that is counted whole where ``window`` is ``None``.
            With a window it has no effect.
        diagonal: Counts :math:`C_{ii}`, too: the users who took *i*. Default: zeros.

    Returns:
        int32 ``[N, N]``, symmetric, sorted indices.

    Raises:
        ValueError: ``window`` or ``max_sequence_length`` is below 1.
    """
    for name, value in (("window", window), ("max_sequence_length", max_sequence_length)):
        if value is not None and value < 1:
            raise ValueError(f"'{name}' must be at least 1 (got {value})")
    num_items = interactions.num_items
    if window is not None:
        counts = _both(_count_window(interactions, window))
    else:
        length = np.diff(interactions.user_ptr)
        long = (length > max_sequence_length)[interactions.user_id]
        counts = _count_whole(interactions.select(~long))
        if long.any():
            windows = _count_window(interactions.select(long), max_sequence_length)
            counts = counts + _both(windows)
    counts = sp.csr_matrix(counts, shape=(num_items, num_items), dtype=np.int32)
    if diagonal:
        counts = sp.csr_matrix(counts + on_diagonal(_users_of(interactions)))
    counts.sort_indices()
    return counts


def _users_of(interactions: Interactions) -> NDArray[np.int32]:
    """Users who took each item, however often [N]."""
    matrix: Any = interactions.to_csr()
    return np.bincount(matrix.indices, minlength=interactions.num_items).astype(np.int32)


def on_diagonal(values: NDArray[Any]) -> sp.csr_matrix:
    """The diagonal matrix of some values, of their type; SciPy's own may make them floats."""
    place = np.arange(len(values))
    return sp.csr_matrix((values, (place, place)), shape=(len(values), len(values)))


def entry_blocks(matrix: sp.csr_matrix, num_entries: int = 2**20) -> Iterator[slice]:
    """Cuts a sparse matrix into blocks of rows with about that many entries."""
    yield from _cut(matrix.indptr, num_entries)


def _cut(total: NDArray[Any], most: int) -> Iterator[slice]:
    """Ranges whose running total ``[n + 1]`` grows by at most ``most``, or of one element."""
    first = 0
    while first < len(total) - 1:
        last = int(np.searchsorted(total, int(total[first]) + most, side="right")) - 1
        last = max(last, first + 1)
        yield slice(first, last)
        first = last


def _both(upper: sp.csr_matrix) -> sp.csr_matrix:
    return sp.csr_matrix(upper + upper.T)


def _count_whole(interactions: Interactions) -> sp.csr_matrix:
    """Counts of items that a user has both, in blocks of rows: the result is the largest array."""
    users = interactions.to_csr().astype(np.int32)
    items = sp.csr_matrix(users.T)
    size = np.diff(users.indptr)[items.indices]  # pairs of each entry
    pairs = np.concatenate([[0], np.cumsum(size, dtype=np.int64)])[items.indptr]
    parts: list[Any] = []
    for rows in _cut(pairs, _PAIRS):
        part: Any = sp.csr_matrix(items[rows] @ users)
        row = np.repeat(np.arange(rows.start, rows.stop), np.diff(part.indptr))
        part.data[part.indices == row] = 0
        part.eliminate_zeros()
        part.sort_indices()
        parts.append(part)
    if not parts:
        return sp.csr_matrix((users.shape[1], users.shape[1]), dtype=np.int32)
    return sp.csr_matrix(sp.vstack(parts, format="csr"))


def _chunks(user_ptr: NDArray[np.int64], window: int, num_items: int) -> Iterator[tuple[int, int]]:
    """Ranges of users with a bounded number of pairs and of (user, item, item) keys in int64."""
    length = np.diff(user_ptr)
    pairs = np.concatenate([[0], np.cumsum(length * np.minimum(length, window))])
    most_users = max(1, 2**62 // max(num_items, 1) ** 2)
    for users in _cut(pairs, _PAIRS):
        for first in range(users.start, users.stop, most_users):
            yield first, min(first + most_users, users.stop)


def _count_window(interactions: Interactions, window: int) -> sp.csr_matrix:
    """Upper triangle of the counts of items at most ``window`` steps apart."""
    num_items, ptr = interactions.num_items, interactions.user_ptr
    shape, empty = (num_items, num_items), np.empty(0, np.int32)
    counts: Any = sp.csr_matrix((empty, (empty, empty)), shape=shape)
    for first, last in _chunks(ptr, window, num_items):
        rows = slice(ptr[first], ptr[last])
        user = interactions.user_id[rows] - first
        pair = _user_pairs(user, interactions.item_id[rows], window, num_items) % num_items**2
        low, high = np.divmod(pair, num_items)
        one = np.ones(len(pair), np.int32)
        counts = counts + sp.csr_matrix((one, (low, high)), shape=shape)
    return counts


def _user_pairs(
    user: NDArray[np.int64], item: NDArray[np.int64], window: int, num_items: int
) -> NDArray[np.int64]:
    """Distinct keys ``(user * N + low) * N + high`` of the pairs ``low < high`` in the window."""
    seen = np.empty(0, np.int64)
    fresh: list[NDArray[np.int64]] = []
    longest = int(np.bincount(user).max(initial=1))
    for step in range(1, min(window, longest - 1) + 1):
        same = user[step:] == user[:-step]
        a, b = item[step:][same], item[:-step][same]
        key = (user[step:][same] * num_items + np.minimum(a, b)) * num_items + np.maximum(a, b)
        fresh.append(key[a != b])
        if sum(map(len, fresh)) > _PAIRS:
            seen, fresh = np.unique(np.concatenate([seen, *fresh])), []
    return np.unique(np.concatenate([seen, *fresh]))
