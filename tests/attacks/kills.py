"""kill -9 at any moment, the same command again, and the result of a run that nobody touched."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.attacks.harness import (
    LEFT,
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

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")


class Steps:
    """Counts what a process does to a folder's files, and kills it before one step.

    Steps are files opened for writing, renamed, removed, made, and flushed to the disk, as
    Python's audit hooks tell them. A hook cannot be taken off again: for a forked child only.

    Args:
        folder: Whose files count.
        kill_at: Number of the step, from 1, before which the process dies; 0: none.
    """

    def __init__(self, folder: Path, kill_at: int = 0) -> None:
        self.folder, self.kill_at, self.count = str(folder), kill_at, 0
        sys.addaudithook(self._hear)
        self._fsync = os.fsync
        system: Any = os
        system.fsync = self._flush  # no audit hook tells of it

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            mode, flags = args[1:]
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) if mode is None else mode != "r"
            if not writes or (mode or "w").strip("bt") == "r":
                return
        elif event not in CHANGES:
            return
        if isinstance(args[0], (str, os.PathLike)) and str(args[0]).startswith(self.folder):
            self._step()

    def _flush(self, descriptor: int) -> None:
        self._step()
        self._fsync(descriptor)

    def _step(self) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def kills(moments: int, steps: int, seed: int = 0, jobs: Iterable[Job] = JOBS) -> Iterator[Count]:
    """Kills every job.

    Args:
        moments: Kills of each job at random moments.
        steps: Kills of each job before a step of its own, spread over all of them.
        seed: Decides the moments.
        jobs: The jobs.
    """
    warm_up()
    for job in jobs:
        with scratch() as place:
            yield _attack(job, place, moments, steps, seed)


def _attack(job: Job, place: Path, moments: int, steps: int, seed: int) -> Count:
    count, before = Count(f"killed: {job.name}"), made(job.make, place / "before")
    whole = copy(before, place / "work")
    reference = forked(_counted, job, whole)
    if reference.kind != "value":
        raise AssertionError(f"{job.name}: {detail_of(reference)}")
    expected, names, number = reference.value
    draw = random.Random(f"{seed}/{job.name}")
    for n in range(moments):
        after = draw.random() * reference.seconds
        case = f"{seed}/{job.name}/moment {n} ({after:.3f} s)"
        _once(count, job, place, case, expected, names, after=after)
    for n in range(min(steps, number)):
        at = 1 + round(n * (number - 1) / max(1, min(steps, number) - 1))
        case = f"{seed}/{job.name}/step {at} of {number}"
        _once(count, job, place, case, expected, names, step=at)
    return count


def _counted(job: Job, work: Path) -> tuple[Any, list[str], int]:
    """The right result, the files that it leaves, and how many steps it takes."""
    steps = Steps(work)
    job.run(work)
    return job.read(work), list(files_in(work)), steps.count


def _once(
    count: Count,
    job: Job,
    place: Path,
    case: str,
    expected: Any,
    names: list[str],
    step: int = 0,
    after: float | None = None,
) -> None:
    work = place / "work"
    shutil.rmtree(work)
    copy(place / "before", work)

    def start() -> None:
        if step:
            Steps(work, step)
        job.run(work)

    forked(start, kill_after=after)
    if lost := job.lost(work):
        count.add(LEFT, case, f"lost after the kill: {lost}")
        return
    again = forked(job.finish, work)
    count.add(*_judge(again, expected, work, names, case))


def _judge(
    again: Child, expected: Any, work: Path, names: list[str], case: str
) -> tuple[str, str, str]:
    if again.kind != "value":
        end = end_of(again, ())
        return end, case, f"the second run: {detail_of(again)}"
    if again.value != expected:
        return SILENT, case, "the second run gives another result"
    left = sorted(set(files_in(work)) - set(names))
    if left:
        return LEFT, case, f"left behind: {', '.join(left)}"
    return RIGHT, case, ""
