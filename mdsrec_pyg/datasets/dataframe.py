"""Data sets from tables in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.data.features import as_dense
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawFeature, RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.frames import column_of, ids_of, seconds_of

__all__ = ["from_dataframe"]


def from_dataframe(
    interactions: pd.DataFrame,
    items: pd.DataFrame | None = None,
    features: Mapping[str, ArrayLike] | None = None,
    *,
    user: str = "user",
    item: str = "item",
    timestamp: str | None = "timestamp",
    item_id: str | None = None,
    text: str | None = "text",
    image_url: str | None = "image_url",
    repeats: str = "keep",
    k_core: int | None = None,
    require: Sequence[str] = (),
    keep_cold: bool = False,
    name: str = "dataframe",
) -> RecommendationDataset:
    """Makes a data set of tables in memory.

    Example:
        >>> interactions = pd.DataFrame(
        ...     {"user": ["ann", "ann", "bob"], "item": ["b", "a", "b"], "timestamp": [20, 10, 30]}
        ... )
        >>> items = pd.DataFrame({"item": ["a", "b"], "text": ["Red shoe", "Blue hat"]})
        >>> dataset = from_dataframe(interactions, items, {"image": np.eye(2)})
        >>> dataset.save("folder")

    Args:
        interactions: A row an interaction, in any order.
        items: A row an item, in any order; items without interactions are allowed (see
            ``keep_cold``), and items that have interactions may be missing.
        features: Array ``[len(items), F]`` by modality: row *i* belongs to row *i* of ``items``,
            counted by position, whatever the index of ``items``; or any of the forms that
            :class:`~mdsrec_pyg.data.ModalFeature` takes. A row that is NaN throughout says that
            the item lacks the modality.
        user: Column of raw user ids, all integers or all text, which stays as it is written.
            Integers are numbered in ascending order, text in the order of its first row.
        item: Column of raw item ids of ``interactions``. Where one table has integers and the other
            text, both become text.
        timestamp: Column of times: datetimes (without a zone: UTC), seconds since 1970, or text in
            ISO 8601.
            ``None``: the order of the rows counts.
        item_id: Column of raw item ids of ``items``. Default: the same name as ``item``.
        text: Column of ``items`` with their text; unused if there is no such column.
        image_url: Column of ``items`` with the address of an image; unused if there is none.
        repeats: ``'keep'`` repeated pairs of user and item, or only the ``'first'`` or the
            ``'last'`` in time.
        k_core: Users and items with fewer interactions are dropped until none is left to drop.
        require: ``'text'``, ``'image_url'`` or modalities without which an item is dropped.
        keep_cold: Keep items without interactions in the catalog.
        name: Name of the data set.

    Raises:
        ValueError: A column is missing, an id is empty or neither text nor an integer, a time is
            empty or none, an item stands twice in ``items``, features have another number of rows,
            or nothing is left.
    """
    if features and items is None:
        raise ValueError("'features' needs 'items', whose rows they belong to (got None)")
    users, user_ids = ids_of(interactions, "interactions", user)
    item_codes, item_ids = ids_of(interactions, "interactions", item)
    seconds = None if timestamp is None else seconds_of(interactions, "interactions", timestamp)
    raw = RawInteractions(
        user=users,
        item=item_codes,
        seconds=seconds,
        user_ids=user_ids,
        item_ids=item_ids,
        source="interactions",
    )
    known = None
    if items is not None:
        known = _items(items, features or {}, item if item_id is None else item_id, text, image_url)
    return prepare(
        raw,
        known,
        name=name,
        repeats=repeats,
        k_core=k_core,
        require=require,
        keep_cold=keep_cold,
    )


def _items(
    items: pd.DataFrame,
    features: Mapping[str, ArrayLike],
    item_id: str,
    text: str | None,
    image_url: str | None,
) -> RawItems:
    codes, ids = ids_of(items, "items", item_id)
    if len(ids) < len(items):
        row = int(pd.Series(codes).duplicated().to_numpy().argmax())
        raise ValueError(
            f"'items', row {row}, column {item_id!r}: expected an id that no other row has, got "
            f"{items[item_id].iloc[row]!r}"
        )
    ids = ids[codes]  # in the order of the rows
    return RawItems(
        ids=ids,
        text=_texts(items, text),
        image_urls=_texts(items, image_url),
        features={name: _feature(name, x, ids) for name, x in features.items()},
        source="'items'",
    )


def _feature(name: str, x: ArrayLike, ids: NDArray[Any]) -> RawFeature:
    dense = as_dense(x, f"'features[{name!r}]'")
    # NumPy has no bfloat16.
    single = dense.is_floating_point() and dense.dtype != torch.float64
    array = (dense.float() if single else dense).cpu().numpy()
    if array.ndim != 2 or len(array) != len(ids) or not array.shape[1]:
        raise ValueError(
            f"'features[{name!r}]' must have shape ({len(ids)}, F), a row for each row of 'items' "
            f"(got {array.shape})"
        )
    if array.dtype.kind not in "fiu":  # a tensor of another kind
        raise ValueError(f"'features[{name!r}]' must hold numbers (got {array.dtype})")
    if array.dtype.kind == "f":
        missing = np.isnan(array).all(1)
        ids, array = ids[~missing], array[~missing]
    return RawFeature(ids, array, f"'features[{name!r}]'")


def _texts(items: pd.DataFrame, column: str | None) -> list[str] | None:
    """A column of text, ``''`` where there is none."""
    if column is None or column not in items.columns:
        return None
    values = column_of(items, "items", column)
    texts = ["" if missing else value for value, missing in zip(values, values.isna(), strict=True)]
    for row, value in enumerate(texts):
        if not isinstance(value, str):
            raise ValueError(f"'items', row {row}, column {column!r}: expected text, got {value!r}")
    return texts
