"""Which class reads a folder, told by the names of its files: a hint in errors, nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Names that a source's files have; the first that is found decides. What is more special stands
#: before what is more general.
PATTERNS: tuple[tuple[str, str], ...] = (
    ("items.parquet", "FolderDataset"),
    ("items.jsonl", "FolderDataset"),
    ("transactions_train.csv*", "HMDataset"),
    ("userid-timestamp-artid-artname-traid-traname.tsv*", "LastFM1KDataset"),
    ("user_taggedartists-timestamps.dat*", "LastFM2KDataset"),
    ("u.data", "MovieLensDataset"),
    ("ratings.dat", "MovieLensDataset"),
    ("ratings.csv", "MovieLensDataset"),
    ("*.feat1CLS", "UniSRecDataset"),
    ("*.inter", "an .inter file"),
    ("meta_*.json*", "AmazonReviewsDataset"),
    ("reviews_*.json*", "AmazonReviewsDataset"),
    ("*_5.json*", "AmazonReviewsDataset"),
    ("interactions.parquet", "from_dataframe"),
    ("*.csv*", "from_csv"),
    ("*.tsv*", "from_csv"),
)
#: How the readers are called on the command line.
COMMANDS = {
    "HMDataset": "hm",
    "LastFM1KDataset": "lastfm-1k",
    "LastFM2KDataset": "lastfm-2k",
    "MovieLensDataset": "movielens",
    "UniSRecDataset": "unisrec",
    "RecBoleDataset": "recbole",
    "MMRecDataset": "mmrec",
    "AmazonReviewsDataset": "amazon",
}


def reader_of(root: Path) -> str | None:
    """Name of the class or function that reads what is in a folder, itself or in its ``raw``."""
    for pattern, reader in PATTERNS:
        for place in (root, root / "raw"):
            path = next(iter(sorted(place.glob(pattern))), None) if place.is_dir() else None
            if path is not None:
                return _inter_reader(path) if pattern == "*.inter" else reader
    return None


def other_reader(root: Path, own: str) -> str:
    """``'; RecBoleDataset reads such a folder (mdsrec prepare recbole)'``, or nothing.

    Args:
        root: The folder.
        own: The reader that has just refused it.
    """
    reader = reader_of(root)
    if reader is None or reader == own:
        return ""
    command = f" (mdsrec prepare {COMMANDS[reader]})" if reader in COMMANDS else ""
    what = "such files" if reader.startswith("from_") else "such a folder"
    return f"; {reader} reads {what}{command}"


@contextmanager
def naming_other_reader(path: Path, own: str) -> Iterator[None]:
    """Adds to an error about the first line of a file which other class reads its folder.

    Args:
        path: The file.
        own: The reader that refuses it.
    """
    try:
        yield
    except ValueError as error:
        hint = other_reader(path.parent, own)
        if hint and str(error).startswith(f"{path}, line 1:"):
            raise ValueError(f"{error}{hint}") from error
        raise


def _inter_reader(path: Path) -> str:
    with path.open("rb") as lines:
        header = lines.readline(10_000)
    if b"userID" in header:
        return "MMRecDataset"
    return "RecBoleDataset" if b":token" in header else "from_csv"
