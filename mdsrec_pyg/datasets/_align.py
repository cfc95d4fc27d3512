"""Rows of what a source says of its items, brought into the order of the items that are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.raw_ids import same_type
from mdsrec_pyg.datasets.raw import RawFeature, RawInteractions, RawItems
from mdsrec_pyg.showing import counted

# Rows of a feature converted at a time: few enough for arrays on disk, enough for the overhead.
BLOCK = 4_096


class Aligned:
    """What ``items`` says of the items that have interactions in ``raw``.

    Args:
        items: What the source says.
        raw: The interactions.
        min_coverage: Least share of the items that ``items`` and each feature must know.
        keep_cold: Put the other items of ``items`` behind those with interactions.
    """

    def __init__(
        self,
        items: RawItems,
        raw: RawInteractions,
        min_coverage: float,
        keep_cold: bool = False,
    ) -> None:
        self.items, self.raw = items, raw
        self.item_ids = raw.item_ids[raw.present_items()]
        self.num_taken = len(self.item_ids)
        self._check_coverage(items.ids, items.source, min_coverage)
        for feature in items.features.values():
            self._check_coverage(feature.ids, feature.source, min_coverage)
        if keep_cold:
            cold = ~pd.Index(items.ids).isin(self.item_ids)
            self.item_ids = _concatenate(self.item_ids, items.ids[cold])
        self.row = pd.Index(items.ids).get_indexer(pd.Index(self.item_ids))

    def _check_coverage(self, ids: NDArray[Any], source: str, least: float) -> None:
        known = int(pd.Index(self.item_ids).isin(ids).sum())
        if known == 0 or known < least * self.num_taken:
            raise ValueError(
                f"{source}: expected at least {least:.0%} of the {self.num_taken:,} items of "
                f"{self.raw.source}, and one in any case; got {known:,} of them "
                f"({known / self.num_taken:.1%}), such as {_example(ids)} where the interactions "
                f"have {_example(self.item_ids)}: are both of the same category? "
                "('min_coverage' allows less)"
            )

    def has(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """True for each item that has all of ``names``, modalities or text or image URL."""
        present = np.ones(len(self.item_ids), bool)
        for name in names:
            if name in self.items.features:
                present &= pd.Index(self.item_ids).isin(self.items.features[name].ids)
                continue
            values = {"text": self.text(), "image_url": self.image_urls()}.get(name)
            if values is None:
                known = [*self.items.features]
                known += ["text"] if self.items.text is not None else []
                known += ["image_url"] if self.items.image_urls is not None else []
                raise ValueError(f"'require' must be among {known} (got {name!r})")
            present &= np.array([value != "" for value in values])
        return present

    def text(self) -> list[str] | None:
        """Text of each item, ``''`` where there is none."""
        return self._take(self.items.text)

    def image_urls(self) -> list[str] | None:
        """Image URL of each item, ``''`` where there is none."""
        return self._take(self.items.image_urls)

    def _take(self, values: Sequence[str] | None) -> list[str] | None:
        if values is None:
            return None
        return [values[row] if row >= 0 else "" for row in self.row.tolist()]

    def features(self) -> dict[str, ModalFeature]:
        """The rows of each feature; items without one are masked."""
        return {name: self._feature(name, f) for name, f in self.items.features.items()}

    def _feature(self, name: str, feature: RawFeature) -> ModalFeature:
        row = pd.Index(feature.ids).get_indexer(pd.Index(self.item_ids))
        places = np.flatnonzero(row >= 0)
        places = places[np.argsort(row[places], kind="stable")]  # as they stand in the file
        x: NDArray[np.float32] | None = None
        for start in range(0, len(places), BLOCK):
            place = places[start : start + BLOCK]
            given = np.asarray(feature.x[row[place]])
            if given.ndim != 2 or given.dtype.kind not in "fiu":
                raise ValueError(
                    f"{feature.source}: expected numbers of shape [K, F] for the modality "
                    f"'{name}', got {given.dtype} of shape {given.shape}"
                )
            with np.errstate(over="ignore"):  # reported below, with its place
                block = given.astype(np.float32)
            bad = ~np.isfinite(block)
            if bad.any():
                i, j = np.argwhere(bad)[0]
                raise ValueError(
                    f"{feature.source}, row {row[place[i]]} (item {self.item_ids[place[i]]!r}), "
                    f"column {j}: expected a finite float32 number, got {given[i, j]}"
                )
            if x is None:
                x = np.zeros((len(self.item_ids), block.shape[1]), np.float32)
            x[place] = block
        assert x is not None  # checked in the constructor: at least one item has a row
        return ModalFeature(torch.from_numpy(x), torch.from_numpy(row >= 0))

    def notes(self) -> list[str]:
        """How many items the source knows, and how many have a text, an image URL, a feature."""
        total, items = len(self.item_ids), self.items
        notes = list(items.notes)
        taken = int((self.row[: self.num_taken] >= 0).sum())
        notes.append(
            f"{taken:,} of {self.num_taken:,} items with interactions are in {items.source}"
        )
        if total > self.num_taken:
            notes.append(f"{counted(total - self.num_taken, 'item')} without interactions kept")
        for label, values in (("a text", self.text()), ("an image URL", self.image_urls())):
            if values is not None:
                filled = sum(value != "" for value in values)
                notes.append(f"{filled:,} of {total:,} items have {label}")
        for name, feature in items.features.items():
            known = int(pd.Index(self.item_ids).isin(feature.ids).sum())
            ignored = counted(len(feature.ids) - known, "row")
            notes.append(
                f"{known:,} of {total:,} items have {name}; {ignored} of other items ignored"
            )
        return notes


def one_type(raw: RawInteractions, items: RawItems) -> tuple[RawInteractions, RawItems]:
    """Both with item ids of one type: text in both where one of them has text."""
    ids, known, *others = same_type(
        raw.item_ids, items.ids, *(feature.ids for feature in items.features.values())
    )
    features = {
        name: replace(feature, ids=own)
        for (name, feature), own in zip(items.features.items(), others, strict=True)
    }
    return replace(raw, item_ids=ids), replace(items, ids=known, features=features)


def _concatenate(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    if a.dtype == b.dtype and a.dtype != object:
        return np.concatenate([a, b])
    joined = np.empty(len(a) + len(b), object)
    joined[: len(a)], joined[len(a) :] = a, b
    return joined


def _example(ids: NDArray[Any]) -> str:
    return repr(ids[0].item() if isinstance(ids[0], np.generic) else ids[0]) if len(ids) else "none"
