"""RecBole's atomic files with what they say of items, and its benchmark splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mdsrec_pyg.data.given_split import SPLIT_LABELS
from mdsrec_pyg.data.interactions import Seconds
from mdsrec_pyg.datasets._prepared import is_prepared, read_prepared
from mdsrec_pyg.datasets._recbole_items import read_items
from mdsrec_pyg.datasets._recognize import naming_other_reader
from mdsrec_pyg.datasets._toolkits import find_name, seconds
from mdsrec_pyg.datasets.atomic import typed_column
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions
from mdsrec_pyg.datasets.reading.collect import as_integers
from mdsrec_pyg.datasets.reading.delimited import TABS, column_names
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.table import (
    Table,
    check_filled,
    identifiers,
    read_table,
    unused_columns,
)

__all__ = ["RecBoleDataset"]

PAGE = "https://recbole.io/docs/user_guide/data/atomic_files.html"


class RecBoleDataset(RecommendationDataset):
    """A data set in RecBole's atomic files: interactions, texts of items, a split.

    ========================== =====================================================================
    ``<name>.inter``           tabs; a header with types: ``user_id:token``, ``item_id:token`` and
                               optionally ``timestamp:float`` (seconds, or ISO dates as in some
                               published files)
    ``<name>.<part>.inter``    the same for each part of a benchmark split; read with ``keep_split``
                               or where there is no ``<name>.inter``. Or prepared sequences: a
                               ``user_id:token`` or ``session_id:token``, a history
                               ``item_id_list:token_seq`` and its target ``item_id:token``
    ``<name>.item``            tabs; ``item_id:token`` and any columns of type ``token``,
                               ``token_seq``, ``float`` or ``float_seq``; optional
    ========================== =====================================================================

    Integer ids are numbered in ascending order, others in the order of their first row.
    :func:`read_atomic` reads a single ``.inter`` file. Prepared sequences are put together again:
    the rows of a user that go on from each other, with gaps or without, are one sequence, any other
    is a sequence of its own, called ``<user>/2`` and so on. Columns and files that are not read
    stand in ``report``.

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
        features: Columns of ``<name>.item`` of type ``float_seq``, each a modality; an item without
            a value lacks it. Default: all of this type.
        parts: Names of the files of training, validation and test. Prepared sequences may lack
            validation.
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
        features: Sequence[str] | None = None,
        parts: tuple[str, str, str] = ("train", "valid", "test"),
        keep_split: bool = False,
        repeats: str = "keep",
        k_core: int | None = None,
        require: Sequence[str] = (),
        keep_cold: bool = False,
    ) -> None:
        for option, columns in (("text", text), ("features", features)):
            if isinstance(columns, str):
                raise ValueError(
                    f"{option!r} must be a sequence of columns (got the string {columns!r})"
                )
        if len(parts) != 3 or len(set(parts)) < 3:
            raise ValueError(f"'parts' must be three names that differ (got {parts})")
        self.raw_paths, name = _find(Path(root), name, parts, item, keep_split)
        self.raw_file_names = [path.name for path in self.raw_paths.values()]
        files = [
            (path, parts.index(kind) if kind in parts else 0)
            for kind, path in self.raw_paths.items()
            if kind != "items"
        ]
        with naming_other_reader(files[0][0], "RecBoleDataset"):
            raw = _read_interactions(files, (user, item, time), keep_split)
        raw = raw.told(*_not_read(Path(root), name, self.raw_paths.values()))
        known = None
        if "items" in self.raw_paths:
            known = read_items(self.raw_paths["items"], item, text, image_url, features)
        elif text or features or image_url is not None:
            raise ValueError(
                f"'text', 'features' and 'image_url' need {name}.item (got none in {root})"
            )
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
                "features": None if features is None else list(features),
                "parts": list(parts),
                "keep_split": keep_split,
            },
        )
        super().__init__(**made.parts())


def _find(
    root: Path, name: str | None, parts: Sequence[str], item: str, keep_split: bool
) -> tuple[dict[str, Path], str]:
    """The files to be read, training, validation and test in this order, and the name."""
    if name is None and root.is_dir():
        split = bool([*root.glob(f"*.{parts[0]}.inter"), *root.glob(f"raw/*.{parts[0]}.inter")])
        name = find_name(
            root, None, f".{parts[0]}.inter" if split else ".inter", own="RecBoleDataset"
        )
    name = find_name(root, name, ".inter", own="RecBoleDataset")
    whole = {"interactions": f"{name}.inter", "items": f"{name}.item"}
    found = find_raw_files(root, whole, PAGE, optional=tuple(whole), own="RecBoleDataset")
    if "interactions" in found and not keep_split:
        return found, name
    split_files = {part: f"{name}.{part}.inter" for part in parts}
    try:
        # Sessions come in two parts; their validation is drawn later.
        some = find_raw_files(root, split_files, PAGE, optional=(parts[1],), own="RecBoleDataset")
        first = some[parts[0]]
        if parts[1] not in some and not is_prepared(column_names(first, TABS), item):
            find_raw_files(root, split_files, PAGE, own="RecBoleDataset")
    except ValueError as error:
        if keep_split:
            raise
        raise ValueError(
            f"'root' must hold {name}.inter or {', '.join(split_files.values())} (got not all of "
            f"them in {root}); see {PAGE}"
        ) from error
    return {**some, **({"items": found["items"]} if "items" in found else {})}, name


def _not_read(root: Path, name: str, paths: Iterable[Path]) -> list[str]:
    """A sentence about files of the data set that nobody reads."""
    known = {path.name for path in paths}
    files = [path for place in (root, root / "raw") for path in place.glob(f"{name}.*")]
    others = sorted({path.name for path in files if path.is_file()} - known)
    return [f"files not read: {', '.join(others)}"] if others else []


def _read_interactions(
    files: list[tuple[Path, int]], names: tuple[str, str, str], keep_split: bool
) -> RawInteractions:
    headers = [column_names(path, TABS) for path, _ in files]
    if any(is_prepared(header, names[1]) for header in headers):
        return _read_prepared(files, headers, names, keep_split)
    tables = [_read_table(path, *names) for path, _ in files]
    user, item, time = tables[0][1]
    paths = [path for path, _ in files]
    for table, columns in tables:  # an empty id: the error has file and line
        check_filled(table, columns[0], "an id")
        check_filled(table, columns[1], "an id")
    joined = Table(
        paths[0],
        {
            name: pa.concat_arrays(
                [table.columns[name].cast(pa.large_string()) for table, _ in tables]
            )
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
        parts = [SPLIT_LABELS[part] for _, part in files]
        labels = np.repeat(np.array(parts, "U5"), [len(table) for table, _ in tables])
    whole: Seconds | None = np.concatenate(given) if given else None
    notes = tuple(unused_columns(*(table for table, _ in tables)))
    return RawInteractions(
        users, items, whole, user_ids, item_ids, str(paths[0]), labels=labels, notes=notes
    )


def _read_prepared(
    files: list[tuple[Path, int]],
    headers: list[list[str]],
    names: tuple[str, str, str],
    keep_split: bool,
) -> RawInteractions:
    """Rows that are a history and its target; sessions may stand for users."""
    user, item, _ = names
    tables = []
    for (path, part), header in zip(files, headers, strict=True):
        who = user if f"{user}:token" in header else "session_id"
        columns = (
            typed_column(path, header, who, "token", True),
            typed_column(path, header, f"{item}_list", "token_seq", True),
            typed_column(path, header, item, "token", True),
        )
        tables.append((read_table(path, columns), part, columns))
    if len({columns for _, _, columns in tables}) > 1:
        raise ValueError(f"{files[0][0]}: expected the same columns in all parts of the split")
    made = read_prepared([(table, part) for table, part, _ in tables], tables[0][2])
    users, user_ids = as_integers(made.user, made.user_ids)
    items, item_ids = as_integers(made.item, made.item_ids)
    labels = np.array(SPLIT_LABELS)[made.part] if keep_split else None
    notes = (*made.notes, *unused_columns(*(table for table, _, _ in tables)))
    source = str(files[0][0])
    return RawInteractions(users, items, None, user_ids, item_ids, source, (), labels, notes)


def _read_table(path: Path, user: str, item: str, time: str) -> tuple[Table, tuple[str, str, str]]:
    header = column_names(path, TABS)
    columns = (
        typed_column(path, header, user, "token", True),
        typed_column(path, header, item, "token", True),
        typed_column(path, header, time, "float", False),
    )
    return read_table(path, columns[:2], columns[2:]), columns
