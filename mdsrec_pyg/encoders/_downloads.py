"""What became of the images of a download, for people and as a table."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdsrec_pyg.io import atomic_write

__all__ = ["Download", "Downloads", "write_table"]

# What is said of each status.
WORDS = {
    "ok": "downloaded",
    "present": "there before",
    "failed": "failed",
    "no_url": "without a URL",
    "not_tried": "not tried",
}


@dataclass(frozen=True)
class Download:
    """What became of one item's image.

    Attributes:
        raw_id: The item's raw id.
        status: ``'ok'``, ``'present'`` (from an earlier call), ``'failed'``, ``'no_url'`` or
            ``'not_tried'`` (the call was interrupted).
        bytes: Size of the file.
        reason: Why it failed.
    """

    raw_id: Any
    status: str
    bytes: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Downloads:
    """What became of all items' images, item by item, and the table that says so."""

    rows: tuple[Download, ...]
    folder: Path
    table: Path

    def __str__(self) -> str:
        """Counts by status, and of failures by reason."""
        count = Counter(row.status for row in self.rows)
        size = sum(row.bytes for row in self.rows) / 1e6
        counts = ", ".join(f"{count[key]:,} {word}" for key, word in WORDS.items() if count[key])
        reasons = Counter(row.reason.partition(":")[0] for row in self.rows if row.reason)
        lines = [f"{self.folder}: {counts}; {size:,.1f} MB"]
        lines += [f"  {number:,} x {reason}" for reason, number in reasons.most_common(10)]
        return "\n".join([*lines, f"  each item: {self.table}"])


def write_table(path: Path, rows: list[Download]) -> None:
    """Writes what became of each item."""
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["raw_id", "status", "bytes", "reason"])
        for row in rows:
            reason = " ".join(row.reason.split())
            table.writerow([row.raw_id, row.status, row.bytes, reason])
