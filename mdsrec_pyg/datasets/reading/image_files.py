"""Image files, found by the id of their item."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

__all__ = ["file_name", "find_images", "images_of", "of_item"]

Value = TypeVar("Value")

# Longest file name of Linux, less suffix and the marks of a temporary file.
MAX_NAME = 200


def file_name(raw_id: Any) -> str:
    """The name, without suffix, of the image of an item: its raw id, safe as a file name.

    Letters, digits and ``_ - . ~`` stay, all else is percent-encoded as in URLs: ``'a/b'`` becomes
    ``'a%2Fb'``.

    Raises:
        ValueError: The name would be longer than 200 characters.
    """
    name = quote(str(raw_id), safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > MAX_NAME:
        raise ValueError(
            f"'raw_id' must be at most {MAX_NAME} characters long as a file name, percent-encoded "
            f"where needed (got {len(name)}: {str(raw_id)[:60]!r}...)"
        )
    return name


def find_images(
    images: str | os.PathLike[str],
    *,
    id_column: str = "raw_id",
    path_column: str = "path",
    repeated: dict[str, str] | None = None,
) -> dict[str, Path]:
    """Finds images by id.

    Args:
        images: A folder, searched with its subfolders: the id of each file is its name without
            suffix, whatever the suffix (``B07X.jpg`` belongs to ``'B07X'``); names that begin with
            a dot are left out. Or a CSV (``.csv``) or tab-separated (``.tsv``) file with a column
            of ids and one of paths, relative to the file's folder.
        id_column: Column of the ids, for a file.
        path_column: Column of the paths, for a file.
        repeated: Takes each id that several images share, and what they are; such ids are left out
            of the result. Default: they are an error.

    Returns:
        Path of each id. Files that a CSV names are not looked at: they may be missing.

    Raises:
        ValueError: ``images`` is neither, a column is missing, or two files share an id and
            ``repeated`` is not given.
    """
    path, several = Path(images), {} if repeated is None else repeated
    found: dict[str, Path]
    if path.is_dir():
        found = _in_folder(path, several)
    elif path.is_file() and path.suffix in (".csv", ".tsv"):
        found = _in_table(path, id_column, path_column, several)
    else:
        raise ValueError(f"'images' must be a folder or a .csv or .tsv file (got {path})")
    if repeated is None and several:
        raw_id, which = next(iter(several.items()))
        raise ValueError(f"{path}: expected one image for each id, got {which} for {raw_id!r}")
    return {raw_id: image for raw_id, image in found.items() if raw_id not in several}


def _in_folder(root: Path, repeated: dict[str, str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                continue
            path = Path(folder, name)
            # os.path.splitext takes one suffix only, and none of 'B07X'.
            _add(found, os.path.splitext(name)[0], path, repeated)
    return found


def _in_table(
    path: Path, id_column: str, path_column: str, repeated: dict[str, str]
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    try:
        _read_table(path, id_column, path_column, found, repeated)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text ({error})") from error
    except csv.Error as error:
        raise ValueError(f"{path}: expected a table of text ({error})") from error
    return found


def _read_table(
    path: Path, id_column: str, path_column: str, found: dict[str, Path], repeated: dict[str, str]
) -> None:
    delimiter = "," if path.suffix == ".csv" else "\t"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, delimiter=delimiter)
        for column in (id_column, path_column):
            if column not in (rows.fieldnames or ()):
                names = ", ".join(map(repr, rows.fieldnames or ()))
                raise ValueError(f"{path}, line 1: expected a column {column!r}, got {names}")
        for row in rows:
            raw_id, name = row[id_column], row[path_column]
            if not raw_id or name is None:
                raise ValueError(
                    f"{path}, line {rows.line_num}: expected an id and a path, got {raw_id!r} and "
                    f"{name!r}"
                )
            if name:
                _add(found, raw_id, path.parent / name, repeated)


def _add(found: dict[str, Path], raw_id: str, path: Path, repeated: dict[str, str]) -> None:
    if raw_id in found:
        repeated.setdefault(raw_id, f"{found[raw_id]} and {path}")
    found.setdefault(raw_id, path)


def images_of(found: Mapping[str, Path], raw_ids: list[str]) -> list[Path | None]:
    """The image of each item, named by its raw id as it is or as a file name."""
    return [of_item(found, raw_id) for raw_id in raw_ids]


def of_item(found: Mapping[str, Value], raw_id: str) -> Value | None:
    """What is known of an item, by its raw id as it is or as a file name."""
    try:
        return found.get(raw_id) or found.get(file_name(raw_id))
    except ValueError:  # too long for a file: there is none
        return None
