"""Blocks of rows on disk that a restart continues from."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdsrec_pyg.encoders._lock import exclusive
from mdsrec_pyg.io import atomic_write

# Raise it whenever the same key gives other content than before.
VERSION = 1


@dataclass
class Block:
    """The rows ``start`` to ``stop`` of a modality, and why each missing row is missing."""

    start: int
    stop: int
    x: NDArray[np.float16]
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
        with np.load(path, allow_pickle=False) as file:
            reasons = zip(file["rows"].tolist(), file["reasons"].tolist(), strict=True)
            return cls(start, stop, file["x"], dict(reasons))


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
        """The blocks that are on disk."""
        return [block for block in range(len(self.blocks)) if self.path(block).is_file()]

    def load(self, block: int) -> Block:
        """Reads a block that is on disk."""
        path = self.path(block)
        try:
            return Block.load(path, *self.blocks[block])
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path}: expected a block of an earlier run ({error}); remove the file and start "
                "again"
            ) from error

    def save(self, block: int, content: Block) -> None:
        """Writes a block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content.save(self.path(block))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second run of the same modality out."""
        with exclusive(self.root / "lock", f"{self.root.parent}: {self.root.name[1:-7]}"):
            yield

    def remove(self) -> None:
        """Removes the shards of all runs of the modality: its file is newer than any of them."""
        shutil.rmtree(self.root, ignore_errors=True)


def as_float16(
    features: Any, size: int, items: NDArray[np.int64], what: str
) -> NDArray[np.float16]:
    """Features ``[B, F]`` of one batch in half precision, checked."""
    x = np.asarray(features.detach().float().cpu() if hasattr(features, "detach") else features)
    if x.ndim != 2 or len(x) != size or x.shape[1] < 1 or x.dtype.kind not in "fiu":
        raise ValueError(
            f"'model' must return numbers of shape ({size}, F) for {size} {what} (got {x.dtype} of "
            f"shape {x.shape})"
        )
    with np.errstate(over="ignore"):
        half = x.astype(np.float16)
    finite = np.isfinite(half)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"'model' must return numbers that half precision holds, at most 65504 (got "
            f"{x[row, column]} for item {items[row]}, column {column}; dtype='float32' or "
            "'bfloat16' helps where half precision overflows inside the model)"
        )
    return half
