"""Interactions, features and raw ids of one data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.given_split import label_ranks
from mdsrec_pyg.data.interactions import Interactions, k_core, time_span
from mdsrec_pyg.data.raw_ids import as_raw_ids
from mdsrec_pyg.datasets._save import save_dataset
from mdsrec_pyg.showing import counted, showable

__all__ = ["RecommendationDataset"]


class RecommendationDataset:
    """A data set: who took what and when, what the items look like, and how all are called.

    Args:
        name: Name of the data set.
        interactions: The interactions of *U* users with *N* items.
        features: Features of the items in each modality, each ``[N, F]``.
        user_ids: Raw id of each user ``[U]``, all different and of one type: text, or integers of
            64 bits. Text stays as it is written. Default: ``0..U-1``.
        item_ids: Raw id of each item ``[N]``, likewise. Default: ``0..N-1``.
        item_text: Text of each item ``[N]``.
        image_urls: Address of one image of each item ``[N]``, ``''`` where there is none.
        meta: Where the data come from and what was done to them, for programs: what JSON can hold.
        labels: Part of a split that came with the data, ``'train'``, ``'val'`` or ``'test'`` for
            each interaction ``[n]``; :func:`~mdsrec_pyg.data.given_split` splits by them.
        report: What was counted, dropped or found while reading, a sentence each.

    Raises:
        ValueError: The number of users or items differs, or a raw id occurs twice, is empty, of
            another type, or text that UTF-8 cannot hold.
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
        image_urls: Sequence[str] | None = None,
        meta: Mapping[str, Any] | None = None,
        labels: ArrayLike | None = None,
    ) -> None:
        self.name = name
        self.interactions = interactions
        self.features: dict[str, ModalFeature] = dict(features or {})
        self.user_ids = as_raw_ids(
            "user_ids", _or_range(user_ids, interactions.num_users), interactions.num_users
        )
        self.item_ids = as_raw_ids(
            "item_ids", _or_range(item_ids, interactions.num_items), interactions.num_items
        )
        self.item_text = None if item_text is None else list(item_text)
        self.image_urls = None if image_urls is None else list(image_urls)
        self.report = list(report)
        self.meta: dict[str, Any] = dict(meta or {})
        self.labels = None if labels is None else np.asarray(labels)
        if self.labels is not None:
            label_ranks("labels", self.labels, len(interactions))
            self.labels = self.labels.astype("U5")
        sizes = {f"features[{key!r}]": len(value) for key, value in self.features.items()}
        for key in ("item_text", "image_urls"):
            if getattr(self, key) is not None:
                sizes[key] = len(getattr(self, key))
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
            f"{type(self).__name__}({showable(self.name)})",
            f"  users:        {self.num_users:,}",
            f"  items:        {self.num_items:,}",
            f"  interactions: {rows:,}, {rows / max(self.num_users, 1):.2f} a user, "
            f"density {rows / pairs:.3%}",
            f"  time:         {time_span(self.interactions.timestamp)}",
        ]
        names = {name: showable(name, 40) for name in self.features}
        width = max([12, *map(len, names.values())])
        for name, feature in self.features.items():
            label = f"{names[name]}:".ljust(width + 1)
            lines.append(
                f"  {label} {counted(feature.num_features, 'feature')}, "
                f"{counted(feature.num_present, 'item')} "
                f"({feature.num_present / self.num_items:.1%})"
            )
        return "\n".join([*lines, *(f"  - {showable(sentence)}" for sentence in self.report)])

    def steps_table(self) -> str:
        """What each step of preparing left (``meta['steps']``), a line each, columns lined up."""
        steps = self.meta.get("steps", [])
        width = max((len(step["done"]) for step in steps), default=4)
        lines = [f"{'step':<{width}}  {'users':>11}  {'items':>11}  {'interactions':>12}  note"]
        for step in steps:
            counts = f"{step['users']:>11,}  {step['items']:>11,}  {step['interactions']:>12,}"
            lines.append(f"{step['done']:<{width}}  {counts}  {showable(step['note'])}".rstrip())
        return "\n".join(lines)

    def parts(self) -> dict[str, Any]:
        """The arguments that make this data set again, for subclasses that read a source."""
        return {
            "name": self.name,
            "interactions": self.interactions,
            "features": self.features,
            "user_ids": self.user_ids,
            "item_ids": self.item_ids,
            "item_text": self.item_text,
            "report": self.report,
            "image_urls": self.image_urls,
            "meta": self.meta,
            "labels": self.labels,
        }

    def filter(self, mask: NDArray[np.bool_]) -> RecommendationDataset:
        """Keeps the interactions where ``mask`` ``[n]`` is true, and the users and items in them.

        Users and items that are left without an interaction go; the others are renumbered in
        their order, and features, raw ids, texts and image URLs go along; ``meta['steps']`` says
        what was done. Filter before the split only what may depend on the whole;
        ``Split.k_core`` filters the training part.
        """
        kept = self.interactions.select(mask)
        users, user_id = np.unique(kept.user_id, return_inverse=True)
        items, item_id = np.unique(kept.item_id, return_inverse=True)
        if not len(users):
            raise ValueError("'mask' must keep an interaction (got none)")
        dropped = (
            f"{counted(self.num_users - len(users), 'user')}, "
            f"{counted(self.num_items - len(items), 'item')} and "
            f"{counted(len(self.interactions) - len(kept), 'interaction')} dropped"
        )
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
            item_text=_take(self.item_text, items),
            report=[*self.report, f"filtered: {dropped}"],
            image_urls=_take(self.image_urls, items),
            labels=None if self.labels is None else self.labels[mask],
            meta=self._meta_after("filtered", len(users), len(items), len(kept)),
        )

    def _meta_after(self, done: str, users: int, items: int, interactions: int) -> dict[str, Any]:
        """The meta data with one more step."""
        steps = self.meta.get("steps", [])
        if not isinstance(steps, list):  # somebody else's
            return self.meta
        step = {"done": done, "users": users, "items": items, "interactions": interactions}
        return {**self.meta, "steps": [*steps, {**step, "note": ""}]}

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
        if isinstance(dataset.meta.get("steps"), list):
            dataset.meta["steps"][-1]["done"] = f"{k}-core"
        return dataset

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the data set as a folder that :class:`FolderDataset` reads.

        ``interactions.parquet``, ``items.parquet``, ``meta.json``, and for each modality
        ``<name>.npy`` in float32 and, where items lack it, ``<name>_mask.npy``. Parquet keeps the
        types of raw ids, so that reading gives the same data set: the same ids, rows and features
        (modalities in alphabetical order, unless named; users below ``min_interactions`` are
        dropped by the reader).

        A new folder appears whole or not at all. In one that exists, nothing changes until all new
        files are written; should the process die while they take their places, the folder has no
        ``items.parquet`` and is not read as a data set.

        Args:
            folder: Where to write; it is made if needed. It must hold no other data set.

        Raises:
            ValueError: The folder is a file or holds files that a reader would take for part of
                this data set, a user has no interaction, a text cannot be written as UTF-8, or
                ``meta`` holds what JSON cannot.
        """
        save_dataset(self, Path(folder))


def _take(values: list[str] | None, items: NDArray[np.int64]) -> list[str] | None:
    return None if values is None else [values[item] for item in items.tolist()]


def _or_range(ids: ArrayLike | None, size: int) -> ArrayLike:
    return np.arange(size) if ids is None else ids
