"""What is trained on, what is held out: leave-last-out and global temporal splits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from mdsrec_pyg.data.interactions import Interactions, k_core, show_time
from mdsrec_pyg.data.queries import EvaluationSplit, in_training, make_queries, target_rows
from mdsrec_pyg.showing import counted

__all__ = ["EvaluationSplit", "Split", "leave_last_out", "temporal_split"]


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
            f"Split({self.method}\n  train: {counted(len(self.train), 'interaction')}\n"
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
            val=_asked_after(self.val, train),
            test=_asked_after(self.test, train),
            method=f"{self.method}, training part {k}-core",
        )


def _asked_after(queries: EvaluationSplit, train: Interactions) -> EvaluationSplit:
    """The same queries beside another training part."""
    return replace(
        queries,
        known=in_training(queries.user_id, train),
        cold=train.item_counts()[queries.target] == 0,
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
        method += f", {counted(short.sum(), 'user')} with fewer than 3 interactions left out"
        warnings.warn(method, stacklevel=2)
        interactions = interactions.select(~short[interactions.user_id])
    ptr = interactions.user_ptr
    last = ptr[1:][np.diff(ptr) > 0] - 1
    is_train = np.ones(len(interactions), bool)
    is_train[last] = is_train[last - 1] = False
    train = interactions.select(is_train)
    return Split(
        train=train,
        val=make_queries("val", interactions, last - 1, train),
        test=make_queries("test", interactions, last, train),
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

    Queries come from users with an interaction in the window and one before it. New users have no
    history and are not asked about; the parts say how many they are (``num_left_out``), and of how
    many targets training holds nothing (``cold``). The validation window is history of the test
    queries.

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
    in_val = (time >= val_start) & (time < test_start)
    val_rows, val_left_out = target_rows(interactions, in_val, target)
    test_rows, test_left_out = target_rows(interactions, time >= test_start, target)
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
        val=make_queries("val", interactions, val_rows, train, val_left_out),
        test=make_queries("test", interactions, test_rows, train, test_left_out),
        method=f"temporal at {show_time(val_start)} and {show_time(test_start)}, target={target}",
    )
