"""The option ``--device``: a mistake is said before anything is read."""

from __future__ import annotations

import torch

__all__ = ["check_device"]


def check_device(device: str | None) -> None:
    """Raises a ValueError where torch has no such device here; ``None`` passes."""
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device must be one that torch has here ({reason})") from error
