"""Each way of multiplying that can be asked for gives the same, or says that it cannot."""

from __future__ import annotations

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
