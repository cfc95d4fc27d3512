"""The attack itself: a fault of each kind is seen, and counted as what it is."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx", reason="needs httpx: the extra encode")
pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")

from tests.attacks.disk import large_files
from tests.attacks.fuzz import fuzz, one_bit
from tests.attacks.harness import (
    HANG,
    LEFT,
    OTHER,
    REFUSED,
    RIGHT,
    SILENT,
    TOO_MUCH,
    TRACEBACK,
    UNNAMED,
    Count,
    end_of,
    forked,
    table,
)
from tests.attacks.hostile import pickles
from tests.attacks.jobs import Job
from tests.attacks.kills import kills
from tests.attacks.mutations import MUTATIONS, mutate
from tests.attacks.page import COUNTS, TABLE, page
from tests.attacks.readers import Reader
from tests.attacks.together import processes


def raises(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


def hangs() -> None:
    time.sleep(60)


def swells() -> int:
    return sum(bytearray(b"\1" * 300_000_000)[::1_000_000])


def dies() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("call", "end"),
    [
        (lambda: 7, RIGHT),
        (lambda: 8, OTHER),
        (raises(ValueError("x.npy: expected numbers")), REFUSED),
        (raises(FileNotFoundError(2, "no such file", "x.npy")), REFUSED),
        (raises(ValueError("expected numbers")), UNNAMED),
        (raises(OSError(28, "no space left")), UNNAMED),
        (raises(KeyError("x.npy")), TRACEBACK),
        (raises(SystemExit(1)), TRACEBACK),
        (dies, TRACEBACK),
        (hangs, HANG),
        (swells, TOO_MUCH),
    ],
)
def test_how_a_try_ends(call: Callable[[], Any], end: str) -> None:
    assert end_of(forked(call, seconds=1.0, memory=200_000_000), ["x.npy"], 7) == end


def _reader(read: Callable[[Path], Any], **options: Any) -> Reader:
    return Reader("own", lambda folder: (folder / "x.txt").write_text("1 2 3\n"), read, **options)


def _ends(count: Count) -> set[str]:
    return {end for end, number in count.ends.items() if number}


def test_a_reader_that_lets_errors_through_is_seen() -> None:
    reader = _reader(lambda folder: [int(word) for word in (folder / "x.txt").read_text().split()])
    (count,) = fuzz(42, 0, [reader])
    assert count.ends.total() == 42
    assert _ends(count) >= {RIGHT, OTHER, UNNAMED}
    assert count.faults == sum(count.ends[end] for end in (UNNAMED, TRACEBACK))
    assert count.examples[0]["case"].startswith("0/own/")


def test_what_is_hashed_must_not_change_silently() -> None:
    careless = _reader(lambda folder: (folder / "x.txt").read_bytes(), verified=("x.txt",))
    (count,) = one_bit(8, 0, [careless])
    assert _ends(count) == {SILENT}
    assert list(one_bit(8, 0, [_reader(lambda folder: 0)])) == []  # nothing is hashed: not tried


def test_a_pickle_that_runs_is_seen() -> None:
    careless = _reader(lambda folder: pickle.loads((folder / "x.txt").read_bytes()) and 0)
    careful = _reader(lambda folder: 0)
    assert next(pickles(1, [careless])).ends[SILENT] == 2  # as it is, and in a table of pandas
    assert _ends(next(pickles(1, [careful]))) == {RIGHT}


def _job(run: Callable[[Path], object], old: Callable[[Path], str] | None = None) -> Job:
    return Job(
        "own", lambda folder: None, run, lambda folder: (folder / "table.txt").read_text(), old
    )


def _careless(folder: Path) -> None:
    """Writes beside, renames, and trusts what it finds."""
    if not (folder / "table.txt").exists():
        path = folder / f"temporary-{os.getpid()}"
        with path.open("w") as file:
            file.write("x" * 9_000)
            file.flush()
            (folder / "other.txt").write_text("")
            file.write("y" * 9_000)
        path.rename(folder / "table.txt")


def _in_place(folder: Path) -> None:
    if not (folder / "table.txt").exists():
        with (folder / "table.txt").open("w") as file:
            file.write("x" * 100)
            file.flush()
            (folder / "other.txt").write_text("")
            file.write("y" * 100)


def test_kills_leave_what_a_careless_job_leaves() -> None:
    (left,) = kills(0, 9, 0, [_job(_careless)])
    assert _ends(left) == {RIGHT, LEFT}
    (wrong,) = kills(0, 9, 0, [_job(_in_place)])
    assert wrong.ends[SILENT] == 1
    (lost,) = kills(0, 1, 0, [_job(_careless, lambda folder: "all of it")])
    assert _ends(lost) == {LEFT}


def test_two_at_once_in_one_folder_are_seen() -> None:
    def adds(folder: Path) -> None:
        with (folder / "table.txt").open("a") as file:
            file.write("x")

    (count,) = processes(1, (2,), 0, [_job(adds)])
    assert _ends(count) == {SILENT}


def test_files_that_may_not_grow() -> None:
    def writes(folder: Path) -> None:
        (folder / "table.txt").write_text("x" * 100_000)

    (count,) = large_files(3, [_job(writes)])
    assert count.ends[UNNAMED] == 3


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_can_be_made_again_and_changes_something(name: str) -> None:
    data = b'{"item": 1, "text": "a cup"}\n{"item": 22, "text": "tea, 3.5"}\n'
    made = [mutate(f"{seed}", data, name) for seed in range(8)]
    assert made == [mutate(f"{seed}", data, name) for seed in range(8)]
    assert any(changed != data for _, changed in made)


def test_the_table_of_the_docs_is_that_of_the_counts() -> None:
    both = json.loads(COUNTS.read_text(encoding="utf-8"))
    assert TABLE.read_text(encoding="utf-8") == page(both)
    assert sum(row["tries"] for row in both["after"]["counts"]) > 3_000


def test_the_table_counts() -> None:
    count = Count("own")
    for end in (RIGHT, RIGHT, SILENT):
        count.add(end, "0/own/1", "x")
    assert table([count]).splitlines()[2] == "| own | 3 | 2 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 |"
    assert count.faults == 1
    assert count.examples == [{"end": SILENT, "case": "0/own/1", "detail": "x"}]
