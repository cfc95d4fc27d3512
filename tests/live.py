"""How much of torch's memory is alive at once, counted operation by operation."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of what operations make while it is on; ``peak`` is their most at once.

    A storage counts from the first tensor over it until the last is gone. What an operation needs
    for itself does not show.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.tensors: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        before = {
            tensor.untyped_storage()._cdata
            for tensor in tree_leaves((args, kwargs))
            if isinstance(tensor, Tensor)
        }
        out = func(*args, **kwargs)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self._count(tensor, before)
        return out

    def _count(self, tensor: Tensor, before: set[int]) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.tensors:
            self.tensors[key] += 1
        elif key in before:  # a view of what was there when counting began
            return
        else:
            self.tensors[key] = 1
            self.live += size
            self.peak = max(self.peak, self.live)
        weakref.finalize(tensor, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self.tensors[key] -= 1
        if not self.tensors[key]:
            del self.tensors[key]
            self.live -= size
