"""Interactions put together from pieces of columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.data.interactions import Seconds
from mdsrec_pyg.datasets.raw import RawInteractions
from mdsrec_pyg.datasets.reading.digits import PLAIN_INTEGER
from mdsrec_pyg.datasets.reading.fields import Time
from mdsrec_pyg.datasets.reading.ids import IdEncoder
from mdsrec_pyg.datasets.reading.lines import Problems
from mdsrec_pyg.showing import counted


class Collector:
    """Numbers users and items as they come, so that what is kept is three numbers a row."""

    def __init__(self) -> None:
        self.users, self.items = IdEncoder(), IdEncoder()
        self.seconds: list[Seconds] = []

    def add(self, user: Any, item: Any, seconds: Seconds) -> None:
        """The next rows: Arrow arrays of raw ids, and times."""
        self.users.add(user)
        self.items.add(item)
        self.seconds.append(seconds)

    def finish(
        self, path: Path, problems: Problems, *, integers: bool, note: str = ""
    ) -> RawInteractions:
        """All rows.

        Args:
            path: The file, for messages.
            problems: What was skipped, for the first step, and not read, for the report.
            integers: Ids that are all integers become integers, numbered in ascending order.
            note: What else the first step should say.

        Raises:
            ValueError: There is no row.
        """
        user, user_ids = self.users.finish()
        item, item_ids = self.items.finish()
        if integers:
            user, user_ids = as_integers(user, user_ids)
            item, item_ids = as_integers(item, item_ids)
        seconds = np.concatenate(self.seconds) if self.seconds else np.empty(0, np.int64)
        raw = RawInteractions(user, item, seconds, user_ids, item_ids, source=str(path))
        return raw.noted(note, *problems.notes(path)).told(*problems.not_read(path))


def as_integers(
    code: NDArray[np.int64], ids: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Ids that all read back as integers (``7``, not ``007``) as such, numbered in order."""
    text = pa.array(ids, pa.string())
    if not pc.all(pc.match_substring_regex(text, PLAIN_INTEGER)).as_py():
        return code, ids
    number = text.cast(pa.int64()).to_numpy(zero_copy_only=False)
    order = np.argsort(number)
    new = np.empty(len(ids), np.int64)
    new[order] = np.arange(len(ids))
    return new[code], number[order]


def to_seconds(values: Any, field: Time) -> Seconds:
    """Seconds of an Arrow array of times."""
    number = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if field.per_second == 1:
        return number
    return number / field.per_second  # fractions kept: they order a user's rows


def select(raw: RawInteractions, mask: NDArray[np.bool_], done: str) -> RawInteractions:
    """Keeps rows and says how many went."""
    return raw.select(mask, done, f"{counted(int((~mask).sum()), 'interaction')} dropped")


def distinct_moments(raw: RawInteractions, done: str) -> RawInteractions:
    """Rows of one user, item and time become one."""
    assert raw.seconds is not None
    order = np.lexsort((raw.seconds, raw.item, raw.user))
    same = np.ones(len(raw), bool)
    for column in (raw.user, raw.item, raw.seconds):
        same[1:] &= column[order][1:] == column[order][:-1]
    same[0] = False
    keep = np.ones(len(raw), bool)
    keep[order[same]] = False
    return raw if keep.all() else select(raw, keep, done)
