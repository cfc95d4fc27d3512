"""How the weights of an item graph reach a layer, decided once from what its ``forward`` takes."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from threading import RLock

import torch
from torch import Tensor, nn
from torch_geometric.utils import to_torch_csr_tensor

from mdsrec_pyg.nn.conv._trial import (
    NODES,
    likely_widths,
    message_of,
    name_of,
    place_of,
    small_graph,
    untouched,
)

__all__ = ["EdgeInputs", "UnknownWidthError", "edge_inputs", "edge_weight_use"]

_FILTERS = RLock()
_KNOWN = ("edge_index", "adj_t", "edge_weight", "edge_attr")
_OWN_LAYER = "a layer of your own, forward(x, edge_index, edge_weight), can give it what it needs"
_BUILD_FOR_ONE = "built for edge features of width 1 (often edge_dim=1) it may"


class UnknownWidthError(ValueError):
    """A layer did not run on items of any width that its parameters suggest."""


@dataclass(frozen=True)
class EdgeInputs:
    """How one layer gets the weights of a graph.

    Args:
        use: ``'edge_weight'`` ``[E]``, ``'edge_attr'`` ``[E, 1]``, ``'adj_t'`` (the values of the
            transposed adjacency matrix) or ``'none'``.
        takes_matrix: Whether a sparse matrix may stand for ``edge_index``: ``forward`` says so and
            it works (in PyG it does not for each layer that says so).
        required: Whether ``forward`` has no default for the weights.
        reason: Why the weights are not used; empty where they are.
    """

    use: str
    takes_matrix: bool = False
    required: bool = False
    reason: str = ""


def edge_weight_use(conv: nn.Module, channels: int | None = None) -> str:
    """How the weights of an item graph reach a layer.

    The signature of ``forward`` decides, never an attribute. ``edge_weight`` goes before
    ``edge_attr``, unless the layer has both and runs with the second only. A layer that takes
    ``edge_attr`` may ignore it, or need it: it is tried on a graph of six nodes, as a copy in
    evaluation mode; neither the layer nor the random state changes.

    Args:
        conv: The layer.
        channels: Width of the items, needed where it does not show in the layer's parameters.

    Returns:
        ``'edge_weight'`` ``[E]``, ``'edge_attr'`` ``[E, 1]``, ``'adj_t'`` (a CSR matrix that holds
        them) or ``'none'``: the layer propagates over the edges alone.

    Raises:
        ValueError: The layer does not run on items, edges and one weight an edge.
    """
    return edge_inputs(conv, channels).use


def edge_inputs(conv: nn.Module, channels: int | None = None) -> EdgeInputs:
    """The same with the reason; see :func:`edge_weight_use`."""
    names = _checked_parameters(conv)
    second = list(names.values())[1]
    if second.name == "adj_t":
        return EdgeInputs("adj_t", takes_matrix=True)
    if "edge_weight" in names and "edge_attr" in names and _needs_edge_attr(conv, channels):
        return EdgeInputs("edge_attr")
    if "edge_weight" in names:
        matrix = any(word in str(second.annotation) for word in ("Adj", "SparseTensor"))
        matrix = matrix and _takes_matrix(conv, channels)
        default = names["edge_weight"].default
        return EdgeInputs("edge_weight", matrix, required=default is inspect.Parameter.empty)
    candidates = ["edge_attr"] if "edge_attr" in names else []
    if any(p.kind is p.VAR_KEYWORD for p in names.values()):
        candidates = ["edge_weight", "edge_attr"]
    failure = ""
    with untouched(conv) as twin:
        for width in [channels] if channels is not None else likely_widths(conv):
            found, failure = _tried(twin, candidates, width)
            if found is not None:
                return found
    kind = UnknownWidthError if channels is None else ValueError
    raise kind(
        f"'conv' must run on items and edges with at most one weight an edge "
        f"({name_of(conv)} takes {list(names)} and failed: {failure}); it may need edge features "
        f"of width 1 (edge_dim=1), or {_OWN_LAYER}"
    )


def _needs_edge_attr(conv: nn.Module, channels: int | None) -> bool:
    """Whether a layer that has both names fails with ``edge_weight`` and uses ``edge_attr``."""
    with untouched(conv) as twin:
        for width in [channels] if channels is not None else likely_widths(conv):
            found, _ = _tried(twin, ["edge_weight", "edge_attr"], width)
            if found is not None:
                return found.use == "edge_attr"
    return False


def _takes_matrix(conv: nn.Module, channels: int | None) -> bool:
    """Whether a layer that says it takes a matrix runs on one, and gives the same."""
    # Filters are the process's: of two threads the second would put back what the first had set.
    with _FILTERS, untouched(conv) as twin, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CSR tensors are in beta
        for width in [channels] if channels is not None else likely_widths(conv):
            try:
                x, edge_index = small_graph(twin, width)
                weight = x.new_full((edge_index.size(1),), 0.5)
                adj_t = to_torch_csr_tensor(edge_index.flip(0), weight, (NODES, NODES))
                expected = twin.forward(x, edge_index, edge_weight=weight)
                return torch.allclose(twin.forward(x, adj_t), expected, rtol=1e-4, atol=1e-5)
            except Exception:  # another width may fit; a layer that fails on all takes edges
                continue
    return False


def _checked_parameters(conv: nn.Module) -> dict[str, inspect.Parameter]:
    """Parameters of ``forward``; an error where it needs what an item graph does not have."""
    names = dict(inspect.signature(conv.forward).parameters)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in names.values() if p.default is p.empty and p.kind not in variadic]
    extra = [name for name in needed[1:] if name not in _KNOWN]
    if len(names) < 2 or (list(names)[1] not in ("edge_index", "adj_t") and not extra):
        raise ValueError(
            "'conv' must make a MessagePassing or another layer whose forward takes items and "
            f"'edge_index' or 'adj_t' (got {type(conv).__name__}, which takes {list(names)}); "
            f"{_OWN_LAYER}"
        )
    if extra:
        raise ValueError(
            f"'conv' must not need more than items and weighted edges ({name_of(conv)} needs "
            f"{extra}); {_OWN_LAYER}"
        )
    return names


def _tried(conv: nn.Module, candidates: list[str], width: int) -> tuple[EdgeInputs | None, str]:
    """What works of the candidates and of edges alone for items of this width, or what failed."""
    failure = reason = ""
    for name in candidates:
        try:
            if _changes(conv, name, width, 1):
                return EdgeInputs(name), ""
            reason = reason or f"it leaves {name!r} unused; {_BUILD_FOR_ONE}"
        except Exception as error:  # whatever a layer may raise says that this is not its input
            failure = message_of(error)
            reason = f"it takes no {name!r} of one column ({failure}); {_BUILD_FOR_ONE}"
    try:
        _run(conv, width, {})
    except Exception as error:
        return None, failure or message_of(error)
    other = _other_width(conv, candidates, width) if failure else None
    if other is not None:
        raise ValueError(
            f"'conv' must be built for edge features of width 1 (edge_dim=1 or None), one weight "
            f"an edge (got {other} in {name_of(conv)})"
        )
    return EdgeInputs("none", reason=reason or "its forward takes no weights"), ""


def _other_width(conv: nn.Module, candidates: list[str], width: int) -> int | None:
    """Width of edge features other than 1 or the items' that the layer was built for."""
    if "edge_attr" not in candidates:
        return None
    for columns in likely_widths(conv):
        try:
            if columns not in (1, width) and _changes(conv, "edge_attr", width, columns):
                return columns
        except Exception:
            continue
    return None


def _changes(conv: nn.Module, name: str, width: int, columns: int) -> bool:
    """Whether the output depends on the weights: by its gradient, or by its values."""
    size = (NODES * (NODES - 1), columns)
    generator = torch.Generator().manual_seed(1)
    device, dtype = place_of(conv)
    weights = [torch.rand(size, generator=generator).to(device, dtype) for _ in range(2)]
    weights = [w[:, 0] if name == "edge_weight" else w for w in weights]
    first, second = (w.requires_grad_() for w in weights)
    out = _run(conv, width, {name: first})
    if out.requires_grad:
        # Also where the value does not show it yet: weights that are multiplied by zero at first.
        (grad,) = torch.autograd.grad(out.sum(), first, allow_unused=True)
        if grad is not None:
            return True
    return not torch.equal(out, _run(conv, width, {name: second}))


def _run(conv: nn.Module, width: int, weights: dict[str, Tensor]) -> Tensor:
    """The layer's output on a small graph."""
    x, edge_index = small_graph(conv, width)
    with torch.enable_grad():
        out = conv.forward(x, edge_index, **weights)
    if not isinstance(out, Tensor):
        raise TypeError(f"it returns {type(out).__name__}, not one tensor")
    return out
