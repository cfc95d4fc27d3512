"""Last.fm of HetRec 2011: what 2,000 users tagged and listened to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mdsrec_pyg.datasets._movies import decoded_lines
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.collect import Collector, distinct_moments, select, to_seconds
from mdsrec_pyg.datasets.reading.fields import IntegerId, Number, Time
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.lines import Problems
from mdsrec_pyg.datasets.reading.rows import Form, read_rows
from mdsrec_pyg.datasets.text import item_text

__all__ = ["LastFM2KDataset"]

PAGE = "https://grouplens.org/datasets/hetrec-2011/"
FILES = {
    "tagged": "user_taggedartists-timestamps.dat",
    "artists": "artists.dat",
    "tags": "tags.dat",
    "listened": "user_artists.dat",
}
# From the year Last.fm started to the publication of the data; milliseconds. Some of the published
# times are in 1956, 1957 and 1979.
WHEN = Time("timestamp", 1_009_843_200, 1_325_376_000, 1_000)


class LastFM2KDataset(RecommendationDataset):
    """Who tagged which artist and when: ``hetrec2011-lastfm-2k``.

    Of the listens, ``user_artists.dat`` has counts without any time; the one thing that has a time
    is tagging. So an interaction is here *a user tagging an artist*: all tags that the user gave
    the artist at the same moment are one. Many artists of a user share a time: the order among
    them is not known. ``listened_only`` keeps the artists that the user also listened to.

    ====================================== =========================================================
    ``user_taggedartists-timestamps.dat``  tabs; ``userID``, ``artistID``, ``tagID``, ``timestamp``
                                           (milliseconds)
    ``artists.dat``                        tabs; ``id``, ``name``, ``url``, ``pictureURL``
    ``tags.dat``                           tabs; ``tagID``, ``tagValue``; read for ``num_tags``
    ``user_artists.dat``                   tabs; ``userID``, ``artistID``, ``weight``; read for
                                           ``listened_only``
    ====================================== =========================================================

    Names are read as UTF-8 where the file is that, else as Latin-1. A few published times are
    decades before Last.fm: they are skipped by default, and ``report`` has their number.

    Source: https://grouplens.org/datasets/hetrec-2011/ (``readme.txt`` in the archive describes the
    form). Terms: for non-commercial use, with acknowledgement of Last.fm and HetRec. Cantador,
    Brusilovsky and Kuflik, HetRec 2011 (RecSys 2011).

    Args:
        root: Folder with the files, or with a folder ``raw`` or ``hetrec2011-lastfm-2k`` that has
            them.
        listened_only: Drop tagged artists that the user is not known to have listened to.
        num_tags: The artist's most frequent tags that go into the text behind the name. They are
            counted over all tag assignments, **held-out ones included**: with more than 0 the text
            says something about the targets.
        repeats: What becomes of artists that a user tagged at several times: ``'keep'`` all, or
            only the ``'first'`` or the ``'last'`` time.
        k_core: Users and artists with fewer interactions are dropped until none is left to drop;
            ``None``: nobody is.
        min_coverage: Least share of the artists that ``artists.dat`` must know.
        on_error: ``'raise'`` an error at the first line that cannot be used, or ``'skip'`` such
            lines.
        name: Name of the data set.

    Raises:
        ValueError: A file is missing (the message has the page), a line cannot be used (the message
            has file, line and column), or nothing is left.
    """

    def __init__(
        self,
        root: PathLike,
        *,
        listened_only: bool = False,
        num_tags: int = 0,
        repeats: str = "keep",
        k_core: int | None = 5,
        min_coverage: float = 0.5,
        on_error: str = "skip",
        name: str = "lastfm-2k",
    ) -> None:
        if num_tags < 0:
            raise ValueError(f"'num_tags' must be at least 0 (got {num_tags})")
        unused = (*(() if num_tags else ("tags",)), *(() if listened_only else ("listened",)))
        self.raw_paths = find_raw_files(
            root,
            FILES,
            PAGE,
            folder="hetrec2011-lastfm-2k",
            optional=unused,
            own="LastFM2KDataset",
        )
        raw, tags = _read_tagged(self.raw_paths["tagged"], on_error)
        tags_of = _frequent_tags(raw, tags, num_tags)
        raw = distinct_moments(raw, "tags of an artist at one moment counted once")
        notes: tuple[str, ...] = ()
        if listened_only:
            known, skipped = _read_listened(self.raw_paths["listened"], on_error)
            pairs = zip(raw.user_ids[raw.user], raw.item_ids[raw.item], strict=True)
            mask = np.array([pair in known for pair in pairs])
            raw = select(raw, mask, "artists that the user listened to")
            notes += skipped
        words: dict[int, list[str]] = {}
        if num_tags:
            words, skipped = _read_names(self.raw_paths["tags"], on_error)
            notes += skipped
        items = _read_artists(self.raw_paths["artists"], tags_of, words, on_error)
        items = replace(items, notes=(*notes, *items.notes))
        made = prepare(
            raw,
            items,
            name=name,
            repeats=repeats,
            k_core=k_core,
            min_coverage=min_coverage,
            options={"listened_only": listened_only, "num_tags": num_tags, "on_error": on_error},
        )
        super().__init__(**made.parts())

    @property
    def raw_file_names(self) -> list[str]:
        """Names of the files as they are published."""
        return list(FILES.values())


def _read_tagged(path: Path, on_error: str) -> tuple[RawInteractions, NDArray[np.int64]]:
    """Tag assignments, and the tag of each."""
    problems, rows = Problems(on_error), Collector()
    fields = [IntegerId("userID"), IntegerId("artistID"), IntegerId("tagID"), WHEN]
    tags: list[NDArray[np.int64]] = []
    for columns in read_rows(path, Form("\t"), fields, problems):
        rows.add(columns["userID"], columns["artistID"], to_seconds(columns["timestamp"], WHEN))
        tags.append(columns["tagID"].cast(pa.int64()).to_numpy(zero_copy_only=False))
    return rows.finish(path, problems, integers=True), np.concatenate(tags)


def _frequent_tags(
    raw: RawInteractions, tags: NDArray[np.int64], num_tags: int
) -> dict[int, list[int]]:
    """The most frequent tags of each artist, ties by the lower number."""
    if not num_tags:
        return {}
    table = pd.DataFrame({"artist": raw.item_ids[raw.item], "tag": tags})
    count = table.value_counts(["artist", "tag"]).reset_index(name="count")
    count = count.sort_values(["artist", "count", "tag"], ascending=[True, False, True])
    top = count.groupby("artist").head(num_tags)
    tags_of: dict[int, list[int]] = {}
    for artist, tag in zip(top["artist"].tolist(), top["tag"].tolist(), strict=True):
        tags_of.setdefault(artist, []).append(tag)
    return tags_of


def _read_listened(path: Path, on_error: str) -> tuple[set[tuple[Any, Any]], tuple[str, ...]]:
    fields = [IntegerId("userID"), IntegerId("artistID"), Number("weight", 0, 1e12)]
    pairs: set[tuple[Any, Any]] = set()
    problems = Problems(on_error)
    for columns in read_rows(path, Form("\t"), fields, problems):
        users, artists = (
            columns[name].cast(pa.int64()).to_pylist() for name in ("userID", "artistID")
        )
        pairs |= set(zip(users, artists, strict=True))
    return pairs, problems.notes(path)


def _read_artists(
    path: Path, tags_of: dict[int, list[int]], words: dict[int, list[str]], on_error: str
) -> RawItems:
    found, notes = _read_names(path, on_error)
    texts = []
    for artist, values in found.items():
        tags = [words[tag][0] for tag in tags_of.get(artist, []) if tag in words]
        texts.append(item_text({"title": values[0], "categories": tags}))
    return RawItems(
        np.array(list(found), np.int64),
        text=texts,
        image_urls=[values[2].strip() if len(values) > 2 else "" for values in found.values()],
        source=str(path),
        notes=notes,
    )


def _read_names(path: Path, on_error: str) -> tuple[dict[int, list[str]], tuple[str, ...]]:
    """Number and other values of each line of ``artists.dat`` or ``tags.dat``."""
    problems = Problems(on_error)
    number_of = IntegerId("id")
    found: dict[int, list[str]] = {}
    for line, text in decoded_lines(path, latin_1=True, problems=problems):
        parts = text.split("\t")
        if line == 1:
            if parts[0] not in ("id", "tagID"):
                raise ValueError(f"{path}, line 1: expected column names, got {text[:60]!r}")
            problems.say_unused(parts, ("id", "name", "pictureURL", "tagID", "tagValue"))
            continue
        try:
            if len(parts) < 2 or not parts[1].strip():
                raise ValueError(f"expected a number, a tab and a name, got {text[:60]!r}")
            number = int(number_of.parse(parts[0]))
            if number in found:
                raise ValueError(f"expected a number that no other line has, got {number} again")
        except ValueError as error:
            problems.add(f"{path}, line {line}: {error}")
            continue
        found[number] = parts[1:]
    return found, (*problems.notes(path), *problems.not_read(path))
