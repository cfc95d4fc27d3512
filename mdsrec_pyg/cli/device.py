"""The option ``--device``: a mistake is said before anything is read."""

from __future__ import annotations

from mdsrec_pyg import configs

__all__ = ["check_device"]


def check_device(device: str | None) -> None:
    """Raises a ValueError where torch has no such device here; ``None`` passes."""
    if device is None:
        return
    try:
        configs.check_device(device)
    except ValueError as error:
        reason = str(error.__cause__).splitlines()[0]
        raise ValueError(f"--device must be one that torch has here ({reason})") from error
