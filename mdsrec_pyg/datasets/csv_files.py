"""Data sets from CSV files, and a folder of images beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from mdsrec_pyg.datasets._toolkits import feature_rows, seconds
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.arrays import _load
from mdsrec_pyg.datasets.reading.collect import as_integers
from mdsrec_pyg.datasets.reading.files import PathLike
from mdsrec_pyg.datasets.reading.images import count_images, image_files, only_with_image
from mdsrec_pyg.datasets.reading.lines import line_not_utf8
from mdsrec_pyg.datasets.reading.table import Table, check_columns, identifiers

__all__ = ["from_csv"]


def from_csv(
    interactions: PathLike,
    items: PathLike | None = None,
    features: Mapping[str, PathLike] | None = None,
    *,
    images: PathLike | None = None,
    user: str = "user",
    item: str = "item",
    timestamp: str | None = "timestamp",
    text: str | None = "text",
    image_url: str | None = "image_url",
    require_image: bool = False,
    repeats: str = "keep",
    k_core: int | None = None,
    require: Sequence[str] = (),
    keep_cold: bool = False,
    name: str | None = None,
) -> RecommendationDataset:
    """Makes a data set of CSV files in UTF-8, and looks for the items' images.

    Comma-separated with double quotes where needed; a file called ``.tsv`` is tab-separated, with
    quotes alike. Column names stand in the first line. For tables in other forms read them with
    pandas and use :func:`from_dataframe`.

    Example:
        >>> dataset = from_csv("orders.csv", "products.csv", images="photos", require_image=True)
        >>> dataset.save("data/shop")
        >>> encode_images("data/shop", "photos", "openai/clip-vit-base-patch32")

    Args:
        interactions: A row an interaction, in any order.
        items: A row an item, in any order. Values may hold line breaks.
        features: ``.npy`` file ``[number of items, F]`` of each modality; row i belongs to the
            i-th item of ``items``.
        images: A folder of images called after the raw ids (``B07X.jpg``), or a ``.csv`` or
            ``.tsv`` file with the columns ``raw_id`` and ``path``, as
            :func:`~mdsrec_pyg.encoders.find_images` reads them. Images are only counted here; the
            encoders read them.
        user: Column of raw user ids. Ids that are all integers become integers.
        item: Column of raw item ids, in both files.
        timestamp: Column of times: seconds since 1970, ISO dates or date-times. ``None``: the order
            of the rows counts.
        text: Column of ``items`` with their text; unused if there is no such column.
        image_url: Column of ``items`` with the address of an image; unused if there is none.
        require_image: Drop items without an image in ``images``, before the k-core.
        repeats: ``'keep'`` repeated pairs of user and item, or only the ``'first'`` or the
            ``'last'`` in time.
        k_core: Users and items with fewer interactions are dropped until none is left to drop.
        require: ``'text'``, ``'image_url'`` or modalities without which an item is dropped.
        keep_cold: Keep items without interactions in the catalog.
        name: Name of the data set. Default: that of the file of interactions.

    Returns:
        The data set. ``report`` has the number of items with an image.

    Raises:
        ValueError: A column is missing, a value is not as above (the message has file, line and
            column), an item stands twice in ``items``, or nothing is left.
    """
    path = Path(interactions)
    raw = _read_interactions(path, user, item, timestamp)
    if features and items is None:
        raise ValueError("'features' needs 'items', whose rows they belong to (got None)")
    found = image_files(images)
    if require_image:
        if images is None:
            raise ValueError("'require_image' needs 'images' (got None)")
        raw = only_with_image(raw, found)
    rows = None
    if items is not None:
        integers = raw.item_ids.dtype.kind != "O"
        rows = _read_items(Path(items), features or {}, item, text, image_url, integers)
    dataset = prepare(
        raw,
        rows,
        name=path.stem if name is None else name,
        repeats=repeats,
        k_core=k_core,
        require=require,
        keep_cold=keep_cold,
        options={
            "images": None if images is None else str(images),
            "require_image": require_image,
            "timestamp": timestamp,
        },
    )
    if images is not None:
        count_images(dataset, found, images)
    return dataset


def _delimiter(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"expected a file {path}, got none")
    return "\t" if path.suffix == ".tsv" else ","


def _read_interactions(path: Path, user: str, item: str, timestamp: str | None) -> RawInteractions:
    delimiter = _delimiter(path)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        names = next(csv.reader(lines, delimiter=delimiter), [])
    wanted = [user, item, *([] if timestamp is None else [timestamp])]
    check_columns(path, names, wanted)
    try:
        read = pa.csv.read_csv(
            path,
            # One thread: Arrow then knows the line of an error.
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, ignore_empty_lines=False, newlines_in_values=True
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: {error}".replace("Row #", "line ")) from error
    columns = {column: read[column].combine_chunks() for column in wanted}
    size = len(read)
    while size and all(columns[column][size - 1].as_py() == "" for column in wanted):
        size -= 1  # blank lines at the end of the file
    table = Table(path, {column: values.slice(0, size) for column, values in columns.items()})
    if not len(table):
        raise ValueError(f"{path}: expected at least one row below the column names, got none")
    users, user_ids = identifiers(table, user, text_as_integers=True)
    codes, item_ids = identifiers(table, item, text_as_integers=True)
    time = None if timestamp is None else seconds(table, timestamp)
    return RawInteractions(users, codes, time, user_ids, item_ids, source=str(path))


def _read_items(
    path: Path,
    features: Mapping[str, PathLike],
    item: str,
    text: str | None,
    image_url: str | None,
    integers: bool,
) -> RawItems:
    columns, lines = _read_columns(path, item, [text, image_url])
    values = columns[item]
    ids = np.empty(len(values), object)
    ids[:] = values
    first: dict[str, int] = {}
    for line, raw_id in zip(lines, values, strict=True):
        if not raw_id or raw_id in first:
            raise ValueError(
                f"{path}, line {line}, column '{item}': expected an id that no other row has, got "
                f"{raw_id!r}" + (f" as in line {first[raw_id]}" if raw_id else "")
            )
        first[raw_id] = line
    if integers:
        code, numbers = as_integers(np.arange(len(ids)), ids)
        ids = numbers[code]
    rows, notes = {}, []
    for modality, file in features.items():
        rows[modality], note = feature_rows(Path(file), _load(Path(file)), ids, "keep")
        notes.append(note)
    return RawItems(
        ids,
        text=columns.get(text or ""),
        image_urls=columns.get(image_url or ""),
        features=rows,
        source=str(path),
        notes=tuple(notes),
    )


def _read_columns(
    path: Path, item: str, optional: Sequence[str | None]
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Columns of text, and the line in which each row ends."""
    delimiter = _delimiter(path)
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            names = next(reader, [])
            check_columns(path, names, [item])
            wanted = [item, *(name for name in optional if name is not None and name in names)]
            columns: dict[str, list[str]] = {name: [] for name in wanted}
            place = {name: names.index(name) for name in wanted}
            for row in reader:
                if not row:
                    continue
                if len(row) != len(names):
                    raise ValueError(
                        f"{path}, line {reader.line_num}: expected {len(names)} values separated "
                        f"by {delimiter!r}, got {len(row)}"
                    )
                for name in wanted:
                    columns[name].append(row[place[name]])
                lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line {line_not_utf8(path)}: expected UTF-8 text ({error})"
        ) from error
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    return columns, np.array(lines, np.int64)
