"""A data set written as a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.raw_ids import as_raw_ids
from mdsrec_pyg.datasets.reading.table import LARGEST_STRINGS
from mdsrec_pyg.datasets.reading.times import LARGEST_SECONDS
from mdsrec_pyg.io import atomic_folder, read_json


class DataSet(Protocol):
    """What is written of a :class:`~mdsrec_pyg.datasets.RecommendationDataset`."""

    interactions: Interactions
    features: dict[str, ModalFeature]
    user_ids: NDArray[Any]
    item_ids: NDArray[Any]
    item_text: list[str] | None
    image_urls: list[str] | None
    meta: dict[str, Any]
    labels: NDArray[Any] | None


def save_dataset(dataset: DataSet, folder: Path) -> None:
    """See :meth:`RecommendationDataset.save`."""
    features = dataset.features
    names = [f"{name}.npy" for name in features]
    names += [f"{name}_mask.npy" for name, f in features.items() if not f.mask.all()]
    _check_folder(dataset, folder, {*names, "interactions.parquet", "items.parquet"})
    tables = {"interactions": _interaction_table(dataset), "items": _item_table(dataset)}
    meta = _meta_text(dataset.meta)
    with atomic_folder(folder, key="items.parquet") as temporary:
        for name, table in tables.items():
            pa.parquet.write_table(table, temporary / f"{name}.parquet")
        for name, feature in features.items():
            np.save(temporary / f"{name}.npy", feature.x.numpy())
            if not feature.mask.all():
                np.save(temporary / f"{name}_mask.npy", feature.mask.numpy())
        # Also when there is nothing in it: another data set's may lie there.
        (temporary / "meta.json").write_text(meta, encoding="utf-8")


def read_meta(path: Path) -> dict[str, Any]:
    """The object in ``meta.json``; an empty one where the file is missing.

    Raises:
        ValueError: The file holds something else.
    """
    if not path.exists():
        return {}
    meta: dict[str, Any] = read_json(path, dict, "the meta of a data set")
    try:
        _meta_text(meta)
    except ValueError as error:  # Python reads NaN, 1e999 and half a pair, and JSON knows none
        raise ValueError(f"{path}: expected what can be written again ({error})") from error
    return meta


def _meta_text(meta: dict[str, Any]) -> str:
    try:
        text = json.dumps(meta, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        text.encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"'meta' must hold what JSON can to be saved ({error})") from error
    return text


def _check_folder(dataset: DataSet, folder: Path, names: set[str]) -> None:
    if (np.diff(dataset.interactions.user_ptr) == 0).any():
        raise ValueError("'save' needs an interaction of each user (filter drops the others)")
    time = dataset.interactions.timestamp
    if time is not None and not (np.abs(time.astype(np.float64)) < LARGEST_SECONDS).all():
        raise ValueError(
            f"'timestamp' must be seconds since 1970, below {LARGEST_SECONDS:,}, to be saved (got "
            f"{time[np.abs(time.astype(np.float64)).argmax()]}; milliseconds must be divided)"
        )
    for name in dataset.features:
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


def _interaction_table(dataset: DataSet) -> pa.Table:
    rows = dataset.interactions
    users = _arrow("user_ids", dataset.user_ids)
    if pa.types.is_string(users.type) and users.nbytes / len(users) * len(rows) > LARGEST_STRINGS:
        users = users.cast(pa.large_string())
    columns = {"user": users.take(pa.array(rows.user_id)), "item": pa.array(rows.item_id)}
    if rows.timestamp is not None:
        columns["timestamp"] = pa.array(rows.timestamp)
    if dataset.labels is not None:
        columns["split"] = pa.array(dataset.labels)
    return pa.table(columns)


def _item_table(dataset: DataSet) -> pa.Table:
    ids = pa.array(np.arange(dataset.interactions.num_items))
    columns = {"item": ids, "raw_id": _arrow("item_ids", dataset.item_ids)}
    if dataset.item_text is not None:
        columns["text"] = _texts("item_text", dataset.item_text)
    if dataset.image_urls is not None:
        columns["image_url"] = _texts("image_urls", dataset.image_urls)
    return pa.table(columns)


def _arrow(name: str, ids: NDArray[Any]) -> pa.Array:
    # A data set's ids can be exchanged after it was made.
    return pa.array(as_raw_ids(name, ids, len(ids)))


def _texts(name: str, values: list[str]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        for row, value in enumerate(values):
            try:
                pa.array([value], pa.string())
            except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
                raise ValueError(
                    f"'{name}' must be text that UTF-8 can hold (got {str(value)[:60]!r} for item "
                    f"{row}: {error})"
                ) from error
        raise
