"""Queries of an evaluation: how they are made of interactions, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.batch import joined_ranges
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.sequences import SequenceBatch, pack
from mdsrec_pyg.showing import counted

__all__ = ["EvaluationSplit"]


@dataclass(frozen=True, eq=False)
class EvaluationSplit:
    """Queries of an evaluation: a history each, and the one item that should come next.

    Args:
        name: ``'val'`` or ``'test'``.
        user_id: User of each query, int64 ``[Q]``. A user may have several queries.
        target: The item to be found, int64 ``[Q]``.
        history_ptr: The history of query ``q`` is
            ``history_item[history_ptr[q]:history_ptr[q + 1]]``. int64 ``[Q + 1]``.
        history_item: The whole histories, oldest item first, int64.
        num_items: Size of the catalog that is ranked.
        tied: True where the target has the timestamp of the newest history item, so that which of
            the two came first is not known. bool ``[Q]``. Default: none is (no timestamps).
        known: True where the user has rows in the training part, bool ``[Q]``. Default: all have.
        cold: True where no training user took the target, bool ``[Q]``. Default: none is.
        num_left_out: Users with an interaction to be found, but without a history before it: they
            are not asked about.

    Raises:
        ValueError: Shapes do not fit together, an id is out of range, or a history is empty.
    """

    name: str
    user_id: NDArray[np.int64]
    target: NDArray[np.int64]
    history_ptr: NDArray[np.int64]
    history_item: NDArray[np.int64]
    num_items: int
    tied: NDArray[np.bool_] = None  # type: ignore[assignment]
    known: NDArray[np.bool_] = None  # type: ignore[assignment]
    cold: NDArray[np.bool_] = None  # type: ignore[assignment]
    num_left_out: int = 0

    def __post_init__(self) -> None:
        """Fills in defaults and checks."""
        size = len(self.user_id)
        if self.tied is None:
            object.__setattr__(self, "tied", np.zeros(size, bool))
        if self.known is None:
            object.__setattr__(self, "known", np.ones(size, bool))
        if self.cold is None:
            object.__setattr__(self, "cold", np.zeros(size, bool))
        expected = dict.fromkeys(("target", "tied", "known", "cold"), size)
        expected["history_ptr"] = size + 1
        for name, length in expected.items():
            if np.shape(getattr(self, name)) != (length,):
                raise ValueError(
                    f"'{name}' must have shape ({length},) (got {np.shape(getattr(self, name))})"
                )
        if self.history_ptr[0] != 0 or self.history_ptr[-1] != len(self.history_item):
            raise ValueError(
                f"'history_ptr' must run from 0 to {len(self.history_item)} (got "
                f"{self.history_ptr[0]} to {self.history_ptr[-1]})"
            )
        empty = np.diff(self.history_ptr) < 1
        if empty.any():
            raise ValueError(
                f"'history_ptr' must give each query a history (query {empty.argmax()} has none)"
            )
        for name in ("target", "history_item"):
            item = getattr(self, name)
            if size and (item.min() < 0 or item.max() >= self.num_items):
                raise ValueError(
                    f"'{name}' must lie in 0..{self.num_items - 1} (got {item.min()} to "
                    f"{item.max()})"
                )

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.user_id)

    def __repr__(self) -> str:
        """The summary."""
        return f"EvaluationSplit({self.summary()})"

    def history(self, query: int) -> NDArray[np.int64]:
        """The whole history of a query, oldest item first."""
        return self.history_item[self.history_ptr[query] : self.history_ptr[query + 1]]

    def summary(self) -> str:
        """Number of queries, and what is special about some of them or was left out."""
        if not len(self):
            return f"{self.name}: no queries"
        text = f"{self.name}: {counted(len(self), 'query')}, {self.tied.mean():.1%} tied"
        if not self.known.all():
            text += f", {1 - self.known.mean():.1%} of users unknown to training"
        if self.cold.any():
            text += f", {self.cold.mean():.1%} of targets taken by no training user"
        if self.num_left_out:
            text += f"; {counted(self.num_left_out, 'user')} without a history left out"
        return text

    @property
    def repeated(self) -> NDArray[np.bool_]:
        """Queries whose target stands in their history, [Q]."""
        query = np.repeat(np.arange(len(self)), np.diff(self.history_ptr))
        found = np.zeros(len(self), bool)
        found[query[self.history_item == self.target[query]]] = True
        return found

    def select(self, queries: NDArray[Any]) -> EvaluationSplit:
        """The split of some of the queries.

        Args:
            queries: Their indices, or a mask [Q].
        """
        chosen = np.arange(len(self))[queries]
        length = np.diff(self.history_ptr)[chosen]
        ptr, place = joined_ranges(self.history_ptr[chosen], length)
        names = ("user_id", "target", "tied", "known", "cold")
        parts = {name: getattr(self, name)[chosen] for name in names}
        return replace(self, **parts, history_ptr=ptr, history_item=self.history_item[place])

    def batches(self, batch_size: int, max_length: int) -> Iterator[tuple[slice, SequenceBatch]]:
        """Batches of queries in order, without targets.

        Args:
            batch_size: Queries a batch.
            max_length: The newest ``max_length`` items of each history are read; a batch is as
                long as its longest history. The rest is the batch's ``older``.

        Yields:
            The queries of the batch as a slice, and their histories. Users that training does not
            know have the id -1.
        """
        if batch_size < 1:
            raise ValueError(f"'batch_size' must be at least 1 (got {batch_size})")
        user = np.where(self.known, self.user_id, -1)
        for start in range(0, len(self), batch_size):
            rows = slice(start, min(start + batch_size, len(self)))
            first, stop = self.history_ptr[:-1][rows], self.history_ptr[1:][rows]
            yield rows, pack(self.history_item, first, stop, user[rows], max_length, older=True)


def target_rows(
    interactions: Interactions, window: NDArray[np.bool_], target: str
) -> tuple[NDArray[np.int64], int]:
    """Rows of the targets in ``window`` of users that have a history before it.

    Returns:
        The rows, and the number of users in the window who have none.
    """
    rows = np.flatnonzero(window)
    user, first = np.unique(interactions.user_id[rows], return_index=True)
    begin = rows[first]
    has_history = begin > interactions.user_ptr[user]
    left_out = int((~has_history).sum())
    if target == "first":
        return begin[has_history], left_out
    return rows[np.isin(interactions.user_id[rows], user[has_history])], left_out


def make_queries(
    name: str,
    interactions: Interactions,
    rows: NDArray[np.int64],
    train: Interactions,
    num_left_out: int = 0,
) -> EvaluationSplit:
    """One query a row: the row is the target, the user's rows before it are the history."""
    user = interactions.user_id[rows]
    start = interactions.user_ptr[user]
    ptr, index = joined_ranges(start, rows - start)
    time = interactions.timestamp
    return EvaluationSplit(
        name=name,
        user_id=user,
        target=interactions.item_id[rows],
        history_ptr=ptr,
        history_item=interactions.item_id[index],
        num_items=interactions.num_items,
        tied=None if time is None else time[rows] == time[rows - 1],  # type: ignore[arg-type]
        known=in_training(user, train),
        cold=train.item_counts()[interactions.item_id[rows]] == 0,
        num_left_out=num_left_out,
    )


def in_training(user: NDArray[np.int64], train: Interactions) -> NDArray[np.bool_]:
    return np.bincount(train.user_id, minlength=train.num_users)[user] > 0
