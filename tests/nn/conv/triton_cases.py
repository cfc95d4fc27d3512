"""Run by test_triton.py with Triton's interpreter, which takes tensors of the CPU.

python -m tests.nn.conv.triton_cases
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.nn.conv import _triton
from mdsrec_pyg.nn.conv._adjacency import Adjacency
from mdsrec_pyg.nn.conv._propagate import multiply, propagate

KINDS = (
    (9, 64, torch.float32),
    (6, 20, torch.float64),
    (5, 200, torch.float32),
    (7, 1, torch.float16),
    (5, 130, torch.bfloat16),
)


def matrix(rows: int, cols: int, dtype: torch.dtype) -> Tensor:
    """A row without neighbors, one with all, and columns likewise."""
    generator = torch.Generator().manual_seed(rows)
    dense = torch.rand(rows, cols, generator=generator) * (
        torch.rand(rows, cols, generator=generator) < 0.3
    )
    dense[1], dense[2] = 0, 1
    dense[:, 0] = 0
    return dense.to(dtype).double()


def adjacency(dense: Tensor, index: torch.dtype) -> tuple[Adjacency, Tensor]:
    csr = dense.to_sparse_csr()
    adj = Adjacency(csr.crow_indices(), csr.col_indices(), None, dense.size(1))
    for name in ("rowptr", "col", "colptr", "row"):
        setattr(adj, name, getattr(adj, name).to(index))
    return adj, csr.values()


def sums(rows: int, channels: int, dtype: torch.dtype, index: torch.dtype) -> None:
    """Both products, weighted or not, and the gradient of weights, against float64."""
    dense = matrix(rows, rows + 3, dtype)
    adj, value = adjacency(dense, index)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows + 3, channels, generator=generator).to(dtype).requires_grad_()
    grad = torch.randn(rows, channels, generator=generator).to(dtype)
    total = torch.promote_types(dtype, torch.float32)
    near = 1e-2 if dtype.itemsize == 2 else 1e-5
    fixed = value.to(total), value.to(total)[adj.perm_t]
    out = propagate(x, None, fixed, adj, "triton", dtype)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), dense @ x.double(), rtol=near, atol=near)
    (found,) = torch.autograd.grad(out, x, grad)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), dense.t() @ grad.double(), rtol=near, atol=near)
    ones = multiply(adj, False, None, x, "triton", dtype)
    torch.testing.assert_close(ones.double(), dense.sign() @ x.double(), rtol=near, atol=near)
    trained = value.to(total).requires_grad_()
    out = propagate(x, trained, None, adj, "triton", dtype)
    (found,) = torch.autograd.grad(out, trained, grad)
    row, col = dense.nonzero().t()
    expected = (grad.double()[row] * x.double()[col]).sum(dim=1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def long_rows() -> None:
    """Rows of many pieces, whose pieces have pieces; the gradient of weights too."""
    _triton.PIECE = 3
    dense = torch.zeros(6, 40, dtype=torch.double)
    dense[1], dense[3, :7], dense[4, :3] = torch.arange(1.0, 41), 2, 1
    for whole in (False, True):
        csr = dense.to_sparse_csr()
        rows = _triton.Rows(csr.crow_indices().int(), csr.col_indices().int(), whole)
        assert depth(rows) == (1 if whole else 4)
        x = torch.randn(40, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(rows.sums(csr.values(), x, torch.double), dense @ x)
        half = rows.sums(csr.values().float(), x.half(), torch.half)
        assert half.dtype == torch.half
        torch.testing.assert_close(half, (dense @ x.half().double()).half(), rtol=2e-3, atol=1e-3)
        grad = torch.randn(6, 5, dtype=torch.double, generator=torch.Generator().manual_seed(1))
        row, col = dense.nonzero().t()
        found = rows.products(grad, x, torch.double)
        torch.testing.assert_close(found, (grad[row] * x[col]).sum(dim=1))


def depth(rows: _triton.Rows) -> int:
    return 1 if rows.pieces is None else 1 + depth(rows.pieces)


class Launches:
    """A kernel as a GPU would have it: interpreted at first, then only asked with what it runs."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.compiled: list[Any] = []
        self.ran: list[Any] = []

    def __getitem__(self, grid: tuple[int, int, int]) -> Any:
        def launch(*args: Any, num_warps: int) -> Any:
            self.kernel[grid](*args, num_warps=num_warps)
            self.compiled.append(args)
            return {grid: lambda *again: self.ran.append(again)}

        return launch


def launched_again() -> None:
    """A call of a kind that is known gives the compiled kernel the same, by address."""
    adj, value = adjacency(matrix(6, 9, torch.float32), torch.int32)
    value, rows = value.float(), adj.rows(False)
    x, grad = torch.randn(9, 20), torch.randn(6, 20)
    for name, call in (
        ("_row_sums", lambda x: rows.sums(value, x, torch.float32)),
        ("_edge_sums", lambda x: rows.products(grad, x, torch.float32)),
    ):
        usual = getattr(_triton, name)
        kernel = Launches(usual)
        setattr(_triton, name, kernel)
        call(x)
        out = call(x)
        (first,), (again,) = kernel.compiled, kernel.ran
        assert len(again) == len(first) == len(usual.arg_names)
        at = usual.arg_names.index("out")
        for i, (a, b) in enumerate(zip(first, again, strict=True)):
            expected = a.data_ptr() if isinstance(a, torch.Tensor) else a
            assert b == (out.data_ptr() if i == at else expected), usual.arg_names[i]
        # Other widths and types are other kernels; so is a table that lies in between.
        call(torch.randn(9 * 20 + 1)[1:].view(9, 20))
        if name == "_row_sums":
            call(torch.randn(9, 24))
            call(x.half())
            rows.sums(None, x, torch.float32)
            rows.sums(value, x, torch.float64)
        assert len(kernel.ran) == 1
        assert len(kernel.compiled) == (6 if name == "_row_sums" else 2)
        setattr(_triton, name, usual)


def empty() -> None:
    """No rows, no edges, no columns."""
    none = torch.empty(0, dtype=torch.int32)
    rows = _triton.Rows(torch.zeros(4, dtype=torch.int32), none)
    x = torch.ones(2, 3)
    assert torch.equal(rows.sums(None, x, x.dtype), torch.zeros(3, 3))
    assert rows.products(torch.ones(3, 3), x, x.dtype).shape == (0,)
    assert rows.sums(None, x[:, :0], x.dtype).shape == (3, 0)
    none_at_all = _triton.Rows(torch.zeros(1, dtype=torch.int32), none)
    assert none_at_all.sums(None, x, x.dtype).shape == (0, 3)


if __name__ == "__main__":
    for kind in KINDS:
        sums(*kind, torch.int64 if kind[0] == 5 else torch.int32)
    launched_again()
    long_rows()
    empty()
