"""Each way of multiplying that can be asked for gives the same, or says that it cannot."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from mdsrec_pyg.nn import LightGraphConv
from mdsrec_pyg.nn.conv import _propagate

from .conv_cases import dense, features, random_graph, to_csr

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")


@pytest.mark.parametrize("kernel", ["embedding_bag", "sparse_csr", "message_passing"])
@pytest.mark.parametrize("weight_grad", [True, False])
def test_kernels_agree(kernel: str, weight_grad: bool) -> None:
    edge_index, weight = random_graph()
    weight.requires_grad_(weight_grad)
    x = features().requires_grad_()
    conv = LightGraphConv(kernel)
    assert conv.path(x, edge_index, weight) == kernel
    inputs = [x, weight] if weight_grad else [x]
    out = conv(x, edge_index, weight)
    matrix = torch.zeros(len(x), len(x)).index_put(
        (edge_index[1], edge_index[0]), weight, accumulate=True
    )
    expected = matrix @ x
    torch.testing.assert_close(out, expected)
    found = torch.autograd.grad(out.square().sum(), inputs)
    wanted = torch.autograd.grad(expected.square().sum(), inputs)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_the_kernel_asked_for_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    multiply = _propagate.multiply

    def spy(*args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        asked.append(str(args[4]))  # kernel
        return multiply(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(_propagate, "multiply", spy)
    edge_index, weight = random_graph()
    x = features().requires_grad_()
    for kernel in ("sparse_csr", "embedding_bag"):
        LightGraphConv(kernel)(x, edge_index, weight).sum().backward()
    assert asked == ["sparse_csr"] * 2 + ["embedding_bag"] * 2


def test_message_passing_takes_a_matrix() -> None:
    edge_index, weight = random_graph()
    conv = LightGraphConv("message_passing")
    assert conv.path(features(), to_csr(edge_index, weight)) == "message_passing"
    out = conv(features(), to_csr(edge_index, weight))
    torch.testing.assert_close(out, dense(edge_index, weight) @ features())


def test_wrong_kernels() -> None:
    edge_index, weight = random_graph()
    with pytest.raises(ValueError, match=r"'kernel' must be one of .*'triton'.* \(got 'fast'\)"):
        LightGraphConv("fast")
    with pytest.raises(ValueError, match=r"kernel='triton' must get .* on cuda .* on cpu"):
        LightGraphConv("triton")(features(), edge_index, weight)
    with pytest.raises(ValueError, match=r"kernel='embedding_bag' must get .*aggr='max'"):
        LightGraphConv("embedding_bag", aggr="max")(features(), edge_index, weight)


def test_gradient_is_bit_equal_each_time() -> None:
    edge_index, weight = random_graph()
    x = features().requires_grad_()
    conv = LightGraphConv()
    first, second = (
        torch.autograd.grad(conv(x, edge_index, weight).square().sum(), x)[0] for _ in range(2)
    )
    assert torch.equal(first, second)


TRITON = """
import torch
from mdsrec_pyg.nn.conv._triton import row_sums
torch.manual_seed(0)
for n, d, dtype in ((50, 64, torch.float32), (33, 20, torch.float64), (20, 200, torch.float32)):
    dense = ((torch.rand(n, n) < 0.2) * torch.rand(n, n)).to(dtype)
    dense[3], dense[5] = 0, 1  # no neighbor; more than a program holds at once
    x, csr = torch.randn(n, d, dtype=dtype), dense.to_sparse_csr()
    for index in (torch.int32, torch.int64):
        parts = csr.crow_indices().to(index), csr.col_indices().to(index)
        torch.testing.assert_close(row_sums(*parts, csr.values(), x), dense @ x)
        torch.testing.assert_close(row_sums(*parts, None, x), (dense > 0).to(dtype) @ x)
"""


def test_triton_interpreted() -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-W", "ignore", "-c", TRITON]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_triton_on_cuda() -> None:
    edge_index, weight = (t.cuda() for t in random_graph())
    results = []
    for kernel in ("triton", "message_passing"):
        x = features().cuda().requires_grad_()
        out = LightGraphConv(kernel)(x, edge_index, weight)
        results.append((out, torch.autograd.grad(out.square().sum(), x)[0]))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
