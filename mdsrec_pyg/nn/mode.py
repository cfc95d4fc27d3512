"""Where a model is, and the model that answers: an object of its own, in evaluation mode."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor

M = TypeVar("M", bound=torch.nn.Module)

MODULE_TABLES = frozenset(vars(torch.nn.Module()))


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


def scoring_copy(model: M, device: torch.device | None = None, *, own_weights: bool) -> M:
    """The same model as another object, in evaluation mode: what scores is this, never the model.

    The mode of a module is a flag that all threads see. Where a model was put into evaluation mode
    for the length of a request, another request that ended earlier put it back into training, and
    dropout into the scores of the first. The copy is made once, nothing is ever flipped, and the
    model may go on training.

    Modules are copied, and what refers to them; tables, caches and all other objects stay shared.

    Args:
        model: Any module, compiled or not. It stays where it is, and in its mode.
        device: Where the copy goes. (default: where the model is)
        own_weights: Copy what ``state_dict`` holds, so that later training does not reach the
            scores; of a model that is not trained (``supports_training = False``) nothing is.
            False shares all tensors, unless the copy goes to another device.
    """
    moves = device is not None and device != model_device(model)
    trains = bool(getattr(model, "supports_training", True))
    weights = _weights(model) if moves or (own_weights and trains) else set()
    twin = copy.deepcopy(model, _shared(model, weights)).eval()
    return twin.to(device) if moves else twin


def _weights(model: torch.nn.Module) -> set[int]:
    """Parameters, and the buffers that are saved: what training writes to."""
    found: set[int] = set()
    for module in model.modules():
        found |= {id(parameter) for parameter in module._parameters.values()}
        saved = module._buffers.keys() - module._non_persistent_buffers_set
        found |= {id(module._buffers[name]) for name in saved}
    return found


def _shared(model: torch.nn.Module, weights: set[int]) -> dict[int, Any]:
    """A memo for ``copy.deepcopy`` by which all but modules and weights stay what they are."""
    parts: set[int] = set()
    memo: dict[int, Any] = {}
    for module in model.modules():
        parts.add(id(module))
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                parts.add(id(tensor))
                if id(tensor) not in weights:
                    memo[id(tensor)] = tensor
    for module in model.modules():
        for name, value in list(vars(module).items()):
            # Of the tables that every module has, hooks among them, the copy has its own.
            own = name in MODULE_TABLES and isinstance(value, (dict, set))
            for inner in _inside(value) if own else [value]:
                # What torch.compile keeps beside the model knows nothing of this one.
                if name == "dynamo_ctx" or not _holds(inner, parts, set()):
                    memo[id(inner)] = inner
    return memo


def _holds(value: Any, parts: set[int], visited: set[int]) -> bool:
    """Whether a module or one of its tensors is reached from a value."""
    if id(value) in parts or isinstance(value, torch.nn.Module):
        return True
    if id(value) in visited or isinstance(
        value, (str, bytes, int, float, complex, Tensor, type, FunctionType, ModuleType, type(None))
    ):
        return False
    visited.add(id(value))
    return any(_holds(inner, parts, visited) for inner in _inside(value))


def _inside(value: Any) -> Iterable[Any]:
    """What a container or an object refers to; a list, as another thread may add to it."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    return list(getattr(value, "__dict__", {}).values())


class Unchanged:
    """Notices writes to tensors: by their versions, of which each write makes one.

    A write that PyTorch does not see (through NumPy, or ``tensor.data``) goes unnoticed. Copies
    and pickles watch the tensors of their own.

    Args:
        tensors: What is watched.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """Takes the versions."""
        self.tensors = [tensor for tensor in tensors if not tensor.is_inference()]
        self.versions = [tensor._version for tensor in self.tensors]

    def __reduce__(self) -> tuple[type[Unchanged], tuple[list[Tensor]]]:
        """An equal copy of a tensor has a version of its own."""
        self.check("before what watches it is copied")
        return Unchanged, (self.tensors,)

    def check(self, what: str) -> None:
        """Raises a ValueError where a tensor was written to since.

        Args:
            what: When it must stay as it is.
        """
        if [tensor._version for tensor in self.tensors] != self.versions:
            raise ValueError(
                f"'model' must not change {what} (got weights or tables written to since)"
            )
