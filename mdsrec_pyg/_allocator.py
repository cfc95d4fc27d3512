"""How memory on the CPU is taken."""

import os


def use_huge_pages() -> None:
    """Asks PyTorch to take tensors of 2 MB and more in huge pages (Linux), as NumPy does.

    A training step takes and gives back score blocks of 100 MB, and the system hands them out page
    by page: with pages of 4 KB that was a tenth of the time of a step, and more than half of that
    of a propagation over 200,000 items (measured, see benchmarks/README.md).
    PyTorch reads the variable at its first large tensor; ``THP_MEM_ALLOC_ENABLE=0`` in the
    environment keeps it off.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
