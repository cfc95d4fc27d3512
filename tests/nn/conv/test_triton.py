"""The Triton kernels: interpreted where Triton is installed, compiled where there is a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import LGConv

from mdsrec_pyg.nn.conv import LightGraphConv, _propagate

from .conv_cases import D, N, features, random_graph

ROOT = Path(__file__).parents[3]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.gpu
def test_interpreted() -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    # NumPy 2.5 refuses what older ones warn of: one element as a number, whatever its dimensions.
    strict = "error:Conversion of an array with ndim > 0:DeprecationWarning"
    command = [sys.executable, "-W", "ignore", "-W", strict, "-m", "tests.nn.conv.triton_cases"]
    run = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


COMPILE = """
import sys
import triton.language as tl
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from mdsrec_pyg.nn.conv import _triton
given = {"HAS_VALUE": True, "HAS_ROWS": True, "CHANNELS": 200, "COLUMNS": 128}
given |= {"ROWS": 4, "STEPS": 4}
for kernel in (_triton._row_sums, _triton._edge_sums):
    for table, total in (("*fp32", tl.float32), ("*bf16", tl.float32), ("*fp64", tl.float64)):
        types = dict.fromkeys(("value", "x", "grad", "out"), table) | {"num_rows": "i32"}
        types |= dict.fromkeys(("first", "last", "col", "rows"), "*i32")
        names, constants = kernel.arg_names, {**given, "SUM": total}
        source = ASTSource(
            kernel,
            {name: types.get(name, "constexpr") for name in names},
            {(names.index(k),): v for k, v in constants.items() if k in names},
        )
        assert compile(source, GPUTarget("cuda", 90, 32), {"num_warps": 1}).asm["ptx"]
"""


def test_compiles_for_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-W", "ignore", "-c", COMPILE]
    run = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("there", [True, False])
def test_the_kernel_of_a_gpu(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(_propagate, "_TRITON_RUNS", {0: there})
    assert _propagate.fastest_kernel("cuda", 0) == ("triton" if there else "sparse_csr")
    assert _propagate.fastest_kernel("cpu") == "embedding_bag"
    assert _propagate.fastest_kernel("xpu", 0) == "sparse_csr"


def test_triton_that_does_not_compile_is_said_and_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: object) -> Tensor:
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(_propagate, "multiply", broken)
    with pytest.warns(UserWarning, match="Triton does not run on this GPU .*.sparse_csr."):
        assert not _propagate._try_triton(0)


@needs_gpu
@pytest.mark.parametrize("weight_grad", [True, False, None])
@pytest.mark.parametrize("kernel", [None, "triton", "sparse_csr"])
@pytest.mark.parametrize("ordered", [True, False])
def test_cuda(weight_grad: bool | None, kernel: str | None, ordered: bool) -> None:
    edge_index, weight = (t.cuda() for t in random_graph(ordered=ordered))
    edge_weight = None if weight_grad is None else weight.requires_grad_(weight_grad)
    x = features().cuda().requires_grad_()
    conv = LightGraphConv(kernel)
    chosen = _propagate.fastest_kernel("cuda", 0)
    assert conv.path(x, edge_index, edge_weight) == (kernel or chosen)
    expected = cuda_gradients(LGConv(normalize=False), x, edge_index, edge_weight)
    for _ in range(2):
        found = cuda_gradients(conv, x, edge_index, edge_weight)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 20, 64, 200])
@pytest.mark.parametrize("skewed", [True, False])
def test_against_float64(dtype: torch.dtype, channels: int, skewed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(500, (5_000,), generator=generator)
    target = torch.randint(2 if skewed else 500, (5_000,), generator=generator)
    edge_index = torch.stack([source, target])
    weight = torch.rand(5_000, generator=generator).to(dtype).requires_grad_()
    x = torch.randn(500, channels, generator=generator).to(dtype).requires_grad_()
    scale = torch.randn(500, channels, generator=generator).to(dtype)
    results = []
    for device, to in (("cpu", torch.float64), ("cuda", dtype)):
        inputs = [t.detach().to(device, to).requires_grad_() for t in (x, weight)]
        out = LightGraphConv()(inputs[0], edge_index.to(device), inputs[1])
        results.append([out, *torch.autograd.grad(out, inputs, scale.to(device, to))])
    share = {torch.float16: 2e-3, torch.bfloat16: 1e-2, torch.float32: 1e-5}.get(dtype, 1e-12)
    for a, b in zip(*results, strict=True):
        assert float((b.cpu().double() - a).abs().max()) < share * float(a.abs().max())


@needs_gpu
def test_same_bits_each_time() -> None:
    edge_index, weight = (t.cuda() for t in random_graph())
    x = torch.randn(N, 64, device="cuda", requires_grad=True)
    weight.requires_grad_()
    first, second = (cuda_gradients(LightGraphConv(), x, edge_index, weight) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@needs_gpu
def test_captured_in_a_cuda_graph() -> None:
    edge_index, weight = (t.cuda() for t in random_graph())
    conv, x = LightGraphConv(), features().cuda().requires_grad_()

    def step() -> Tensor:
        return torch.autograd.grad(conv(x, edge_index, weight).square().sum(), x)[0]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    with torch.no_grad():
        x.mul_(2)
    graph.replay()
    torch.testing.assert_close(found, step())


@needs_gpu
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_on_cuda(mode: str) -> None:
    torch._dynamo.reset()
    edge_index, weight = (t.cuda() for t in random_graph())
    x = features().cuda().requires_grad_()
    expected = cuda_gradients(LightGraphConv(), x, edge_index, weight)
    conv = torch.compile(LightGraphConv(), fullgraph=True, mode=mode)
    for _ in range(4):
        torch.compiler.cudagraph_mark_step_begin()
        found = [t.clone() for t in cuda_gradients(conv, x, edge_index, weight)]
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)


@needs_gpu
def test_nothing_waits_for_the_device() -> None:
    edge_index, weight = (t.cuda() for t in random_graph())
    conv, x = LightGraphConv(), torch.randn(N, D, device="cuda", requires_grad=True)
    conv(x, edge_index, weight).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        conv(x, edge_index, weight).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def cuda_gradients(conv: Any, x: Tensor, *graph: Tensor | None) -> list[Tensor]:
    inputs = [t for t in (x, *graph) if t is not None and t.requires_grad]
    out = conv(x, *graph)
    scale = torch.arange(out.numel(), dtype=out.dtype, device=out.device).view_as(out)
    return [out, *torch.autograd.grad((out * scale / out.numel()).sum(), inputs)]
