"""The propagation as operators of torch: one node each for ``torch.compile`` and ``torch.export``.

Eager calls do not come this way: the layer looks the structure up itself, and the dispatcher would
double the time of a product over a thousand items. What is traced cannot look anything up, so the
operators take the edges, and keep the structure by the tensor that they get, which is the same at
every call of a compiled function. Compiled code may write into a buffer of its own again without a
trace: the edges are compared each time, and weights are not kept.

In a CUDA graph what is known of the edges is used; edges that are new there are sorted at each
replay, without a wait. ``torch._dynamo.mark_static_address`` keeps ``torch.compile`` from copying
a graph's tensors for its CUDA graphs, so that they are known.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Optional

import torch
from torch import Tensor

from mdsrec_pyg.nn.conv._adjacency import Adjacency, of_edges
from mdsrec_pyg.nn.conv._cache import TensorCache, build_apart
from mdsrec_pyg.nn.conv._propagate import edge_products, multiply, result_types

__all__ = ["propagate"]

_GRAPHS = TensorCache(apart=True)


@torch.library.custom_op("mdsrec_pyg::propagate", mutates_args=())
def propagate(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Optional[Tensor],  # noqa: UP045 (read by torch on Python 3.10 too)
    num_rows: int,
    num_cols: int,
    reverse: bool,
    transpose: bool,
    kernel: str,
) -> Tensor:
    r"""Computes :math:`\mathbf{A} \mathbf{x}`, or :math:`\mathbf{A}^{\top} \mathbf{x}`.

    Args:
        x: Table ``[num_cols, D]``, or ``[num_rows, D]`` for the transpose.
        edge_index: Edges ``[2, E]``; targets are rows of the matrix, sources where ``reverse``.
        edge_weight: Weights of E elements; ``None``: ones.
        num_rows: Rows of the matrix.
        num_cols: Columns of the matrix.
        reverse: Whether messages go from target to source.
        transpose: Whether to multiply by the transpose.
        kernel: One of ``KERNELS``.
    """
    adj = _adjacency(edge_index, edge_weight, num_rows, num_cols, reverse)
    if kernel == "triton" and not adj.has_rows(transpose):
        build_apart(x, partial(adj.rows, transpose))
    out_dtype, dtype = result_types(x, edge_weight)
    value = None if edge_weight is None else edge_weight.detach().reshape(-1).to(dtype)
    if value is not None and adj.perm is not None:
        value = value[adj.perm]
    if value is not None and transpose:
        value = value[adj.perm_t]
    return multiply(adj, transpose, value, x, kernel, out_dtype)


@propagate.register_fake
def _(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    num_rows: int,
    num_cols: int,
    reverse: bool,
    transpose: bool,
    kernel: str,
) -> Tensor:
    size = num_cols if transpose else num_rows
    return x.new_empty(size, x.size(1), dtype=result_types(x, edge_weight)[0])


@torch.library.custom_op("mdsrec_pyg::propagate_weight_grad", mutates_args=())
def weight_grad(
    rows: Tensor,
    cols: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor,
    reverse: bool,
    kernel: str,
) -> Tensor:
    r"""Gradient of the weights: :math:`\mathbf{g}_i^{\top} \mathbf{x}_j` of each edge, ``[E]``.

    Args:
        rows: Table ``[num_rows, D]``.
        cols: Table ``[num_cols, D]``.
        edge_index: Edges ``[2, E]``.
        edge_weight: Weights, whose type and shape the gradient gets.
        reverse: Whether messages go from target to source.
        kernel: One of ``KERNELS``.
    """
    adj = _adjacency(edge_index, edge_weight, rows.size(0), cols.size(0), reverse)
    grad = edge_products(adj, rows, cols, kernel)
    if adj.perm is not None:
        grad = torch.empty_like(grad).index_copy_(0, adj.perm, grad)
    return grad.to(edge_weight.dtype).view(edge_weight.shape)


@weight_grad.register_fake
def _(
    rows: Tensor,
    cols: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor,
    reverse: bool,
    kernel: str,
) -> Tensor:
    return edge_weight.new_empty(edge_weight.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, edge_index, edge_weight, *ctx.options = inputs
    ctx.dtype = x.dtype
    ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, edge_index, edge_weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, edge_index, edge_weight = ctx.saved_tensors
    num_rows, num_cols, reverse, transpose, kernel = ctx.options
    grad_x = grad_weight = None
    if ctx.needs_input_grad[0]:
        options = (num_rows, num_cols, reverse, not transpose, kernel)
        grad_x = propagate(grad, edge_index, edge_weight, *options).to(ctx.dtype)
    if ctx.needs_input_grad[2]:
        rows, cols = (x, grad) if transpose else (grad, x)
        grad_weight = weight_grad(rows, cols, edge_index, edge_weight, reverse, kernel)
    return grad_x, None, grad_weight, None, None, None, None, None


propagate.register_autograd(_backward, setup_context=_save)


def _adjacency(
    edge_index: Tensor, edge_weight: Tensor | None, num_rows: int, num_cols: int, reverse: bool
) -> Adjacency:
    kept, graphs = _GRAPHS.get(edge_index, None, lambda: (edge_index.clone(), TensorCache(True)))
    if edge_index.is_cuda:  # no wait for the device
        unseen = "'edge_index' was written to in a way that PyTorch does not see"
        torch._assert_async((kept == edge_index).all(), unseen)
    elif not torch.equal(kept, edge_index):
        kept.copy_(edge_index)  # and with its version goes what was derived from it
    adj = of_edges(graphs, kept, num_rows, num_cols, reverse)
    check_weight(edge_weight, adj)
    return adj


def check_weight(edge_weight: Tensor | None, adj: Adjacency) -> None:
    """An error where there is not one weight an edge."""
    if edge_weight is not None and edge_weight.numel() != adj.col.numel():
        raise ValueError(
            f"'edge_weight' must have one weight an edge ({adj.col.numel()}), "
            f"got {list(edge_weight.shape)}"
        )
