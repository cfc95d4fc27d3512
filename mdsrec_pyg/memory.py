"""How memory on the CPU is taken, and what is said where it does not suffice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["is_out_of_memory", "named_memory_errors", "use_huge_pages"]


def use_huge_pages() -> None:
    """Asks PyTorch to take tensors of 2 MB and more in huge pages (Linux), as NumPy does.

    New memory is handed out page by page: with pages of 4 KB that was a third of the time of a
    propagation over 200,000 items (benchmarks/README.md has the command). Call it before the first
    large tensor is made, as that is when PyTorch reads the environment variable
    ``THP_MEM_ALLOC_ENABLE``, which this sets to 1 unless it is set already; setting it yourself
    before the program starts does the same. The library never calls it: it is the host's process.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: torch says so by a bare RuntimeError, on the CPU too."""
    text = str(error).lower()
    torch_says = ("allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(part in text for part in torch_says)
    )


@contextmanager
def named_memory_errors(what: str, less: str) -> Iterator[None]:
    """Says what the memory did not suffice for, and what takes less.

    Args:
        what: What the block does.
        less: What takes less memory.

    Raises:
        MemoryError: The memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or isinstance(error.__cause__, (MemoryError, RuntimeError)):
            raise
        first = (str(error).splitlines() or ["no memory left"])[0]
        raise MemoryError(f"the memory does not suffice for {what}: {less} ({first})") from error
