"""How memory on the CPU is taken."""

import os

__all__ = ["use_huge_pages"]


def use_huge_pages() -> None:
    """Asks PyTorch to take tensors of 2 MB and more in huge pages (Linux), as NumPy does.

    New memory is handed out page by page: with pages of 4 KB that was a third of the time of a
    propagation over 200,000 items (benchmarks/README.md has the command). Call it before the first
    large tensor is made, as that is when PyTorch reads the environment variable
    ``THP_MEM_ALLOC_ENABLE``, which this sets to 1 unless it is set already; setting it yourself
    before the program starts does the same. The library never calls it: it is the host's process.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
