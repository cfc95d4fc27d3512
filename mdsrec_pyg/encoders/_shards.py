"""Blocks of rows on disk that a restart continues from."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.data.archive import read_archive
from mdsrec_pyg.io import atomic_write, claim

# Raise it whenever the same key gives other content than before.
VERSION = 2


@dataclass
class Block:
    """The rows ``start`` to ``stop`` of a modality, and why each missing row is missing."""

    start: int
    stop: int
    x: NDArray[Any]  # float16, or float32 where that would lose too much
    reasons: dict[int, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Writes the block whole or not at all."""
        rows = np.array(list(self.reasons), np.int64)
        with atomic_write(path) as temporary:
            np.savez(
                temporary, x=self.x, rows=rows, reasons=np.array(list(self.reasons.values()), "U")
            )

    @classmethod
    def load(cls, path: Path, start: int, stop: int) -> Block:
        """Reads a block."""
        file = read_archive(path, "a block of an earlier run")
        x, rows, reasons = file["x"], file["rows"].tolist(), file["reasons"].tolist()
        inside = all(start <= row < stop for row in rows)
        if x.ndim != 2 or len(x) != stop - start or x.dtype not in (np.float16, np.float32):
            raise ValueError(f"{x.dtype} of shape {x.shape} for {stop - start} rows")
        if not inside or len(rows) != len(reasons):
            raise ValueError("reasons of other rows")
        return cls(start, stop, x, dict(zip(rows, reasons, strict=True)))


class Shards:
    """The finished blocks of one run, in ``<folder>/.<modality>-shards/<hash of the key>/``.

    Args:
        root: Folder of the shards of the modality.
        key: Text that holds all that changes the content; another key is another folder.
        num_rows: Number of rows *N*.
        block_size: Rows of a block.
    """

    def __init__(self, root: Path, key: str, num_rows: int, block_size: int) -> None:
        text = f"{VERSION}\0{num_rows}\0{block_size}\0{key}"
        self.root = root
        self.folder = root / hashlib.sha256(text.encode()).hexdigest()[:24]
        self.blocks = [
            (start, min(start + block_size, num_rows)) for start in range(0, num_rows, block_size)
        ]

    def path(self, block: int) -> Path:
        """File of a block."""
        return self.folder / f"{block:06d}.npz"

    def done(self) -> list[int]:
        """The blocks that are on disk and whole; a damaged one is made again."""
        return [block for block in range(len(self.blocks)) if self._is_whole(block)]

    def _is_whole(self, block: int) -> bool:
        try:
            self.load(block)
        except ValueError:
            return False
        return True

    def load(self, block: int) -> Block:
        """Reads a block that is on disk."""
        return self.load_from(self.path(block), block)

    def load_from(self, path: Path, block: int) -> Block:
        """Reads a block of that number from a file."""
        try:
            return Block.load(path, *self.blocks[block])
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            raise ValueError(f"{path}: expected a block of this run ({error})") from error

    def save(self, block: int, content: Block) -> None:
        """Writes a block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content.save(self.path(block))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second run of the same modality out."""
        what = f"{self.root.parent}: {self.root.name[1:-7]} is being encoded"
        with claim(self.root, what, name="lock", make=True):
            yield

    def remove(self) -> None:
        """Removes the shards of all runs of the modality: its file is newer than any of them."""
        shutil.rmtree(self.root, ignore_errors=True)
