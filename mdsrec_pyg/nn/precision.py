"""What an autocast around the model may round, and what not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The type of the autocast around, ``None`` without one."""
    kind = device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A block that no autocast reaches; the device ``meta`` has none."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
