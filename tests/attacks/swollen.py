"""Small files that ask for much: archives, arrays, pictures."""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mdsrec_pyg.encoders import encode_images
from tests.attacks.fuzz import READERS
from tests.attacks.harness import (
    LEFT,
    OTHER,
    RIGHT,
    Count,
    copy,
    detail_of,
    end_of,
    forked,
    made,
    scratch,
)
from tests.attacks.readers import Reader


def _npz(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _npy(shape: str, data: bytes = b"", dtype: str = "<f8") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


MEMBERS = ("x", "rows", "reasons", "mean_", "scale_", "components_")


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def _zeros() -> bytes:
    array = _npy("(400000000,)", b"\0" * 400_000_000, "|i1")
    return _npz({f"{name}.npy": array for name in MEMBERS})


#: Small files that ask for much: by name, what makes their bytes.
SWOLLEN: dict[str, Callable[[], bytes]] = {
    "npy of 2**40 rows": lambda: _npy("(1099511627776, 2)"),
    "npy of 2**63 rows": lambda: _npy("(9223372036854775808, 2)"),
    "npy of -1 rows": lambda: _npy("(-1, 2)"),
    "npz of zeros": _zeros,
    "npz of 2**40 rows": lambda: _npz({f"{n}.npy": _npy("(1099511627776, 2)") for n in MEMBERS}),
    "npz with ..": lambda: _npz({"../../x.npy": _npy("(1,)", b"\0" * 8), "/etc/x.npy": b""}),
    "gzip of one line": lambda: _gzip(b"x" * 1_000_000_000),
    "gzip of a nest": lambda: _gzip(b'{"a":' * 60_000_000),
    "gzip of a long list": lambda: _gzip(b"{'asin': 'B', 'x': [" + b"1, " * 2_000_000 + b"]}"),
}
SUFFIXES = {"npy": (".npy",), "npz": (".npz", ".npy"), "gzip": (".gz", ".jsonl", ".csv", ".tsv")}


@functools.cache
def _made(name: str) -> bytes:
    return SWOLLEN[name]()


def archives(share: int = 1, readers: Iterable[Reader] = READERS) -> Iterator[Count]:
    """Archives that swell, or name files outside, for every file that may be such an archive.

    Args:
        share: Only every so-many-th try.
        readers: The readers.
    """
    count, turn = Count("hostile: archives"), itertools.count()
    for reader in readers:
        with scratch() as place:
            good = made(reader.make, place / "good")
            expected = forked(reader.read, copy(good, place / "r"))
            for target in reader.targets(good):
                for name in SWOLLEN:
                    fits = Path(target).suffix in SUFFIXES[name.split()[0]]
                    if not fits or next(turn) % share:
                        continue
                    folder = copy(good, place / "data")
                    (folder / target).write_bytes(_made(name))
                    outside = set(place.iterdir())
                    child = forked(reader.read, folder)
                    names = (str(folder), Path(target).name)
                    end = end_of(child, names, expected.value)
                    if end == OTHER:  # a line too long that is skipped, as the report says
                        end = RIGHT
                    if set(place.iterdir()) != outside:
                        end = LEFT
                    detail = f"{target}, {name}: {detail_of(child)}".replace(str(place), "")
                    count.add(end, f"{reader.name}/{target}/{name}", detail)
    yield count


class Sizes:
    """An encoder that looks at nothing but width and height."""

    def __call__(self, images: list[Any]) -> Any:
        """Features ``[B, 2]``."""
        return np.array([image.size for image in images])


def pictures() -> Iterator[Count]:
    """24 pictures of 25 megapixels in small files, read in threads: memory stays bounded."""
    count = Count("hostile: pictures")
    with scratch() as place:
        (place / "images").mkdir()
        Image.new("RGB", (5_000, 5_000)).save(place / "images" / "B0.png")
        for i in range(1, 24):
            shutil.copy(place / "images" / "B0.png", place / "images" / f"B{i}.png")
        table = {"item": range(24), "raw_id": [f"B{i}" for i in range(24)]}
        pd.DataFrame(table).to_parquet(place / "items.parquet")
        child = forked(_encode_all, place, seconds=120)
        count.add(end_of(child, ("images",), 24), "24 x 25 megapixels", detail_of(child))
    yield count


def _encode_all(folder: Path) -> int:
    """Number of items."""
    done = encode_images(folder, folder / "images", Sizes(), log=None, progress=False)
    return done.num_items
