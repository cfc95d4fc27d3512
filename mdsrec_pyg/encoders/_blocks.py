"""The loop that encodes a modality block by block, and merges the blocks into its files."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mdsrec_pyg.encoders._model import FaultTolerant, fits_half
from mdsrec_pyg.encoders._shards import Block, Shards
from mdsrec_pyg.io import atomic_folder
from mdsrec_pyg.showing import counted

__all__ = ["Encoding", "Source", "encode_source"]

Log = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """What is encoded.

    ``read`` takes rows and yields batches: rows ``[B]`` in any order and as many inputs; an input
    that is a ``ValueError`` is missing for that reason. ``key`` is a hash of all inputs.
    """

    folder: Path
    modality: str
    raw_ids: NDArray[Any]
    reasons: dict[int, str]
    read: Callable[[NDArray[np.int64]], Iterator[tuple[NDArray[np.int64], list[Any]]]]
    key: str
    what: str
    origin: str


@dataclass(frozen=True)
class Encoding:
    """What was encoded.

    Attributes:
        path: The feature file.
        num_items: Number of items *N*.
        num_features: Number of features *F*.
        dtype: ``'float16'``, or ``'float32'`` where half precision would lose too much.
        missing: The items that have none: ``(item, raw_id, reason)`` each.
        num_reused: Items in blocks of an earlier, interrupted run.
        seconds: Time of this run.
    """

    path: Path
    num_items: int
    num_features: int
    dtype: str
    missing: tuple[tuple[int, Any, str], ...]
    num_reused: int
    seconds: float

    def __str__(self) -> str:
        """Size, time, and what is missing, by reason."""
        new = self.num_items - self.num_reused
        rate = new / max(self.seconds, 1e-9)
        lines = [
            f"{self.path}: {self.num_items:,} x {self.num_features}, {self.dtype}; "
            f"{counted(new, 'item')} in {self.seconds:.1f} s, {rate:,.0f} a second"
        ]
        if self.num_reused:
            lines.append(f"  {counted(self.num_reused, 'item')} from an interrupted run")
        # Reasons may end in details of the file: the part before them is counted.
        reasons = Counter(reason.partition(":")[0] for _, _, reason in self.missing)
        lines += [
            f"  {counted(n, 'item')} without: {reason}" for reason, n in reasons.most_common()
        ]
        if self.missing:
            table = self.path.with_name(f"{self.path.stem}_missing.tsv")
            lines.append(f"  all of them, with the reason: {table}")
        return "\n".join(lines)


def encode_source(
    source: Source,
    encoder: Callable[[Any], Any],
    batch_size: int,
    block_size: int,
    progress: bool,
    log: Log | None,
) -> Encoding:
    """Encodes block by block, merges, removes the blocks."""
    for name, value in (("batch_size", batch_size), ("block_size", block_size)):
        if value < 1:
            raise ValueError(f"'{name}' must be at least 1 (got {value})")
    modality, size = source.modality, len(source.raw_ids)
    if not modality or "/" in modality or modality.startswith(".") or modality.endswith("_mask"):
        raise ValueError(
            f"'modality' must be a name fit for a file, not of a mask (got {modality!r})"
        )
    if len(source.reasons) == size:
        first = source.reasons[0]
        raise ValueError(
            f"{source.folder}: expected {source.what} of some items, got none ({first})"
        )
    started = time.perf_counter()
    key = getattr(encoder, "key", None)
    identity = json.dumps([source.key, key])
    shards = Shards(source.folder / f".{modality}-shards", identity, size, block_size)
    with shards.lock():
        done = shards.done() if key is not None else []
        _say(source, encoder, batch_size, shards, done, log)
        with tqdm(
            total=size, desc=modality, unit=source.what[:-1], disable=None if progress else True
        ) as bar:
            model = FaultTolerant(encoder, source.what)
            for number, (start, stop) in enumerate(shards.blocks):
                if number not in done:
                    shards.save(number, _encode_block(source, model, start, stop, bar))
                else:
                    bar.update(stop - start)
        missing, width, dtype = _merge(source, shards)
        shards.remove()
    reused = sum(shards.blocks[number][1] - shards.blocks[number][0] for number in done)
    encoding = Encoding(
        source.folder / f"{modality}.npy",
        size,
        width,
        dtype,
        tuple((row, source.raw_ids[row], missing[row]) for row in sorted(missing)),
        reused,
        time.perf_counter() - started,
    )
    if log is not None:
        log(str(encoding))
    return encoding


def _say(
    source: Source, encoder: Any, batch_size: int, shards: Shards, done: list[int], log: Log | None
) -> None:
    if log is None:
        return
    known = len(source.raw_ids) - len(source.reasons)
    log(f"modality     {source.modality}, of {known:,} of {len(source.raw_ids):,} items")
    log(f"{source.what:<12} {source.origin}")
    log(f"encoder      {encoder!r}, batches of {batch_size}")
    if getattr(encoder, "key", None) is None:
        log("blocks       not kept for a restart: the encoder has no attribute 'key'")
    else:
        log(f"blocks       {len(done)} of {len(shards.blocks)} done before, in {shards.folder}")


def _encode_block(source: Source, model: FaultTolerant, start: int, stop: int, bar: Any) -> Block:
    rows = np.array([row for row in range(start, stop) if row not in source.reasons], np.int64)
    reasons = {row: source.reasons[row] for row in range(start, stop) if row in source.reasons}
    bar.update(len(reasons))
    x: NDArray[np.float32] | None = None
    for batch, inputs in source.read(rows):
        errors = {row: str(i) for row, i in zip(batch.tolist(), inputs, strict=True) if _bad(i)}
        good = [value for value in inputs if not _bad(value)]
        items = np.array([row for row in batch.tolist() if row not in errors], np.int64)
        reasons |= errors
        bar.update(len(batch))
        if not good:
            continue
        items, features, failed = model(good, items)
        reasons |= failed
        if not len(items):
            continue
        if x is None:
            x = np.zeros((stop - start, features.shape[1]), np.float32)
        if features.shape[1] != x.shape[1]:
            raise ValueError(
                f"'model' must return the same number of features each time (got {x.shape[1]}, "
                f"then {features.shape[1]})"
            )
        x[items - start] = features
    # A block in which nothing could be read has no width yet: the merge knows it from the others.
    if x is None:
        x = np.zeros((stop - start, 0), np.float32)
    return Block(start, stop, x.astype(np.float16) if fits_half(x) else x, reasons)


def _bad(value: Any) -> bool:
    return isinstance(value, ValueError)


def _merge(source: Source, shards: Shards) -> tuple[dict[int, str], int, str]:
    """Writes features, mask and list of what is missing; reasons by row, width and precision."""
    size, blocks = len(source.raw_ids), range(len(shards.blocks))
    widths, kinds, first = set(), set(), ""
    for number in blocks:
        block = shards.load(number)
        widths.add(block.x.shape[1])
        kinds.add(block.x.dtype.name)
        why = (reason for row, reason in block.reasons.items() if row not in source.reasons)
        first = first or next(why, "")
    widths -= {0}
    dtype = "float32" if "float32" in kinds else "float16"
    if len(widths) != 1:
        none = f"none could be read: {first}"
        problem = none if not widths else f"got {sorted(widths)} features"
        raise ValueError(f"{source.folder}: expected {source.what} of one width ({problem})")
    (width,) = widths
    missing: dict[int, str] = {}
    descr = {"float16": "<f2", "float32": "<f4"}[dtype]
    name = source.modality
    with atomic_folder(source.folder, key=f"{name}.npy") as temporary:
        with (temporary / f"{name}.npy").open("wb") as features:
            # No memory map: where the disk is full, that kills the process instead of raising.
            np.lib.format.write_array_header_1_0(
                features, {"descr": descr, "fortran_order": False, "shape": (size, width)}
            )
            for number in blocks:
                block = shards.load(number)
                missing |= block.reasons
                empty = np.zeros((block.stop - block.start, width), np.float16)
                x = block.x if block.x.shape[1] else empty
                features.write(x.astype(descr, order="C", copy=False).tobytes())
        mask = np.ones(size, bool)
        mask[list(missing)] = False
        np.save(temporary / f"{name}_mask.npy", mask)
        with (temporary / f"{name}_missing.tsv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow(["item", "raw_id", "reason"])
            for row in sorted(missing):
                table.writerow([row, source.raw_ids[row], " ".join(missing[row].split())])
    return missing, width, dtype
