"""Everything of the library that reads data sets: one entry a reader.

A reader of your own joins the attack by one more entry: its name, what makes its files, what reads
them. Run files are in ``run_files.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.data import FeatureReducer, FeatureScaler, ModalFeature
from mdsrec_pyg.datasets import (
    AmazonReviewsDataset,
    FolderDataset,
    HMDataset,
    LastFM1KDataset,
    LastFM2KDataset,
    MMRecDataset,
    MovieLensDataset,
    RecBoleDataset,
    UniSRecDataset,
    from_csv,
    read_atomic,
)
from mdsrec_pyg.encoders import find_images
from mdsrec_pyg.retrieval import read_history_file
from tests.attacks.harness import digest, files_in
from tests.datasets import (
    amazon_files,
    test_hm,
    test_lastfm,
    test_mmrec,
    test_movielens,
    test_recbole,
    test_unisrec,
)


@dataclass(frozen=True)
class Reader:
    """A reader, and files for it.

    Args:
        name: What the report calls it.
        make: Writes good files into an empty folder.
        read: Reads them; what it returns is compared, and must fit into a pickle.
        verified: Files (patterns of :meth:`pathlib.Path.match`) whose content is kept by a hash:
            they give what was stored, or are refused.
        spared: Files that nobody reads, such as images.
    """

    name: str
    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    verified: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()

    def targets(self, folder: Path) -> list[str]:
        """The files that are attacked."""
        return [
            name
            for name in files_in(folder)
            if not any(Path(name).match(pattern) for pattern in self.spared)
        ]

    def is_verified(self, path: Path) -> bool:
        """Whether a file is kept by a hash."""
        return any(path.match(pattern) for pattern in self.verified)


class Content(dict[str, str]):
    """Hashes of the parts of a data set, only of those that it has; ``said`` is its report."""

    said: tuple[str, ...] = ()


def content(dataset: Any) -> Content:
    """All of a data set, short."""
    rows = dataset.interactions
    users, items = dataset.user_ids[rows.user_id], dataset.item_ids[rows.item_id]
    parts = {
        "rows": list(zip(users.tolist(), items.tolist(), strict=True)),
        "time": None if rows.timestamp is None else np.asarray(rows.timestamp),
        "items": dataset.item_ids.tolist(),
        "text": dataset.item_text,
        "urls": dataset.image_urls,
        "labels": None if dataset.labels is None else dataset.labels.tolist(),
    }
    found = Content((name, digest(part)) for name, part in parts.items() if part is not None)
    for name, feature in dataset.features.items():
        found[f"feature {name}"] = digest(feature.x) + digest(feature.mask)
    found.said = tuple(dataset.report)
    return found


def small_shop(seed: int = 0) -> SyntheticDataset:
    """60 users, 40 items, two modalities."""
    return SyntheticDataset(60, 40, num_interests=4, channels=4, seed=seed)


def make_folder(folder: Path) -> None:
    """A data set folder written by hand: text files, features, a mask."""
    pairs = [(u, n) for u in range(5) for n in range(3)]
    rows = "".join(f"u{u}\t{(u * 3 + n) % 6}\t{1000 + 10 * n}\n" for u, n in pairs)
    (folder / "interactions.tsv").write_text("user\titem\ttimestamp\n" + rows)
    items = (f'{{"item": {i}, "raw_id": "B0{i}", "text": "Tea {i}"}}\n' for i in range(6))
    (folder / "items.jsonl").write_text("".join(items))
    np.save(folder / "image.npy", np.arange(12, dtype=np.float32).reshape(6, 2))
    np.save(folder / "image_mask.npy", np.array([1, 1, 1, 1, 0, 1], bool))


def make_csv(folder: Path) -> None:
    """Interactions, items and features."""
    rows = "".join(f"00{u},B{(u + n) % 4},2024-01-0{n + 1}\n" for u in range(4) for n in range(2))
    (folder / "orders.csv").write_text("user,item,timestamp\n" + rows)
    items = "".join(f'B{i},"Tea, ""fine"" {i}",http://x/{i}\n' for i in range(4))
    (folder / "items.csv").write_text("item,text,image_url\n" + items)
    np.save(folder / "x.npy", np.arange(8, dtype=np.float32).reshape(4, 2))


def read_csv(folder: Path) -> Any:
    """Through ``from_csv``."""
    return content(
        from_csv(folder / "orders.csv", folder / "items.csv", {"image": folder / "x.npy"})
    )


def make_recbole_split(folder: Path) -> None:
    """Three files of a split and the items."""
    for part, rows in (("train", "1\t12\t1\n2\t10\t2\n"), ("valid", "1\t10\t3\n2\t12\t4\n"),
                       ("test", "1\t11\t5\n2\t11\t6\n")):  # fmt: skip
        header = "user_id:token\titem_id:token\ttimestamp:float\n"
        (folder / f"ml.{part}.inter").write_text(header + rows)
    (folder / "ml.item").write_text(test_recbole.ITEMS)


def make_images(folder: Path) -> None:
    """A table of image files."""
    (folder / "images.csv").write_text("raw_id,path\nB0,a/b.png\nB1,c.jpg\n'B2',d.webp\n")


def make_histories(folder: Path, name: str) -> None:
    """A table of histories."""
    table = pd.DataFrame(
        {"user": ["ann", "bob", "ann"], "item": ["007", "NA", "1e5"], "timestamp": [3, 2, 1]}
    )
    if name.endswith(".parquet"):
        table.to_parquet(folder / name)
    else:
        table.to_csv(folder / name, sep="," if name.endswith("csv") else "\t", index=False)


def _feature() -> ModalFeature:
    return ModalFeature(torch.randn(12, 6, generator=torch.Generator().manual_seed(0)))


def _scaled(kind: Any) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        return digest(kind.load(folder / "fitted.npz").transform(_feature()).x)

    return read


def _movielens(version: str) -> Reader:
    return Reader(
        f"MovieLens {version}",
        lambda folder: test_movielens.write(folder, version),
        lambda folder: content(MovieLensDataset(folder, version, k_core=None)),
    )


def _amazon(generation: str) -> Reader:
    return Reader(
        f"Amazon {generation}",
        lambda folder: amazon_files.write_category(folder, generation),
        lambda folder: content(
            AmazonReviewsDataset(folder, "Home", generation, k_core=None, min_coverage=0.0)
        ),
    )


def _histories(suffix: str) -> Reader:
    name = f"histories.{suffix}"
    return Reader(
        f"histories .{suffix}",
        lambda folder: make_histories(folder, name),
        lambda folder: read_history_file(folder / name).astype(str).to_dict("list"),
    )


DATA_READERS: tuple[Reader, ...] = (
    Reader("folder, text", make_folder, lambda folder: content(FolderDataset(folder))),
    Reader(
        "folder, saved",
        lambda folder: small_shop().save(folder),
        lambda folder: content(FolderDataset(folder)),
    ),
    Reader("from_csv", make_csv, read_csv),
    Reader(
        "RecBole .inter",
        lambda folder: test_recbole.write(folder, items=None),
        lambda folder: content(read_atomic(folder / "ml.inter")),
    ),
    Reader("RecBole", test_recbole.write, lambda folder: content(RecBoleDataset(folder))),
    Reader(
        "RecBole split",
        make_recbole_split,
        lambda folder: content(RecBoleDataset(folder, keep_split=True)),
    ),
    Reader(
        "MMRec",
        test_mmrec.write,
        lambda folder: content(MMRecDataset(folder, keep_split=True)),
    ),
    Reader(
        "UniSRec",
        test_unisrec.write,
        lambda folder: content(UniSRecDataset(folder, num_features=2)),
    ),
    _movielens("100k"),
    _movielens("1m"),
    _movielens("32m"),
    Reader(
        "H&M",
        test_hm.write,
        lambda folder: content(HMDataset(folder, k_core=None)),
        spared=("*.jpg",),
    ),
    Reader(
        "Last.fm 1K",
        test_lastfm.write_1k,
        lambda folder: content(LastFM1KDataset(folder, "track", k_core=None)),
    ),
    Reader(
        "Last.fm 2K",
        test_lastfm.write_2k,
        lambda folder: content(LastFM2KDataset(folder, num_tags=2, k_core=None)),
    ),
    _amazon("2014"),
    _amazon("2018"),
    _amazon("2023"),
    Reader(
        "table of images",
        make_images,
        lambda folder: {
            key: str(path).replace(str(folder), "")
            for key, path in find_images(folder / "images.csv").items()
        },
    ),
    _histories("tsv"),
    _histories("csv"),
    _histories("parquet"),
    Reader(
        "FeatureScaler",
        lambda folder: FeatureScaler().fit(_feature()).save(folder / "fitted.npz"),
        _scaled(FeatureScaler),
    ),
    Reader(
        "FeatureReducer",
        lambda folder: FeatureReducer(3).fit(_feature()).save(folder / "fitted.npz"),
        _scaled(FeatureReducer),
    ),
)
