"""Sequences out of tables whose rows are a history and the item after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.fields import Identifier
from mdsrec_pyg.datasets.reading.ids import IdEncoder
from mdsrec_pyg.datasets.reading.lines import Problems
from mdsrec_pyg.datasets.reading.rows import Form, read_rows

COLUMNS = ("user_id:token", "item_id_list:token_seq", "item_id:token")
# History, or one history item: what separates them.
BLANK = " "


@dataclass(frozen=True, eq=False)
class Steps:
    """The rows of one file, of each history only what tells where it belongs.

    Args:
        path: The file; row ``r`` is line ``r + 2``, blank lines not counted.
        user: Number of the user of each row.
        target: Number of the item after the history.
        length: Number of items of the history.
        first: Number of the first item of the history.
        last: Number of the last item of the history.
    """

    path: Path
    user: NDArray[np.int64]
    target: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def error(self, row: int, expected: str) -> ValueError:
        """The error about one row."""
        return ValueError(f"{self.path}, line {row + 2}: {expected}")


class StepReader:
    """Reads such files, numbering users and items of all of them together."""

    def __init__(self) -> None:
        self.users, self.items = IdEncoder(), IdEncoder()
        self.paths: list[Path] = []
        self.rows: list[int] = []
        self.lengths: list[NDArray[np.int64]] = []
        self.notes: list[str] = []

    def read(self, path: Path) -> None:
        """Reads one file."""
        user, history, target = COLUMNS
        fields = [Identifier(name) for name in COLUMNS]
        rows, problems = 0, Problems("raise", optional=False)
        for columns in read_rows(path, Form("\t"), fields, problems):
            items = columns[history].cast(pa.large_string())
            self.users.add(columns[user])
            first = pc.replace_substring_regex(items, f"{BLANK}.*$", "")
            last = pc.replace_substring_regex(items, f"^.*{BLANK}", "")
            for values in (columns[target], first, last):
                self.items.add(values.cast(pa.string()))
            count = pc.add(pc.count_substring(items, BLANK), 1)
            self.lengths.append(count.to_numpy(zero_copy_only=False).astype(np.int64))
            rows += len(items)
        self.notes += problems.not_read(path)
        self.paths.append(path)
        self.rows.append(rows)

    def finish(self) -> tuple[list[Steps], NDArray[Any], NDArray[Any]]:
        """The rows of each file, and the raw ids of users and items."""
        user, user_ids = self.users.finish()
        item, item_ids = self.items.finish()
        # Blocks of target, first and last followed each other.
        target, first, last = (np.empty(len(user), np.int64) for _ in range(3))
        start = 0
        for block in self.lengths:
            size = len(block)
            stop = start + size
            target[start:stop], first[start:stop], last[start:stop] = item[
                3 * start : 3 * stop
            ].reshape(3, size)
            start = stop
        length = np.concatenate(self.lengths)
        ends = np.cumsum(self.rows)[:-1]
        parts = zip(
            self.paths, *(np.split(a, ends) for a in (user, target, length, first, last)),
            strict=True,
        )  # fmt: skip
        return [Steps(*part) for part in parts], user_ids, item_ids


def whole_sequences(
    train: Steps, val: Steps, test: Steps
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """User, item and part (0, 1, 2) of each interaction, in the order of each user.

    Raises:
        ValueError: Rows contradict each other; the message has file and line.
    """
    cut = int(max(steps.length.max() for steps in (train, val, test)))
    num_users = int(max(steps.user.max() for steps in (train, val, test))) + 1
    user, item = training_sequences(train, cut)
    # A user with one training item has no training step: it is the history of what comes next.
    trained = np.bincount(user, minlength=num_users) > 0
    for steps in (val, test):
        alone = ~trained[steps.user] & (steps.length == 1)
        user = np.r_[user, steps.user[alone]]
        item = np.r_[item, steps.first[alone]]
        trained[steps.user[alone]] = True
    part = np.zeros(len(user), np.int64)
    for number, steps in ((1, val), (2, test)):
        _check_last(steps, user, item, num_users, cut)
        user, item = np.r_[user, steps.user], np.r_[item, steps.target]
        part = np.r_[part, np.full(len(steps.user), number)]
    order = np.argsort(user, kind="stable")
    return user[order], item[order], part[order]


def _check_last(
    steps: Steps,
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    num_users: int,
    cut: int,
) -> None:
    """One row a user, whose history ends as the user's interactions so far do."""
    count = np.bincount(user, minlength=num_users)
    newest = np.full(num_users, -1)
    newest[user] = item  # the last of each user wins
    length = np.minimum(count[steps.user], cut)
    wrong = (steps.last != newest[steps.user]) | (steps.length != length)
    if wrong.any():
        row = int(wrong.argmax())
        raise steps.error(
            row,
            "expected the user's interactions of the files before as the history "
            f"({length[row]} items), got a history of {steps.length[row]} items that is not those "
            "(RecBoleDataset reads such rows)",
        )
    again = np.ones(len(steps.user), bool)
    again[np.unique(steps.user, return_index=True)[1]] = False
    if again.any():
        raise steps.error(
            int(again.argmax()),
            "expected one row a user, got another (RecBoleDataset reads such rows)",
        )


def training_sequences(steps: Steps, cut: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """User and item of each training interaction, in time order within each user.

    Each user's rows are the steps of one sequence, newest first as UniSRec writes them or oldest
    first; histories are cut to their ``cut`` newest items.

    Raises:
        ValueError: A row does not follow from the one before.
    """
    order = np.argsort(steps.user, kind="stable")
    user, length = steps.user[order], steps.length[order]
    start = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
    stop = np.r_[start[1:], len(user)]
    # Newest first where the first row of a user has the longer history.
    newest_first = length[start] > length[stop - 1]
    block = np.repeat(np.arange(len(start)), stop - start)
    place = np.arange(len(user))
    mirrored = start[block] + stop[block] - 1 - place
    order = order[np.where(newest_first[block], mirrored, place)]
    _check_chain(steps, order, start, block, cut)
    # The first item stands in the first history only.
    item = np.insert(steps.target[order], start, steps.first[order[start]])
    return np.insert(user, start, user[start]), item


def _check_chain(
    steps: Steps,
    order: NDArray[np.int64],
    start: NDArray[np.int64],
    block: NDArray[np.int64],
    cut: int,
) -> None:
    length, last, target = (a[order] for a in (steps.length, steps.last, steps.target))
    first = steps.first[order]
    wrong = np.zeros(len(order), bool)
    wrong[1:] = (last[1:] != target[:-1]) | (length[1:] != np.minimum(length[:-1] + 1, cut))
    wrong[start] = length[start] != 1
    # A history that is not cut begins where the sequence does.
    whole = length == np.arange(len(order)) - start[block] + 1
    wrong |= whole & (first != first[start][block])
    if wrong.any():
        row = int(order[int(wrong.argmax())])
        raise steps.error(
            row,
            "expected the steps of one sequence of each user, a history one item longer (at most "
            f"{cut} items) in each, got a history of {steps.length[row]} items that does not "
            "follow from the user's other rows (RecBoleDataset reads such rows)",
        )
