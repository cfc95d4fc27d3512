"""Random number generators: seeding them all, and their states for checkpoints."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

#: Held where random numbers are drawn from a state that is put back: the generators are the
#: process's, and of two threads each would draw from, and put back, what the other left.
_DRAWING = threading.RLock()
#: The threads that are within :func:`preserved_random_state`.
_PRESERVING: list[int] = []


@contextmanager
def drawn_apart(seed: int | None = None, device: torch.device | None = None) -> Iterator[None]:
    """Draws from torch's generators inside the block without a trace; one thread at a time.

    Args:
        seed: Where the block begins. (default: where the generators stand)
        device: Its generator is put back, too, if it is a CUDA device.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with _DRAWING, torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def seed_everything(seed: int) -> None:
    """Seeds ``random``, NumPy's global generator and torch on all devices.

    Args:
        seed: From 0 to :math:`2^{32} - 1`, the range that NumPy takes.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"'seed' must be from 0 to 2**32 - 1 (got {seed})")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """States of the generators that :func:`seed_everything` seeds.

    Args:
        device: Its generator is included if it is a CUDA device.

    Returns:
        Tensors and plain Python values only, so that ``torch.load(weights_only=True)`` reads it.
    """
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Puts the generators back into a state that :func:`random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


@contextmanager
def preserved_random_state(device: torch.device) -> Iterator[None]:
    """Puts the generators that :func:`seed_everything` seeds back when the block ends.

    Warns where another thread is in such a block: the generators are the process's.

    Example:
        >>> with preserved_random_state(torch.device("cpu")):
        ...     seed_everything(0)

    Args:
        device: Where the block works; a CUDA device is initialized if it was not.
    """
    own = threading.get_ident()
    if any(thread != own for thread in list(_PRESERVING)):
        warnings.warn(
            "another thread of this process works from a seed: both draw from the same generators, "
            "so neither repeats; use processes",
            stacklevel=4,
        )
    before = random_state(torch.device("cpu"))
    cuda = device.type == "cuda" or torch.cuda.is_initialized()
    states = torch.cuda.get_rng_state_all() if cuda else []
    _PRESERVING.append(own)
    try:
        yield
    finally:
        _PRESERVING.remove(own)
        set_random_state(before, torch.device("cpu"))
        if cuda:
            torch.cuda.set_rng_state_all(states)
        else:  # until CUDA starts it holds a seed that waits, by default that of the CPU
            torch.cuda.manual_seed_all(torch.initial_seed())
