"""Histories with the item after each, as RecBole's benchmark files have them: sequences again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.datasets.reading.digits import first
from mdsrec_pyg.datasets.reading.ids import IdEncoder
from mdsrec_pyg.datasets.reading.table import Table, check_filled
from mdsrec_pyg.showing import counted

# Of an item that no row has as its target.
HISTORY = -1


@dataclass
class Row:
    """A history and the item after it.

    Args:
        user: Number of the user.
        items: Numbers of the items of the history.
        target: Number of the item after it.
        part: 0, 1, 2: training, validation, test.
    """

    user: int
    items: list[int]
    target: int
    part: int

    @property
    def whole(self) -> list[int]:
        """History and target."""
        return [*self.items, self.target]


@dataclass
class Merged:
    """Items in their order, and of each the part in which it is a target, or ``HISTORY``."""

    items: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def take(self, row: Row, cut: int) -> bool:
        """Adds a row whose history is this sequence, or begins with it; False if it is neither."""
        history, size = row.items, len(self.items)
        if not size:
            new = history
        elif len(history) == min(size, cut) and self.items[-len(history) :] == history:
            new = []
        elif len(history) > size and history[:size] == self.items and max(self.parts) <= 0:
            new = history[size:]  # steps that no row has
        else:
            return False
        self.items += [*new, row.target]
        self.parts += [*([HISTORY] * len(new)), row.part]
        return True

    def labels(self) -> tuple[list[int], int]:
        """The part of each item, and how many items are in training that no training row has.

        The first item and others that are no row's target are training items, as is all that comes
        before them: they are known when the rest is asked for.
        """
        parts = [max(part, 0) for part in self.parts]
        return parts, parts.count(0) if self.alone else 0

    @property
    def alone(self) -> bool:
        """Whether no training row is part of it."""
        return 0 not in self.parts


@dataclass(frozen=True)
class Prepared:
    """Interactions out of prepared rows.

    Args:
        user: Number of the user of each interaction, in the order of each user.
        item: Number of the item.
        part: 0, 1, 2: training, validation, test.
        user_ids: Raw id of each user, text.
        item_ids: Raw id of each item, text.
        notes: What was found.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    part: NDArray[np.int64]
    user_ids: NDArray[Any]
    item_ids: NDArray[Any]
    notes: tuple[str, ...]


def read_prepared(tables: Sequence[tuple[Table, int]], names: tuple[str, str, str]) -> Prepared:
    """Puts the sequences of users together again.

    A row is a history and its target. The rows of a user are taken in the order of the parts and,
    within one, of the length of the history, newest first or oldest first as the file has them.
    One that goes on from those before it, with gaps or without, adds to the same sequence; any
    other is a sequence of its own, ``<user>/2`` and so on: several targets for one history, another
    session. A file in which every row has an id of its own, and each is followed by the step before
    it down to the first, has one sequence for each such run.

    Args:
        tables: The files that are read, each with its part, 0, 1 or 2.
        names: Columns of the user, the history and the target.

    Raises:
        ValueError: An id is empty; the message has file and line.
    """
    users, items = IdEncoder(), IdEncoder()
    lengths: list[NDArray[np.int64]] = []
    for table, _ in tables:
        lengths.append(_add(table, names, users, items))
    (user, user_ids), (item, item_ids) = users.finish(), items.finish()
    rows: list[Row] = []
    start = 0
    for (_, part), length in zip(tables, lengths, strict=True):
        found: list[Row] = []
        for size in length.tolist():  # history and target of each row follow each other
            *history, target = item[start : start + size].tolist()
            found.append(Row(int(user[len(rows) + len(found)]), history, target, part))
            start += size
        rows += _one_user_a_run(found)
    return _assemble(rows, user_ids, item_ids)


def _add(
    table: Table, names: tuple[str, str, str], users: IdEncoder, items: IdEncoder
) -> NDArray[np.int64]:
    """Numbers the ids of one file; the number of items of each row, the target included."""
    user, history, target = names
    for name in names:
        check_filled(table, name, "an id")
    whole = pc.binary_join_element_wise(table.columns[history], table.columns[target], " ")
    split = pc.split_pattern(whole.cast(pa.large_string()), " ")
    bad = first(pc.equal(split.flatten(), ""))
    if bad is not None:
        row = int(pc.list_parent_indices(split)[bad].as_py())
        raise table.error(row, history, "ids with one blank between two")
    users.add(table.columns[user].cast(pa.string()))
    items.add(split.flatten().cast(pa.string()))
    return np.asarray(pc.list_value_length(split).to_numpy(zero_copy_only=False), np.int64)


def _one_user_a_run(rows: list[Row]) -> list[Row]:
    """The rows of a part, those of a run under the id of its first row, if all are in runs."""
    if len({row.user for row in rows}) < len(rows):
        return rows
    owner = [row.user for row in rows]
    for place in range(1, len(rows)):
        if rows[place].whole == rows[place - 1].items:
            owner[place] = owner[place - 1]
        elif len(rows[place - 1].items) > 1:
            return rows  # a run that does not begin with the first item: other sequences
    if rows and len(rows[-1].items) > 1:
        return rows
    return [
        Row(user, row.items, row.target, row.part) for user, row in zip(owner, rows, strict=True)
    ]


def _assemble(rows: list[Row], user_ids: NDArray[Any], item_ids: NDArray[Any]) -> Prepared:
    cut = max(len(row.items) for row in rows)
    of_user: dict[int, list[Row]] = {}
    for row in rows:
        of_user.setdefault(row.user, []).append(row)
    names: list[str] = []
    taken = set(user_ids.tolist())
    user: list[int] = []
    item: list[int] = []
    part: list[int] = []
    further = strange = 0
    for number, own in of_user.items():
        for place, sequence in enumerate(_sequences(own, cut)):
            name = str(user_ids[number])
            while place and name in taken:
                name = f"{user_ids[number]}/{place + 1}" if name == user_ids[number] else f"{name}'"
            taken.add(name)
            further += place > 0
            parts, trained = sequence.labels()
            strange += trained
            user += [len(names)] * len(parts)
            item += sequence.items
            part += parts
            names.append(name)
    notes = [f"{counted(len(rows), 'history', 'histories')} with their targets read as sequences"]
    if further:
        notes.append(
            f"{counted(further, 'sequence')} that did not go on from the other rows of the user "
            "kept as users of their own, <user>/2 and so on"
        )
    if strange:
        notes.append(
            f"{counted(strange, 'interaction')} of validation and test histories that no training "
            "row has are training interactions"
        )
    ids = np.empty(len(names), object)
    ids[:] = names
    who, what, where = (np.array(values, np.int64) for values in (user, item, part))
    return Prepared(who, what, where, ids, item_ids, tuple(notes))


def _sequences(rows: list[Row], cut: int) -> list[Merged]:
    """The rows of one user as few sequences as they make."""
    ordered: list[Row] = []
    for part in (0, 1, 2):
        own = [row for row in rows if row.part == part]
        if own and len(own[0].items) > len(own[-1].items):
            own.reverse()  # newest first
        ordered += sorted(own, key=lambda row: len(row.items))
    found: list[Merged] = []
    for row in ordered:
        if not any(sequence.take(row, cut) for sequence in reversed(found)):
            found.append(Merged())
            found[-1].take(row, cut)
    return found


def is_prepared(header: Iterable[str], item: str) -> bool:
    """Whether a header is that of histories and their targets."""
    return f"{item}_list:token_seq" in header
