"""A split that came with the data."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.queries import make_queries, target_rows
from mdsrec_pyg.data.splits import Split

__all__ = ["SPLIT_LABELS", "given_split"]

#: What a label of an interaction may be, in the order in which a user's rows must have them.
SPLIT_LABELS = ("train", "val", "test")


def given_split(
    interactions: Interactions,
    labels: ArrayLike | None,
    *,
    target: str = "all",
    order: str = "time",
) -> Split:
    """Splits interactions as their labels say, for comparisons with results on that split.

    Each row labeled ``'val'`` or ``'test'`` is the target of a query. Its history is what stands
    before it in the rows of the user, validation rows included for a test query, and earlier
    targets of the same part too. Rows without a history cannot be asked about; a warning says how
    many there are.

    A user's labels must go from ``'train'`` to ``'val'`` to ``'test'`` in time: a later training
    row of the same user would tell what comes next. Rows of a user that share a timestamp are put
    in that order. Where the split was drawn at random, as in MMRec's published files, this is an
    error, and ``order='label'`` is the way out: it forgets the time between the parts.

    Example:
        >>> dataset = MMRecDataset("data/baby", keep_split=True)
        >>> split = given_split(dataset.interactions, dataset.labels, order="label")

    Args:
        interactions: All interactions, *n* rows.
        labels: ``'train'``, ``'val'`` or ``'test'`` for each row ``[n]``, such as
            ``dataset.labels``.
        target: ``'all'``: each labeled row is a target. ``'first'``: the first of each user in
            each part.
        order: ``'time'``: the order of the rows counts, as above. ``'label'``: all training rows
            of a user come first, then the validation rows, then the test rows, each in time order;
            what is next is then not what came next, and no query is called tied.

    Raises:
        ValueError: There are no labels, one is none of the three, labels contradict the time, or a
            part comes out empty.
    """
    if target not in ("first", "all"):
        raise ValueError(f"'target' must be 'first' or 'all' (got {target!r})")
    if order not in ("time", "label"):
        raise ValueError(f"'order' must be 'time' or 'label' (got {order!r})")
    if labels is None:
        raise ValueError(
            "'labels' must say which part each interaction is in (got None: the data were read "
            "without their split, or came without one)"
        )
    rank = label_ranks("labels", labels, len(interactions))
    train = interactions.select(rank == 0)
    if not len(train):
        raise ValueError("'labels' must leave the training part something (got no 'train')")
    rows, rank = _in_order(interactions, rank, order)
    parts, left_out = [], []
    for code, name in ((1, "val"), (2, "test")):
        window = rank == code
        targets, users = target_rows(rows, window, target)
        if not len(targets):
            raise ValueError(
                f"'labels' must leave the {name} part a row with a history before it (got "
                f"{window.sum():,} rows, none with a history)"
            )
        asked = np.isin(rows.user_id[window], rows.user_id[targets])
        left_out.append(int((~asked).sum()))
        parts.append(make_queries(name, rows, targets, train, users))
    method = f"given, target={target}, order={order}"
    if any(left_out):
        method += (
            f", {left_out[0]:,} val and {left_out[1]:,} test rows of users without a history left "
            "out"
        )
        warnings.warn(method, stacklevel=2)
    return Split(train, parts[0], parts[1], method)


def label_ranks(name: str, labels: ArrayLike, length: int) -> NDArray[np.int8]:
    """0, 1 or 2 for each label.

    Raises:
        ValueError: There are more or fewer than ``length``, or one is none of the three.
    """
    array = np.asarray(labels)
    if array.dtype.kind != "U":
        array = array.astype(object)  # compared one by one, whatever they are
    if array.shape != (length,):
        raise ValueError(
            f"'{name}' must have one value an interaction (got shape {array.shape} for {length:,})"
        )
    rank = np.full(length, -1, np.int8)
    for code, label in enumerate(SPLIT_LABELS):
        rank[array == label] = code
    if (rank < 0).any():
        row = int((rank < 0).argmax())
        raise ValueError(
            f"'{name}' must be {', '.join(map(repr, SPLIT_LABELS))} (got "
            f"{str(array[row])[:60]!r} in row {row})"
        )
    return rank


def _in_order(
    interactions: Interactions, rank: NDArray[np.int8], order: str
) -> tuple[Interactions, NDArray[np.int8]]:
    """The rows so that each user's parts follow each other."""
    user, time = interactions.user_id, interactions.timestamp
    if order == "label":
        place = np.lexsort((rank, user))
        time = None  # no longer ascending
    else:
        place = np.arange(len(user)) if time is None else np.lexsort((rank, time, user))
        back = (np.diff(user) == 0) & (np.diff(rank[place]) < 0)
        if back.any():
            row = int(back.argmax())
            before, after = (SPLIT_LABELS[rank[place[n]]] for n in (row, row + 1))
            raise ValueError(
                "'labels' must go from train to val to test in the time of each user (got "
                f"'{after}' after '{before}' for user {user[row]}, and such rows for "
                f"{len(np.unique(user[:-1][back])):,} of {interactions.num_users:,} users); "
                "order='label' puts the training rows first"
            )
        time = None if time is None else time[place]
    rows = Interactions(
        user, interactions.item_id[place], time, interactions.num_users, interactions.num_items
    )
    return rows, rank[place]
