"""Interactions, features and raw ids of one data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions, k_core, time_span
from mdsrec_pyg.io import atomic_folder

__all__ = ["RecommendationDataset"]


class RecommendationDataset:
    """A data set: who took what and when, what the items look like, and how all are called.

    Args:
        name: Name of the data set.
        interactions: The interactions of *U* users with *N* items.
        features: Features of the items in each modality, each ``[N, F]``.
        user_ids: Raw id of each user ``[U]``, all different. Default: ``0..U-1``.
        item_ids: Raw id of each item ``[N]``, all different. Default: ``0..N-1``.
        item_text: Text of each item ``[N]``.
        report: What was counted, dropped or found while reading, a sentence each.

    Raises:
        ValueError: The number of users or items differs, or a raw id occurs twice.
    """

    def __init__(
        self,
        name: str,
        interactions: Interactions,
        features: Mapping[str, ModalFeature] | None = None,
        user_ids: ArrayLike | None = None,
        item_ids: ArrayLike | None = None,
        item_text: Sequence[str] | None = None,
        report: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.interactions = interactions
        self.features: dict[str, ModalFeature] = dict(features or {})
        self.user_ids = _raw_ids("user_ids", user_ids, interactions.num_users)
        self.item_ids = _raw_ids("item_ids", item_ids, interactions.num_items)
        self.item_text = None if item_text is None else list(item_text)
        self.report = list(report)
        sizes = {f"features[{key!r}]": len(value) for key, value in self.features.items()}
        if self.item_text is not None:
            sizes["item_text"] = len(self.item_text)
        for key, size in sizes.items():
            if size != self.num_items:
                raise ValueError(f"'{key}' must have {self.num_items} rows (got {size})")

    @property
    def num_users(self) -> int:
        """Number of users *U*."""
        return self.interactions.num_users

    @property
    def num_items(self) -> int:
        """Number of items *N*."""
        return self.interactions.num_items

    def __repr__(self) -> str:
        """A summary: counts, time, modalities, report."""
        rows, pairs = len(self.interactions), max(self.num_users * self.num_items, 1)
        lines = [
            f"{type(self).__name__}({self.name})",
            f"  users:        {self.num_users:,}",
            f"  items:        {self.num_items:,}",
            f"  interactions: {rows:,}, {rows / max(self.num_users, 1):.2f} a user, "
            f"density {rows / pairs:.3%}",
            f"  time:         {time_span(self.interactions.timestamp)}",
        ]
        width = max([12, *map(len, self.features)])
        for name, feature in self.features.items():
            label = f"{name}:".ljust(width + 1)
            lines.append(
                f"  {label} {feature.num_features} features, {feature.num_present:,} items "
                f"({feature.num_present / self.num_items:.1%})"
            )
        return "\n".join([*lines, *(f"  - {sentence}" for sentence in self.report)])

    def filter(self, mask: NDArray[np.bool_]) -> RecommendationDataset:
        """Keeps the interactions where ``mask`` ``[n]`` is true, and the users and items in them.

        Users and items that are left without an interaction go; the others are renumbered in
        their order, and features, raw ids and texts go along. Filter before the split only what
        may depend on the whole; ``Split.k_core`` filters the training part.
        """
        kept = self.interactions.select(mask)
        users, user_id = np.unique(kept.user_id, return_inverse=True)
        items, item_id = np.unique(kept.item_id, return_inverse=True)
        if not len(users):
            raise ValueError("'mask' must keep an interaction (got none)")
        text = self.item_text
        return RecommendationDataset(
            name=self.name,
            interactions=Interactions(
                user_id.astype(np.int64),
                item_id.astype(np.int64),
                kept.timestamp,
                len(users),
                len(items),
            ),
            features={name: feature.take(items) for name, feature in self.features.items()},
            user_ids=self.user_ids[users],
            item_ids=self.item_ids[items],
            item_text=None if text is None else [text[item] for item in items],
            report=[
                *self.report,
                f"filtered: {self.num_users - len(users):,} users, "
                f"{self.num_items - len(items):,} items and "
                f"{len(self.interactions) - len(kept):,} interactions dropped",
            ],
        )

    def k_core(self, k: int) -> RecommendationDataset:
        """Drops users and items with fewer than ``k`` interactions until none is left.

        This looks at all interactions, held-out ones included, as most published data sets do. It
        makes rare items rare in training only; ``Split.k_core`` filters the training part instead.
        """
        mask = k_core(self.interactions, k)
        if not mask.any():
            raise ValueError(f"'k' must leave an interaction (got {k}, which leaves none)")
        dataset = self.filter(mask)
        dataset.report[-1] = f"{k}-core {dataset.report[-1]}"
        return dataset

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the data set as a folder that :class:`FolderDataset` reads.

        ``interactions.parquet``, ``items.parquet``, and for each modality ``<name>.npy`` in
        float32 and, where items lack it, ``<name>_mask.npy``. Parquet keeps the types of raw ids,
        so that reading gives the same data set: the same ids, rows and features (modalities in
        alphabetical order, unless named; users below ``min_interactions`` are dropped by the
        reader).

        A new folder appears whole or not at all. In one that exists, nothing changes until all new
        files are written; should the process die while they take their places, the folder has no
        ``items.parquet`` and is not read as a data set.

        Args:
            folder: Where to write; it is made if needed. It must hold no other data set.

        Raises:
            ValueError: The folder is a file or holds files that a reader would take for part of
                this data set, a user has no interaction, or raw ids are of mixed types.
        """
        folder = Path(folder)
        names = [f"{name}.npy" for name in self.features]
        names += [f"{name}_mask.npy" for name, f in self.features.items() if not f.mask.all()]
        self._check_folder(folder, {*names, "interactions.parquet", "items.parquet"})
        tables = {"interactions": self._interaction_table(), "items": self._item_table()}
        with atomic_folder(folder, key="items.parquet") as temporary:
            for name, table in tables.items():
                pa.parquet.write_table(table, temporary / f"{name}.parquet")
            for name, feature in self.features.items():
                np.save(temporary / f"{name}.npy", feature.x.numpy())
                if not feature.mask.all():
                    np.save(temporary / f"{name}_mask.npy", feature.mask.numpy())

    def _check_folder(self, folder: Path, names: set[str]) -> None:
        if (np.diff(self.interactions.user_ptr) == 0).any():
            raise ValueError("'save' needs an interaction of each user (filter drops the others)")
        for name in self.features:
            if not name or "/" in name or name.endswith("_mask"):
                raise ValueError(f"'features' must have names fit for a file (got {name!r})")
        if not folder.is_dir():
            return
        found = {path.name for path in folder.glob("*.npy")}
        found |= {name for name in ("interactions.tsv", "items.jsonl") if (folder / name).exists()}
        if found - names:
            raise ValueError(
                f"'folder' must hold no other data set (got {folder} with "
                f"{', '.join(sorted(found - names))})"
            )

    def _interaction_table(self) -> pa.Table:
        rows = self.interactions
        users = _arrow("user_ids", self.user_ids).take(pa.array(rows.user_id))
        columns = {"user": users, "item": pa.array(rows.item_id)}
        if rows.timestamp is not None:
            columns["timestamp"] = pa.array(rows.timestamp)
        return pa.table(columns)

    def _item_table(self) -> pa.Table:
        ids = pa.array(np.arange(self.num_items))
        columns = {"item": ids, "raw_id": _arrow("item_ids", self.item_ids)}
        if self.item_text is not None:
            columns["text"] = pa.array(self.item_text, pa.string())
        return pa.table(columns)


def _raw_ids(name: str, ids: ArrayLike | None, size: int) -> NDArray[Any]:
    if ids is None:
        return np.arange(size)
    array = np.asarray(ids)
    if array.shape != (size,):
        raise ValueError(f"'{name}' must have shape ({size},) (got {array.shape})")
    if array.dtype.kind == "U":
        array = array.astype(object)  # plain str for each, in results and files
    if len(set(array.tolist())) < size:
        raise ValueError(f"'{name}' must all differ (got {size - len(set(array.tolist()))} twice)")
    return array


def _arrow(name: str, ids: NDArray[Any]) -> pa.Array:
    try:
        return pa.array(ids)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"'{name}' must be of one type to be saved ({error})") from error
