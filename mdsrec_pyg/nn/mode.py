"""Where a model is, and evaluation mode for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def model_device(model: torch.nn.Module) -> torch.device:
    """Device of the first parameter or buffer; the CPU for a model without any."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards each submodule has its earlier mode."""
    earlier = [module for module in model.modules() if module.training]
    if earlier:  # a walk over all modules costs more than a small model's scores
        model.eval()
    try:
        yield
    finally:
        for module in earlier:
            module.training = True
