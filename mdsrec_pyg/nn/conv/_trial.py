"""What a layer is tried on: a copy of it, and a graph of six nodes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from mdsrec_pyg.seed import drawn_apart

NODES = 6
_MOST_WIDTHS = 8


def small_graph(conv: nn.Module, width: int) -> tuple[Tensor, Tensor]:
    """A complete graph of a few nodes, where no neighbor is alone, and their features."""
    device, dtype = place_of(conv)
    x = torch.randn(NODES, width, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    edge_index = (~torch.eye(NODES, dtype=torch.bool)).nonzero().t().contiguous()
    return x, edge_index.to(device)


@contextmanager
def untouched(conv: nn.Module) -> Iterator[nn.Module]:
    """A copy of the layer in evaluation mode; random states are put back."""
    device, _ = place_of(conv)
    with drawn_apart(device=device):
        yield copy.deepcopy(conv).eval()


def place_of(conv: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where the layer is, and in which precision."""
    for tensor in (*conv.parameters(), *conv.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def likely_widths(conv: nn.Module) -> list[int]:
    """Sizes that occur in the parameters, at most eight, the most frequent first; 4 without any."""
    count: dict[int, int] = {}
    for parameter in conv.parameters():
        if not isinstance(parameter, UninitializedParameter):
            for size in parameter.shape:
                count[size] = count.get(size, 0) + 1
    return sorted(count, key=lambda size: (-count[size], size))[:_MOST_WIDTHS] or [4]


def name_of(conv: Any) -> str:
    """How an error calls a layer."""
    return " ".join(str(conv).split())[:100]


def message_of(error: Exception) -> str:
    """Kind and first line of what a layer raised."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
