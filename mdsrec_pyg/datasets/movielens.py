"""MovieLens, from 100K to the latest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.datasets._movies import read_movies
from mdsrec_pyg.datasets._recognize import other_reader
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions
from mdsrec_pyg.datasets.reading.collect import Collector, select, to_seconds
from mdsrec_pyg.datasets.reading.fields import IntegerId, Number, Time
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.lines import Problems
from mdsrec_pyg.datasets.reading.rows import Form, read_rows

__all__ = ["MovieLensDataset"]

PAGE = "https://grouplens.org/datasets/movielens/"
# MovieLens opened in 1997; some of the first ratings carry dates of January 1995.
SECONDS_1995 = 788_918_400


@dataclass(frozen=True)
class Version:
    """How one version is written.

    Args:
        folder: Folder that its archive unpacks to.
        ratings: File of ratings.
        movies: File of movies.
        form: How the ratings are written.
        kind: How the movies are written, for :func:`read_movies`.
        latin_1: Whether the movies are in Latin-1.
        columns: Columns of user, movie, rating and time.
        least: The smallest rating.
    """

    folder: str
    ratings: str
    movies: str
    form: Form
    kind: str
    latin_1: bool
    columns: tuple[str, str, str, str]
    least: float


NAMES = ("user id", "item id", "rating", "timestamp")  # as the README of 100K calls them
DAT_NAMES = ("UserID", "MovieID", "Rating", "Timestamp")
CSV_NAMES = ("userId", "movieId", "rating", "timestamp")


def _dat(folder: str, latin_1: bool, least: float) -> Version:
    form = Form("::", DAT_NAMES)
    return Version(folder, "ratings.dat", "movies.dat", form, "colons", latin_1, DAT_NAMES, least)


def _csv(folder: str) -> Version:
    form = Form(",", None, quotes=True)
    return Version(folder, "ratings.csv", "movies.csv", form, "csv", False, CSV_NAMES, 0.5)


VERSIONS = {
    "100k": Version("ml-100k", "u.data", "u.item", Form("\t", NAMES), "flags", True, NAMES, 1),
    "1m": _dat("ml-1m", latin_1=True, least=1),
    "10m": _dat("ml-10M100K", latin_1=False, least=0.5),
    **{name: _csv(f"ml-{name}") for name in ("20m", "25m", "32m", "latest-small", "latest")},
}


class MovieLensDataset(RecommendationDataset):
    """Ratings of movies, from the files as GroupLens publishes them.

    A rating is an interaction; ``min_rating`` keeps the good ones. The text of a movie is its title
    and genres (``'Toy Story (1995). Animation, Comedy'``). Raw ids are integers. Nothing is
    downloaded.

    ================================== ============================= ============================
    version                            ratings                       movies
    ================================== ============================= ============================
    ``'100k'``                         ``u.data``, tabs              ``u.item``, ``|``, Latin-1
    ``'1m'``                           ``ratings.dat``, ``::``       ``movies.dat``, Latin-1
    ``'10m'``                          ``ratings.dat``, ``::``       ``movies.dat``, UTF-8
    ``'20m'``, ``'25m'``, ``'32m'``,   ``ratings.csv``               ``movies.csv``, UTF-8, quotes
    ``'latest-small'``, ``'latest'``
    ================================== ============================= ============================

    Source: https://grouplens.org/datasets/movielens/; the form is described in the README of each
    archive. Terms: for research, with acknowledgement; no commercial use without permission (each
    README has its own). Harper and Konstan, The MovieLens Datasets (TiiS 2015).

    Many users rated dozens of movies within minutes when they joined: the order of ratings is less
    an order of watching than of what the site showed, and many share a timestamp.

    Example:
        >>> MovieLensDataset("ml-1m", min_rating=4).save("data/ml-1m")

    Args:
        root: Folder with the files, or with a folder ``raw`` or ``ml-...`` that has them.
        version: Which of the published sets. Default: the one whose files are
            in the folder (``u.data``: ``'100k'``; ``ratings.dat``: ``'1m'`` beside ``users.dat``,
            ``'10m'`` beside ``tags.dat``; ``ratings.csv``: as the folder is called, else
            ``'latest-small'``, which is written like all of these).
        min_rating: Ratings below it (of 5) are dropped before anything else; ``None``: none is.
        genres: Whether the text has the genres.
        repeats: What becomes of repeated ratings of a movie by a user: ``'keep'`` all, or only the
            ``'first'`` or the ``'last'`` in time.
        k_core: Users and movies with fewer interactions are dropped until none is left to drop;
            ``None``: nobody is.
        require: ``'text'``: movies that the file of movies lacks are dropped.
        min_coverage: Least share of the movies that the file of movies must know.
        on_error: ``'raise'`` an error at the first line that cannot be used, or ``'skip'`` such
            lines; ``report`` counts them.
        name: Name of the data set. Default: that of the archive, such as ``'ml-1m'``.

    Raises:
        ValueError: A file is missing (the message has the page), a line cannot be used (the message
            has file, line and column), or nothing is left.
    """

    def __init__(
        self,
        root: PathLike,
        version: str | None = None,
        *,
        min_rating: float | None = None,
        genres: bool = True,
        repeats: str = "keep",
        k_core: int | None = 5,
        require: Sequence[str] = (),
        min_coverage: float = 0.5,
        on_error: str = "raise",
        name: str | None = None,
    ) -> None:
        version = _recognize(Path(root)) if version is None else version.lower()
        if version not in VERSIONS:
            raise ValueError(f"'version' must be one of {', '.join(VERSIONS)} (got {version!r})")
        self.version = version
        given = VERSIONS[version]
        names = {"ratings": given.ratings, "movies": given.movies}
        self.raw_paths = find_raw_files(
            root, names, PAGE, folder=given.folder, own="MovieLensDataset"
        )
        raw, rating = _read_ratings(self.raw_paths["ratings"], given, on_error)
        if min_rating is not None:
            raw = select(raw, rating >= min_rating, f"rated at least {min_rating:g}")
        path = self.raw_paths["movies"]
        made = prepare(
            raw,
            read_movies(path, given.kind, given.latin_1, genres, on_error),
            name=given.folder if name is None else name,
            repeats=repeats,
            k_core=k_core,
            require=require,
            min_coverage=min_coverage,
            options={
                "version": version,
                "min_rating": min_rating,
                "genres": genres,
                "on_error": on_error,
            },
        )
        super().__init__(**made.parts())

    @property
    def raw_file_names(self) -> list[str]:
        """Names of the files as they are published."""
        return [VERSIONS[self.version].ratings, VERSIONS[self.version].movies]


def _recognize(root: Path) -> str:
    """The version whose files are in a folder, or in one of its folders that we look in.

    Raises:
        ValueError: There are none, or those of two versions.
    """
    if not root.is_dir():
        raise ValueError(f"'root' must be a folder (got {root})")
    found: dict[str, Path] = {}
    for version, given in VERSIONS.items():
        for place in (root, root / "raw"):
            for folder in (place / given.folder, place):
                if (folder / given.ratings).is_file():
                    found.setdefault(version, folder)
    named = [
        version for version, folder in found.items() if folder.name == VERSIONS[version].folder
    ]
    if not named:
        named = [v for v in found if root.resolve().name.lower() == VERSIONS[v].folder.lower()]
    beside = {"1m": "users.dat", "10m": "tags.dat"}
    if not named:
        named = [version for version, name in beside.items() if _has(found.get(version), name)]
    if not named:
        named = [version for version in ("100k", "latest-small") if version in found]
    forms = "u.data (100k), ratings.dat (1m, 10m) or ratings.csv (the others)"
    if not found:
        raise ValueError(
            f"'root' must hold {forms}, itself or in a folder 'raw' or 'ml-...' (got none in "
            f"{root}); get it from {PAGE}{other_reader(root, 'MovieLensDataset')}"
        )
    if len(named) != 1:
        several = " and ".join(named) or " or ".join(found)
        raise ValueError(f"'version' must say which MovieLens is meant (got {several} in {root})")
    return named[0]


def _has(folder: Path | None, name: str) -> bool:
    return folder is not None and (folder / name).is_file()


def _read_ratings(
    path: Path, version: Version, on_error: str
) -> tuple[RawInteractions, NDArray[np.float32]]:
    """Interactions, and the rating of each."""
    problems, rows = Problems(on_error), Collector()
    user, movie, rating, time = version.columns
    when = Time(time, SECONDS_1995)
    fields = [IntegerId(user), IntegerId(movie), Number(rating, version.least, 5), when]
    ratings: list[NDArray[np.float32]] = []
    for columns in read_rows(path, version.form, fields, problems):
        rows.add(columns[user], columns[movie], to_seconds(columns[time], when))
        ratings.append(columns[rating].to_numpy(zero_copy_only=False).astype(np.float32))
    return rows.finish(path, problems, integers=True), np.concatenate(ratings)
