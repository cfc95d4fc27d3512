"""A disk that is full, files that may grow no further, a folder that may not be written."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.attacks.harness import (
    LEFT,
    REFUSED,
    RIGHT,
    SILENT,
    Child,
    Count,
    copy,
    detail_of,
    end_of,
    files_in,
    forked,
    made,
    scratch,
)
from tests.attacks.jobs import JOBS, Job, warm_up

SIZE = 64_000_000
PAGE = 4096


class NoDisk(Exception):
    """This process may not mount a disk of its own."""


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 64 MB in memory.

    Raises:
        NoDisk: Mounting is not allowed here; the reason is the message.
    """
    place.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place))
    try:
        made = subprocess.run(("mount", *options), capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoDisk(str(error)) from error
    if made.returncode:
        raise NoDisk(made.stderr.strip())
    try:
        yield place
    finally:
        subprocess.run(("umount", "-l", str(place)), capture_output=True, check=False)


def full_disk(tries: int, jobs: Iterable[Job] = JOBS) -> Iterator[Count]:
    """Each job on a disk with too little left: from nothing to nearly all that it needs."""
    yield from _on_a_disk("full disk", tries, jobs, _short_of_space)


def read_only(jobs: Iterable[Job] = JOBS) -> Iterator[Count]:
    """Each job on a disk that may only be read."""
    yield from _on_a_disk("read-only", 1, jobs, _may_not_write)


def large_files(tries: int, jobs: Iterable[Job] = JOBS) -> Iterator[Count]:
    """Each job in a process whose files may only become so large (``RLIMIT_FSIZE``)."""
    warm_up()
    for job in jobs:
        with scratch() as place:
            yield _attack(job, "file size", place, tries, _limited)


Starve = Callable[[Path, int, int, int, Callable[[], Any]], Child]


def _on_a_disk(name: str, tries: int, jobs: Iterable[Job], starve: Starve) -> Iterator[Count]:
    warm_up()
    for job in jobs:
        with scratch() as place, small_disk(place / "disk") as disk:
            yield _attack(job, name, disk, tries, starve)


def _short_of_space(place: Path, need: int, largest: int, n: int, call: Callable[[], Any]) -> Child:
    """Runs with the ``n``-th tenth of the space that it needs."""
    ballast = place / "ballast"
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize
    # A tenth more each time: somewhere every one of the files is the first that does not fit.
    leave = int(need * n / 10) // PAGE * PAGE
    ballast.write_bytes(b"\0" * max(0, free - leave))
    try:
        return forked(call)
    finally:
        ballast.unlink()


def _may_not_write(place: Path, need: int, largest: int, n: int, call: Callable[[], Any]) -> Child:
    change = ("mount", "-o", "remount,{}", str(place))
    subprocess.run([part.format("ro") for part in change], check=True)
    try:
        return forked(call)
    finally:
        subprocess.run([part.format(f"rw,size={SIZE}") for part in change], check=True)


def _limited(place: Path, need: int, largest: int, n: int, call: Callable[[], Any]) -> Child:
    """Runs with files of at most the ``n``-th tenth of its largest."""

    def limited() -> Any:
        # Python ignores the signal: a write beyond the limit is an error of the system.
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest * n / 10),) * 2)
        return call()

    return forked(limited)


def _attack(job: Job, name: str, place: Path, tries: int, starve: Starve) -> Count:
    count = Count(f"{name}: {job.name}")
    before = made(job.make, place / "before")
    whole = copy(before, place / "whole")
    reference = forked(job.finish, whole)
    if reference.kind != "value":
        raise AssertionError(f"{job.name}: {detail_of(reference)}")
    names, sizes = list(files_in(whole)), _sizes(whole)
    # What is replaced stands beside the new file for a moment.
    need = sum(sizes)
    for number in range(tries):
        n = round(number * 9 / max(1, tries - 1))
        work = copy(before, place / f"work-{number}")
        case = f"{job.name}/{n} tenths of {need} bytes"
        child = starve(place, need, max(sizes), n, partial(job.run, work))
        count.add(*_judge(job, child, reference.value, work, names, case))
        shutil.rmtree(work)  # room for the next
    return count


def _sizes(folder: Path) -> list[int]:
    return [-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file()]


def _judge(
    job: Job, child: Child, expected: Any, work: Path, names: list[str], case: str
) -> tuple[str, str, str]:
    """Refused with a name, whole, and right as soon as there is room again."""
    listed = (str(work), *(Path(name).name for name in names))
    end = RIGHT if child.kind == "value" else end_of(child, listed)
    if end not in (RIGHT, REFUSED):
        return end, case, detail_of(child).replace(str(work), "")
    left = _temporary(work, names)
    if left:
        return LEFT, case, f"left behind: {left}"
    if lost := job.lost(work):
        return LEFT, case, f"what was there is lost: {lost}"
    again = forked(job.finish, work)
    if again.kind != "value":
        return LEFT, case, f"with room again: {detail_of(again)}".replace(str(work), "")
    if again.value != expected:
        return SILENT, case, "with room again: another result"
    return end, case, detail_of(child)


def _temporary(work: Path, names: list[str]) -> list[str]:
    """Files that have no place in what the job leaves; blocks for a restart are meant to stay."""
    return [
        name for name in sorted(set(files_in(work)) - set(names)) if "-shards/" not in f"{name}/"
    ]
