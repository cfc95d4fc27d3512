"""A folder that another class reads: the error says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg import datasets
from mdsrec_pyg.datasets import (
    SOURCES,
    AmazonReviewsDataset,
    FolderDataset,
    SyntheticDataset,
)

FILES = {
    "hm": ("transactions_train.csv", "HMDataset", "hm"),
    "lastfm-1k": (
        "userid-timestamp-artid-artname-traid-traname.tsv.gz", "LastFM1KDataset", "lastfm-1k",
    ),
    "lastfm-2k": ("user_taggedartists-timestamps.dat", "LastFM2KDataset", "lastfm-2k"),
    "mmrec": ("baby.inter", "MMRecDataset", "mmrec"),
    "movielens": ("u.data", "MovieLensDataset", "movielens"),
    "recbole": ("ml-100k.inter", "RecBoleDataset", "recbole"),
    "unisrec": ("Pantry.feat1CLS", "UniSRecDataset", "unisrec"),
    "amazon": ("meta_Home.jsonl.gz", "AmazonReviewsDataset", "amazon"),
}  # fmt: skip
READERS: dict[str, Callable[..., Any]] = {
    **SOURCES,
    "folder": FolderDataset,
    "amazon": lambda root: AmazonReviewsDataset(root, "Home"),
}


@pytest.mark.parametrize("place", ["", "raw"])
@pytest.mark.parametrize("held", FILES)
@pytest.mark.parametrize("reader", READERS)
def test_the_error_names_the_class_that_reads_it(
    tmp_path: Path, reader: str, held: str, place: str
) -> None:
    name, cls, command = FILES[held]
    (tmp_path / place).mkdir(exist_ok=True)
    header = "userID\titemID\n" if held == "mmrec" else "user_id:token\titem_id:token\n"
    (tmp_path / place / name).write_text(header)
    if reader == held:
        return
    hint = rf"; {cls} reads such a folder \(mdsrec prepare {command}\)$"
    with pytest.raises(ValueError, match=hint):
        READERS[reader](tmp_path)
    assert hasattr(datasets, cls)


def test_recbole_files_given_to_unisrec(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"x.{part}.inter").write_text("user_id:token\titem_id:token\n1\t2\n")
    hint = r"x\.train\.inter, line 1: .*; RecBoleDataset reads such a folder \(mdsrec prepare recb"
    with pytest.raises(ValueError, match=hint):
        SOURCES["unisrec"](tmp_path)


def test_folders_of_ours_and_plain_tables(tmp_path: Path) -> None:
    SyntheticDataset(30, 62).save(tmp_path / "ours")
    with pytest.raises(ValueError, match=r"; FolderDataset reads such a folder$"):
        SOURCES["movielens"](tmp_path / "ours")
    (tmp_path / "orders.csv").write_text("user,item\n")
    with pytest.raises(ValueError, match=r"; from_csv reads such files$"):
        FolderDataset(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"got neither in .*empty\)$"):
        FolderDataset(tmp_path / "empty")
