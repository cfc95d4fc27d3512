"""Where a model is, and evaluation mode for the length of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

M = TypeVar("M", bound=torch.nn.Module)


def model_device(model: torch.nn.Module) -> torch.device:
    """Device of the first parameter or buffer; the CPU for a model without any."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def uncompiled(model: M) -> M:
    """The model inside what ``torch.compile`` returns; any other model as it is.

    Its tensors have their own names there, without the wrapper's prefix.
    """
    inner: M = getattr(model, "_orig_mod", model)
    return inner


def scorer(model: torch.nn.Module) -> Callable[..., Tensor]:
    """What scores a batch: ``model.score``, or the compiled form that ``torch.compile`` made."""
    inner = uncompiled(model)
    return getattr(inner, "score") if inner is model else model  # noqa: B009 (typed as Any)


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
