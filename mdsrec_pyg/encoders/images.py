"""Image files: found by id, opened in one way."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mdsrec_pyg.encoders._extra import require

__all__ = ["FORMATS", "file_name", "find_images", "open_image"]

#: Pillow's names of the formats that are read, and the suffix that each gets. No others: Pillow
#: also knows formats that start other programs.
FORMATS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
}
#: Pixels of the largest image that is decoded: 150 MB of RGB.
MAX_PIXELS = 50_000_000
#: Longer over shorter side of an image that is decoded. Models scale the shorter side to a few
#: hundred pixels and crop then: 8 x 100,000 pixels, a file of 2 kB, would become gigabytes.
MAX_RATIO = 100
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
) -> dict[str, Path]:
    """Finds images by id.

    Args:
        images: A folder, searched with its subfolders: the id of each file is its name without
            suffix, whatever the suffix (``B07X.jpg`` belongs to ``'B07X'``); names that begin with
            a dot are left out. Or a CSV (``.csv``) or tab-separated (``.tsv``) file with a column
            of ids and one of paths, relative to the file's folder.
        id_column: Column of the ids, for a file.
        path_column: Column of the paths, for a file.

    Returns:
        Path of each id. Files that a CSV names are not looked at: they may be missing.

    Raises:
        ValueError: ``images`` is neither, a column is missing, or two files share an id.
    """
    path = Path(images)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file() and path.suffix in (".csv", ".tsv"):
        return _in_table(path, id_column, path_column)
    raise ValueError(f"'images' must be a folder or a .csv or .tsv file (got {path})")


def _in_folder(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                continue
            path = Path(folder, name)
            # os.path.splitext takes one suffix only, and none of 'B07X'.
            _add(found, os.path.splitext(name)[0], path, root)
    return found


def _in_table(path: Path, id_column: str, path_column: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
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
                _add(found, raw_id, path.parent / name, path)
    return found


def _add(found: dict[str, Path], raw_id: str, path: Path, source: Path) -> None:
    if raw_id in found:
        raise ValueError(
            f"{source}: expected one image for each id, got {found[raw_id]} and {path} for "
            f"{raw_id!r}"
        )
    found[raw_id] = path


def images_of(found: Mapping[str, Path], raw_ids: list[str]) -> list[Path | None]:
    """The image of each item, named by its raw id as it is or as a file name."""
    return [found.get(raw_id) or found.get(file_name(raw_id)) for raw_id in raw_ids]


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Hides Pillow's warnings of sizes and of broken EXIF data.

    Around the threads that open images, never in them: the filters are the whole process's, and
    two threads that set and restore them in turn would leave them changed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def open_image(source: Any, max_pixels: int = MAX_PIXELS) -> Any:
    """Opens an image the one way that all images are opened here.

    It is decoded whole, turned as its EXIF data say, put on white where it is transparent, and
    converted to RGB; of an animation the first frame is taken.

    Args:
        source: A path or a binary file of one of :data:`FORMATS`.
        max_pixels: Larger images are refused before they are decoded.

    Raises:
        ValueError: It is not such an image, cut, broken, too large, or longer than 100 to 1. The
            message says which.
    """
    image_module, operations = require("PIL.Image"), require("PIL.ImageOps")
    try:
        with image_module.open(source, formats=list(FORMATS)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _TooLargeError(
                    f"too large: {width} x {height} pixels, at most {max_pixels:,} are read"
                )
            if max(width, height) > MAX_RATIO * min(width, height):
                raise _TooLargeError(
                    f"too long: {width} x {height} pixels, at most {MAX_RATIO} to 1 are read"
                )
            image.load()
            return _to_rgb(image_module, operations.exif_transpose(image))
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except _TooLargeError:
        raise
    except image_module.UnidentifiedImageError:
        raise ValueError("not an image, or of no format that is read") from None
    # Pillow's decoders raise nearly anything on broken files: OSError, SyntaxError, struct.error...
    except Exception as error:
        raise ValueError(f"unreadable: {error or type(error).__name__}") from error


class _TooLargeError(ValueError):
    pass


def _to_rgb(image_module: Any, image: Any) -> Any:
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = image_module.new("RGBA", image.size, "white")
        return image_module.alpha_composite(white, image).convert("RGB")
    if image.mode.startswith("I;16"):  # Pillow would cut 16-bit gray at 255 instead of scaling it
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert("RGB")
