"""The options ``--device`` and ``--threads``: a mistake is said before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mdsrec_pyg import configs

__all__ = ["check_device", "cpu_threads"]


def check_device(device: str | None) -> None:
    """Raises a ValueError where torch has no such device here; ``None`` passes."""
    if device is None:
        return
    try:
        configs.check_device(device)
    except ValueError as error:
        reason = str(error.__cause__).splitlines()[0]
        raise ValueError(f"--device must be one that torch has here ({reason})") from error


@contextmanager
def cpu_threads(number: int | None) -> Iterator[None]:
    """Lets torch take so many threads of the CPU within the block; ``None`` leaves it alone.

    Raises:
        ValueError: ``number`` is below 1.
    """
    if number is not None and number < 1:
        raise ValueError(f"--threads must be at least 1 (got {number})")
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
