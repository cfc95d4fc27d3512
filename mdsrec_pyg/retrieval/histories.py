"""Histories in the forms in which users have them, as one flat array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.data.sequences import SequenceBatch
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.datasets._order import by_user_and_time
from mdsrec_pyg.datasets.reading.frames import ids_of, seconds_of
from mdsrec_pyg.retrieval.lookup import look_up


@dataclass(frozen=True, eq=False)
class Histories:
    """Item sequences of Q users.

    Args:
        users: What each user is called ``[Q]``.
        ptr: The items of user q are ``item[ptr[q]:ptr[q + 1]]`` ``[Q + 1]``.
        item: Item indices, oldest first.
        known: Index of each user in training, -1 for an unknown one ``[Q]``.
    """

    users: pd.Index
    ptr: NDArray[np.int64]
    item: NDArray[np.int64]
    known: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of users."""
        return len(self.users)

    def batch(self, rows: slice, max_length: int) -> SequenceBatch:
        """The newest ``max_length`` items of some users."""
        bounds = zip(self.ptr[rows], self.ptr[1:][rows], strict=True)
        parts = [self.item[max(start, stop - max_length) : stop] for start, stop in bounds]
        return SequenceBatch.from_histories(parts, max_length, self.known[rows])


def plain_index(values: Any) -> pd.Index:
    """An index of values of any type; tuples stay tuples."""
    return pd.Index(values, tupleize_cols=False)


def raw_ids(item_ids: ArrayLike | None, num_items: int) -> pd.Index | None:
    """The raw ids of a catalog, checked; ``None``: items are called by their indices."""
    if item_ids is None:
        return None
    raw = plain_index(item_ids)
    if len(raw) != num_items or not raw.is_unique:
        raise ValueError(
            f"'item_ids' must hold {num_items} distinct ids, one for each item of the model (got "
            f"{len(raw)}, {raw.nunique()} distinct)"
        )
    return raw


def show(index: pd.Index, place: int) -> str:
    """An entry as the user wrote it, not as NumPy stores it."""
    value = index[place]
    return repr(value.item() if isinstance(value, np.generic) else value)


def read_histories(
    histories: Any, raw: pd.Index | None, num_items: int, user_id: ArrayLike | None
) -> Histories:
    """Brings any accepted form of histories into one; see :func:`mdsrec_pyg.retrieval.recommend`.

    Args:
        histories: The histories.
        raw: Raw id of each item; ``None``: the histories hold indices.
        num_items: Size of the catalog.
        user_id: What to call the users instead of what ``histories`` calls them.
    """
    if isinstance(histories, EvaluationSplit):
        if histories.num_items != num_items:
            raise ValueError(
                f"'histories' and 'model' must have the same catalog (got {histories.num_items} "
                f"and {num_items} items)"
            )
        users, ptr = plain_index(histories.user_id), histories.history_ptr
        item = histories.history_item
        known = np.where(histories.known, histories.user_id, -1)
    else:
        users, ptr, items = (
            _from_table(histories)
            if isinstance(histories, pd.DataFrame)
            else _from_sequences(histories)
        )
        item = _to_index(items, raw, num_items, users, ptr)
        known = np.full(len(users), -1)
    if len(users) == 0:
        raise ValueError("'histories' must hold at least one user (got none)")
    names = users if user_id is None else plain_index(user_id)
    if len(names) != len(users):
        raise ValueError(
            f"'user_id' must name every user of 'histories' (got {len(names)} for {len(users)})"
        )
    return Histories(names, ptr, item, known)


def _from_table(table: pd.DataFrame) -> tuple[pd.Index, NDArray[np.int64], pd.Index]:
    code, users = ids_of(table, "histories", "user")
    item, items = ids_of(table, "histories", "item")
    # In the order of their first row, as the rows of a mapping are.
    rank, first = pd.factorize(code)
    time = seconds_of(table, "histories", "timestamp") if "timestamp" in table else None
    order = by_user_and_time(rank.astype(np.int64), time)
    ptr = np.append(0, np.cumsum(np.bincount(rank, minlength=len(first))))
    return plain_index(users[first]), ptr, plain_index(items[item[order]])


def _from_sequences(histories: Any) -> tuple[pd.Index, NDArray[np.int64], pd.Index]:
    if not isinstance(histories, (Mapping, Sequence, np.ndarray)) or isinstance(histories, str):
        raise ValueError(
            "'histories' must be a list of sequences, a mapping, a DataFrame or an "
            f"EvaluationSplit (got {type(histories).__name__})"
        )
    mapping = histories if isinstance(histories, Mapping) else dict(enumerate(histories))
    for user, sequence in mapping.items():
        if isinstance(sequence, str) or not hasattr(sequence, "__len__"):
            raise ValueError(
                f"'histories' must hold a sequence of items for each user (got {sequence!r} for "
                f"user {user!r})"
            )
        if len(sequence) == 0:
            raise ValueError(
                f"'histories' must hold an item for each user (user {user!r} has none)"
            )
    users = plain_index(list(mapping))
    ptr = np.append(0, np.cumsum([len(sequence) for sequence in mapping.values()], dtype=np.int64))
    items = list(chain.from_iterable(mapping.values()))
    # Without a type of its own, pandas would make floats of 7 and a missing item.
    return users, ptr, pd.Index(items, dtype=object, tupleize_cols=False)


def _to_index(
    items: pd.Index,
    raw: pd.Index | None,
    num_items: int,
    users: pd.Index,
    ptr: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Indices of raw items; an error that names the first unknown one and its user."""
    catalog = pd.RangeIndex(num_items) if raw is None else raw
    index = look_up(items, catalog)
    unknown = np.flatnonzero(index < 0)
    if len(unknown) == 0:
        return index
    place = int(unknown[0])
    row = int(np.searchsorted(ptr, place, side="right")) - 1
    known = f"0 to {num_items - 1}" if raw is None else f"'item_ids', such as {show(raw, 0)}"
    raise ValueError(
        f"'histories' must hold items among {known} (got {show(items, place)} as item "
        f"{place - int(ptr[row])} of user {show(users, row)})"
    )
