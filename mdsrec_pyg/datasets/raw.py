"""What a source says, before anything is dropped: interactions, items, and a protocol of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mdsrec_pyg.data.given_split import label_ranks
from mdsrec_pyg.data.interactions import Seconds, _check_ids, _check_seconds
from mdsrec_pyg.datasets.order import by_user_and_time
from mdsrec_pyg.showing import counted

__all__ = ["RawFeature", "RawInteractions", "RawItems", "Step"]


@dataclass(frozen=True)
class Step:
    """Something that was done to the interactions, and what was left after it.

    Args:
        done: What was done, in a few words: ``'read'``, ``'5-core'``.
        users: Users with an interaction after it.
        items: Items with an interaction after it.
        interactions: Interactions after it.
        note: What else was counted.
    """

    done: str
    users: int
    items: int
    interactions: int
    note: str = ""

    def __str__(self) -> str:
        """One sentence for a report."""
        counts = (
            f"{self.done}: {counted(self.interactions, 'interaction')} of "
            f"{counted(self.users, 'user')} with {counted(self.items, 'item')}"
        )
        return f"{counts} ({self.note})" if self.note else counts


@dataclass(frozen=True, eq=False)
class RawInteractions:
    """Interactions in the order of their source, nothing dropped, nothing sorted.

    Args:
        user: Code of the user of each row, ``0..len(user_ids) - 1``. int64 ``[n]``.
        item: Code of the item of each row, ``0..len(item_ids) - 1``. int64 ``[n]``.
        seconds: Seconds since 1970-01-01 UTC ``[n]``, int64 or float64; ``None``: the order of the
            rows counts.
        user_ids: Raw id of each user code; codes without a row are allowed.
        item_ids: Raw id of each item code; codes without a row are allowed.
        source: What messages call it, usually the file.
        steps: What was done so far. Default: one step, ``'read'``.
        labels: The part of the source's own split that each row is in ``[n]``, ``'train'``,
            ``'val'`` or ``'test'``; ``None``: it has none.
        notes: What else a report should say, such as columns that were not read.

    Raises:
        ValueError: There is no row, the arrays differ in length, a code is out of range, a time is
            not finite, or a label is none of the three.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    seconds: Seconds | None
    user_ids: NDArray[Any]
    item_ids: NDArray[Any]
    source: str
    steps: tuple[Step, ...] = ()
    labels: NDArray[np.str_] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the arrays and writes the first step."""
        if not len(self.user):
            raise ValueError(f"{self.source}: expected at least one interaction, got none")
        _check_ids("user", self.user, len(self.user_ids), len(self.user))
        _check_ids("item", self.item, len(self.item_ids), len(self.user))
        if self.seconds is not None:
            _check_seconds(self.seconds, len(self.user))
        if self.labels is not None:
            label_ranks("labels", self.labels, len(self.user))
        if not self.steps:
            object.__setattr__(self, "steps", (self._step("read", ""),))

    def __len__(self) -> int:
        """Number of rows *n*."""
        return len(self.user)

    def select(self, mask: NDArray[np.bool_], done: str, note: str = "") -> RawInteractions:
        """Keeps the rows where ``mask`` ``[n]`` is true and adds the step ``done``; codes stay.

        Raises:
            ValueError: No row is left; the message has the counts before.
        """
        if not mask.any():
            before = self.steps[-1]
            raise ValueError(
                f"{self.source}: expected an interaction to be left after the step '{done}', got "
                f"none of the {counted(before.interactions, 'interaction')} of "
                f"{counted(before.users, 'user')} with {counted(before.items, 'item')} before it"
            )
        kept = replace(
            self,
            user=self.user[mask],
            item=self.item[mask],
            seconds=None if self.seconds is None else self.seconds[mask],
            labels=None if self.labels is None else self.labels[mask],
        )
        object.__setattr__(kept, "steps", (*self.steps, kept._step(done, note)))
        return kept

    def noted(self, *notes: str) -> RawInteractions:
        """The same with more notes at the last step."""
        last = self.steps[-1]
        last = replace(last, note="; ".join(note for note in (last.note, *notes) if note))
        return replace(self, steps=(*self.steps[:-1], last))

    def told(self, *notes: str) -> RawInteractions:
        """The same with more sentences for the report."""
        return replace(self, notes=(*self.notes, *notes))

    def sort(self) -> RawInteractions:
        """By user, then time, rows that tie in the order of the source; the steps stay."""
        order = by_user_and_time(self.user, self.seconds)
        return replace(
            self,
            user=self.user[order],
            item=self.item[order],
            seconds=None if self.seconds is None else self.seconds[order],
            labels=None if self.labels is None else self.labels[order],
        )

    def present_items(self) -> NDArray[np.int64]:
        """Codes of the items that have a row, ascending."""
        return np.flatnonzero(np.bincount(self.item, minlength=len(self.item_ids)))

    def present_users(self) -> NDArray[np.int64]:
        """Codes of the users that have a row, ascending."""
        return np.flatnonzero(np.bincount(self.user, minlength=len(self.user_ids)))

    def _step(self, done: str, note: str) -> Step:
        return Step(done, len(self.present_users()), len(self.present_items()), len(self), note)


class Rows(Protocol):
    """An array ``[K, F]``, or something that fetches rows of one when they are asked for."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[Any]:
        """The rows ``[k, F]`` of ascending numbers ``[k]``."""
        ...


@dataclass(frozen=True, eq=False)
class RawFeature:
    """Features of some items in one modality.

    Args:
        ids: Raw id of each row ``[K]``, all different.
        x: The rows ``[K, F]``: an array, an array on disk, or any object that gives the rows of
            ascending numbers. Only the rows of items that stay are asked for.
        source: What messages call it, usually the file.
    """

    ids: NDArray[Any]
    x: Rows
    source: str = "features"

    def __post_init__(self) -> None:
        """Checks that no id occurs twice."""
        _check_different(self.ids, self.source)


@dataclass(frozen=True, eq=False)
class RawItems:
    """What a source says of its items.

    It may hold items that nobody took and lack items that somebody took.

    Args:
        ids: Raw id of each item ``[K]``, all different.
        text: Text of each item ``[K]``, ``''`` where there is none; ``None``: the source has none.
        image_urls: Address of one image of each item ``[K]``, ``''`` where there is none.
        features: Features by modality, each with raw ids of its own.
        source: What messages call it, usually the file.
        notes: What was counted while reading.
    """

    ids: NDArray[Any]
    text: Sequence[str] | None = None
    image_urls: Sequence[str] | None = None
    features: Mapping[str, RawFeature] = field(default_factory=dict)
    source: str = "items"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks lengths and ids."""
        for name, values in (("text", self.text), ("image_urls", self.image_urls)):
            if values is not None and len(values) != len(self.ids):
                raise ValueError(
                    f"'{name}' must have one value an item (got {len(values)} for "
                    f"{counted(len(self.ids), 'item')})"
                )
        _check_different(self.ids, self.source)


def _check_different(ids: NDArray[Any], source: str) -> None:
    index = pd.Index(ids)
    if not index.is_unique:
        twice = index[index.duplicated()]
        raise ValueError(
            f"{source}: expected ids that all differ, got {twice[0]!r} more than once "
            f"({counted(len(twice), 'repetition')})"
        )
