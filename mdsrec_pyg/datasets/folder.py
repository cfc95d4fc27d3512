"""A data set read from a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.datasets._clean import clean_interactions
from mdsrec_pyg.datasets._labels import split_labels
from mdsrec_pyg.datasets._recognize import other_reader
from mdsrec_pyg.datasets._save import read_meta
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.reading.arrays import read_feature, unread_features
from mdsrec_pyg.datasets.reading.items import raw_item_ids
from mdsrec_pyg.datasets.reading.table import (
    Table,
    identifiers,
    integers,
    read_table,
    release_memory,
    unused_columns,
)
from mdsrec_pyg.datasets.reading.times import timestamps
from mdsrec_pyg.io import settle

__all__ = ["FolderDataset"]


class FolderDataset(RecommendationDataset):
    """A data set in a folder.

    ====================================== =========================================================
    ``interactions.tsv`` or ``.parquet``   columns ``user`` (text or integers), ``item``
                                           (``0..N-1``) and optionally ``timestamp``: ISO dates,
                                           date-times (without a zone: UTC) or seconds since 1970;
                                           missing or empty throughout: only the order of the rows
                                           is known; and optionally ``split``: ``train``, ``val`` or
                                           ``test``, kept as ``labels``
    ``items.jsonl`` or ``.parquet``        ``item`` (``0..N-1``, each once), ``raw_id`` (all
                                           different), optionally ``text`` and ``image_url``; a
                                           row each
    ``<modality>.npy``                     float16, float32 or float64 ``[N, F]``
    ``<modality>_mask.npy``                optional, bool ``[N]``, false where an item lacks the
                                           modality
    ``meta.json``                          optional, an object: where the data come from and what
                                           was done to them, kept as ``meta``
    ====================================== =========================================================

    Tab-separated files have their column names in the first line and know no quotes. Other
    columns are not read; ``report`` names them. With timestamps, fractions of a second included,
    the rows of a user are sorted by time, ties in the order of the file; without, the order of the
    file counts. Users that are integers are numbered in ascending order (so ``0..U-1`` stay), other
    users in the order of their first row; ``user_ids`` has the raw ids. Items keep their ids;
    ``item_ids`` has the raw ones.

    Args:
        root: The folder.
        modalities: The modalities to read, in this order. Default: all, alphabetically.
        duplicates: ``'keep'`` or ``'drop'`` further interactions of a user with the same item.
        min_interactions: Users with fewer interactions are dropped. Default: three, what
            leave-last-out needs, but one where the data have a split of their own, which may need
            them all. ``report`` counts what was dropped, and a warning says so.

    Raises:
        ValueError: Something in the files is not as above. The message names the file, the line,
            the column, what was expected and what was there.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        modalities: Sequence[str] | None = None,
        *,
        duplicates: str = "keep",
        min_interactions: int | None = None,
    ) -> None:
        root = Path(root)
        if not root.is_dir():
            raise ValueError(f"'root' must be a folder (got {root})")
        settle(root)
        items = read_table(
            _one_of(root, "items.jsonl", "items.parquet"),
            ["item", "raw_id"],
            ["text", "image_url"],
        )
        item_ids, item_text, image_urls = _item_columns(items)
        path = _one_of(root, "interactions.tsv", "interactions.parquet")
        table = read_table(path, ["user", "item"], ["timestamp", "split"], ids=["user"])
        labels = split_labels(table, "split")
        user, user_ids = identifiers(table, "user", text_as_integers=path.suffix == ".tsv")
        item, seconds = _known_items(table, len(item_ids)), timestamps(table, "timestamp")
        said = unused_columns(table, items)
        del table, items  # the text of millions of rows
        release_memory()
        if min_interactions is None:
            min_interactions = 3 if labels is None else 1
        interactions, users, report, rows = clean_interactions(
            str(path),
            user,
            item,
            seconds,
            len(item_ids),
            duplicates=duplicates,
            min_interactions=min_interactions,
        )
        report += said
        features: dict[str, ModalFeature] = {}
        for name in _modalities(root, modalities):
            features[name], notes = read_feature(root, name, len(item_ids))
            report += notes
        report += unread_features(root)
        super().__init__(
            name=root.resolve().name,
            interactions=interactions,
            features=features,
            user_ids=user_ids[users],
            item_ids=item_ids,
            item_text=item_text,
            report=report,
            image_urls=image_urls,
            labels=None if labels is None else labels[rows],
            meta=read_meta(root / "meta.json"),
        )
        self.root = root


def _one_of(root: Path, *names: str) -> Path:
    found = [root / name for name in names if (root / name).is_file()]
    if len(found) != 1:
        given = "both" if found else "neither"
        hint = "" if found else other_reader(root, "FolderDataset")
        raise ValueError(
            f"'root' must hold one of {' and '.join(names)} (got {given} in {root}){hint}"
        )
    return found[0]


def _item_columns(table: Table) -> tuple[NDArray[Any], list[str] | None, list[str] | None]:
    """Raw ids ``[N]``, texts and image URLs, in the order of the items."""
    raw_ids, order = raw_item_ids(table)
    text, image_urls = _strings(table, "text", order), _strings(table, "image_url", order)
    return raw_ids, text, image_urls


def _strings(table: Table, column: str, order: NDArray[np.int64]) -> list[str] | None:
    """A column of text, ``''`` where there is none; ``None`` where there is none throughout."""
    values = table.columns.get(column)
    if values is None or values.null_count == len(values):
        return None
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise table.error(0, column, f"text (not {values.type})")
    return values.fill_null("").take(pa.array(order)).to_pylist()


def _known_items(table: Table, num_items: int) -> NDArray[np.int64]:
    expected = f"an item of the items file (0..{num_items - 1})"
    item = integers(table, "item", expected)
    bad = (item < 0) | (item >= num_items)
    if bad.any():
        raise table.error(int(bad.argmax()), "item", expected)
    return item


def _modalities(root: Path, names: Sequence[str] | None) -> list[str]:
    stems = {path.stem for path in root.glob("*.npy")}
    masks = {stem for stem in stems if stem.endswith("_mask")}
    alone = sorted(mask for mask in masks if mask.removesuffix("_mask") not in stems)
    if alone:
        raise ValueError(f"{root / alone[0]}.npy: expected {alone[0][:-5]}.npy beside it, got none")
    found = sorted(stems - masks)
    if names is None:
        return found
    if isinstance(names, str):
        raise ValueError(f"'modalities' must be a sequence of names (got the string {names!r})")
    for name in names:
        if name not in found:
            raise ValueError(f"'modalities' must be among {found} (got {name!r})")
    if len(set(names)) < len(names):
        raise ValueError(f"'modalities' must all differ (got {list(names)})")
    return list(names)
