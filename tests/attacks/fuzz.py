"""Damaged files: each ends in a right result, or in an error that names the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.attacks.harness import (
    OTHER,
    SILENT,
    Count,
    copy,
    detail_of,
    end_of,
    forked,
    made,
    scratch,
)
from tests.attacks.mutations import LENGTHS, mutate
from tests.attacks.readers import DATA_READERS, Content, Reader
from tests.attacks.run_files import RUN_READERS

READERS = (*DATA_READERS, *RUN_READERS)
#: Binary forms that say how long they are.
SIZED = (".npy", ".npz", ".parquet", ".safetensors")


def fuzz(
    tries: int, seed: int = 0, readers: Iterable[Reader] = READERS, only: str | None = None
) -> Iterator[Count]:
    """Attacks every reader with as many damaged files.

    Args:
        tries: Number of tries of each reader.
        seed: Decides file and damage of each try.
        readers: The readers.
        only: The one kind of damage, to verified files only; ``None``: all kinds, to all files.
    """
    for reader in readers:
        with scratch() as place:
            good = made(reader.make, place / "good")
            expected = forked(reader.read, copy(good, place / "reference"))
            if expected.kind != "value":
                raise AssertionError(f"{reader.name}: {detail_of(expected)}")
            yield _attack(reader, good, expected.value, tries, seed, only)


def one_bit(tries: int, seed: int = 0, readers: Iterable[Reader] = READERS) -> Iterator[Count]:
    """Flips one bit of what is kept by a hash: it gives what was stored, or is refused."""
    for reader in readers:
        if reader.verified:
            yield from fuzz(tries, seed, [reader], "bit")


def _attack(
    reader: Reader, good: Path, expected: object, tries: int, seed: int, only: str | None
) -> Count:
    count, targets = Count(f"{only or 'damaged'}: {reader.name}"), reader.targets(good)
    if only is not None:
        targets = [name for name in targets if reader.is_verified(Path(name))]
    for number in range(tries):
        case = f"{seed}/{reader.name}/{number}"
        with scratch() as place:
            folder = copy(good, place / "data")
            path = folder / targets[number % len(targets)]
            before = path.read_bytes()
            kind, after = mutate(case, before, only)
            path.write_bytes(after)
            child = forked(reader.read, folder)
            names = (str(folder), *(Path(name).name for name in targets))
            end = end_of(child, names, expected)
            detail = f"{path.name} {kind}: {detail_of(child)}".replace(str(place), "")
            if end == OTHER and _must_be_refused(reader, path, kind):
                end = SILENT
            elif end == OTHER and (dropped := _dropped(expected, child.value)):
                end, detail = SILENT, f"{path.name} {kind}: dropped without a word: {dropped}"
            count.add(end, case, detail)
    return count


def _dropped(expected: object, found: object) -> str:
    """The parts of a data set that are gone while its report says nothing new."""
    if not isinstance(expected, Content) or not isinstance(found, Content):
        return ""
    return "" if set(found.said) - set(expected.said) else ", ".join(sorted({*expected} - {*found}))


def _must_be_refused(reader: Reader, path: Path, kind: str) -> bool:
    if reader.is_verified(path):
        return True
    return path.suffix in SIZED and kind in LENGTHS
