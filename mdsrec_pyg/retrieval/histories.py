"""Histories in the forms in which users have them, as one flat array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mdsrec_pyg.data.batch import joined_ranges
from mdsrec_pyg.data.sequences import SequenceBatch, pack
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.datasets.order import by_user_and_time
from mdsrec_pyg.datasets.reading.frames import ids_of, seconds_of
from mdsrec_pyg.retrieval.lookup import look_up


@dataclass(frozen=True, eq=False)
class Histories:
    """Item sequences of Q users.

    Args:
        users: What each user is called ``[Q]``.
        ptr: The items of user q are ``item[ptr[q]:ptr[q + 1]]`` ``[Q + 1]``.
        item: Item indices, oldest first; -1 for one that the catalog lacks.
        known: Index of each user in training, -1 for an unknown one ``[Q]``.
        given: The items as they were given; ``None``: as indices, all of them known.
        catalog: How the items that there are can be called, in an error.
    """

    users: pd.Index
    ptr: NDArray[np.int64]
    item: NDArray[np.int64]
    known: NDArray[np.int64]
    given: pd.Index | None = None
    catalog: str = ""

    def __len__(self) -> int:
        """Number of users."""
        return len(self.users)

    def name(self, row: int) -> str:
        """How an error calls a user: by name and position."""
        name = show(self.users, row)
        return name if name == str(row) else f"{name} (position {row})"

    def select(self, rows: NDArray[np.int64]) -> Histories:
        """Some of the users, in the order given; all of their items must be known."""
        ptr, place = joined_ranges(self.ptr[:-1][rows], np.diff(self.ptr)[rows])
        return Histories(self.users[rows], ptr, self.item[place], self.known[rows])

    def batch(self, rows: slice, max_length: int) -> SequenceBatch:
        """The newest ``max_length`` items of some users, and what they took before."""
        start, stop = self.ptr[:-1][rows], self.ptr[1:][rows]
        return pack(self.item, start, stop, self.known[rows], max_length, older=True)


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


def plain_value(value: Any) -> Any:
    """A name or an id as the user wrote it, not as NumPy stores it."""
    return value.item() if isinstance(value, np.generic) else value


def show(index: pd.Index, place: int) -> str:
    """An entry as messages name it."""
    return repr(plain_value(index[place]))


def read_histories(
    histories: Any, raw: pd.Index | None, num_items: int, user_id: ArrayLike | None
) -> Histories:
    """Brings any accepted form of histories into one; see :func:`mdsrec_pyg.retrieval.recommend`.

    What may be wrong with one user's history alone (no item, an unknown one) is left to
    :func:`~mdsrec_pyg.retrieval.answerable.answerable`, which can skip the user.

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
        item, given = histories.history_item, None
        known = np.where(histories.known, histories.user_id, -1)
    else:
        users, ptr, given = (
            _from_table(histories)
            if isinstance(histories, pd.DataFrame)
            else _from_sequences(histories)
        )
        catalog = pd.RangeIndex(num_items) if raw is None else raw
        item = look_up(given, catalog)
        known = np.full(len(users), -1)
    if len(users) == 0:
        raise ValueError("'histories' must hold at least one user (got none)")
    names = users if user_id is None else plain_index(user_id)
    if len(names) != len(users):
        raise ValueError(
            f"'user_id' must name every user of 'histories' (got {len(names)} for {len(users)})"
        )
    _check_names(names)
    listed = f"0 to {num_items - 1}" if raw is None else f"'item_ids', such as {show(raw, 0)}"
    return Histories(names, ptr, item, known, given, listed)


def _check_names(users: pd.Index) -> None:
    """Raises a ValueError where a user is called by an empty text: nobody could be told apart."""
    if pd.api.types.is_numeric_dtype(users.dtype):
        return
    for row, user in enumerate(users):
        if isinstance(user, str) and not user:  # a blank is a name, as in a data set
            raise ValueError(f"'histories' must name every user (got {user!r} at position {row})")


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
    known = (Mapping, Sequence, np.ndarray, pd.Series)
    if not isinstance(histories, known) or isinstance(histories, (str, bytes)):
        raise ValueError(
            "'histories' must be a list of sequences, a mapping, a DataFrame or an "
            f"EvaluationSplit (got {type(histories).__name__})"
        )
    if not isinstance(histories, (Mapping, pd.Series)):
        histories = dict(enumerate(histories))
    sequences = [_sequence(user, sequence) for user, sequence in histories.items()]
    ptr = np.append(0, np.cumsum([len(sequence) for sequence in sequences], dtype=np.int64))
    items = list(chain.from_iterable(sequences))
    # Without a type of its own, pandas would make floats of 7 and a missing item.
    given = pd.Index(items, dtype=object, tupleize_cols=False)
    return plain_index(list(histories.keys())), ptr, given


def _sequence(user: Any, sequence: Any) -> Any:
    """The items of a user; what has no order or is no sequence at all is an error."""
    if isinstance(sequence, (np.ndarray, Tensor)) and sequence.ndim == 1:
        return sequence.tolist()
    wrong = (str, bytes, Mapping, Set, np.ndarray, Tensor)
    if isinstance(sequence, wrong) or not hasattr(sequence, "__len__"):
        raise ValueError(
            f"'histories' must hold a sequence of items for each user (got {sequence!r} for "
            f"user {plain_value(user)!r})"
        )
    return sequence
