"""All tensors of a model by name, taken out of it and put in their places again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

__all__ = ["collect", "place"]


def _slots(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, module and key of everything that is registered; a shared module has several names."""
    for path, module in model.named_modules(remove_duplicate=False):
        for key in (*module._parameters, *module._buffers):
            yield f"{path}.{key}".removeprefix("."), module, key


def _skipped(name: str, skip: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in skip)


def collect(model: nn.Module, skip: Sequence[str] = ()) -> tuple[dict[str, Tensor], list[str]]:
    """Parameters and buffers, persistent or not, on the CPU, each with memory of its own.

    Args:
        model: The model.
        skip: Names (of modules, too) that are left out.

    Returns:
        The tensors, and the names of the buffers that are registered as ``None``.

    Raises:
        ValueError: A module keeps a state besides its tensors (``get_extra_state``).
    """
    tensors: dict[str, Tensor] = {}
    empty = []
    for name, module, key in _slots(model):
        if _skipped(name, skip):
            continue
        tensor: Tensor | None = getattr(module, key)
        if tensor is None and key in module._buffers:
            empty.append(name)
        if tensor is not None:
            tensors[name] = tensor.detach().cpu().clone()
    for path, module in model.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise ValueError(
                f"a model must keep its state in parameters and buffers to be saved ({path!r}, a "
                f"{type(module).__name__}, has an extra state)"
            )
    return tensors, empty


def place(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    empty: Sequence[str],
    skip: Sequence[str],
    source: str,
) -> None:
    """Puts tensors in their places; a buffer may change its shape, a parameter must not.

    Args:
        model: Built like the one that the tensors come from.
        tensors: Result of :func:`collect`.
        empty: Names of the buffers that become ``None``.
        skip: Names that keep what they have.
        source: Where the tensors come from, for the message.

    Raises:
        ValueError: A tensor that the model does not have, lacks, or has in another shape.
    """
    slots = {name: (module, key) for name, module, key in _slots(model)}
    unknown = [name for name in (*tensors, *empty) if name not in slots or _skipped(name, skip)]
    if unknown:
        raise ValueError(
            f"{source} must hold the tensors of a {type(model).__name__} (it has {unknown[0]!r}, "
            "which the model does not have)"
        )
    for name, (module, key) in slots.items():
        if _skipped(name, skip):
            continue
        given = tensors.get(name)
        is_parameter = key in module._parameters
        own = module._parameters[key] if is_parameter else module._buffers[key]
        if given is None and name not in empty and (own is not None or not is_parameter):
            raise ValueError(
                f"{source} must hold the tensors of a {type(model).__name__} ({name!r} is missing)"
            )
        if not is_parameter:
            module._buffers[key] = given
        elif (own is None) != (given is None) or (
            own is not None and given is not None and own.shape != given.shape
        ):
            shapes = [None if t is None else list(t.shape) for t in (own, given)]
            raise ValueError(
                f"{source} must fit the {type(model).__name__} that its options make ({name!r} "
                f"has shape {shapes[0]} in the model and {shapes[1]} in the file)"
            )
        elif own is not None and given is not None:
            own.data = given  # the parameter itself stays: others (a GRU's list) refer to it
    left = [name for name, (m, k) in slots.items() if getattr(getattr(m, k), "is_meta", False)]
    assert not left, f"{left} are without contents"
