"""Which users of a request can be answered, and what becomes of the others."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.retrieval.histories import Histories, plain_value, show
from mdsrec_pyg.showing import counted

__all__ = ["Request", "answerable", "check_item_counts"]

#: Users that a warning names.
MOST_NAMED = 5

PACKAGE = str(Path(__file__).parents[1])


@dataclass(eq=False)
class Request:
    """What is asked for, of the users that can be answered.

    Args:
        k: Items a user.
        exclude_seen: Whether items of the history are left out.
        explain: Whether the model says why.
        batch_size: Users scored at a time.
        on_error: ``'raise'`` or ``'skip'``.
        empty: ``'raise'`` or ``'popularity'``, for users without a history.
        problems: Why a user cannot be answered, by position.
        popular: Positions of the users who get the most popular items.
    """

    k: int
    exclude_seen: bool
    explain: bool = False
    batch_size: int = 512
    on_error: str = "raise"
    empty: str = "raise"
    problems: dict[int, str] = field(default_factory=dict)
    popular: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Checks the two rules."""
        for name, known in (("on_error", ("raise", "skip")), ("empty", ("raise", "popularity"))):
            if getattr(self, name) not in known:
                choices = " or ".join(map(repr, known))
                raise ValueError(f"'{name}' must be {choices} (got {getattr(self, name)!r})")

    def refuse(self, row: int, reason: str) -> None:
        """A user who cannot be answered: an error, or one of the skipped."""
        if self.on_error == "raise":
            raise ValueError(reason)
        self.problems.setdefault(row, reason)

    def skipped(self, users: pd.Index) -> list[dict[str, Any]]:
        """The skipped users as plain values: ``user``, ``position`` and ``reason`` of each."""
        return [
            {"user": plain(users, row), "position": row, "reason": self.problems[row]}
            for row in sorted(self.problems)
        ]


def answerable(queries: Histories, request: Request, num_items: int) -> NDArray[np.int64]:
    """Positions of the users whom the model is asked about.

    Args:
        queries: All users.
        request: Takes down the others.
        num_items: Size of the catalog.

    Raises:
        ValueError: A history without an item, with an unknown one, or of so many that fewer than
            ``k`` are left, where ``on_error='raise'``; the first user is named.
    """
    asked = np.ones(len(queries), bool)
    size = np.diff(queries.ptr)
    unknown = np.flatnonzero(queries.item < 0)
    rows, first = np.unique(
        np.searchsorted(queries.ptr, unknown, side="right") - 1, return_index=True
    )
    place = dict(zip(rows.tolist(), unknown[first].tolist(), strict=True))
    few = _few_left(queries, request, num_items)
    for row in sorted({*np.flatnonzero(size == 0).tolist(), *place, *few}):
        asked[row] = False
        if size[row] == 0 and request.empty == "popularity":
            request.popular.append(row)
        elif size[row] == 0:
            request.refuse(
                row,
                f"'histories' must hold an item for each user (user {queries.name(row)} has none)",
            )
        elif row in place:
            assert queries.given is not None
            item = show(queries.given, place[row])
            request.refuse(
                row,
                f"'histories' must hold items among {queries.catalog} (got {item} as item "
                f"{place[row] - int(queries.ptr[row])} of user {queries.name(row)})",
            )
        else:
            request.refuse(
                row,
                f"'k' must not exceed the items left for a user (got k={request.k}, but user "
                f"{queries.name(row)} has seen all but {few[row]} items)",
            )
    return np.flatnonzero(asked)


def _few_left(queries: Histories, request: Request, num_items: int) -> dict[int, int]:
    """Users who have seen so many items that fewer than ``k`` are left, and how many are."""
    if not request.exclude_seen:
        return {}
    # Only a history as long as this can hold so many different items.
    long = np.flatnonzero(np.diff(queries.ptr) > num_items - request.k)
    left = {
        int(row): num_items - len(np.unique(queries.item[queries.ptr[row] : queries.ptr[row + 1]]))
        for row in long
    }
    return {row: count for row, count in left.items() if count < request.k}


def check_item_counts(item_counts: ArrayLike | None, num_items: int) -> NDArray[np.float64] | None:
    """Popularity of each item as numbers ``[num_items]``; ``None`` where none is given."""
    if item_counts is None:
        return None
    counts = np.asarray(item_counts, dtype=np.float64)
    if counts.shape != (num_items,) or not (counts >= 0).all():
        raise ValueError(
            f"'item_counts' must hold {num_items} numbers from 0, the training interactions of "
            f"each item (got shape {counts.shape})"
        )
    return counts


def plain(users: pd.Index, row: int) -> Any:
    """A user's name as JSON can hold it: text or a number."""
    value = plain_value(users[row])
    return value if isinstance(value, (str, int, float)) else str(value)


def warn_of(skipped: Sequence[dict[str, Any]], popular: Sequence[Any]) -> None:
    """Says once who was skipped and why, and who got the most popular items."""
    if skipped:
        named = "; ".join(part["reason"] for part in skipped[:MOST_NAMED])
        more = "" if len(skipped) <= MOST_NAMED else f"; and {len(skipped) - MOST_NAMED:,} more"
        warnings.warn(
            f"skipped {counted(len(skipped), 'user')}: {named}{more}", stacklevel=_level_of_caller()
        )
    if popular:
        names = ", ".join(map(repr, popular[:MOST_NAMED]))
        more = "" if len(popular) <= MOST_NAMED else ", ..."
        warnings.warn(
            f"{counted(len(popular), 'user')} without a history got the most popular items: "
            f"{names}{more}",
            stacklevel=_level_of_caller(),
        )


def _level_of_caller() -> int:
    """The ``stacklevel`` at which a warning of the caller's names a line outside of the library."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    return level
