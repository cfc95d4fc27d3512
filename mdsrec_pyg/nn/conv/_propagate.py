"""Sparse times dense over one graph again and again: kernels, which one to take, gradient."""

from __future__ import annotations

import importlib.util
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.nn.conv._adjacency import Adjacency

#: How a matrix can be multiplied, and where. On the CPU a sum of bags is several times faster than
#: PyTorch's own CSR product (benchmarks/propagation.py); there is no such kernel on CUDA.
KERNELS = {
    "embedding_bag": ("cpu",),
    "sparse_csr": ("cpu", "cuda"),
    "triton": ("cuda",),
}

_TRITON_RUNS: dict[int | None, bool] = {}


def result_types(x: Tensor, edge_weight: Tensor | None) -> tuple[torch.dtype, torch.dtype]:
    """In what the sum is returned, and in what it is computed: float32 at least."""
    out = x.dtype if edge_weight is None else torch.promote_types(x.dtype, edge_weight.dtype)
    return out, torch.promote_types(out, torch.float32)


def fastest_kernel(device: str, index: int | None = None) -> str:
    """The kernel of a device that is the fastest there."""
    if device == "cpu":
        return "embedding_bag"
    return "triton" if device == "cuda" and _triton_runs(index) else "sparse_csr"


@torch.compiler.assume_constant_result
def _triton_runs(index: int | None) -> bool:
    """Whether Triton is there and compiles for this GPU: tried once, on three rows.

    It needs a C compiler beside itself, which not every machine has. The trial runs in a thread of
    its own, where no mode of the caller's (fake tensors, inference) changes it.
    """
    if index not in _TRITON_RUNS:
        if importlib.util.find_spec("triton") is None:
            return False
        if torch.cuda.is_current_stream_capturing():
            return True
        with ThreadPoolExecutor(1) as pool:
            _TRITON_RUNS[index] = pool.submit(_try_triton, index).result()
    return _TRITON_RUNS[index]


def _try_triton(index: int | None) -> bool:
    try:
        device = torch.device("cuda", index) if index is not None else torch.device("cuda")
        ptr, col = torch.tensor([0, 2, 2, 3]), torch.tensor([2, 0, 1])
        x = torch.arange(48.0).view(3, 16)
        adj = Adjacency(ptr.to(device), col.to(device), None, 3)
        found = multiply(adj, False, None, x.to(device), "triton", x.dtype)
        return torch.equal(found.cpu(), torch.stack([x[2] + x[0], torch.zeros(16), x[1]]))
    except Exception as error:  # whatever its compiler raises, the other kernel is right
        warnings.warn(
            f"Triton does not run on this GPU ({type(error).__name__}: {error}); LightGraphConv "
            "takes kernel='sparse_csr' instead, which is slower",
            UserWarning,
            stacklevel=2,
        )
        return False


def propagate(
    x: Tensor,
    trained: Tensor | None,
    fixed: tuple[Tensor, Tensor] | None,
    adj: Adjacency,
    kernel: str,
    dtype: torch.dtype,
) -> Tensor:
    """One product, with gradient where one is asked for; see :class:`Propagate`.

    Args:
        x: Dense matrix.
        trained: Weights in the order of the rows that a gradient may be asked of.
        fixed: Weights in the order of the rows and of the columns; neither: ones.
        adj: The sparsity.
        kernel: One of ``KERNELS``.
        dtype: Type of the result.
    """
    if trained is not None and torch.is_grad_enabled():
        return cast(Tensor, PropagateTrained.apply(x, trained, adj, kernel, dtype))
    if x.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, Propagate.apply(x, (fixed, adj, kernel, x.dtype), dtype))
    value = trained if fixed is None else fixed[0]
    return multiply(adj, False, value, x, kernel, dtype)


class Propagate(torch.autograd.Function):
    r"""Computes :math:`\mathbf{A} \mathbf{x}`, and :math:`\mathbf{A}^{\top} \mathbf{g}` backward.

    On a GPU the backward pass runs in a thread of its own, where each line costs: it does little.
    With ``create_graph`` the gradient is computed edge by edge, so that it has one of its own.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, call: tuple[Any, ...], dtype: torch.dtype) -> Tensor:
        """Multiplies by fixed weights, of which ``call`` tells, or by ones."""
        ctx.call = call
        fixed, adj, kernel, _ = call
        return multiply(adj, False, None if fixed is None else fixed[0], x, kernel, dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Multiplies by the transpose."""
        fixed, adj, kernel, dtype = ctx.call
        if torch.is_grad_enabled():  # create_graph
            value = None if fixed is None else fixed[0]
            return _edge_by_edge(adj, grad, None, value, dtype)[0], None, None
        value_t = None if fixed is None else fixed[1]
        return multiply(adj, True, value_t, grad, kernel, dtype), None, None


class PropagateTrained(torch.autograd.Function):
    r"""The same by weights of which a gradient may be asked.

    With respect to :math:`A_{ij}` it is :math:`\mathbf{g}_i^{\top} \mathbf{x}_j`, sampled at the
    edges, and only where it is asked for.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, trained: Tensor, adj: Adjacency, kernel: str, dtype: torch.dtype
    ) -> Tensor:
        """Multiplies by ``trained``, in the order of the rows."""
        ctx.options = adj, kernel, x.dtype
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, trained)
        return multiply(adj, False, trained, x, kernel, dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Multiplies by the transpose, and samples."""
        adj, kernel, dtype = ctx.options
        x, trained = ctx.saved_tensors
        grad_x = grad_value = None
        if torch.is_grad_enabled():  # create_graph
            return *_edge_by_edge(adj, grad, x, trained, dtype), None, None, None
        if ctx.needs_input_grad[0]:
            grad_x = multiply(adj, True, trained[adj.perm_t], grad, kernel, dtype)
        if x is not None:
            grad_value = edge_products(adj, grad, x, kernel).to(trained.dtype)
        return grad_x, grad_value, None, None, None


def _edge_by_edge(
    adj: Adjacency, grad: Tensor, x: Tensor | None, value: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """The gradients by operations that have gradients; ``x`` where the weights want one."""
    row = torch.repeat_interleave(adj.rowptr.diff(), output_size=adj.col.numel())
    message = grad.to(torch.promote_types(grad.dtype, torch.float32))[row]
    weighted = message if value is None else value[:, None] * message
    shape = adj.num_cols, grad.size(1)
    grad_x = weighted.new_zeros(shape).index_add(0, adj.col, weighted).to(dtype)
    return grad_x, None if x is None else (message * x.to(message.dtype)[adj.col]).sum(dim=1)


def edge_products(adj: Adjacency, rows: Tensor, cols: Tensor, kernel: str) -> Tensor:
    """Inner products of a row of each of two tables, sampled at the entries of the matrix."""
    dtype = torch.promote_types(torch.promote_types(rows.dtype, cols.dtype), torch.float32)
    if kernel == "triton":
        found: Tensor = adj.rows(False).products(rows.contiguous(), cols.contiguous(), dtype)
        return found
    rows, cols = rows.to(dtype).contiguous(), cols.to(dtype)
    empty = _csr(adj.rowptr, adj.col, rows.new_zeros(adj.col.numel()), cols.size(0))
    product: Tensor = torch.sparse.sampled_addmm(empty, rows, cols.t()).values()
    return product


def multiply(
    adj: Adjacency,
    transpose: bool,
    value: Tensor | None,
    x: Tensor,
    kernel: str,
    dtype: torch.dtype,
) -> Tensor:
    """A matrix or its transpose times ``x``, without a buffer of one row an edge.

    Args:
        adj: The sparsity.
        transpose: Which of both.
        value: Weights in the order of that side, float32 or float64; ``None``: ones.
        x: Dense matrix.
        kernel: One of ``KERNELS``.
        dtype: Type of the result. Sums are in float32 at least.
    """
    x = x.contiguous()
    if kernel == "triton":
        found: Tensor = adj.rows(transpose).sums(value, x, dtype)
        return found
    x = x.detach()  # bags of a tensor that wants a gradient take a slower path
    ptr, index = adj.side(transpose)
    sums = torch.promote_types(torch.promote_types(dtype, x.dtype), torch.float32)
    if value is not None:
        sums = torch.promote_types(sums, value.dtype)
    if x.dtype != sums:
        x = x.to(sums)
    if kernel == "embedding_bag":
        out = F.embedding_bag(
            index, x, ptr, mode="sum", per_sample_weights=value, include_last_offset=True
        )
    else:
        value = x.new_ones(index.numel()) if value is None else value
        with torch.autocast(x.device.type, enabled=False):
            out = _csr(ptr, index, value, x.size(0)) @ x
    return out if out.dtype == dtype else out.to(dtype)


def _csr(rowptr: Tensor, col: Tensor, value: Tensor, num_cols: int) -> Tensor:
    size = (rowptr.numel() - 1, num_cols)
    return torch.sparse_csr_tensor(rowptr, col, value, size, check_invariants=False)
