"""Which users of a request can be answered, and what becomes of the others."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.nn.mode import uncompiled
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.one_modality import check_modality
from mdsrec_pyg.retrieval.histories import Histories, plain_value, show
from mdsrec_pyg.retrieval.limits import Limits
from mdsrec_pyg.showing import counted

__all__ = ["Request", "answerable", "check_item_counts", "without_unknown"]

#: Users that a warning names.
MOST_NAMED = 5

#: What may be done instead of raising an error.
RULES = {"on_error": "skip", "empty": "popularity", "unknown": "drop"}

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
        unknown: ``'raise'`` or ``'drop'``, for items that the catalog lacks.
        modality: The only modality that counts; ``None``: all do.
        problems: Why a user cannot be answered, by position.
        popular: Positions of the users who get the most popular items.
        dropped: Items that were left out of histories, by position.
    """

    k: int
    exclude_seen: bool
    explain: bool = False
    batch_size: int = 512
    on_error: str = "raise"
    empty: str = "raise"
    unknown: str = "raise"
    modality: str | None = None
    problems: dict[int, str] = field(default_factory=dict)
    popular: list[int] = field(default_factory=list)
    dropped: dict[int, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the rules."""
        for name, other in RULES.items():
            known = ("raise", other)
            if getattr(self, name) not in known:
                choices = " or ".join(map(repr, known))
                raise ValueError(f"'{name}' must be {choices} (got {getattr(self, name)!r})")

    def refuse(self, row: int, reason: str) -> None:
        """A user who cannot be answered: an error, or one of the skipped."""
        if self.on_error == "raise":
            raise ValueError(reason)
        self.problems.setdefault(row, reason)

    @property
    def names_source(self) -> bool:
        """Whether the answers say where they come from."""
        return self.empty != "raise" or self.unknown != "raise"

    def skipped(self, users: pd.Index) -> list[dict[str, Any]]:
        """The skipped users as plain values: ``user``, ``position`` and ``reason`` of each."""
        return [
            {"user": plain(users, row), "position": row, "reason": self.problems[row]}
            for row in sorted(self.problems)
        ]

    def left_out(self, users: pd.Index) -> list[dict[str, Any]]:
        """What was left out as plain values: ``user``, ``position`` and ``items`` of each."""
        return [
            {"user": plain(users, row), "position": row, "items": self.dropped[row]}
            for row in sorted(self.dropped)
        ]


def without_unknown(queries: Histories, request: Request) -> Histories:
    """The histories without items that the catalog lacks, where ``unknown='drop'``."""
    unknown = np.flatnonzero(queries.item < 0)
    if request.unknown == "raise" or not len(unknown):
        return queries
    assert queries.given is not None
    of_row = np.searchsorted(queries.ptr, unknown, side="right") - 1
    for row, place in zip(of_row.tolist(), unknown.tolist(), strict=True):
        request.dropped.setdefault(row, []).append(plain(queries.given, place))
    gone = np.bincount(of_row, minlength=len(queries))
    ptr = queries.ptr - np.append(0, np.cumsum(gone))
    item = queries.item[queries.item >= 0]
    return replace(queries, ptr=ptr, item=item, given=None)


def answerable(queries: Histories, request: Request, limits: Limits) -> NDArray[np.int64]:
    """Positions of the users whom the model is asked about.

    Args:
        queries: All users.
        request: Takes down the others.
        limits: Which items each may get.

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
    few = limits.few(request.k)
    for row in sorted({*np.flatnonzero(size == 0).tolist(), *place, *few}):
        asked[row] = False
        if size[row] == 0 and request.empty == "popularity" and row not in few:
            request.popular.append(row)
        elif size[row] == 0 and request.empty != "popularity":
            none = "none that the catalog has" if row in request.dropped else "none"
            request.refuse(
                row,
                f"'histories' must hold an item for each user (user {queries.name(row)} has "
                f"{none})",
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
            request.refuse(row, limits.reason(row, request.k, few[row]))
    return np.flatnonzero(asked)


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


def ids_of(model: Any, item_ids: Any) -> Any:
    """The raw ids that are given, or those that the model has."""
    return getattr(model, "item_ids", None) if item_ids is None else item_ids


def counts_of(model: Any, item_counts: Any) -> Any:
    """The item counts that are given, or those that the model has."""
    own = getattr(uncompiled(model), "item_counts", None)
    return own if item_counts is None else item_counts


def check_request(
    model: Recommender, request: Request, item_counts: NDArray[np.float64] | None
) -> None:
    """Raises a ValueError where the model cannot be asked for this."""
    if request.explain and not hasattr(model, "explain"):
        raise ValueError(f"explain=True needs a model with 'explain' (got {type(model).__name__})")
    if not 1 <= request.k <= model.num_items:
        raise ValueError(
            f"'k' must be from 1 to the number of items, {model.num_items} (got {request.k})"
        )
    if request.modality is not None:
        check_modality(uncompiled(model), request.modality)
    if request.batch_size < 1:
        raise ValueError(f"'batch_size' must be at least 1 (got {request.batch_size})")
    if request.empty == "popularity" and item_counts is None:
        raise ValueError(
            "empty='popularity' needs 'item_counts', the training interactions of each item, "
            "such as split.train.item_counts() (got None, and the model does not know them)"
        )


def plain(users: pd.Index, row: int) -> Any:
    """A user's name as JSON can hold it: text or a number."""
    value = plain_value(users[row])
    return value if isinstance(value, (str, int, float)) else str(value)


def warn_of(
    skipped: Sequence[dict[str, Any]], popular: Sequence[Any], dropped: Sequence[dict[str, Any]]
) -> None:
    """Says once who was skipped and why, who got the most popular items, and what was left out."""
    if dropped:
        items = list(dict.fromkeys(item for part in dropped for item in part["items"]))
        named = ", ".join(map(repr, items[:MOST_NAMED]))
        more = "" if len(items) <= MOST_NAMED else ", ..."
        warnings.warn(
            f"left {counted(len(items), 'item')} that the catalog lacks out of the histories of "
            f"{counted(len(dropped), 'user')}: {named}{more}",
            stacklevel=_level_of_caller(),
        )
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
