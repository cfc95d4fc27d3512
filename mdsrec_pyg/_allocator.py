"""How memory on the CPU is taken."""

import os


def use_huge_pages() -> None:
    """Asks PyTorch to take tensors of 2 MB and more in huge pages (Linux), as NumPy does.

    New memory is handed out page by page: with pages of 4 KB that was a third of the time of a
    propagation over 200,000 items (benchmarks/README.md has the command).
    PyTorch reads the variable at its first large tensor; ``THP_MEM_ALLOC_ENABLE=0`` in the
    environment keeps it off.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
