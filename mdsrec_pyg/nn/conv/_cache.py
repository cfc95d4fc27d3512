"""What is kept of a graph, and when it is right: by tensor, and for a whole call."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

T = TypeVar("T")

_PLAIN = (Tensor, torch.nn.Parameter)


class TensorCache:
    """Keeps what was derived from a tensor until the tensor changes or is gone.

    An entry is valid for the same tensor object at the same version and address, so that a new
    tensor, an in-place change and a swapped storage are all noticed. It does not keep the tensor
    alive. A write that PyTorch does not see (through NumPy, or ``tensor.data``) goes unnoticed.
    """

    def __init__(self, apart: bool = False) -> None:
        """Starts empty; with ``apart`` entries are built in a thread of their own."""
        self._entries: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._apart = apart

    def __len__(self) -> int:
        """Number of tensors alive with an entry."""
        return len(self._entries)

    def __reduce__(self) -> tuple[type[TensorCache], tuple[()]]:
        """Copies and pickles start empty: weak references belong to one process."""
        return TensorCache, ()

    def get(self, key: Tensor, options: Hashable, build: Callable[[], T]) -> T:
        """Returns the entry of ``key`` for these ``options``, built if there is no valid one."""
        if key.is_inference():  # has no version
            return build()
        pointer = key.data_ptr() if key.layout == torch.strided else 0
        stamp = (key._version, pointer, options)
        entry: tuple[Any, T] | None = self._entries.get(key)
        if entry is None or entry[0] != stamp:
            # Made under inference_mode, it could not be saved for a later backward.
            with torch.inference_mode(False), torch.no_grad():
                entry = (stamp, build_apart(key, build) if self._apart else build())
            if not is_capturing(key):
                self._entries[key] = entry
        return entry[1]


def is_capturing(tensor: Tensor) -> bool:
    """Whether a CUDA graph is captured: nothing may wait, nothing holds its values yet."""
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def build_apart(tensor: Tensor, build: Callable[[], T]) -> T:
    """Builds on the device of a tensor, but in a thread of its own.

    ``torch.compile`` gives a thread that warms up a CUDA graph memory of the graph, in which
    nothing that is kept may lie.
    """
    if not tensor.is_cuda or is_capturing(tensor):
        return build()
    caller = torch.cuda.current_stream(tensor.device)

    def run() -> T:
        with torch.cuda.device(tensor.device):
            torch.cuda.current_stream().wait_stream(caller)
            built = build()
            torch.cuda.current_stream().synchronize()
            return built

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


class Stamp:
    """Says whether a tensor is the same object, unchanged, at the same address; keeps none alive.

    Args:
        tensor: Strided, and not made under inference mode.
        gone: Called with the weak reference when the tensor is gone.
    """

    __slots__ = ("pointer", "ref", "version")

    def __init__(self, tensor: Tensor, gone: Callable[[Any], object]) -> None:
        """Remembers it as it is."""
        self.ref = weakref.ref(tensor, gone)
        self.version, self.pointer = tensor._version, tensor.data_ptr()

    def fits(self, tensor: Tensor) -> bool:
        """Whether this is that tensor, unchanged."""
        return (
            self.ref() is tensor
            and tensor._version == self.version
            and tensor.data_ptr() == self.pointer
        )


class Calls:
    """What the calls of a layer over its graphs need, found by one look instead of five.

    Only calls with plain tensors and fixed weights are kept. An entry goes with its tensors.
    """

    def __init__(self) -> None:
        """Starts empty."""
        self._entries: dict[tuple[int, int], tuple[Any, ...]] = {}

    def __len__(self) -> int:
        """Number of pairs of edges and weights with an entry."""
        return len(self._entries)

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        """Copies and pickles start empty: weak references belong to one process."""
        return Calls, ()

    def get(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None, settings: Hashable
    ) -> Any:
        """What was kept for such a call; ``None`` where nothing fits."""
        entry = self._entries.get((id(edge_index), id(edge_weight)))
        if entry is None or type(x) not in _PLAIN or x.dim() != 2:
            return None
        edges, weights, stamp, kept = entry
        if stamp != (settings, x.size(0), x.dtype, x.device) or not edges.fits(edge_index):
            return None
        if weights is None:
            return None if edge_weight is not None else kept
        if edge_weight is None or edge_weight.requires_grad or not weights.fits(edge_weight):
            return None
        return kept

    def put(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None,
        settings: Hashable,
        kept: object,
    ) -> None:
        """Keeps it, if such calls can be recognized."""
        tensors = [edge_index] if edge_weight is None else [edge_index, edge_weight]
        if not all(type(t) in _PLAIN and t.layout == torch.strided for t in tensors):
            return
        if any(t.is_inference() or t.requires_grad for t in tensors) or is_capturing(x):
            return
        key = (id(edge_index), id(edge_weight))
        gone = partial(_forget, self._entries, key)
        stamps = [Stamp(t, gone) for t in tensors]
        weights = stamps[1] if len(stamps) == 2 else None
        stamp = (settings, x.size(0), x.dtype, x.device)
        self._entries[key] = (stamps[0], weights, stamp, kept)


def _forget(entries: dict[tuple[int, int], Any], key: tuple[int, int], _: object) -> None:
    entries.pop(key, None)
