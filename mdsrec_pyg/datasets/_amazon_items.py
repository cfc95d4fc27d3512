"""Metadata and image features of Amazon's items, streamed."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.datasets._reviews import read_id
from mdsrec_pyg.datasets.raw import RawFeature, RawItems
from mdsrec_pyg.datasets.reading.lines import (
    Problems,
    check_length,
    check_object,
    parse_object,
    read_blocks,
    show,
)
from mdsrec_pyg.datasets.text import item_text
from mdsrec_pyg.showing import counted

# Raw id and features of an item in the files of 2014.
ID_BYTES, CHANNELS = 10, 4_096
# Python makes up to 520 bytes of a byte of a literal: 260 MB. The longest that we know has 300 kB.
LONGEST_LITERAL = 500_000
RECORD = np.dtype([("id", f"S{ID_BYTES}"), ("x", "<f4", (CHANNELS,))])
ASIN = re.compile(rb"[A-Z0-9]{10}")


@dataclass(frozen=True)
class ItemFields:
    """Where the metadata of a generation has what we want.

    Args:
        item: Field of the raw id.
        text: Field of the metadata for each field of :func:`item_text`.
        parse: Makes a record of a line.
        image_url: Picks one image's address out of a record.
    """

    item: str
    text: dict[str, str]
    parse: Callable[[bytes], dict[str, Any]]
    image_url: Callable[[dict[str, Any]], Any]


def parse_literal(line: bytes) -> dict[str, Any]:
    """A line that is a Python dict of literals; nothing in it is ever run.

    Raises:
        ValueError: It is something else, or too long.
    """
    check_length(line, LONGEST_LITERAL)
    try:
        record = ast.literal_eval(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text ({error})") from error
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"expected a Python dict of literals, got something else ({error}): {show(line)}"
        ) from error
    return check_object(record, line)


IMAGE_FIELDS = ("imUrl", "imageURLHighRes", "imageURL", "images")


def image_url_2014(record: dict[str, Any]) -> Any:
    """The only image."""
    return record.get("imUrl")


def image_url_2018(record: dict[str, Any]) -> Any:
    """The first image, in high resolution if there is one."""
    for name in ("imageURLHighRes", "imageURL"):
        urls = record.get(name)
        if isinstance(urls, list) and urls:
            return urls[0]
    return None


def image_url_2023(record: dict[str, Any]) -> Any:
    """The image that is called MAIN, else the first, as large as there is."""
    images = record.get("images")
    images = images if isinstance(images, list) else []
    images = [image for image in images if isinstance(image, dict)]
    main = [image for image in images if image.get("variant") == "MAIN"]
    for image in (main or images)[:1]:
        for name in ("hi_res", "large", "thumb"):
            if image.get(name):
                return image[name]
    return None


ITEM_FIELDS = {
    "2014": ItemFields(
        "asin",
        {
            "title": "title",
            "brand": "brand",
            "categories": "categories",
            "description": "description",
        },
        parse_literal,
        image_url_2014,
    ),
    "2018": ItemFields(
        "asin",
        {
            "title": "title",
            "brand": "brand",
            "categories": "category",
            "features": "feature",
            "description": "description",
        },
        parse_object,
        image_url_2018,
    ),
    "2023": ItemFields(
        "parent_asin",
        {
            "title": "title",
            "brand": "store",
            "categories": "categories",
            "features": "features",
            "description": "description",
        },
        parse_object,
        image_url_2023,
    ),
}


def read_metadata(
    path: Path,
    fields: ItemFields,
    wanted: NDArray[Any],
    *,
    max_length: int | None = None,
    on_error: str = "raise",
) -> RawItems:
    """Reads text and image URL of the wanted items out of a file of metadata, plain or gzip.

    Lines of other items are only looked at for their id and their closing brace: this makes large
    categories several times faster. Of an item that stands there twice the first line counts.

    Args:
        path: The file.
        fields: Where things stand.
        wanted: Raw ids.
        max_length: Most characters of a text.
        on_error: ``'raise'`` an error at the first line that cannot be used, or ``'skip'`` it.

    Raises:
        ValueError: A line cannot be used; the message names file and line.
    """
    problems = Problems(on_error)
    names = set(wanted.tolist())
    encoded = {name.encode() for name in names}
    texts: dict[str, tuple[str, str]] = {}
    lines = repeated = unusable = 0
    used = {fields.item, *fields.text.values(), *IMAGE_FIELDS}
    key = re.compile(rb"""["']%s["'] *: *["']([^"'\\]*)["']""" % fields.item.encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's about escapes in literals such as "\/"
        for block in read_blocks(path, problems):
            for number, line in block.lines():
                lines += 1
                found = key.findall(line)
                if found and line.endswith(b"}") and encoded.isdisjoint(found):
                    continue
                try:
                    record = fields.parse(line)
                    item = read_id(record, fields.item)
                except ValueError as error:
                    problems.add(f"{path}, line {number}: {error}", error)
                    continue
                if not problems.unused:
                    problems.say_unused(record, used)
                repeated += item in texts
                if item in names and item not in texts:
                    texts[item], given = _describe(record, fields, max_length)
                    unusable += bool(given) and not texts[item][1]
    notes = [f"{counted(lines, 'item')} in {path.name}"]
    if repeated:
        notes.append(f"{repeated:,} further lines of items that stand there before ignored")
    if unusable:
        notes.append(
            f"{counted(unusable, 'image address', 'image addresses')} that are none ignored"
        )
    ids = np.empty(len(texts), object)
    ids[:] = list(texts)
    return RawItems(
        ids=ids,
        text=[text for text, _ in texts.values()],
        image_urls=[url for _, url in texts.values()],
        source=str(path),
        notes=(*notes, *problems.notes(path), *problems.not_read(path)),
    )


def _describe(
    record: dict[str, Any], fields: ItemFields, max_length: int | None
) -> tuple[tuple[str, str], Any]:
    """Text and image URL of an item, and what stands there as its image URL."""
    text = item_text({to: record.get(name) for to, name in fields.text.items()}, max_length)
    given = fields.image_url(record)
    url = given.strip() if isinstance(given, str) else ""
    return (text, url if url.startswith(("http://", "https://")) and url.isascii() else ""), given


class BinaryRows:
    """Rows of a file of image features, fetched when they are asked for.

    Args:
        path: The file: 10 bytes of raw id, then 4,096 little-endian float32, over and over.
        record: Number of the record of each row.
    """

    def __init__(self, path: Path, record: NDArray[np.int64]) -> None:
        self.path, self.record = path, record

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.float32]:
        """The features ``[k, 4096]`` of ``rows`` ``[k]``."""
        x = np.empty((len(rows), CHANNELS), np.float32)
        with self.path.open("rb") as stream:
            for place, record in enumerate(self.record[rows].tolist()):
                stream.seek(record * RECORD.itemsize + ID_BYTES)
                x[place] = np.frombuffer(stream.read(4 * CHANNELS), "<f4")
        return x


def read_image_features(path: Path, on_error: str = "raise") -> tuple[RawFeature, tuple[str, ...]]:
    """Reads the ids of a file of image features of 2014; the rows are fetched later.

    Args:
        path: The file.
        on_error: ``'raise'`` an error if the file ends within a record or has an item twice, or
            ``'skip'`` such records.

    Returns:
        The features, and what was skipped.

    Raises:
        ValueError: The file has another form; the message names the record.
    """
    problems = Problems(on_error)
    size = os.path.getsize(path)
    whole, rest = divmod(size, RECORD.itemsize)
    if rest:
        problems.add(
            f"{path}, record {whole + 1}: expected {RECORD.itemsize:,} bytes ({ID_BYTES} of id, "
            f"{CHANNELS:,} float32), got {rest:,} bytes and the end of the file"
        )
    records: dict[str, int] = {}
    with path.open("rb") as stream:
        for number in range(whole):
            stream.seek(number * RECORD.itemsize)
            given = stream.read(ID_BYTES)
            if not ASIN.fullmatch(given):
                raise ValueError(
                    f"{path}, record {number + 1} (byte {number * RECORD.itemsize:,}): expected "
                    f"{ID_BYTES} capital letters and digits, got {given!r}: records of another "
                    "length, or bytes lost before"
                )
            name = given.decode()
            if name in records:
                problems.add(f"{path}, record {number + 1}: item {name} stands there before")
            else:
                records[name] = number
    if not records:
        raise ValueError(f"{path}: expected at least one record, got none")
    ids = np.empty(len(records), object)
    ids[:] = list(records)
    rows = BinaryRows(path, np.array(list(records.values()), np.int64))
    return RawFeature(ids, rows, str(path)), problems.notes(path)
