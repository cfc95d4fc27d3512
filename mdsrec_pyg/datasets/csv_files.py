"""Data sets from CSV files, and a folder of images beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mdsrec_pyg.datasets._toolkits import feature_rows, seconds
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.arrays import load_array
from mdsrec_pyg.datasets.reading.compressed import plain_suffix
from mdsrec_pyg.datasets.reading.delimited import Delimited
from mdsrec_pyg.datasets.reading.files import PathLike
from mdsrec_pyg.datasets.reading.images import count_images, image_files, only_with_image
from mdsrec_pyg.datasets.reading.table import (
    identifiers,
    read_table,
    repeated_id,
    unused_columns,
)

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
    quotes alike. Files may be compressed (gzip, bzip2, xz, zstd, zip of one file). Column names
    stand in the first line. For tables in other forms read them with pandas and use
    :func:`from_dataframe`.

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
        user: Column of raw user ids. Where all read back the same as integers (``7``, not ``007``)
            they become integers; else all stay text as it is written.
        item: Column of raw item ids, in both files; both have integers, or both text.
        timestamp: Column of times: seconds since 1970, or ISO dates or date-times, whose zones
            count (without one: UTC). ``None``: the order of the rows counts.
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
        rows = _read_items(Path(items), features or {}, item, text, image_url)
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


def _form(path: Path) -> Delimited:
    return Delimited("\t" if plain_suffix(path) == ".tsv" else ",", quotes=True)


def _read_interactions(path: Path, user: str, item: str, timestamp: str | None) -> RawInteractions:
    wanted = [user, item, *([] if timestamp is None else [timestamp])]
    table = read_table(path, wanted, form=_form(path))
    users, user_ids = identifiers(table, user, text_as_integers=True)
    codes, item_ids = identifiers(table, item, text_as_integers=True)
    time = None if timestamp is None else seconds(table, timestamp)
    raw = RawInteractions(users, codes, time, user_ids, item_ids, source=str(path))
    return raw.told(*unused_columns(table))


def _read_items(
    path: Path,
    features: Mapping[str, PathLike],
    item: str,
    text: str | None,
    image_url: str | None,
) -> RawItems:
    optional = [name for name in (text, image_url) if name is not None]
    table = read_table(path, [item], optional, form=_form(path))
    number, ids = identifiers(table, item, text_as_integers=True)
    if len(ids) < len(table):
        raise repeated_id(table, item, number)
    ids = ids[number]
    columns = {name: table.columns[name].to_pylist() for name in optional if name in table.columns}
    rows, notes = {}, unused_columns(table)
    for modality, file in features.items():
        rows[modality], note = feature_rows(Path(file), load_array(Path(file)), ids, "keep")
        notes.append(note)
    return RawItems(
        ids,
        text=columns.get(text or ""),
        image_urls=columns.get(image_url or ""),
        features=rows,
        source=str(path),
        notes=tuple(notes),
    )
