"""Last.fm, the listens of 1,000 users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.collect import Collector, to_seconds
from mdsrec_pyg.datasets.reading.fields import DateTime, Field, Identifier
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.lines import Problems
from mdsrec_pyg.datasets.reading.rows import Form, read_rows
from mdsrec_pyg.datasets.text import item_text

__all__ = ["LastFM1KDataset"]

PAGE = "http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html"
FILE = "userid-timestamp-artid-artname-traid-traname.tsv"
# As the README names them; the file has no line of names.
NAMES = (
    "userid",
    "timestamp",
    "musicbrainz-artist-id",
    "artist-name",
    "musicbrainz-track-id",
    "track-name",
)
USER, TIME, ARTIST, TRACK = NAMES[0], NAMES[1], NAMES[3], NAMES[5]
# From the year Last.fm started to the end of the year in which the listens were collected (until
# May 2009): some clocks of listeners were years ahead.
WHEN = DateTime(TIME, 1_009_843_200, 1_262_304_000, form="%Y-%m-%dT%H:%M:%SZ")


class LastFM1KDataset(RecommendationDataset):
    r"""Who listened to what and when: 19 million listens of 992 users.

    An interaction is a listen; an item is an artist or a track. Items are told apart by name, not
    by MusicBrainz id, which 40% of the artists lack: the raw id is the artist's name, or that and
    the track's name with a tab between them. The text is the name. Tabs separate the values of the
    file and quotes mean nothing in it. The newest listen of a user stands first; listens in the
    same second are put in the opposite order of the file.

    The published file itself has lines with a stray tab or line break, listens without a name, and
    times from clocks that were years ahead: they are skipped by default, and ``report`` has their
    number and examples.

    Source: http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html (archive
    ``lastfm-dataset-1K.tar.gz``, its README describes the form). Terms: non-commercial use, with
    permission of Last.fm. Celma, Music Recommendation and Discovery in the Long Tail (2010).

    Args:
        root: Folder with ``userid-timestamp-artid-artname-traid-traname.tsv``, or with a folder
            ``raw`` or ``lastfm-dataset-1K`` that has it. Gzip will do.
        item: ``'artist'`` or ``'track'``.
        repeats: What becomes of repeated listens: ``'keep'`` all, or only the ``'first'`` or the
            ``'last'`` in time.
        k_core: Users and items with fewer interactions are dropped until none is left to drop;
            ``None``: nobody is.
        on_error: ``'raise'`` an error at the first line that cannot be used, or ``'skip'`` such
            lines.
        name: Name of the data set. Default: ``lastfm-1k-artist`` or ``lastfm-1k-track``.

    Raises:
        ValueError: The file is missing (the message has the page), a line cannot be used (the
            message has file, line and column), or nothing is left.
    """

    def __init__(
        self,
        root: PathLike,
        item: str = "artist",
        *,
        repeats: str = "keep",
        k_core: int | None = 5,
        on_error: str = "skip",
        name: str | None = None,
    ) -> None:
        if item not in ("artist", "track"):
            raise ValueError(f"'item' must be 'artist' or 'track' (got {item!r})")
        self.raw_paths = find_raw_files(
            root, {"listens": FILE}, PAGE, folder="lastfm-dataset-1K", own="LastFM1KDataset"
        )
        made = prepare(
            _read_listens(self.raw_paths["listens"], item, on_error),
            _names,
            name=f"lastfm-1k-{item}" if name is None else name,
            repeats=repeats,
            k_core=k_core,
            options={"item": item, "on_error": on_error},
        )
        super().__init__(**made.parts())

    @property
    def raw_file_names(self) -> list[str]:
        """Name of the file as it is published."""
        return [FILE]


def _read_listens(path: Path, item: str, on_error: str) -> RawInteractions:
    problems, rows = Problems(on_error), Collector()
    fields: list[Field] = [Identifier(USER), WHEN, Identifier(ARTIST)]
    if item == "track":
        fields.append(Identifier(TRACK))
    for columns in read_rows(path, Form("\t", NAMES), fields, problems):
        ids = columns[ARTIST]
        if item == "track":
            ids = pc.binary_join_element_wise(ids, columns[TRACK], "\t")
        rows.add(columns[USER], ids, to_seconds(columns[TIME], WHEN))
    raw = rows.finish(path, problems, integers=False)
    assert raw.seconds is not None
    # Newest first in the file; rows that tie keep their order from here on.
    return replace(
        raw,
        user=raw.user[::-1].copy(),
        item=raw.item[::-1].copy(),
        seconds=raw.seconds[::-1].copy(),
    )


def _names(wanted: NDArray[Any]) -> RawItems:
    """Texts of given items: what stands in their ids."""
    texts = []
    for raw_id in wanted.tolist():
        artist, _, track = raw_id.partition("\t")
        texts.append(item_text({"title": track, "brand": artist}))
    return RawItems(wanted, texts, source=FILE)
