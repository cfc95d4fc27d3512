"""Two and sixteen at once: processes with the same folder, threads with the same retriever."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mdsrec_pyg import MDSRec
from mdsrec_pyg.retrieval import Retriever
from mdsrec_pyg.training import load_weights
from tests.attacks.harness import (
    LEFT,
    RIGHT,
    SILENT,
    TRACEBACK,
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
from tests.attacks.run_files import small_model, trained

REQUESTS = 2_000


def processes(
    rounds: int, numbers: Iterable[int] = (2, 16), seed: int = 0, jobs: Iterable[Job] = JOBS
) -> Iterator[Count]:
    """The same command twice and sixteen times at once in the same folder.

    Each process must come to its end or be refused with the folder's name; then the folder holds
    what one alone leaves.

    Args:
        rounds: How often, for each number of processes.
        numbers: How many at once.
        seed: Named in the report only: the machine decides who is first.
        jobs: The jobs.
    """
    warm_up()
    for job in jobs:
        with scratch() as place:
            before = made(job.make, place / "before")
            whole = copy(before, place / "whole")
            reference = forked(_done, job, whole)
            if reference.kind != "value":
                raise AssertionError(f"{job.name}: {detail_of(reference)}")
            count = Count(f"at once: {job.name}")
            for number in numbers:
                for n in range(rounds):
                    work = copy(before, place / f"{number}-{n}")
                    case = f"{seed}/{job.name}/{number} processes/{n}"
                    _race(count, job, work, number, case, reference.value)
            yield count


def _done(job: Job, work: Path) -> tuple[Any, list[str]]:
    return job.finish(work), list(files_in(work))


def _race(count: Count, job: Job, work: Path, number: int, case: str, reference: Any) -> None:
    children = at_once(partial(job.run, work), number)
    expected, names = reference
    for child in children:
        if child.kind == "value":
            continue
        end = end_of(child, (work.name, *names))
        count.add(end, case, f"one of {number}: {detail_of(child)}".replace(str(work), ""))
    came = sum(child.kind == "value" for child in children)
    seen = forked(job.read, work)
    if not came:
        count.add(LEFT, case, "all refused each other")
    elif seen.kind != "value":
        count.add(SILENT, case, f"{came} of {number} done, then: {detail_of(seen)}")
    elif seen.value != expected:
        count.add(SILENT, case, f"{came} of {number} done, and the folder holds another result")
    elif left := sorted(set(files_in(work)) - set(names)):
        count.add(LEFT, case, f"left behind: {', '.join(left)}")
    else:
        for _ in range(came):
            count.add(RIGHT, case)


def at_once(call: Callable[[], Any], number: int) -> list[Child]:
    """Calls something in so many processes that start at the same moment."""
    start = time.monotonic() + 0.05 + 0.02 * number
    pipes = []
    for _ in range(number):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            child = forked(_at, start, call, seconds=120)
            with os.fdopen(writer, "wb") as file:
                # Results stay where they are: only how it ended is asked for.
                file.write(pickle.dumps(Child(child.kind, None, child.message, child.where)
                                        if child.kind == "value" else child))  # fmt: skip
            os._exit(0)
        os.close(writer)
        pipes.append((pid, reader))
    children = []
    for pid, reader in pipes:
        with os.fdopen(reader, "rb") as file:
            children.append(pickle.loads(file.read()))
        os.waitpid(pid, 0)
    return children


def _at(start: float, call: Callable[[], Any]) -> None:
    while time.monotonic() < start:
        time.sleep(0.0005)
    call()


def threads(requests: int = REQUESTS, seed: int = 0) -> Iterator[Count]:
    """Requests to one retriever from 1, 2, 8 and 16 threads, against those one after the other.

    The model is as it is after ``build_mdsrec`` and ``load_weights``: nobody called ``eval()``.

    Args:
        requests: Number of requests for each number of threads.
        seed: Of the histories.
    """
    warm_up()
    for label, make in RETRIEVERS.items():
        count = Count(f"threads: {label}")
        for workers in (2, 8, 16):
            child = forked(_wrong, make, workers, requests, seed, seconds=300)
            case = f"{seed}/{label}/{workers} threads"
            if child.kind != "value":
                count.add(TRACEBACK, case, detail_of(child))
                continue
            wrong, failed = child.value
            for _ in range(requests - wrong - len(failed)):
                count.add(RIGHT, case)
            for _ in range(wrong):
                count.add(SILENT, case, f"{wrong} of {requests:,} lists with {workers} threads")
            for error in failed:
                count.add(TRACEBACK, case, error)
        yield count


def _loaded() -> Any:
    model = small_model()
    load_weights(model, trained()[1] / "best.pt")
    return model


def _wrong(
    make: Callable[[], Retriever], workers: int, requests: int, seed: int
) -> tuple[int, list[str]]:
    draw = np.random.default_rng(seed)
    histories = [draw.integers(0, 40, draw.integers(1, 9)).tolist() for _ in range(requests)]
    retriever = make()

    def ask(history: list[int]) -> Any:
        try:
            table = retriever.recommend([history], k=5, exclude_seen=True)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return table["item"].tolist(), table["score"].round(6).tolist()

    expected = [ask(history) for history in histories]
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(ask, histories))
    failed = [x for x in found if isinstance(x, str)]
    wrong = sum(a != b for a, b in zip(expected, found, strict=True)) - len(failed)
    return wrong, failed


def _pickled() -> Retriever:
    return pickle.loads(pickle.dumps(Retriever(_loaded())))


RETRIEVERS: dict[str, Callable[[], Retriever]] = {
    "one retriever": lambda: Retriever(_loaded()),
    "a pickled retriever": _pickled,
    "a saved model": lambda: Retriever(MDSRec.load(trained()[1] / "model"), item_ids=range(40)),
}
