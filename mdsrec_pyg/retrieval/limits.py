"""Which items each user may get: allow lists, block lists and what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdsrec_pyg.evaluation.scores import seen_items
from mdsrec_pyg.retrieval.histories import Histories, plain_index, plain_value, show
from mdsrec_pyg.retrieval.lookup import look_up

__all__ = ["BatchLimits", "ItemChoice", "Limits", "read_limits"]

Items = NDArray[np.int64]
#: Raw ids for all users, or for each of those that are named.
ItemChoice = Iterable[Any] | Mapping[Any, Iterable[Any]]


@dataclass(frozen=True, eq=False)
class ItemLists:
    """The allow lists of a request, or its block lists.

    Args:
        everyone: Items of the list for all users, sorted and distinct; ``None``: there is none.
        by_row: The same of the users who have a list of their own, by position.
    """

    everyone: Items | None = None
    by_row: dict[int, Items] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any list."""
        return self.everyone is not None or bool(self.by_row)


def read_limits(
    queries: Histories, raw: pd.Index | None, num_items: int, *, seen: bool, **lists: Any
) -> Limits:
    """Reads ``include`` and ``exclude`` of a request.

    Args:
        queries: All users of the request.
        raw: Raw id of each item; ``None``: items are called by their indices.
        num_items: N.
        seen: Whether items of the history are left out.
        **lists: ``include`` and ``exclude`` as :func:`~mdsrec_pyg.recommend` takes them.

    Raises:
        ValueError: A list that is none, holds an item that the catalog lacks, or belongs to a user
            who is not asked about.
    """
    catalog = pd.RangeIndex(num_items) if raw is None else raw
    read = {name: _read(name, given, queries, catalog) for name, given in lists.items()}
    return Limits(queries, num_items, seen, read["include"], read["exclude"])


def _read(name: str, given: Any, queries: Histories, catalog: pd.Index) -> ItemLists:
    if given is None:
        return ItemLists()
    if not isinstance(given, Mapping):
        return ItemLists(_items(name, given, catalog, queries.catalog, ""))
    if not given:
        return ItemLists()
    names = plain_index(list(given))
    of_user = look_up(queries.users, names)
    unknown = np.setdiff1d(np.arange(len(names)), of_user)
    if len(unknown):
        raise ValueError(
            f"'{name}' must hold lists of users of 'histories' only (got one of user "
            f"{show(names, int(unknown[0]))}, who is not asked about)"
        )
    lists = [
        _items(name, items, catalog, queries.catalog, f" of user {plain_value(user)!r}")
        for user, items in given.items()
    ]
    rows = np.flatnonzero(of_user >= 0).tolist()
    return ItemLists(None, {row: lists[of_user[row]] for row in rows})


def _items(name: str, given: Any, catalog: pd.Index, listed: str, whose: str) -> Items:
    """The items of a list, sorted and distinct."""
    if isinstance(given, (np.ndarray, Tensor)) and given.ndim == 1:
        given = given.tolist()
    wrong = isinstance(given, (str, bytes, Mapping, np.ndarray, Tensor, pd.DataFrame))
    if wrong or not isinstance(given, Iterable):
        raise ValueError(
            f"'{name}' must hold a sequence of items{whose} (got {type(given).__name__})"
        )
    # Without a type of its own, pandas would make floats of 7 and a missing item.
    ids = pd.Index(list(given), dtype=object, tupleize_cols=False)
    item = look_up(ids, catalog)
    if (item < 0).any():
        place = int((item < 0).argmax())
        raise ValueError(f"'{name}' must hold items among {listed} (got {show(ids, place)}{whose})")
    return np.unique(item)


class Limits:
    """Which items each user of a request may get.

    Args:
        queries: All users of the request.
        num_items: N.
        seen: Whether items of the history are left out.
        include: The only items that are allowed.
        exclude: Items that are not.
    """

    def __init__(
        self,
        queries: Histories,
        num_items: int,
        seen: bool,
        include: ItemLists | None = None,
        exclude: ItemLists | None = None,
    ) -> None:
        self.queries, self.num_items, self.seen = queries, num_items, seen
        self.include, self.exclude = include or ItemLists(), exclude or ItemLists()
        #: What the lists for all users leave, bool [N]; None where there is none.
        self.common: NDArray[np.bool_] | None = None
        if self.include.everyone is not None:
            self.common = np.zeros(num_items, bool)
            self.common[self.include.everyone] = True
        if self.exclude.everyone is not None:
            self.common = np.ones(num_items, bool) if self.common is None else self.common
            self.common[self.exclude.everyone] = False
        self.num_common = num_items if self.common is None else int(self.common.sum())

    def few(self, k: int) -> dict[int, int]:
        """Users for whom fewer than ``k`` items are left, and how many are."""
        least = np.full(len(self.queries), self.num_common)
        if self.seen:
            least -= np.diff(self.queries.ptr)
        for row, items in self.exclude.by_row.items():
            least[row] -= len(items)
        least[list(self.include.by_row)] = -1
        left = {row: self._left(row) for row in np.flatnonzero(least < k).tolist()}
        return {row: count for row, count in left.items() if count < k}

    def _barred(self, row: int) -> Items:
        """What a user has seen or does not want, sorted and distinct."""
        own = self.exclude.by_row.get(row, np.empty(0, np.int64))
        if not self.seen:
            return own
        ptr = self.queries.ptr
        seen = np.unique(self.queries.item[ptr[row] : ptr[row + 1]])
        return np.union1d(own, seen[seen >= 0])

    def _left(self, row: int) -> int:
        """How many items are left for a user."""
        barred, own = self._barred(row), self.include.by_row.get(row)
        if own is not None:
            own = own if self.common is None else own[self.common[own]]
            return len(np.setdiff1d(own, barred, assume_unique=True))
        barred = barred if self.common is None else barred[self.common[barred]]
        return self.num_common - len(barred)

    def reason(self, row: int, k: int, left: int) -> str:
        """Why a user cannot be answered."""
        user = self.queries.name(row)
        if not self.include and not self.exclude:
            return (
                f"'k' must not exceed the items left for a user (got k={k}, but user {user} has "
                f"seen all but {left} items)"
            )
        lists = {"'include'": self.include, "'exclude'": self.exclude}
        by = [name for name, given in lists.items() if given]
        by += ["seen items"] if self.seen else []
        return (
            f"'k' must not exceed the items left for a user (got k={k}, but {' and '.join(by)} "
            f"leave user {user} {left} items)"
        )

    def of(self, rows: Items, device: torch.device) -> BatchLimits | None:
        """Those of some users; ``None`` where they may get everything."""
        part = self.queries.select(rows)
        barred, listed = [], []
        if self.seen:
            seen = seen_items(part.ptr, part.item, slice(0, len(rows)), self.num_items)
            barred.append(seen[0] * self.num_items + seen[1])
        own = np.zeros(len(rows), bool)
        for place, row in enumerate(rows.tolist()):
            if row in self.exclude.by_row:
                barred.append(torch.from_numpy(self._keys(place, self.exclude.by_row[row])))
            if row in self.include.by_row:
                own[place] = True
                listed.append(torch.from_numpy(self._keys(place, self.include.by_row[row])))
        if not barred and not own.any() and self.common is None:
            return None
        none = torch.empty(0, dtype=torch.long)
        return BatchLimits(
            self.num_items,
            None if self.common is None else torch.from_numpy(self.common).to(device),
            torch.unique(torch.cat([none, *barred])).to(device),
            torch.from_numpy(own).to(device),
            torch.cat([none, *listed]).to(device),
        )

    def _keys(self, place: int, items: Items) -> Items:
        return place * self.num_items + items


@dataclass(frozen=True, eq=False)
class BatchLimits:
    """Which items each user of a batch may get, as tensors on the device that scores.

    Args:
        num_items: N.
        common: What the lists for all users leave, bool ``[N]``; ``None``: everything.
        barred: Keys ``row * N + item`` of what single users may not get, sorted ``[P]``.
        own: Who has an allow list of their own, bool ``[B]``.
        listed: Keys of what stands there, sorted ``[P]``.
    """

    num_items: int
    common: Tensor | None
    barred: Tensor
    own: Tensor
    listed: Tensor

    def allows(self, key: Tensor) -> Tensor:
        """Which keys ``row * N + item`` of any shape are allowed."""
        allowed = ~torch.isin(key, self.barred)
        if self.common is not None:
            allowed &= self.common[key % self.num_items]
        if self.own.any():
            allowed &= ~self.own[key // self.num_items] | torch.isin(key, self.listed)
        return allowed

    def masked(self, scores: Tensor) -> Tensor:
        """A copy of scores ``[B, N]``, minus infinity where an item is not allowed."""
        masked = scores.clone(memory_format=torch.contiguous_format)
        if self.common is not None:
            masked.masked_fill_(~self.common, -torch.inf)
        flat = masked.view(-1)
        if self.own.any():
            kept = flat[self.listed]
            masked[self.own] = -torch.inf
            flat[self.listed] = kept
        flat[self.barred] = -torch.inf
        return masked
