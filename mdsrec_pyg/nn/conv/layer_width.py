"""Whether a layer takes and gives items of the model's width, asked before anything is trained."""

from __future__ import annotations

import warnings

from torch import Tensor, nn

from mdsrec_pyg.nn.conv._trial import likely_widths, message_of, name_of, small_graph, untouched
from mdsrec_pyg.nn.conv.edge_inputs import EdgeInputs
from mdsrec_pyg.nn.conv.graph_edges import layer_inputs

__all__ = ["check_layer_width"]


def check_layer_width(conv: nn.Module, inputs: EdgeInputs, channels: int) -> None:
    """Raises a ValueError where a layer is built for items of another width, or cannot run at all.

    ``in_channels`` is asked, where a layer has it as PyG's do; then it is run on a graph of six
    nodes, as a copy in evaluation mode. A layer that fails there for its sizes, and on every other
    width that its parameters suggest, may need the whole catalog: it is let through.

    Args:
        conv: The layer.
        inputs: How it gets the weights.
        channels: Width *D* of the items.
    """
    built_for = getattr(conv, "in_channels", None)
    if isinstance(built_for, int) and built_for not in (-1, channels):  # -1: it takes what comes
        out = getattr(conv, "out_channels", None)
        raise _other_width(conv, channels, f"it has in_channels={built_for}, out_channels={out}")
    failures: dict[int, Exception] = {}
    for width in dict.fromkeys([channels, *likely_widths(conv)]):
        given = _try(conv, inputs, width)
        if not isinstance(given, Exception):
            break
        failures[width] = given
    else:
        first = failures[channels]
        if isinstance(first, (AttributeError, TypeError)):
            raise ValueError(
                f"'conv' must run on items and {_said(inputs)} alone ({name_of(conv)} failed: "
                f"{message_of(first)})"
            ) from first
        return
    if width != channels:
        why = f"it runs on items of width {width} and failed: {message_of(failures[channels])}"
        raise _other_width(conv, channels, why)
    if given != channels:
        raise _other_width(conv, channels, f"it gives {given}")


def _said(inputs: EdgeInputs) -> str:
    return "edges" if inputs.use == "none" else f"edges with {inputs.use!r}"


def _other_width(conv: nn.Module, channels: int, why: str) -> ValueError:
    return ValueError(
        f"'conv' must take and give items of the model's width {channels} (got "
        f"{type(conv).__name__}, and {why}): build it as {type(conv).__name__}({channels}, "
        f"{channels}), or give the model channels=..."
    )


def _try(conv: nn.Module, inputs: EdgeInputs, width: int) -> int | str | Exception:
    """The width that a layer gives for items of a width, or what it raised."""
    with untouched(conv) as twin, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            x, edge_index = small_graph(twin, width)
            weight = x.new_full((edge_index.size(1),), 0.5)
            edges, weights = layer_inputs(inputs, x, edge_index, weight)
            out = twin(x, edges, **weights)
        except Exception as error:  # whatever a layer may raise says that this is not its input
            return error
    if not isinstance(out, Tensor):
        return type(out).__name__
    return out.size(-1)
