"""Blocks of work on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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

    Args:
        function: Called with each block; it must not change what other blocks read.
        blocks: The blocks. At most two a thread are ahead of the result last taken.
    """
    threads = torch.get_num_threads()
    # The number is kept a thread, so the workers' does not reach the caller, but new threads take
    # the one set last.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
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
            torch.set_num_threads(threads)
