"""The movies of MovieLens: small files, read line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mdsrec_pyg.datasets.raw import RawItems
from mdsrec_pyg.datasets.reading.fields import is_plain_id
from mdsrec_pyg.datasets.reading.lines import Problems, read_blocks
from mdsrec_pyg.datasets.text import item_text

# The last 19 of the 24 columns of u.item, in the order of its README.
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
NO_GENRE = ("", "unknown", "(no genres listed)")


def read_movies(path: Path, kind: str, latin_1: bool, genres: bool, on_error: str) -> RawItems:
    """Reads ids, titles and genres.

    Args:
        path: The file.
        kind: ``'flags'`` (``u.item``), ``'colons'`` (``movies.dat``) or ``'csv'``.
        latin_1: The published file is in Latin-1. One that is UTF-8 throughout has been converted
            and is read as that.
        genres: Whether the text has the genres.
        on_error: ``'raise'`` or ``'skip'``.
    """
    problems = Problems(on_error)
    split = {"flags": _split_flags, "colons": _split_colons, "csv": _split_csv}[kind]
    found: dict[int, str] = {}
    if kind == "flags":
        problems.unused = ("release date", "video release date", "IMDb URL")
    for number, line in decoded_lines(path, latin_1, problems):
        if kind == "csv" and number == 1:
            if line != "movieId,title,genres":
                raise ValueError(
                    f"{path}, line 1: expected 'movieId,title,genres', got {line[:60]!r}"
                )
            continue
        try:
            movie, title, categories = split(line)
            if not is_plain_id(movie):
                raise ValueError(f"expected the number of a movie, got {movie[:60]!r}")
            if int(movie) in found:
                raise ValueError(f"expected a movie that no other line has, got {movie} again")
        except (ValueError, csv.Error) as error:
            problems.add(f"{path}, line {number}: {error}")
            continue
        categories = [name for name in categories if name not in NO_GENRE]
        fields = {"title": title, "categories": categories if genres else []}
        found[int(movie)] = item_text(fields)
    return RawItems(
        np.array(list(found), np.int64),
        text=list(found.values()),
        source=str(path),
        notes=(*problems.notes(path), *problems.not_read(path)),
    )


def _split_flags(line: str) -> tuple[str, str, list[str]]:
    parts = line.split("|")
    if len(parts) != 5 + len(GENRES):
        raise ValueError(
            f"expected {5 + len(GENRES)} values separated by '|', got {len(parts)}: {line[:60]!r}"
        )
    flags = parts[5:]
    if not set(flags) <= {"0", "1"}:
        raise ValueError(f"expected 0 or 1 for each genre, got {'|'.join(flags)[:60]!r}")
    return parts[0], parts[1], [GENRES[n] for n, flag in enumerate(flags) if flag == "1"]


def _split_colons(line: str) -> tuple[str, str, list[str]]:
    parts = line.split("::")
    if len(parts) < 3:
        raise ValueError(
            f"expected 3 values separated by '::' (movie, title, genres), got {len(parts)}: "
            f"{line[:60]!r}"
        )
    # A title may hold the separator.
    return parts[0], "::".join(parts[1:-1]), parts[-1].split("|")


def _split_csv(line: str) -> tuple[str, str, list[str]]:
    parts = next(csv.reader([line], strict=True))
    if len(parts) != 3:
        raise ValueError(
            f"expected 3 values separated by ',' (movieId, title, genres), got {len(parts)}: "
            f"{line[:60]!r}"
        )
    return parts[0], parts[1], parts[2].split("|")


def decoded_lines(path: Path, latin_1: bool, problems: Problems) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank, without white space at its ends.

    Args:
        path: The file.
        latin_1: The published file is in Latin-1. One that is UTF-8 throughout is read as that.
        problems: What becomes of a line that is not UTF-8, where it must be.
    """
    encoding = "latin-1" if latin_1 and not _is_utf8(path) else "utf-8"
    for block in read_blocks(path, problems):
        for number, line in block.lines():
            try:
                text = line.decode(encoding)
            except UnicodeDecodeError as error:
                problems.add(f"{path}, line {number}: expected UTF-8 text ({error})")
                continue
            yield number, text


def _is_utf8(path: Path) -> bool:
    try:
        for block in read_blocks(path, Problems("raise")):
            block.data.decode()
    except UnicodeDecodeError:
        return False
    return True
