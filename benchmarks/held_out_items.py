"""Items that are held out of training as items, and the users who are asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg import FolderDataset, leave_last_out
from mdsrec_pyg.data import EvaluationSplit, Interactions, ModalFeature
from mdsrec_pyg.data.queries import make_queries

Features = dict[str, ModalFeature]


@dataclass(frozen=True)
class HeldOut:
    """A catalog whose last items are new.

    Args:
        train: Training part of the old items, over them.
        val: Queries whose target is an old item.
        asked: Queries whose target is a new item, over all items.
        others: Test queries whose target is an old item, over all items.
        features: Features of all items, the new ones last.
        num_old: Number of old items.
    """

    train: Interactions
    val: EvaluationSplit
    asked: EvaluationSplit
    others: EvaluationSplit
    features: Features
    num_old: int

    @property
    def old(self) -> Features:
        """Features of the old items."""
        return {name: part.take(np.arange(self.num_old)) for name, part in self.features.items()}

    @property
    def new(self) -> Features:
        """Features of the new items."""
        size = len(next(iter(self.features.values())))
        return {n: part.take(np.arange(self.num_old, size)) for n, part in self.features.items()}


def hold_out(dataset: FolderDataset, share: float, seed: int) -> HeldOut:
    """Makes some items new; the items are numbered again, the old ones first."""
    whole = dataset.interactions
    order = np.random.default_rng(seed).permutation(whole.num_items)
    num_old = whole.num_items - round(share * whole.num_items)
    old = np.sort(order[:num_old])
    order = np.concatenate([old, np.sort(order[num_old:])])
    place = np.empty(whole.num_items, np.int64)
    place[order] = np.arange(whole.num_items)
    whole = replace(whole, item_id=place[whole.item_id])
    split = leave_last_out(whole)
    train = split.train.select(split.train.item_id < num_old)
    small = replace(train, num_items=num_old)
    last = whole.user_ptr[1:][np.diff(whole.user_ptr) >= 3] - 1
    parts = [_asked(name, whole, rows, train) for name, rows in (("val", last - 1), ("test", last))]
    val = parts[0].select(parts[0].target < num_old)
    asked = _joined([part.select(part.target >= num_old) for part in parts])
    return HeldOut(
        small,
        replace(val, num_items=num_old),
        asked,
        parts[1].select(parts[1].target < num_old),
        {name: part.take(order) for name, part in dataset.features.items()},
        num_old,
    )


def _asked(
    name: str, whole: Interactions, rows: NDArray[np.int64], train: Interactions
) -> EvaluationSplit:
    """Queries at some rows, with histories of old items only; those without any are left out."""
    keep = train.item_counts()[whole.item_id] > 0
    keep[rows] = True
    place = np.cumsum(keep) - 1
    part, row = whole.select(keep), place[rows]
    return make_queries(name, part, row[row > part.user_ptr[part.user_id[row]]], train)


def _joined(parts: Sequence[EvaluationSplit]) -> EvaluationSplit:
    first, *rest = parts
    for part in rest:
        names = ("user_id", "target", "tied", "known", "cold")
        columns: dict[str, Any] = {
            n: np.concatenate([getattr(first, n), getattr(part, n)]) for n in names
        }
        ptr = np.concatenate([first.history_ptr, first.history_ptr[-1] + part.history_ptr[1:]])
        items = np.concatenate([first.history_item, part.history_item])
        first = replace(first, **columns, history_ptr=ptr, history_item=items)
    return first
