"""Reads interactions with this library or with pandas for the benchmark of the readers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers.histories import describe
from benchmarks.peers.worker import Command, Meter, read_spec, serve
from mdsrec_pyg import FolderDataset
from mdsrec_pyg.datasets import AmazonReviewsDataset, RecommendationDataset, read_atomic

spec = read_spec()

Rows = tuple[Any, Any, Any, Any, Any]
ATOMIC = ["user_id:token", "item_id:token", "timestamp:float"]
REVIEW = ["reviewerID", "asin", "unixReviewTime"]
CHUNK = 100_000  # reviews at a time: pandas would keep all texts in memory


def atomic(path: Path) -> RecommendationDataset:
    """A RecBole file, nobody dropped."""
    return read_atomic(path, min_interactions=1)


def folder(path: Path) -> RecommendationDataset:
    """A folder, nobody dropped."""
    return FolderDataset(path.parent, min_interactions=1)


def amazon(path: Path) -> RecommendationDataset:
    """Reviews, nothing dropped."""
    return AmazonReviewsDataset(reviews=path, generation="2018", repeats="keep", k_core=None)


def pandas_atomic(path: Path) -> Rows:
    """A RecBole file."""
    return _numbered(pd.read_csv(path, sep="\t", usecols=ATOMIC)[ATOMIC])


def pandas_tsv(path: Path) -> Rows:
    """A folder with a tab-separated file."""
    return _of_folder(pd.read_csv(path, sep="\t"), path)


def pandas_parquet(path: Path) -> Rows:
    """A folder with a parquet file."""
    return _of_folder(pd.read_parquet(path), path)


def pandas_json(path: Path) -> Rows:
    """Reviews, some at a time."""
    chunks = pd.read_json(path, lines=True, chunksize=CHUNK, dtype=False)
    return _numbered(pd.concat([chunk[REVIEW] for chunk in chunks], ignore_index=True))


def _numbered(frame: pd.DataFrame) -> Rows:
    """Numbers for users and items, rows in order: what any loader has to do."""
    user, user_ids = pd.factorize(frame.iloc[:, 0])
    item, item_ids = pd.factorize(frame.iloc[:, 1])
    return _sorted(user, item, frame.iloc[:, 2].to_numpy(), user_ids, item_ids)


def _of_folder(frame: pd.DataFrame, path: Path) -> Rows:
    items = pd.read_parquet(path.with_name("items.parquet")).sort_values("item")
    user, user_ids = pd.factorize(frame["user"])
    item, seconds = frame["item"].to_numpy(), frame["timestamp"].to_numpy()
    return _sorted(user, item, seconds, user_ids, items["raw_id"].to_numpy())


def _sorted(user: Any, item: Any, seconds: Any, user_ids: Any, item_ids: Any) -> Rows:
    order = np.lexsort((seconds, user))
    return user[order], item[order], seconds[order], user_ids, item_ids


READERS: dict[str, dict[str, Callable[[Path], Any]]] = {
    "ours": {
        "inter": atomic,
        "inter-integers": atomic,
        "tsv": folder,
        "parquet": folder,
        "json": amazon,
        "json.gz": amazon,
    },
    "pandas": {
        "inter": pandas_atomic,
        "inter-integers": pandas_atomic,
        "tsv": pandas_tsv,
        "parquet": pandas_parquet,
        "json": pandas_json,
        "json.gz": pandas_json,
    },
}


def set_up() -> Mapping[str, Command]:
    """The command."""

    def read(reader: str, form: str, path: str, warm_up: str) -> dict[str, Any]:
        run = READERS[reader][form]
        run(Path(warm_up))  # libraries load parts of themselves when they are first needed
        meter = Meter("cpu")
        busy = time.process_time()
        with meter:
            found = run(Path(path))
        used = {"seconds": meter.seconds, "cpu": time.process_time() - busy, "peak": meter.peak}
        if isinstance(found, RecommendationDataset):
            rows = found.interactions
            columns = rows.user_id, rows.item_id, rows.timestamp
            found = (*columns, found.user_ids, found.item_ids)
        return {**used, **describe(*found)}

    return {"read": read}


if __name__ == "__main__":
    serve(set_up, ["pandas", "pyarrow", "numpy"])
