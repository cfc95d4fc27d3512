"""Blocks of work on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch

__all__ = ["map_blocks"]

Block = TypeVar("Block")
Result = TypeVar("Result")


def map_blocks(function: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[Result]:
    """Applies a function to blocks, one block a thread, and gives the results in their order.

    Torch runs a batch of small factorizations on one core, and the many short steps around them
    too; blocks side by side keep all cores busy. ``torch.get_num_threads()`` blocks run at once,
    each with one thread of its own, so that the results do not depend on the number of threads.
    The number of the caller, of other threads and of threads to come stays what it was.

    Args:
        function: Called with each block; it must not change what other blocks read.
        blocks: The blocks. At most two a thread are ahead of the result last taken.
    """
    with _LOCK:  # the first look of a thread is a setting: not while the number is another
        threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        # All begin before the first result is given: who goes on with it meets no other number.
        all_of_them = Barrier(threads)
        list(pool.map(_take_one_thread, [all_of_them] * threads))
        waiting: deque[Future[Result]] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(function, block))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


_LOCK = Lock()


def _take_one_thread(all_of_them: Barrier) -> None:
    """One thread of torch's for the calling thread alone; returns when all have theirs.

    Torch keeps the number a thread, but what is set last is also what threads take that begin
    later: a thread that ends at once puts that back. A foreign thread whose first operation falls
    into the tenth of a millisecond between the two would take one, and leave it to later ones.
    """
    with _LOCK, ThreadPoolExecutor(1) as other:
        before = torch.get_num_threads()  # also takes it: not again at the first operation
        torch.set_num_threads(1)
        other.submit(torch.set_num_threads, before).result()
    all_of_them.wait()
