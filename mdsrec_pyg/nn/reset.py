"""Drawing all parameters of a model anew."""

from __future__ import annotations

from torch import nn

from mdsrec_pyg.nn.items.graph_encoder import ItemGraphEncoder

__all__ = ["reset_modules"]


def reset_modules(module: nn.Module) -> None:
    """Calls ``reset_parameters`` of all submodules, parts before wholes, as constructors do.

    In this order the same seed draws what building the modules anew would draw. An
    :class:`~mdsrec_pyg.nn.ItemGraphEncoder` only passes the call on, so that it is left out.

    Raises:
        ValueError: A submodule has parameters and no ``reset_parameters``.
    """
    for name, child in module.named_children():
        reset_modules(child)
        own = getattr(child, "reset_parameters", None) or getattr(child, "_reset_parameters", None)
        if own is None and next(child.parameters(recurse=False), None) is not None:
            raise ValueError(
                f"every module with parameters must have 'reset_parameters' ({name!r}, a "
                f"{type(child).__name__}, has none)"
            )
        if own is not None and not isinstance(child, ItemGraphEncoder):
            own()
