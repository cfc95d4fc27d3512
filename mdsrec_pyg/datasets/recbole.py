"""RecBole's atomic files with what they say of items, and its benchmark splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mdsrec_pyg.data.given_split import SPLIT_LABELS
from mdsrec_pyg.data.interactions import Seconds
from mdsrec_pyg.datasets._toolkits import find_name, seconds
from mdsrec_pyg.datasets.atomic import _typed
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.delimited import TABS, column_names
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.table import Table, identifiers, read_table
from mdsrec_pyg.datasets.text import item_text

__all__ = ["RecBoleDataset"]

PAGE = "https://recbole.io/docs/user_guide/data/atomic_files.html"


class RecBoleDataset(RecommendationDataset):
    """A data set in RecBole's atomic files: interactions, texts of items, a split.

    ========================== =====================================================================
    ``<name>.inter``           tabs; a header with types: ``user_id:token``, ``item_id:token`` and
                               optionally ``timestamp:float`` (seconds, or ISO dates as in some
                               published files)
    ``<name>.<part>.inter``    the same for each part of a benchmark split; read with ``keep_split``
                               or where there is no ``<name>.inter``
    ``<name>.item``            tabs; ``item_id:token`` and any columns of type ``token``,
                               ``token_seq`` or ``float``; optional
    ========================== =====================================================================

    Integer ids are numbered in ascending order, others in the order of their first row.
    :func:`read_atomic` reads a single ``.inter`` file.

    Source: https://recbole.io/docs/user_guide/data/atomic_files.html; terms: those of the data.

    Args:
        root: Folder with the files, or with a folder ``raw`` that has them.
        name: Name of the data set. Default: that of the only one in the folder.
        user: Name of the user column.
        item: Name of the item column, in all files.
        time: Name of the time column; it may be missing: the order of the rows counts.
        text: Columns of ``<name>.item`` that make up an item's text, in this order. Default: all of
            type ``token`` and ``token_seq`` but the id and the image URL. Empty: no texts.
        image_url: Column of ``<name>.item`` with the address of an image.
        parts: Names of the files of training, validation and test.
        keep_split: Keep which file a row is from as ``labels``, for
            :func:`~mdsrec_pyg.data.given_split`.
        repeats: What becomes of repeated pairs of a user and an item: ``'keep'`` all, or only the
            ``'first'`` or the ``'last'`` in time.
        k_core: Users and items with fewer interactions are dropped until none is left to drop;
            ``None``: nobody is.
        require: ``'text'`` or ``'image_url'``: items without it are dropped.
        keep_cold: Keep items of ``<name>.item`` without interactions in the catalog.

    Raises:
        ValueError: A file is missing or not as above. The message has file, line and column.
    """

    def __init__(
        self,
        root: PathLike,
        name: str | None = None,
        *,
        user: str = "user_id",
        item: str = "item_id",
        time: str = "timestamp",
        text: Sequence[str] | None = None,
        image_url: str | None = None,
        parts: tuple[str, str, str] = ("train", "valid", "test"),
        keep_split: bool = False,
        repeats: str = "keep",
        k_core: int | None = None,
        require: Sequence[str] = (),
        keep_cold: bool = False,
    ) -> None:
        if isinstance(text, str):
            raise ValueError(f"'text' must be a sequence of columns (got the string {text!r})")
        if len(parts) != 3 or len(set(parts)) < 3:
            raise ValueError(f"'parts' must be three names that differ (got {parts})")
        self.raw_paths, name = _find(Path(root), name, parts, keep_split)
        self.raw_file_names = [path.name for path in self.raw_paths.values()]
        paths = [path for kind, path in self.raw_paths.items() if kind != "items"]
        raw = _read_interactions(paths, (user, item, time), keep_split)
        known = None
        if "items" in self.raw_paths:
            known = _read_items(self.raw_paths["items"], item, text, image_url, raw.item_ids.dtype)
        elif text or image_url is not None:
            raise ValueError(f"'text' and 'image_url' need {name}.item (got none in {root})")
        made = prepare(
            raw,
            known,
            name=name,
            repeats=repeats,
            k_core=k_core,
            require=require,
            keep_cold=keep_cold,
            options={
                "user": user,
                "item": item,
                "time": time,
                "text": None if text is None else list(text),
                "image_url": image_url,
                "parts": list(parts),
                "keep_split": keep_split,
            },
        )
        super().__init__(**made.parts())


def _find(
    root: Path, name: str | None, parts: Sequence[str], keep_split: bool
) -> tuple[dict[str, Path], str]:
    """The files to be read, training, validation and test in this order, and the name."""
    if name is None and root.is_dir():
        split = bool([*root.glob(f"*.{parts[0]}.inter"), *root.glob(f"raw/*.{parts[0]}.inter")])
        name = find_name(root, None, f".{parts[0]}.inter" if split else ".inter")
    name = find_name(root, name, ".inter")
    whole = {"interactions": f"{name}.inter", "items": f"{name}.item"}
    found = find_raw_files(root, whole, PAGE, optional=tuple(whole))
    if "interactions" in found and not keep_split:
        return found, name
    split_files = {part: f"{name}.{part}.inter" for part in parts}
    try:
        halves = find_raw_files(root, split_files, PAGE)
    except ValueError as error:
        if keep_split:
            raise
        raise ValueError(
            f"'root' must hold {name}.inter or {', '.join(split_files.values())} (got not all of "
            f"them in {root}); see {PAGE}"
        ) from error
    return {**halves, **({"items": found["items"]} if "items" in found else {})}, name


def _read_interactions(
    paths: list[Path], names: tuple[str, str, str], keep_split: bool
) -> RawInteractions:
    tables = [_read_table(path, *names) for path in paths]
    user, item, time = tables[0][1]
    for table, columns in tables:  # an empty id: the error has file and line
        identifiers(table, columns[0], text_as_integers=True)
        identifiers(table, columns[1], text_as_integers=True)
    joined = Table(
        paths[0],
        {
            name: pa.concat_arrays([table.columns[name] for table, _ in tables])
            for name in (user, item)
        },
    )
    users, user_ids = identifiers(joined, user, text_as_integers=True)
    items, item_ids = identifiers(joined, item, text_as_integers=True)
    times = [seconds(table, time) for table, _ in tables]
    given = [part for part in times if part is not None]
    if given and len(given) < len(times):
        raise ValueError(f"{paths[0]}: expected times in all parts of the split or in none")
    labels: NDArray[Any] | None = None
    if keep_split:
        labels = np.repeat(np.array(SPLIT_LABELS), [len(table) for table, _ in tables])
    whole: Seconds | None = np.concatenate(given) if given else None
    return RawInteractions(users, items, whole, user_ids, item_ids, str(paths[0]), labels=labels)


def _read_table(path: Path, user: str, item: str, time: str) -> tuple[Table, tuple[str, str, str]]:
    header = column_names(path, TABS)
    if f"{item}_list:token_seq" in header:
        raise ValueError(
            f"{path}, line 1: expected one interaction a row, got histories "
            f"('{item}_list:token_seq'): UniSRecDataset reads them"
        )
    columns = (
        _typed(path, header, user, "token", True),
        _typed(path, header, item, "token", True),
        _typed(path, header, time, "float", False),
    )
    return read_table(path, columns[:2], columns[2:]), columns


def _read_items(
    path: Path, item: str, text: Sequence[str] | None, image_url: str | None, dtype: Any
) -> RawItems:
    header = column_names(path, TABS)
    key = _typed(path, header, item, "token", True)
    types = dict(column.rpartition(":")[::2] for column in header)
    image = None if image_url is None else _column(path, types, image_url)
    if text is None:
        chosen = [
            column
            for column in header
            if column.endswith((":token", ":token_seq")) and column not in (key, image)
        ]
    else:
        chosen = [_column(path, types, name) for name in text]
    table = read_table(path, [key, *chosen, *([] if image is None else [image])])
    number, ids = identifiers(table, key, text_as_integers=dtype.kind != "O")
    if len(ids) < len(table):
        first = np.zeros(len(table), bool)
        first[np.unique(number, return_index=True)[1]] = True
        raise table.error(int((~first).argmax()), key, "an id that no other row has")
    values = [table.columns[column].to_pylist() for column in chosen]
    return RawItems(
        ids[number],
        text=[item_text({"features": parts}) for parts in zip(*values, strict=True)]
        if chosen
        else None,
        image_urls=None if image is None else table.columns[image].to_pylist(),
        source=str(path),
    )


def _column(path: Path, types: dict[str, str], name: str) -> str:
    """The header's column ``name:type``."""
    if types.get(name) not in ("token", "token_seq", "float"):
        known = ", ".join(f"'{column}:{kind}'" for column, kind in types.items())
        raise ValueError(
            f"{path}, line 1: expected a column '{name}' of type token, token_seq or float, got "
            f"{known}"
        )
    return f"{name}:{types[name]}"
