"""What is trained on, what is held out: leave-last-out and global temporal splits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Interactions, k_core, show_time
from mdsrec_pyg.data.sequences import SequenceBatch, pack

__all__ = ["EvaluationSplit", "Split", "leave_last_out", "temporal_split"]


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

    def __post_init__(self) -> None:
        """Fills in defaults and checks."""
        size = len(self.user_id)
        if self.tied is None:
            object.__setattr__(self, "tied", np.zeros(size, bool))
        if self.known is None:
            object.__setattr__(self, "known", np.ones(size, bool))
        expected = {"target": size, "history_ptr": size + 1, "tied": size, "known": size}
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
        """Number of queries, and the share whose target shares its timestamp with the history."""
        if not len(self):
            return f"{self.name}: no queries"
        text = f"{self.name}: {len(self):,} queries, {self.tied.mean():.1%} tied"
        if not self.known.all():
            text += f", {1 - self.known.mean():.1%} of users unknown to training"
        return text

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


@dataclass(frozen=True, eq=False)
class Split:
    """A training part and the queries of validation and test.

    Args:
        train: The only interactions that graphs, centers, scalings and models may see. Users and
            items keep the ids of the whole.
        val: Queries for choosing.
        test: Queries for reporting.
        method: How the split was made, in words.
    """

    train: Interactions
    val: EvaluationSplit
    test: EvaluationSplit
    method: str

    def __repr__(self) -> str:
        """Method and sizes, one line each."""
        return (
            f"Split({self.method}\n  train: {len(self.train):,} interactions\n"
            f"  {self.val.summary()}\n  {self.test.summary()})"
        )

    def k_core(self, k: int) -> Split:
        """Applies the k-core filter to the training interactions only.

        Targets, histories and ids stay as they are, so results before and after answer the same
        queries. Filtering before the split, as is common, makes rare items rare in training only.

        Args:
            k: Fewest training rows a user or an item must have.
        """
        train = self.train.select(k_core(self.train, k))
        return Split(
            train=train,
            val=replace(self.val, known=_in_training(self.val.user_id, train)),
            test=replace(self.test, known=_in_training(self.test.user_id, train)),
            method=f"{self.method}, training part {k}-core",
        )


def leave_last_out(interactions: Interactions) -> Split:
    """Test: the last interaction of each user; validation: the last but one; training: the rest.

    The history of a validation query is the training part of the user, that of a test query has
    the validation item too.

    This is the common protocol, and it **does not prevent leakage from the future**: one user's
    training interactions may be younger than another's test interaction, so a model is trained on
    trends that it could not have known. :func:`temporal_split` prevents that.

    Users with fewer than three interactions cannot be split; they are left out, training included,
    with a warning that says how many.

    Args:
        interactions: All interactions.

    Raises:
        ValueError: No user has three interactions.
    """
    length = np.diff(interactions.user_ptr)
    short = (length > 0) & (length < 3)
    if not (length >= 3).any():
        raise ValueError("'interactions' must hold a user with three rows or more (got none)")
    method = "leave-last-out"
    if short.any():
        method += f", {short.sum():,} users with fewer than 3 interactions left out"
        warnings.warn(method, stacklevel=2)
        interactions = interactions.select(~short[interactions.user_id])
    ptr = interactions.user_ptr
    last = ptr[1:][np.diff(ptr) > 0] - 1
    is_train = np.ones(len(interactions), bool)
    is_train[last] = is_train[last - 1] = False
    train = interactions.select(is_train)
    return Split(
        train=train,
        val=_queries("val", interactions, last - 1, train),
        test=_queries("test", interactions, last, train),
        method=method,
    )


def temporal_split(
    interactions: Interactions,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    target: str = "first",
) -> Split:
    """Splits all users at the same two points in time.

    The points are timestamps of the interactions at the quantiles ``1 - val_fraction -
    test_fraction`` and ``1 - test_fraction``; training lies before the first, validation from it
    to before the second, test from the second on. Interactions that share the timestamp of a point
    all go to the later part, so with coarse time (days) the fractions hold roughly. Nothing in the
    training part is younger than any target, and nothing in validation than any test target.

    Queries come from users with an interaction in the window and one before it. New users
    have no history and are not asked about. The validation window is history of the test queries.

    Args:
        interactions: All interactions, with timestamps.
        val_fraction: Share of the interactions in the validation window.
        test_fraction: Share of the interactions in the test window.
        target: ``'first'``: the user's first interaction in the window, history up to the window
            (where several share the first timestamp, the first in the order of the rows).
            ``'all'``: each interaction in the window, history up to that interaction.

    Raises:
        ValueError: No timestamps, fractions out of range, or a part that comes out empty.
    """
    if interactions.timestamp is None:
        raise ValueError("'interactions' must have timestamps for a temporal split (got None)")
    if target not in ("first", "all"):
        raise ValueError(f"'target' must be 'first' or 'all' (got {target!r})")
    # In this form NaN is out of range, too.
    positive = val_fraction > 0 and test_fraction > 0
    if not (positive and val_fraction + test_fraction < 1):
        raise ValueError(
            "'val_fraction' and 'test_fraction' must be positive and sum to less than 1 (got "
            f"{val_fraction} and {test_fraction})"
        )
    time = interactions.timestamp
    quantiles = [1 - val_fraction - test_fraction, 1 - test_fraction]
    val_start, test_start = np.quantile(time, quantiles, method="higher")
    train = interactions.select(time < val_start)
    val_rows = _targets(interactions, (time >= val_start) & (time < test_start), target)
    test_rows = _targets(interactions, time >= test_start, target)
    for name, size in (("training", len(train)), ("val", len(val_rows)), ("test", len(test_rows))):
        if not size:
            raise ValueError(
                f"'val_fraction' and 'test_fraction' must leave the {name} part something (got "
                f"{val_fraction} and {test_fraction}, cut at {show_time(val_start)} and "
                f"{show_time(test_start)}, for time from {show_time(time.min())} to "
                f"{show_time(time.max())})"
            )
    return Split(
        train=train,
        val=_queries("val", interactions, val_rows, train),
        test=_queries("test", interactions, test_rows, train),
        method=f"temporal at {show_time(val_start)} and {show_time(test_start)}, target={target}",
    )


def _targets(
    interactions: Interactions, window: NDArray[np.bool_], target: str
) -> NDArray[np.int64]:
    """Rows of the targets in ``window`` of users that have a history before it."""
    rows = np.flatnonzero(window)
    user, first = np.unique(interactions.user_id[rows], return_index=True)
    begin = rows[first]
    has_history = begin > interactions.user_ptr[user]
    if target == "first":
        return begin[has_history]
    return rows[np.isin(interactions.user_id[rows], user[has_history])]


def _queries(
    name: str, interactions: Interactions, rows: NDArray[np.int64], train: Interactions
) -> EvaluationSplit:
    """One query a row: the row is the target, the user's rows before it are the history."""
    user = interactions.user_id[rows]
    start = interactions.user_ptr[user]
    ptr = np.concatenate([[0], np.cumsum(rows - start)])
    index = np.repeat(start - ptr[:-1], rows - start) + np.arange(ptr[-1])
    time = interactions.timestamp
    return EvaluationSplit(
        name=name,
        user_id=user,
        target=interactions.item_id[rows],
        history_ptr=ptr,
        history_item=interactions.item_id[index],
        num_items=interactions.num_items,
        tied=None if time is None else time[rows] == time[rows - 1],  # type: ignore[arg-type]
        known=_in_training(user, train),
    )


def _in_training(user: NDArray[np.int64], train: Interactions) -> NDArray[np.bool_]:
    return np.bincount(train.user_id, minlength=train.num_users)[user] > 0
